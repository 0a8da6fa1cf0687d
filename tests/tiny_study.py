"""Results of studies for tests, with plausible figures."""

import math
from dataclasses import replace

import numpy as np

from genrekit.metrics.epochs import Epoch
from genrekit.metrics.intervals import Interval
from genrekit.studies.findings import Finding
from genrekit.studies.results import StudyHead, StudyResult
from genrekit.studies.verdicts import Judgement, Verdict
from genrekit.workflows.compare import RankedRun

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

HEAD = StudyHead(
    name="optimizers",
    title="Optimizers and schedules",
    question="Does momentum with a cosine schedule reach a higher track accuracy than Adam, on both inputs?",
    source="The course project's second notebook, tables 3 and 4",
    notes=("The notebook judged one seed at the best epoch.", "Each seed draws its own weights."),
    command="genrekit study run optimizers --cache data/cache.h5 --seeds 5",
    split="fault-filtered",
    training_tracks=443,
    most_training_tracks=443,
    validation_tracks=197,
    resampled="artists",
    genres=GENRES,
    declared_seeds=5,
    declared_epochs=30,
    chance=0.1,
)

CONFUSION = [[20 if row == column else (row + 2 * column) % 3 for column in range(10)] for row in range(10)]
"""A confusion matrix of `GENRES`."""

CONFIGURATIONS = (
    "cel3, sgd, cosine",
    "cel3, sgd, one cycle",
    "cel2, adam",
    "cel, adam",
    "mlp2, adamw with decoupled weight decay and dropout",
    "mlp, sgd",
)


def configuration(name: str, group: str, accuracy: float) -> RankedRun:
    """Return a configuration with all figures."""
    return RankedRun(
        name=name,
        config={
            "arch": name.partition(",")[0],
            "input": "waveform" if group == "waveform" else "mel",
            "opt": "sgd" if "sgd" in name else "adam",
            "sched": "cosine" if "cosine" in name else "none",
            "hidden": [64],
            "epochs": 30,
            "seed": 0,
        },
        seeds=(0, 1, 2, 3, 4),
        track_accuracy=Interval(accuracy + 0.025, accuracy - 0.05, accuracy + 0.09),
        loss=2.2 - 1.5 * accuracy,
        parameters=round(1_000_000 * accuracy),
        split="fault-filtered",
        kept=False,
        group=group,
        epochs=30,
        last_accuracy=Interval(accuracy, accuracy - 0.07, accuracy + 0.06),
        equal_steps_accuracy=Interval(accuracy - 0.01, accuracy - 0.08, accuracy + 0.05),
        last_loss=Interval(2.4 - 1.5 * accuracy, 2.3 - 1.5 * accuracy, 2.5 - 1.5 * accuracy),
        training_accuracy=Interval(0.98, 0.96, 0.99),
        overfitting=Interval(0.98 - accuracy, 0.9 - accuracy, 1.05 - accuracy),
        dead_channels=Interval(0.08, 0.05, 0.12),
        seconds=1_834.0,
    )


def hypothesis(text: str, verdict: Verdict, effect: float | None, statistic: str = "accuracy") -> Finding:
    """Return a finding with judgements at all three choices of the epoch."""
    low, high, p = (None, None, None) if effect is None else (effect - 0.03, effect + 0.03, 0.0312)
    judgements = (
        Judgement("last", verdict, effect, low, high, p, statistic),
        Judgement("best", "undecided", None if effect is None else effect / 4, low, high, p, statistic),
        Judgement("equal steps", verdict, effect, low, high, None if p is None else 0.00004, statistic),
    )
    return Finding(text, verdict, effect, low, high, p, statistic, "last", judgements)


