"""Findings of a study in words: verdicts, where they hold, and what limits them."""

from __future__ import annotations

from dataclasses import dataclass

from genrekit.studies.findings import Finding
from genrekit.studies.formatting import AT_TEXT, NONE, effect, p_equation
from genrekit.studies.verdicts import Judgement, Verdict


@dataclass(frozen=True)
class VerdictStyle:
    """How a verdict is shown: a symbol, a CSS class (good, bad, even or open), and what it means."""

    symbol: str
    css_class: str
    meaning: str


VERDICTS: dict[Verdict, VerdictStyle] = {
    "upheld": VerdictStyle(
        "✓", "good", "the difference is in the direction of the hypothesis, beyond the noise of seeds and tracks"
    ),
    "refuted": VerdictStyle("✗", "bad", "the difference is in the other direction, beyond that noise"),
    "equivalent": VerdictStyle("≈", "even", "the 95 % interval is within a margin that is too small to matter"),
    "undecided": VerdictStyle("?", "open", "the runs and tracks are too few to decide"),
    "not trained": VerdictStyle(
        "∅", "open", "a configuration that the hypothesis favours does not beat the majority-class baseline"
    ),
    "not tested": VerdictStyle("○", "open", "there are fewer than three seeds, too few pairs, or no figures"),
}

SHORTENED = ("At N of M epochs", "the runs were shorter than planned. Longer runs may give another verdict.")
"""The epochs behind a verdict, and what they mean."""


def symbol(verdict: Verdict) -> str:
    """Return a verdict with its symbol."""
    return f"{VERDICTS[verdict].symbol} {verdict}"


def is_shortened(finding: Finding) -> bool:
    """Return whether a verdict was reached at fewer epochs than planned."""
    return finding.epochs is not None and finding.verdict != "not tested"


def at_epochs(finding: Finding) -> str:
    """Return "at 30 of 100 epochs" if the runs of a verdict were shorter than planned, otherwise ""."""
    return f"at {finding.epochs} of {finding.planned_epochs} epochs" if is_shortened(finding) else ""


def verdict(finding: Finding) -> str:
    """Return the verdict with its symbol, and the epochs if they are fewer than planned."""
    return f"{symbol(finding.verdict)} {at_epochs(finding)}".rstrip()


def effect_of_statistic(finding: Finding) -> str:
    """Return the effect where the study tests the hypothesis: how much, of what, and at which epoch."""
    figures, at = effect(finding), AT_TEXT.get(finding.at, finding.at)
    if finding.statistic == "winner":
        return f"{figures}: the winner's accuracy {at}"
    what = f"{finding.statistic.replace('_', ' ')} {at}"
    return f"{NONE} ({what})" if figures == NONE else f"{figures} of {what}"


def other_judgements(finding: Finding) -> tuple[Judgement, ...]:
    """Return the judgements at the other epochs."""
    return tuple(judgement for judgement in finding.judgements if judgement.at != finding.at)


def judgement_line(judgement: Judgement) -> str:
    """Return a judgement as one line: where, verdict, effect and p."""
    figures = effect(judgement)
    at = AT_TEXT.get(judgement.at, judgement.at)
    if figures == NONE:
        return f"{at}: {judgement.verdict}"
    note = f" ({judgement.note})" if judgement.note else ""
    return f"{at}: {judgement.verdict}{note}, {figures}, {p_equation(judgement.p)}"
