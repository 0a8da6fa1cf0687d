"""What a study found, as words and cells of tables, whatever they are written in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from genrekit.errors import counted, is_or_are
from genrekit.metrics.formatting import format_number, with_interval
from genrekit.metrics.intervals import Interval
from genrekit.studies.evidence import Finding
from genrekit.studies.results import StudyResult
from genrekit.studies.verdicts import MOST_SEEDS_UNTESTED, Reading, Verdict
from genrekit.workflows.compare import RankedRun

NONE = "\N{EN DASH}"
"""Stands where there is no figure."""

PLACES = {"last": "at the last epoch", "best": "at the best epoch", "equal steps": "at equal steps"}
"""Where a claim is judged."""


@dataclass(frozen=True)
class VerdictWords:
    """How a verdict looks: a symbol, a class of colours (good, bad, even, open), and what it means."""

    symbol: str
    colours: str
    meaning: str


VERDICTS: dict[Verdict, VerdictWords] = {
    "upheld": VerdictWords("✓", "good", "what the claim says is above zero, beyond the noise of seeds and tracks"),
    "refuted": VerdictWords("✗", "bad", "it is below zero, beyond that noise"),
    "equivalent": VerdictWords("≈", "even", "the whole interval lies within a margin that is too small to matter"),
    "undecided": VerdictWords("?", "open", "the difference may be noise"),
    "not trained": VerdictWords("∅", "open", "the arm that the claim credits is not above chance"),
    "not tested": VerdictWords("○", "open", "there are too few seeds or epochs, or an arm is missing"),
}


@dataclass(frozen=True)
class Cells:
    """A table of plain text; the first cell of a row names it, `numeric` are the columns of numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()


def percent(figure: Interval | None) -> str:
    """A share with its 95 % interval.

    >>> percent(Interval(0.5, 0.412, 0.59))
    '50.0 % (41.2 to 59.0)'
    """
    return _with_interval(figure, ".1f", factor=100, unit=" %")


def nats(figure: Interval | None) -> str:
    """A loss with its 95 % interval.

    >>> nats(Interval(1.234, 1.1, 1.4))
    '1.234 (1.100 to 1.400)'
    """
    return _with_interval(figure, ".3f")


def points(figure: Interval | None) -> str:
    """A difference of shares in percentage points, with its 95 % interval.

    >>> points(Interval(0.125, 0.1, 0.15))
    '+12.5 (+10.0 to +15.0)'
    """
    return _with_interval(figure, "+.1f", factor=100)


def effect(judged: Finding | Reading) -> str:
    """A difference with its 95 % interval: of losses in nats, of shares in percentage points; a winner's accuracy."""
    figure = None if judged.effect is None else Interval(judged.effect, _or_nan(judged.low), _or_nan(judged.high))
    if judged.statistic == "winner":
        return percent(figure)
    factor, form, unit = (1, "+.3f", " nats") if "loss" in judged.statistic else (100, "+.1f", " points")
    text = _with_interval(figure, form, factor=factor, unit=unit)
    if text == NONE or not judged.bound:
        return text
    return f"{text}, claimed above {format_number(factor * judged.bound, form, minus=_MINUS)}"


def p_value(p: float | None) -> str:
    """A probability.

    >>> p_value(0.00002), p_value(0.0312), p_value(1.0)
    ('< 0.001', '0.031', '1.000')
    """
    if p is None or not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """A time that a reader can judge.

    >>> duration(42), duration(750), duration(9_000)
    ('42 s', '12.5 min', '2.5 h')
    """
    if not math.isfinite(seconds):
        return NONE
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def best_accuracy(run: RankedRun) -> Interval | None:
    """Track accuracy at the best epochs, which are chosen on the same tracks."""
    mean, low, high = (run.track_accuracy.get(key) for key in ("mean", "low", "high"))
    return None if mean is None else Interval(mean, _or_nan(low), _or_nan(high))


def accuracy_at(run: RankedRun, at: str) -> Interval | None:
    """Track accuracy at the place that a study declares; at the best epochs where no other is known of the run.

    None at equal steps for what makes no steps.
    """
    if run.last_accuracy is None or at == "best":
        return best_accuracy(run)
    return run.equal_steps_accuracy if at == "equal steps" else run.last_accuracy


