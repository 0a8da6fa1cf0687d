"""compare: the runs there are, ranked by validation. The test part is not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from genrekit.errors import GenrekitError
from genrekit.files import read_json
from genrekit.models.best import KEPT
from genrekit.models.bundle import BundleMetadata, read_metadata
from genrekit.records import AnyPath, CompareResult, RankedRun, SkippedFile
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import find_runs

_QUIET = Reporter()


def compare(folders: Sequence[AnyPath], *, reporter: Reporter = _QUIET) -> CompareResult:
    """Rank finished runs by validation track accuracy, then loss; each split is ranked apart.

    A run that cannot be read is skipped with a warning.
    Errors: GenrekitError where no finished run is found.
    """
    read: list[tuple[Path, BundleMetadata]] = []
    skipped: list[SkippedFile] = []
    for run in find_runs([Path(folder) for folder in folders]):
        try:
            read_json(run / "result.json")
            read.append((run, read_metadata(run / "best")))
        except GenrekitError as error:
            skipped.append(SkippedFile(str(run), str(error)))
            reporter.warning(f"skipped {run}: {error}")
    if not read:
        raise GenrekitError(f"no run can be read, the first says: {skipped[0].reason}")
    read.sort(key=lambda item: (_group(item[1]), item[1].rank, item[0]))
    places: Counter[str] = Counter()
    runs = []
    for run, metadata in read:
        places[_group(metadata)] += 1
        runs.append(_ranked(run, metadata, kept=places[_group(metadata)] <= KEPT))
    if len(places) > 1:
        reporter.note(f"runs of {len(places)} collections or splits are ranked apart: their figures cannot be compared")
    return CompareResult(tuple(runs), tuple(run.name for run in runs), skipped=tuple(skipped))


def _group(metadata: BundleMetadata) -> str:
    """What two runs must share to be compared: the genres, the split and the tracks that validate."""
    return "\0".join([metadata.split_name, *metadata.genres, *sorted(metadata.validation.values())])


def _ranked(run: Path, metadata: BundleMetadata, *, kept: bool) -> RankedRun:
    figures = metadata.validation_figures
    accuracy = figures.track_accuracy
    return RankedRun(
        name=run.name,
        config=metadata.train.model_dump(mode="json"),
        seeds=(metadata.train.seed,),
        track_accuracy={"mean": accuracy.value, "low": accuracy.low, "high": accuracy.high},
        loss=figures.loss,
        parameters=metadata.parameters,
        split=metadata.split_name,
        kept=kept,
    )
