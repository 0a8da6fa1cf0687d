"""Which configurations a comparison of a hypothesis is about."""

from __future__ import annotations

import re
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
    if is_matched(comparison, names):
        pairs = tuple(_matched_pairs(comparison, higher, lower))
        if not pairs:
            raise UsageError(f"hypotheses: no configuration of {comparison.higher} has a partner in {comparison.lower}")
        return [pairs]
    single: list[tuple[Pair, ...]] = [((h, lo),) for h in higher for lo in lower if h != lo]
    if not single:
        raise UsageError(f"hypotheses: {comparison.higher} is compared with itself only")
    return single


def is_matched(comparison: Comparison, names: Sequence[str]) -> bool:
    """Return whether the mean over pairs is compared: if the comparison says so, or by default one to one.

    >>> elu = Comparison(statistic="accuracy", higher="elu-*", lower="relu-*")
    >>> is_matched(elu, ["elu-1", "elu-2", "relu-1", "relu-2"]), is_matched(elu, ["elu-1", "elu-2", "relu-1"])
    (True, False)

    Errors: UsageError if no configuration matches.
    """
    if comparison.matched is not None:
        return comparison.matched
    higher, lower = _matching(comparison.higher, names), _matching(comparison.lower, names)
    if set(higher) & set(lower) or not ("*" in comparison.higher and "*" in comparison.lower):
        return False
    pairs = list(_matched_pairs(comparison, higher, lower))
    return len(pairs) == len(higher) == len(lower) == len({partner for _, partner in pairs})


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    matching = [name for name in names if fnmatchcase(name, pattern)]
    if not matching:
        raise unknown_name("configuration of a hypothesis", pattern, names)
    return matching


def _matched_pairs(comparison: Comparison, higher: Sequence[str], lower: Sequence[str]) -> Iterator[Pair]:
    """Pair names that differ only in the fixed text of the two patterns."""
    partners = {_rest(name, comparison.lower): name for name in lower}
    for name in higher:
        if (rest := _rest(name, comparison.higher)) in partners:
            yield name, partners[rest]


def _rest(name: str, pattern: str) -> tuple[str, ...]:
    """The parts of a name that the stars of a pattern stand for, without the characters that join them."""
    match = re.fullmatch("(.*?)".join(map(re.escape, pattern.split("*"))), name)
    parts = (name,) if match is None else match.groups()
    return tuple(part for part in (part.strip("-/") for part in parts) if part)