def in_order(result: StudyResult) -> tuple[RankedRun, ...]:
    """The arms as they are ranked, and behind them those that are not."""
    place = {name: index for index, name in enumerate(result.ranking)}
    return tuple(sorted(result.runs, key=lambda run: place.get(run.name, len(place))))


def seeds(numbers: Iterable[int]) -> str:
    """Seeds as text, neighbours together.

    >>> seeds([0, 1, 2, 3, 7])
    '0 to 3, 7'
    """
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in spans) or NONE


def remarks(run: RankedRun) -> str:
    """What a reader must know of an arm before comparing it."""
    notes = [
        "" if run.trained else "not trained: not above chance",
        f"less than declared: {run.cut}" if run.cut else "",
        f"added later: seed{'s' if len(run.later_seeds) > 1 else ''} {seeds(run.later_seeds)}"
        if run.later_seeds
        else "",
    ]
    return "; ".join(filter(None, notes))


_Column = tuple[str, Callable[[RankedRun], str]]

_ARMS: tuple[_Column, ...] = (
    ("panel", lambda run: run.group or NONE),
    ("remarks", remarks),
    ("seeds", lambda run: seeds(run.seeds)),
    ("epochs", lambda run: str(run.epochs) if run.epochs else NONE),
    ("parameters", lambda run: f"{run.parameters:,}"),
    ("accuracy, last epoch", lambda run: percent(run.last_accuracy)),
    ("accuracy, best epoch (optimistic)", lambda run: percent(best_accuracy(run))),
    ("accuracy, equal steps", lambda run: percent(run.equal_steps_accuracy)),
    ("loss, last epoch", lambda run: nats(run.last_loss)),
    ("training accuracy", lambda run: percent(run.training_accuracy)),
    ("overfitting in points", lambda run: points(run.overfitting)),
    ("dead channels", lambda run: percent(run.dead_channels)),
    ("time", lambda run: duration(run.seconds) if run.seconds else NONE),
)


def arms(result: StudyResult) -> Cells:
    """The arms, a row each; a figure that no arm has gets no column."""
    runs = in_order(result)
    columns = [(name, [cell(run) for run in runs]) for name, cell in _ARMS]
    kept = [(name, cells) for name, cells in columns if any(cell not in ("", NONE) for cell in cells)]
    words = {"panel", "seeds", "remarks"}
    return Cells(
        ("arm", *(name for name, _ in kept)),
        tuple((run.name, *(cells[row] for _, cells in kept)) for row, run in enumerate(runs)),
        frozenset(index for index, (name, _) in enumerate(kept, 1) if name not in words),
    )


def settings(result: StudyResult) -> Cells:
    """In what the configurations of the arms differ, besides the seed."""
    runs = in_order(result)
    keys = list(dict.fromkeys(key for run in runs for key in run.config if key != "seed"))
    differing = [key for key in keys if len({repr(run.config.get(key)) for run in runs}) > 1]
    return Cells(
        ("arm", *differing),
        tuple((run.name, *(_setting(run.config.get(key)) for key in differing)) for run in runs) if differing else (),
    )


def findings(result: StudyResult) -> Cells:
    """The claims, a row each, and what became of them."""
    return Cells(
        ("claim", "verdict", "effect (95 % interval)", "p", "other readings", "note"),
        tuple(
            (
                finding.claim,
                verdict(finding.verdict),
                declared(finding),
                p_value(finding.p),
                "; ".join(reading(other) for other in others(finding)) or NONE,
                finding.note or NONE,
            )
            for finding in result.findings
        ),
    )


def declared(finding: Finding) -> str:
    """The effect where the study declares it: how much, of what, and where."""
    figures, place = effect(finding), PLACES.get(finding.at, finding.at)
    if finding.statistic == "winner":
        return f"{figures}: the winner's accuracy {place}"
    where = f"{finding.statistic.replace('_', ' ')} {place}"
    return f"{NONE} ({where})" if figures == NONE else f"{figures} of {where}"


def verdict(word: Verdict) -> str:
    """A verdict with its symbol."""
    return f"{VERDICTS[word].symbol} {word}"


def others(finding: Finding) -> tuple[Reading, ...]:
    """The readings beside the one that the study declares."""
    return tuple(reading for reading in finding.readings if reading.at != finding.at)


def reading(judged: Reading) -> str:
    """A reading in a line: where, what, and how much."""
    figures = effect(judged)
    where = PLACES.get(judged.at, judged.at)
    if figures == NONE:
        return f"{where}: {judged.verdict}"
    pairs = f" ({judged.note})" if judged.note else ""
    return f"{where}: {judged.verdict}{pairs}, {figures}, p {_after_p(judged.p)}"


