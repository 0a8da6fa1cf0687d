"""compare: the runs there are, ranked by validation. The test part is not read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genrekit._types import AnyPath
from genrekit.data.collection import SkippedFile
from genrekit.errors import GenrekitError, few
from genrekit.io.files import read_json
from genrekit.metrics.comparison import Sample, indistinguishable, seed_mean
from genrekit.metrics.intervals import Interval
from genrekit.models.bundle import read_metadata
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.leaderboard import KEPT
from genrekit.training.validation_log import ANSWERS, Answers, load_answers
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import find_left_out, find_runs, is_run, is_trial


@dataclass(frozen=True)
class RankedRun:
    """One configuration in a ranking: its finished runs, one a seed, and their mean validation figures.

    `track_accuracy` and `loss` are those of the best epochs, which are chosen on the same tracks; the figures below
    them are there in studies. `overfitting` is accuracy on the training part minus that on the validation part, both on
    unaltered tracks in evaluation mode; `cut` says what is less than the study declares, `comparable` whether it
    answered the tracks of the first of the ranking. `group` is a study's panel, or what runs are ranked within, where
    `tied` tells that it cannot be told from the first. `kept` tells whether one of its runs is among the five best that
    are ranked together, or of the study; `trained` whether its accuracy is above chance, and `later_seeds` which of its
    seeds were not planned before the first run. `seconds` is what a run took, the mean over them.
    """

    name: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    track_accuracy: dict[str, float | None]
    loss: float
    parameters: int
    split: str
    kept: bool
    group: str = ""
    later_seeds: tuple[int, ...] = ()
    epochs: int = 0
    last_accuracy: Interval | None = None
    equal_steps_accuracy: Interval | None = None
    last_loss: Interval | None = None
    training_accuracy: Interval | None = None
    overfitting: Interval | None = None
    dead_channels: Interval | None = None
    trained: bool = True
    seconds: float = 0.0
    cut: str = ""
    comparable: bool = True
    tied: bool = False


@dataclass(frozen=True)
class CompareResult:
    """Runs ranked by validation track accuracy, then by loss.

    `ties` are the runs that cannot be distinguished from the first of the ranking.
    """

    runs: tuple[RankedRun, ...]
    ranking: tuple[str, ...]
    ties: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()


_QUIET = Reporter()


def compare(folders: Sequence[AnyPath], *, reporter: Reporter = _QUIET) -> CompareResult:
    """Rank finished runs by validation track accuracy, then loss; each split is ranked apart.

    Runs that differ in their seed alone are one configuration, whose figures are means. Those that cannot be told from
    the first of the ranking are its ties. A run that cannot be read is skipped with a warning.
    Errors: GenrekitError where no finished run is found, or where runs are named that cannot be compared.
    """
    paths = [Path(folder) for folder in folders]
    found, left_out = find_runs(paths), find_left_out(paths)
    if left_out:
        reporter.note(f"finished runs left out, whose models are gone: {few([path.name for path in left_out])}")
    read, skipped = _read(found, reporter)
    if not read:
        raise GenrekitError(f"no run can be read, the first says: {skipped[0].reason}")
    skipped += [SkippedFile(str(path), "its model is gone") for path in left_out]
    groups = sorted({run.group for run in read})
    if len(groups) > 1:
        if all(is_run(path) for path in paths):
            raise _cannot_compare(read)
        reporter.note(f"runs of {len(groups)} collections or splits are ranked apart: their figures cannot be compared")
    distinct = _distinct(read)
    if again := sorted({run.path for run in read} - {run.path for run in distinct}):
        reporter.note(f"runs left out, of a seed and configuration that is there: {few([path.name for path in again])}")
    rankings = [_ranking([run for run in distinct if run.group == group]) for group in groups]
    names = _group_names([ranking[0][0] for ranking in rankings])
    rows = [row for name, ranking in zip(names, rankings, strict=True) for row in _rows(name, ranking)]
    first = [row for row in rows if row.group == rows[0].group]
    return CompareResult(
        tuple(rows),
        tuple(row.name for row in rows),
        tuple(row.name for row in first if row.tied),
        skipped=tuple(skipped),
    )


@dataclass(frozen=True)
class _Run:
    """A finished run that can be ranked."""

    path: Path
    metadata: BundleMetadata

    @cached_property
    def group(self) -> str:
        """What two runs must share to be compared: the genres, the split and the tracks that validate."""
        its = self.metadata
        return "\0".join([its.split_name, *its.genres, *sorted(its.validation.values())])

    @cached_property
    def configuration(self) -> str:
        """What runs of one configuration share: all but the seed, and where they were trained.

        Trials of a search, whose seeds chose it, are apart from the runs that repeat it.
        """
        its = self.metadata
        chosen = is_trial(self.path)
        return repr((its.train.model_dump(exclude={"seed", "device"}), its.prepare.model_dump(), its.training, chosen))

    @cached_property
    def answers(self) -> Answers | None:
        """What it answered; None for a run of before answers were kept."""
        return load_answers(self.path / ANSWERS) if (self.path / ANSWERS).is_file() else None


def _read(paths: Iterable[Path], reporter: Reporter) -> tuple[list[_Run], list[SkippedFile]]:
    read, skipped = [], []
    for path in paths:
        try:
            read_json(path / "result.json")
            run = _Run(path, read_metadata(path / "best"))
            _ = run.answers
            read.append(run)
        except GenrekitError as error:
            skipped.append(SkippedFile(str(path), str(error)))
            reporter.warning(f"skipped {path}: {error}")
    return read, skipped


def _cannot_compare(runs: Sequence[_Run]) -> GenrekitError:
    """Name the first two runs that cannot be compared, and in what they differ."""
    one = runs[0]
    other = next(run for run in runs if run.group != one.group)
    mine, theirs = one.metadata, other.metadata
    if mine.genres != theirs.genres:
        why = f"their genres differ in {', '.join(sorted(set(mine.genres) ^ set(theirs.genres)))}"
    elif mine.split_name != theirs.split_name:
        why = f"their splits are {mine.split_name} and {theirs.split_name}"
    else:
        different = len(set(mine.validation.values()) ^ set(theirs.validation.values()))
        why = f"{different} of their validation tracks are not the same"
    return GenrekitError(f"{one.path} and {other.path} cannot be ranked together: {why}")


def _accuracies(runs: Sequence[_Run]) -> Sample | None:
    """Which validation tracks each run's best epoch called right; None where that was not kept."""
    known = [run.answers for run in runs if run.answers is not None]
    if len(known) < len(runs) or len({answers.track_ids for answers in known}) > 1:
        return None
    right = np.stack([answers.right[answers.best_epoch - 1] for answers in known])
    return Sample(right.astype(float), known[0].clusters)


