"""The noise that a study's finished runs show: how far seeds are apart, and tracks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genrekit.metrics.comparison import RUN_SD, TRACK_SD, Sample, spread
from genrekit.studies.evidence import Evidence, arm_runs
from genrekit.studies.plan import Experiment
from genrekit.studies.schema import Study, study_arms
from genrekit.studies.verdicts import MOST_SEEDS_UNTESTED


@dataclass(frozen=True)
class Noise:
    """Standard deviations of accuracy: of an arm's mean from seed to seed, and of artists' lasting differences.

    `arms` says on how many it was measured; on none, it is what is usual, and on one, the artists' part is.
    """

    run_sd: float
    track_sd: float
    arms: int


USUAL = Noise(RUN_SD, TRACK_SD, arms=0)
"""What is assumed where nothing has been measured."""


_NOTHING = 1e-9
"""Spreads below are rounding."""


def noise_of(study: Study, experiments: Sequence[Experiment], folds: int) -> Noise:
    """The noise of accuracy where a study judges it, from its arms with three finished seeds; the usual one without.

    Arms with other validation tracks than the first of them are left out. What shows no noise at all has measured none.
    """
    arms = {arm.name: arm_runs(arm, experiments, folds, declared_epochs=0) for arm in study_arms(study)}
    enough = {name: runs for name, runs in arms.items() if len(runs.seeds) > MOST_SEEDS_UNTESTED}
    samples = list(_samples(Evidence(enough, {}), study))
    found = spread(samples)
    if not samples or max(found.run_sd, found.track_sd) < _NOTHING:
        return USUAL
    return Noise(found.run_sd, found.track_sd, len(samples))


def _samples(evidence: Evidence, study: Study) -> Iterator[Sample]:
    names = list(evidence.arms)
    for name in names:
        if evidence.first(name) != name:
            continue  # its runs are there under another name
        found = evidence.sample(name, "accuracy", study.at)
        if evidence.comparable(name, names[0]) and found is not None:
            yield found