def ranking(result: StudyResult) -> Cells:
    """The places of the ranking; arms that cannot be told from the first say so."""
    runs = {run.name: run for run in result.runs}
    rows = []
    for place, name in enumerate(result.ranking, 1):
        run = runs.get(name)
        accuracy = None if run is None else accuracy_at(run, "last" if result.head is None else result.head.at)
        beside = NONE if accuracy is None else _beside_first(result, name)
        rows.append((str(place), name, percent(accuracy), beside))
    return Cells(("place", "arm", "accuracy", "beside the first"), tuple(rows), frozenset({0, 2}))


def _beside_first(result: StudyResult, name: str) -> str:
    runs = {run.name: run for run in result.runs}
    run, first = runs[name], runs[result.ranking[0]]
    if not run.trained:
        return "not above chance"
    if run is not first and not run.comparable:
        return "partly on other tracks: not ranked against it"
    if untested := [arm for arm in (run, first) if has_few_seeds(arm)]:
        return f"not tested: {counted(len(untested[0].seeds), 'seed')}"
    if run is first:
        return "first"
    return "a tie: cannot be told from it" if name in result.ties else "worse"


def has_few_seeds(run: RankedRun) -> bool:
    """Whether it has too few seeds to be told from another."""
    return len(run.seeds) <= MOST_SEEDS_UNTESTED


def summary(result: StudyResult) -> str:
    """How many claims met which verdict, in a sentence."""
    counts = {word: sum(finding.verdict == word for finding in result.findings) for word in VERDICTS}
    said = [f"{count} {word}" for word, count in counts.items() if count]
    if not said:
        return "The study makes no claims."
    return f"Of {counted(len(result.findings), 'claim')}: {', '.join(said)}."


def none_trained(result: StudyResult) -> bool:
    """Whether no arm has learned anything: then none is the best."""
    return bool(result.runs) and not any(run.trained for run in result.runs)


def tied(result: StudyResult) -> str:
    """Who is first, and who cannot be told from it, in a sentence."""
    if not result.ranking:
        return "No arm is ranked."
    if none_trained(result):
        return "No arm is above chance, so none is first."
    first, *others = result.ranking
    runs = {run.name: run for run in result.runs}
    if not first_of(result):
        return f"{first} has the highest accuracy; no other arm answered the same tracks, so none is ranked against it."
    if first in runs and has_few_seeds(runs[first]):
        return f"{first} has the highest accuracy so far: fewer than three seeds tell no arms apart."
    ties = [name for name in result.ties if name != first]
    named = [name for name in ties if name in result.ranking]
    if hidden := len(ties) - len(named):
        named.append(f"{hidden}{' more' if named else ''} that {is_or_are(hidden)} not shown")
    elsewhere = [name for name in others if name in runs and not runs[name].comparable]
    said = f"{first} is first, but {_listed(named)} cannot be told from it" if ties else f"{first} is first"
    more = f"; not ranked against it, on partly other tracks: {_listed(elsewhere)}" if elsewhere else ""
    return f"{said}{more}."


def first_of(result: StudyResult) -> str:
    """The arm that is first among others that it can be compared with; empty where there is none."""
    runs = {run.name: run for run in result.runs}
    first, *others = result.ranking or ("",)
    if none_trained(result) or (others and all(name in runs and not runs[name].comparable for name in others)):
        return ""
    return first


def in_short(result: StudyResult) -> str:
    """What was found, in two sentences, and which arms have no run, in a third where there are such."""
    said = [summary(result), tied(result)]
    if result.absent:
        untested = ": what is claimed of them is not tested" if result.findings else ""
        said.append(f"No whole seed is there of {_listed(result.absent)}{untested}.")
    return " ".join(said)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _after_p(p: float | None) -> str:
    text = p_value(p)
    return text if text[:1] == "<" or text == NONE else f"= {text}"


def _setting(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else str(value)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


_MINUS = "\N{MINUS SIGN}"


def _with_interval(figure: Interval | None, form: str, *, factor: float = 1, unit: str = "") -> str:
    if figure is None or not math.isfinite(figure.value):
        return NONE
    return with_interval(figure, form, factor=factor, unit=unit, minus=_MINUS)
