"""The outcome of a study in sentences: how many hypotheses were upheld, and which configuration is first."""

from __future__ import annotations

from genrekit.errors import counted, is_or_are
from genrekit.metrics.intervals import Interval
from genrekit.studies.formatting import listed
from genrekit.studies.results import StudyResult
from genrekit.studies.verdict_text import VERDICTS, at_epochs, is_shortened
from genrekit.studies.verdicts import MIN_SEEDS
from genrekit.workflows.compare import RankedRun


def accuracy_at(run: RankedRun, at: str) -> Interval | None:
    """Return the track accuracy where a study tests its hypotheses; at the best epochs if no other is known.

    None for a classical model at equal steps.
    """
    if run.last_accuracy is None or at == "best":
        return run.track_accuracy
    return run.equal_steps_accuracy if at == "equal steps" else run.last_accuracy


def in_order(result: StudyResult) -> tuple[RankedRun, ...]:
    """Return the configurations in the order of the ranking, followed by those that are not ranked."""
    rank = {name: index for index, name in enumerate(result.ranking)}
    return tuple(sorted(result.runs, key=lambda run: rank.get(run.name, len(rank))))


def has_few_seeds(run: RankedRun) -> bool:
    """Return whether a configuration has too few seeds to be compared."""
    return len(run.seeds) < MIN_SEEDS


def none_trained(result: StudyResult) -> bool:
    """Return whether no configuration is above chance."""
    return bool(result.runs) and not any(run.trained for run in result.runs)


def first_of(result: StudyResult) -> str:
    """Return the first configuration of the ranking, or "" if it cannot be compared with any other."""
    runs = {run.name: run for run in result.runs}
    first, *others = result.ranking or ("",)
    if none_trained(result) or (others and all(name in runs and not runs[name].comparable for name in others)):
        return ""
    return first


def summary(result: StudyResult) -> str:
    """Return the number of hypotheses with each verdict, and the epochs of the runs."""
    findings = result.findings
    if not findings:
        return "The study has no hypotheses."
    counts = {word: sum(finding.verdict == word for finding in findings) for word in VERDICTS}
    verdicts = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    noun = "hypothesis" if len(findings) == 1 else "hypotheses"
    text = f"{len(findings)} {noun}: {verdicts}."
    shortened = [at_epochs(finding) for finding in findings if is_shortened(finding)]
    if not shortened:
        return text
    judged = sum(finding.verdict != "not tested" for finding in findings)
    if len(shortened) == judged and len(set(shortened)) == 1:
        return f"{text} All verdicts are {shortened[0]}."
    return f"{text} {len(shortened)} of the verdicts {is_or_are(len(shortened))} at fewer epochs than planned."


def leader(result: StudyResult) -> str:
    """Return which configuration is first, and with which others it is tied, as a sentence."""
    if not result.ranking:
        return "No configuration is ranked."
    if none_trained(result):
        return "No configuration is above chance, so none is first."
    first, *others = result.ranking
    runs = {run.name: run for run in result.runs}
    if not first_of(result):
        return f"{first} has the highest accuracy, but no other configuration has the same validation tracks."
    if first in runs and has_few_seeds(runs[first]):
        return f"{first} has the highest accuracy so far; with fewer than three seeds, no ties are tested."
    ties = [name for name in result.ties if name != first]
    shown = [name for name in ties if name in result.ranking]
    if hidden := len(ties) - len(shown):
        shown.append(f"{counted(hidden, 'other')} not shown")
    elsewhere = [name for name in others if name in runs and not runs[name].comparable]
    text = f"{first} is first, tied with {listed(shown)}" if ties else f"{first} is first"
    unranked = f"; not compared, because of other validation tracks: {listed(elsewhere)}" if elsewhere else ""
    return f"{text}{unranked}."


def in_short(result: StudyResult) -> str:
    """Return the outcome in two sentences, and which configurations have no complete seed in a third."""
    sentences = [summary(result), leader(result)]
    if result.absent:
        sentences.append(f"Without a complete seed: {listed(result.absent)}.")
    return " ".join(sentences)
