"""compare: rank finished runs by validation accuracy. The test set is not read."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genrekit._types import AnyPath
from genrekit.config.features import DESCRIPTORS
from genrekit.data.collection import SkippedFile
from genrekit.errors import GenrekitError, counted, few
from genrekit.io.json_values import stored_with_keys
from genrekit.io.shown import ShownResult
from genrekit.metrics.comparison import Sample, indistinguishable, seed_mean
from genrekit.metrics.intervals import Interval
from genrekit.models.bundle import read_metadata
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.leaderboard import kept_trainings
from genrekit.training.validation_log import ANSWERS, Answers, load_answers
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.reporter import Reporter, SkipWarnings
from genrekit.workflows.runs import find_left_out, find_runs, is_run, is_trial, read_result


@dataclass(frozen=True)
class RankedRun:
    """One configuration in a ranking: its finished runs, one per seed, and the means of their validation results.

    - `track_accuracy`, `loss`: at the best epochs, which were selected on the same tracks. The bounds of
      `track_accuracy` are NaN if they are not known. In JSON its keys are mean, low and high.
    - `group`: the runs that this one is ranked with: those of a split, or a panel of a study.
    - `tied`: whether the difference to the first of its group is not significant; the first is tied if any other is.
    - `kept`: whether the model of one of its runs is in the folder of the best models; in a study, whether it is among
      the five best of the study.
    - `epochs` to `seconds` are filled in by studies. `overfitting` is the accuracy on the training set minus that on
      the validation set, both on original fragments in evaluation mode. `trained` is false if the accuracy is not
      above that of a majority-class baseline. `seconds` is the mean duration of a run.
    - `later_seeds`: seeds that were not planned before the study's first run.
    - `cut`: how the runs are shorter or fewer than the study declares, as text.
    - `comparable`: whether it was validated on the same tracks as the first of the ranking.
    """

    name: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    track_accuracy: Interval = field(metadata=stored_with_keys(value="mean"))
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

    @property
    def uses_outside_data(self) -> bool:
        """Whether its features come from a pretrained network, which may be trained on artists of these tracks."""
        return self.config.get("features", DESCRIPTORS) != DESCRIPTORS


@dataclass(frozen=True, repr=False)
class CompareResult(ShownResult):
    """Configurations ranked by validation track accuracy, then by loss.

    `ties` are the runs whose difference to the first of the ranking is not significant, and the first itself; it is
    empty if there are none.
    """

    runs: tuple[RankedRun, ...]
    ranking: tuple[str, ...]
    ties: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()


_QUIET = Reporter()


@with_progress
def compare(
    folders: AnyPath | Sequence[AnyPath] = "runs", *, best_models: AnyPath = "best_models", reporter: Reporter = _QUIET
) -> CompareResult:
    """Rank finished runs by validation track accuracy, then loss, separately for each split.

    `folders` are runs, or folders of runs. Runs that differ only in their seed are one configuration, with mean
    results. Runs whose models are in the folder `best_models` are marked. A run that cannot be read is skipped with a
    warning.
    Errors: GenrekitError if there is no finished run, or if `folders` are runs that cannot be compared.

    Example: `compare("runs").ranking[0]`
    """
    paths = [Path(folder) for folder in ([folders] if isinstance(folders, (str, os.PathLike)) else folders)]
    run_paths, without_model = find_runs(paths), find_left_out(paths)
    if without_model:
        reporter.note(f"finished runs without a model are left out: {few([path.name for path in without_model])}")
    runs, skipped = _read(run_paths)
    if not runs:
        raise GenrekitError(f"no run could be read: {few([file.reason for file in skipped])}")
    with SkipWarnings(reporter) as skips:
        skips.add_new(skipped)
    skipped += [SkippedFile(str(path), "its model was removed") for path in without_model]
    groups = sorted({run.group for run in runs})
    if len(groups) > 1:
        if all(is_run(path) for path in paths):
            raise _cannot_compare(runs)
        reporter.note(f"runs of {len(groups)} collections or splits are ranked separately, as they are not comparable")
    distinct = _distinct(runs)
    if repeated := sorted({run.path for run in runs} - {run.path for run in distinct}):
        left_out = few([path.name for path in repeated])
        reporter.note(f"runs that repeat the configuration and seed of another run are left out: {left_out}")
    rankings = [_ranking([run for run in distinct if run.group == group]) for group in groups]
    names = _group_names([ranking[0][0] for ranking in rankings])
    kept = kept_trainings(Path(best_models))
    rows = [row for name, ranking in zip(names, rankings, strict=True) for row in _rows(name, ranking, kept)]
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
        """What two runs must share to be compared: the genres, the split and the validation tracks."""
        metadata = self.metadata
        return "\0".join([metadata.split_name, *metadata.genres, *sorted(metadata.validation.values())])

    @cached_property
    def configuration(self) -> str:
        """What runs of one configuration share: everything except the seed and the device.

        A trial of a search is a configuration of its own, because its seed took part in the selection.
        """
        metadata, trial = self.metadata, is_trial(self.path)
        settings = metadata.train.model_dump(exclude={"seed", "device"})
        return repr((settings, metadata.prepare.model_dump(), metadata.training, trial))

    @cached_property
    def answers(self) -> Answers | None:
        """Its predictions for the validation tracks after each epoch; None for runs of older versions."""
        return load_answers(self.path / ANSWERS) if os.path.lexists(self.path / ANSWERS) else None


def _read(paths: Iterable[Path]) -> tuple[list[_Run], list[SkippedFile]]:
    runs, skipped = [], []
    for path in paths:
        try:
            read_result(path)
            run = _Run(path, read_metadata(path / "best"))
            _require_own_answers(run)
            is_trial(path)
            runs.append(run)
        except GenrekitError as error:
            skipped.append(SkippedFile(str(path), str(error)))
    return runs, skipped


def _require_own_answers(run: _Run) -> None:
    """Check that the stored predictions of a run are for its validation tracks."""
    if run.answers is not None and not run.metadata.validation.keys() >= set(run.answers.track_ids):
        raise GenrekitError(
            f"{run.path / ANSWERS} has other validation tracks than {run.path / 'best'}: train it again"
        )


def _cannot_compare(runs: Sequence[_Run]) -> GenrekitError:
    """Name the first two runs that cannot be compared, and how they differ."""
    first = runs[0]
    second = next(run for run in runs if run.group != first.group)
    one, other = first.metadata, second.metadata
    if one.genres != other.genres:
        why = f"their genres differ in {', '.join(sorted(set(one.genres) ^ set(other.genres)))}"
    elif one.split_name != other.split_name:
        why = f"their splits are {one.split_name} and {other.split_name}"
    else:
        different = len(set(one.validation.values()) ^ set(other.validation.values()))
        why = f"{counted(different, 'validation track')} not in both"
    return GenrekitError(f"{first.path} and {second.path} cannot be ranked together: {why}")


def _accuracies(runs: Sequence[_Run]) -> Sample | None:
    """Which validation tracks each run predicts correctly at its best epoch; None if a run has no record of that."""
    stored = [run.answers for run in runs if run.answers is not None]
    if len(stored) < len(runs) or len({answers.track_ids for answers in stored}) > 1:
        return None
    correct = np.stack([answers.right[answers.best_epoch - 1] for answers in stored])
    return Sample(correct.astype(float), stored[0].clusters)


def _rank(runs: Sequence[_Run]) -> tuple[float, float]:
    ranks = np.array([run.metadata.rank for run in runs])
    return float(ranks[:, 0].mean()), float(ranks[:, 1].mean())


def _names(ranking: Sequence[Sequence[_Run]]) -> list[str]:
    """The name of a configuration's run; of several runs, the name without the seed if it is theirs alone."""
    all_stems = [{re.sub(r"-seed\d+(-fold\d+)?(-\d+)?$", r"\1", run.path.name) for run in runs} for runs in ranking]
    uses = Counter(stem for stems, runs in zip(all_stems, ranking, strict=True) if len(runs) > 1 for stem in stems)
    names = []
    for stems, runs in zip(all_stems, ranking, strict=True):
        name = runs[0].path.name + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
        if len(runs) > 1 and len(stems) == 1 and uses[min(stems)] == 1:
            name = min(stems)
        names.append(name + (" (trial)" if is_trial(runs[0].path) else ""))
    return names


