"""Judge the hypotheses of a study by its finished runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from genrekit.config import TrainConfig, flat_options
from genrekit.errors import few
from genrekit.io.json_values import stored_as
from genrekit.metrics.intervals import Interval
from genrekit.studies.evidence import ConfigurationRuns, Evidence
from genrekit.studies.schema import At, Hypothesis, WinnerHypothesis
from genrekit.studies.verdicts import ComparisonResult, Judgement, Verdict, judge


@dataclass(frozen=True)
class Finding:
    """The verdict on a hypothesis where the study tests it (`at`), and the judgements elsewhere.

    `epochs` and `planned_epochs` are set if its configurations were trained for fewer epochs than planned. `missing`
    are configurations of the hypothesis without a complete seed, `fewer_seeds` those with fewer seeds than planned.
    `note` says this in words, and why a hypothesis is not tested or which configuration did not train. It also says
    if an effect is a mean over matched pairs by default.
    """

    hypothesis: str = field(metadata=stored_as("claim"))
    verdict: Verdict
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    statistic: str = "accuracy"
    at: str = "last"
    judgements: tuple[Judgement, ...] = field(default=(), metadata=stored_as("readings"))
    note: str = ""
    bound: float = 0.0
    epochs: int | None = None
    planned_epochs: int | None = None
    missing: tuple[str, ...] = ()
    fewer_seeds: tuple[str, ...] = ()


def judge_hypotheses(hypotheses: Sequence[Hypothesis], evidence: Evidence, at: At) -> tuple[Finding, ...]:
    """Judge a study's hypotheses where it tests them, and also at the other epochs."""
    judgements = {where: _judgements(hypotheses, evidence, where) for where in get_args(At)}
    return tuple(
        _finding(hypothesis, at, {where: judged[index] for where, judged in judgements.items()}, evidence)
        for index, hypothesis in enumerate(hypotheses)
    )


def _judgements(hypotheses: Sequence[Hypothesis], evidence: Evidence, at: At) -> list[Judgement]:
    """Hypotheses about differences are corrected for their number together; those about the winner have no p."""
    compared = [_results(hypothesis, evidence, at) for hypothesis in hypotheses if hypothesis.comparisons]
    judged = map(_without_nan, judge(compared, at))
    return [
        next(judged) if hypothesis.winner is None else _judge_winner(hypothesis.winner, evidence, at)
        for hypothesis in hypotheses
    ]


def _without_nan(judgement: Judgement) -> Judgement:
    if judgement.effect is not None and math.isnan(judgement.effect):
        return replace(judgement, effect=None)
    return judgement


def _results(hypothesis: Hypothesis, evidence: Evidence, at: At) -> list[ComparisonResult]:
    return [
        evidence.compare(comparison, pairs, at)
        for comparison in hypothesis.comparisons
        for pairs in evidence.differences(comparison)
    ]


def _judge_winner(hypothesis: WinnerHypothesis, evidence: Evidence, at: At) -> Judgement:
    """Judge a hypothesis about the first configuration of the ranking.

    More than half of the configurations must have runs, and all of these enough seeds. Settings are upheld if all
    configurations that are tied with the winner have them, and refuted if none has.
    """
    ranking = evidence.ranking(at)
    winner = ranking[0]
    accuracy = evidence.interval(winner, "accuracy", at)
    known = all(evidence.sample(name, "accuracy", at) is not None for name in ranking)
    enough = 2 * len(ranking) > len(evidence.runs) and all(evidence.runs[name].has_enough_seeds for name in ranking)
    if accuracy is None or not known or not enough:
        return _winner_judgement(at, "not tested", accuracy)
    if not evidence.trained(winner):
        return _winner_judgement(at, "not trained", accuracy)
    if hypothesis.contains is not None:
        contained = accuracy.low <= hypothesis.contains <= accuracy.high
        return _winner_judgement(at, "upheld" if contained else "refuted", accuracy)
    holds = [_has(evidence.runs[name].config, hypothesis) for name in evidence.ties(ranking, at)]
    return _winner_judgement(at, "upheld" if all(holds) else "undecided" if any(holds) else "refuted", accuracy)


def _has(config: TrainConfig, hypothesis: WinnerHypothesis) -> bool:
    values = flat_options(config.model_dump(mode="json"))
    return all(values.get(key) == wanted for key, wanted in hypothesis.has.items())


