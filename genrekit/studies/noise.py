"""How much the accuracy of a study's finished runs varies between seeds and between tracks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from genrekit.io.json_values import stored_as
from genrekit.metrics.comparison import RUN_SD, TRACK_SD, Sample, spread
from genrekit.studies.evidence import Evidence, configuration_runs
from genrekit.studies.plan import Experiment
from genrekit.studies.schema import Study
from genrekit.studies.study_files import study_configurations


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the accuracy: between seeds of a configuration, and between artists.

    `configurations` is the number that they were measured on. If it is 0, both are typical values; if it is 1, the one
    between artists is.
    """

    run_sd: float
    track_sd: float
    configurations: int = field(metadata=stored_as("arms"))


TYPICAL = Noise(RUN_SD, TRACK_SD, configurations=0)
"""The noise to assume if there are no runs to measure it on."""


_ROUNDING = 1e-9
"""Standard deviations below this are rounding errors."""


def noise_of(study: Study, experiments: Sequence[Experiment], folds: int) -> Noise:
    """Measure the noise of the accuracy on the configurations that have enough finished seeds.

    Configurations whose validation tracks differ from those of the first one are left out. `TYPICAL` is returned if
    there are none, or if they show no noise at all.
    """
    runs = {
        item.name: configuration_runs(item, experiments, folds, planned_epochs=0)
        for item in study_configurations(study)
    }
    samples = list(_samples(Evidence({name: item for name, item in runs.items() if item.has_enough_seeds}, {}), study))
    measured = spread(samples)
    if not samples or max(measured.run_sd, measured.track_sd) < _ROUNDING:
        return TYPICAL
    return Noise(measured.run_sd, measured.track_sd, len(samples))


def _samples(evidence: Evidence, study: Study) -> Iterator[Sample]:
    names = list(evidence.runs)
    for name in names:
        if evidence.first(name) != name:
            continue  # another configuration has the same runs
        sample = evidence.sample(name, "accuracy", study.at)
        if evidence.comparable(name, names[0]) and sample is not None:
            yield sample