def _ranking(runs: Sequence[_Run]) -> list[list[_Run]]:
    """Comparable runs, grouped by configuration: the best configuration first, in each the best run first."""
    configurations: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.metadata.rank, run.path)):
        configurations[run.configuration].append(run)
    return sorted(configurations.values(), key=lambda members: (*_rank(members), members[0].path))


def _distinct(runs: Sequence[_Run]) -> list[_Run]:
    """One run per seed of a configuration: the first by name of those with stored predictions, if there are some."""
    first: dict[tuple[str, str, int], _Run] = {}
    for run in sorted(runs, key=lambda run: (run.answers is None, run.path)):
        first.setdefault((run.group, run.configuration, run.metadata.train.seed), run)
    return list(first.values())


def _group_names(firsts: Sequence[_Run]) -> list[str]:
    """A name for each ranking: its split, and a number if several splits have the same name."""
    splits = [run.metadata.split_name for run in firsts]
    seen: Counter[str] = Counter()
    names = []
    for split in splits:
        seen[split] += 1
        names.append(f"{split} split" + (f", collection {seen[split]}" if splits.count(split) > 1 else ""))
    return names


def _rows(group: str, ranking: Sequence[Sequence[_Run]], kept: frozenset[str]) -> Iterator[RankedRun]:
    ties = _ties(ranking)
    for index, (name, runs) in enumerate(zip(_names(ranking), ranking, strict=True)):
        first = runs[0].metadata
        yield RankedRun(
            name=name,
            config=first.train.model_dump(mode="json"),
            seeds=tuple(sorted(run.metadata.train.seed for run in runs)),
            track_accuracy=_interval(runs),
            loss=_rank(runs)[1],
            parameters=first.parameters,
            split=first.split_name,
            kept=any(run.metadata.training_key in kept for run in runs),
            group=group,
            tied=index in ties,
        )


def _interval(runs: Sequence[_Run]) -> Interval:
    """The accuracy's interval: over tracks for one run, over seeds and tracks for several."""
    sample = _accuracies(runs) if len(runs) > 1 else None
    if sample is not None:
        return seed_mean(sample, share=True)
    figures = [run.metadata.validation_figures.track_accuracy for run in runs]
    low, high = min(figure.low for figure in figures), max(figure.high for figure in figures)
    return Interval(-_rank(runs)[0], low, high)


def _ties(ranking: Sequence[Sequence[_Run]]) -> set[int]:
    """Indices of the configurations that do not differ significantly from the first, and 0; empty if all differ."""
    samples = [_accuracies(runs) for runs in ranking]
    first = samples[0]
    if first is None:
        return set()
    comparable = {
        str(index): sample
        for index, sample in enumerate(samples)
        if sample is not None and sample.clusters == first.clusters
    }
    tied = indistinguishable(comparable)
    return {int(index) for index in tied} if len(tied) > 1 else set()