FINDINGS = (
    hypothesis("cel3 with momentum and cosine is above cel2 with Adam on spectrograms", "upheld", 0.052),
    hypothesis("the same holds on waveforms", "refuted", -0.047),
    hypothesis("one cycle and cosine are equally good", "equivalent", 0.004),
    replace(hypothesis("cosine has the lower loss", "undecided", 0.021, "loss"), note="two of five seeds disagree"),
    hypothesis("sgd without a schedule is worse than any other", "not trained", None),
    replace(hypothesis("ten runs are better than five", "not tested", None), judgements=()),
)


def study(configurations: int = 12, groups: tuple[str, ...] = ("spectrogram", "waveform")) -> StudyResult:
    """Return a study of some configurations, evenly over groups. With six or more, the last one is not trained."""
    each = -(-configurations // len(groups))
    runs = []
    for index in range(configurations):
        group, rank = divmod(index, each)
        repeat, kind = divmod(rank, len(CONFIGURATIONS))
        name = CONFIGURATIONS[kind] + (f", {1 + repeat}" if repeat else "")
        name = f"{name} ({groups[group]})" if groups[group] else name
        runs.append(configuration(name, groups[group], 0.66 - 0.03 * rank - 0.08 * group))
    if configurations >= 6:
        chance = Interval(0.12, 0.07, 0.17)
        low = Interval(0.1, 0.06, 0.14)
        runs[-1] = replace(
            runs[-1],
            trained=False,
            track_accuracy=chance,
            last_accuracy=low,
            equal_steps_accuracy=low,
            training_accuracy=low,
            overfitting=Interval(0.0, -0.02, 0.02),
            last_loss=Interval(2.303, 2.301, 2.305),
            dead_channels=None,
        )
        runs[1] = replace(runs[1], seeds=(0, 1, 2), later_seeds=(2,), cut="3 of 5 seeds")
    ranked = sorted(runs, key=lambda run: -(run.track_accuracy.value))
    ranking = tuple(run.name for run in ranked if run.trained)
    return StudyResult(tuple(ranked), ranking, ranking[1:3], study="optimizers", findings=FINDINGS, head=HEAD)


def bare() -> StudyResult:
    """Return a study whose configurations have only the figures of runs without a study."""
    none = dict.fromkeys(
        ("last_accuracy", "equal_steps_accuracy", "last_loss", "training_accuracy", "overfitting", "dead_channels")
    )
    first, second = (
        replace(configuration(name, "", accuracy), **none, epochs=0, seconds=0.0)  # type: ignore[arg-type]
        for name, accuracy in (("cel", 0.5), ("mlp", 0.4))
    )
    unknown = replace(second, track_accuracy=Interval(0.4, math.nan, math.nan))
    return StudyResult((first, unknown), ("cel", "mlp"), head=HEAD)


def history(seed: int, epochs: int, final: float) -> list[Epoch]:
    """Return the epochs of a run that learns quickly and then overfits."""
    noise = np.random.default_rng(seed).normal(0, 1, (4, epochs))
    rows = []
    for index in range(epochs):
        learned = 1 - math.exp(-(index + 1) / 6)
        train = 2.3 * (1 - 0.95 * learned) + 0.02 * noise[0, index]
        validation = 2.3 - (2.3 - 2.2 + 1.5 * final) * learned + 0.5 * (index / 40) ** 2 + 0.05 * noise[1, index]
        accuracy = min(1.0, 0.1 + (final - 0.1) * learned + 0.02 * noise[2, index])
        rows.append(Epoch(index + 1, 0.01, train, 0.9 * learned, validation, accuracy - 0.06, accuracy, 1.5))
    return rows


def histories(result: StudyResult, epochs: int = 30) -> dict[str, list[list[Epoch]]]:
    """Return the histories of all runs of a study; the last seed of each configuration stops early."""
    return {
        run.name: [
            history(1_000 * index + seed, epochs if seed < 4 else max(1, epochs - 5), _final(run)) for seed in run.seeds
        ]
        for index, run in enumerate(result.runs)
    }


def _final(run: RankedRun) -> float:
    return run.last_accuracy.value if run.last_accuracy is not None else run.track_accuracy.value