def _winner_judgement(at: At, verdict: Verdict, accuracy: Interval | None) -> Judgement:
    if accuracy is None:
        return Judgement(at, verdict, None, None, None, None, "winner")
    return Judgement(at, verdict, accuracy.value, accuracy.low, accuracy.high, None, "winner")


def _finding(hypothesis: Hypothesis, at: At, judgements: Mapping[At, Judgement], evidence: Evidence) -> Finding:
    judged = judgements[at]
    involved, compared = _involved(hypothesis, evidence, at)
    shortened = [runs for runs in compared.values() if runs.epochs < runs.planned_epochs]
    return Finding(
        hypothesis=hypothesis.text,
        verdict=judged.verdict,
        effect=judged.effect,
        low=judged.low,
        high=judged.high,
        p=judged.p,
        statistic=judged.statistic,
        at=at,
        judgements=tuple(judgements.values()),
        note="; ".join([*_paired(hypothesis, evidence), *_notes(judged, involved, compared, evidence)]),
        bound=judged.bound,
        epochs=min((runs.epochs for runs in shortened), default=None),
        planned_epochs=max((runs.planned_epochs for runs in shortened), default=None),
        missing=_missing(involved, evidence),
        fewer_seeds=tuple(name for name, runs in compared.items() if len(runs.seeds) < runs.planned_seeds),
    )


def _involved(
    hypothesis: Hypothesis, evidence: Evidence, at: At
) -> tuple[tuple[str, ...], dict[str, ConfigurationRuns]]:
    """The names of all configurations of a hypothesis, and the runs of those by which it is judged."""
    involved, compared = set[str](), set[str]()
    for comparison in hypothesis.comparisons:
        for pairs in evidence.differences(comparison):
            unique = evidence.unique(pairs)
            involved.update(name for pair in unique for name in pair)
            compared.update(name for pair in evidence.known(comparison.statistic, unique, at) for name in pair)
    if hypothesis.winner is not None:
        involved = compared = set(evidence.runs)
    names = tuple(name for name in evidence.runs if name in involved)
    return names, {name: evidence.runs[name] for name in names if name in compared and evidence.runs[name].answers}


def _missing(names: Sequence[str], evidence: Evidence) -> tuple[str, ...]:
    return tuple(name for name in names if not evidence.runs[name].answers)


def _paired(hypothesis: Hypothesis, evidence: Evidence) -> list[str]:
    """Say that comparisons are means over pairs, if their file leaves it to the default."""
    by_default = [item for item in hypothesis.comparisons if item.matched is None and evidence.is_matched(item)]
    counts = {len(pairs) for comparison in by_default for pairs in evidence.differences(comparison)}
    return [f"mean over {count} matched pairs" for count in sorted(counts) if count > 1]


def _notes(
    judged: Judgement, involved: Sequence[str], compared: Mapping[str, ConfigurationRuns], evidence: Evidence
) -> list[str]:
    """What limits a verdict, or prevents it."""
    notes = [judged.note] if judged.note else []
    if judged.verdict == "not trained":
        notes.append(f"not above chance: {', '.join(name for name in compared if not evidence.trained(name))}")
    if missing := _missing(involved, evidence):
        notes.append(f"missing: {few(missing)}")
    notes += _grouped(
        (name, f"{len(runs.seeds)} of {runs.planned_seeds} seeds")
        for name, runs in compared.items()
        if len(runs.seeds) < runs.planned_seeds
    )
    if judged.verdict == "not tested" or len({(runs.epochs, runs.planned_epochs) for runs in compared.values()}) > 1:
        notes += _grouped(
            (name, f"{runs.epochs} of {runs.planned_epochs} epochs")
            for name, runs in compared.items()
            if runs.epochs < runs.planned_epochs
        )
    if judged.verdict == "not tested" and not notes:
        notes.append(_unknown_noise(judged, compared))
    return notes


def _unknown_noise(judged: Judgement, compared: Mapping[str, ConfigurationRuns]) -> str:
    if judged.effect is None:
        return "no figure"
    if all(len(runs.seeds) == 1 for runs in compared.values()):
        return "there is one seed, so its noise is unknown"
    return "all seeds are equal, so their noise is unknown"


def _grouped(items: Iterable[tuple[str, str]]) -> list[str]:
    """Join the names that have the same text: "TEXT: NAME, NAME"."""
    names: dict[str, list[str]] = {}
    for name, text in items:
        names.setdefault(text, []).append(name)
    return [f"{text}: {few(group)}" for text, group in names.items()]