def _rank(runs: Sequence[_Run]) -> tuple[float, float]:
    ranks = np.array([run.metadata.rank for run in runs])
    return float(ranks[:, 0].mean()), float(ranks[:, 1].mean())


def _names(ranking: Sequence[Sequence[_Run]]) -> list[str]:
    """Of a configuration's one run its name; of several what theirs have in common, where no other's have that."""
    stems = [{re.sub(r"-seed\d+(-fold\d+)?(-\d+)?$", r"\1", run.path.name) for run in runs} for runs in ranking]
    shared = Counter(stem for its, runs in zip(stems, ranking, strict=True) if len(runs) > 1 for stem in its)
    names = []
    for its, runs in zip(stems, ranking, strict=True):
        name = runs[0].path.name + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
        if len(runs) > 1 and len(its) == 1 and shared[min(its)] == 1:
            name = min(its)
        names.append(name + (" (trial)" if is_trial(runs[0].path) else ""))
    return names


def _ranking(runs: Sequence[_Run]) -> list[list[_Run]]:
    """Runs that can be compared, as configurations from the best to the last, of each its best run first."""
    configurations: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.metadata.rank, run.path)):
        configurations[run.configuration].append(run)
    return sorted(configurations.values(), key=lambda its: (*_rank(its), its[0].path))


def _distinct(runs: Sequence[_Run]) -> list[_Run]:
    """One run of each seed of a configuration, whatever its figures: the first by name, of those with answers."""
    first: dict[tuple[str, str, int], _Run] = {}
    for run in sorted(runs, key=lambda run: (run.answers is None, run.path)):
        first.setdefault((run.group, run.configuration, run.metadata.train.seed), run)
    return list(first.values())


def _group_names(firsts: Sequence[_Run]) -> list[str]:
    """What tells rankings apart: their splits, and where these are named alike, a number."""
    splits = [run.metadata.split_name for run in firsts]
    seen: Counter[str] = Counter()
    names = []
    for split in splits:
        seen[split] += 1
        names.append(f"{split} split" + (f", collection {seen[split]}" if splits.count(split) > 1 else ""))
    return names


def _rows(group: str, ranking: Sequence[Sequence[_Run]]) -> Iterator[RankedRun]:
    """The rows of one ranking."""
    ties = _ties(ranking)
    every = sorted((run for runs in ranking for run in runs), key=lambda run: (run.metadata.rank, run.path))
    kept = {run.path for run in every[:KEPT]}
    for place, (name, runs) in enumerate(zip(_names(ranking), ranking, strict=True)):
        first, accuracy = runs[0].metadata, _interval(runs)
        yield RankedRun(
            name=name,
            config=first.train.model_dump(mode="json"),
            seeds=tuple(sorted(run.metadata.train.seed for run in runs)),
            track_accuracy={"mean": accuracy.value, "low": accuracy.low, "high": accuracy.high},
            loss=_rank(runs)[1],
            parameters=first.parameters,
            split=first.split_name,
            kept=any(run.path in kept for run in runs),
            group=group,
            tied=place in ties,
        )


def _interval(runs: Sequence[_Run]) -> Interval:
    """Of one run the interval over tracks that its bundle has; of several one over seeds and tracks."""
    sample = _accuracies(runs) if len(runs) > 1 else None
    if sample is not None:
        return seed_mean(sample, share=True)
    figures = [run.metadata.validation_figures.track_accuracy for run in runs]
    low, high = min(figure.low for figure in figures), max(figure.high for figure in figures)
    return Interval(-_rank(runs)[0], low, high)


def _ties(ranking: Sequence[Sequence[_Run]]) -> set[int]:
    """The places that cannot be told from the first one, which is among them; none where all can."""
    samples = {str(place): _accuracies(runs) for place, runs in enumerate(ranking)}
    first = samples["0"]
    if first is None:
        return set()
    known = {place: sample for place, sample in samples.items() if sample is not None}
    found = indistinguishable({place: sample for place, sample in known.items() if sample.clusters == first.clusters})
    return {int(place) for place in found} if len(found) > 1 else set()
