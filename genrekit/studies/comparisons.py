"""Which configurations a comparison of a hypothesis is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from genrekit.errors import UsageError, unknown_name
from genrekit.studies.schema import Comparison

Pair = tuple[str, str]
"""Names of two configurations. The hypothesis says that the first one's statistic is higher."""


def differences(comparison: Comparison, names: Sequence[str]) -> list[tuple[Pair, ...]]:
    """Return the pairs of each difference that a comparison is about; a difference is the mean over its pairs.

    Errors: UsageError if no configuration matches.
    """
    higher, lower = _matching(comparison.higher, names), _matching(comparison.lower, names)
    if comparison.matched:
        pairs = tuple(_matched_pairs(comparison, higher, lower))
        if not pairs:
            raise UsageError(f"hypotheses: no configuration of {comparison.higher} has a partner in {comparison.lower}")
        return [pairs]
    single: list[tuple[Pair, ...]] = [((h, lo),) for h in higher for lo in lower if h != lo]
    if not single:
        raise UsageError(f"hypotheses: {comparison.higher} is compared with itself only")
    return single


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    matching = [name for name in names if fnmatchcase(name, pattern)]
    if not matching:
        raise unknown_name("configuration of a hypothesis", pattern, names)
    return matching


def _matched_pairs(comparison: Comparison, higher: Sequence[str], lower: Sequence[str]) -> Iterator[Pair]:
    """Pair names that differ only in the fixed text of the two patterns."""
    fixed_higher, fixed_lower = (pattern.strip("*").strip("-/") for pattern in (comparison.higher, comparison.lower))
    partners = {name.replace(fixed_lower, "", 1): name for name in lower}
    for name in higher:
        if (rest := name.replace(fixed_higher, "", 1)) in partners:
            yield name, partners[rest]
