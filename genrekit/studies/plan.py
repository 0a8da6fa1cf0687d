"""The runs of a study: which there are, which are missing, and what was planned before the first began."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from genrekit.config import TrainConfig, architecture, fields_with
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError, UsageError, unknown_name
from genrekit.io.files import read_json, write_json
from genrekit.studies.schema import Arm, Study, study_arms
from genrekit.training.validation_log import ANSWERS, load_answers
from genrekit.workflows.runs import (
    HISTORY,
    has_result,
    is_pruned,
    other_data,
    read_config,
    read_history,
    read_result,
)

PLAN_FORMAT_VERSION = 2

_DEFAULT_ARCH = TrainConfig.model_fields["arch"].default

_SPLIT_FIELDS = fields_with(TrainConfig, lambda option: option.scope == "split")


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run: what is None is as the study declares it.

    What a file says of an arm's split is not changed. `arms` are the names of arms to train, with * for any text, None
    for all: the others are judged by the runs there are.
    """

    seeds: int | None = None
    folds: int | None = None
    epochs: int | None = None
    fragments: str | None = None
    split: str | None = None
    split_seed: int | None = None
    workers: int = 1
    device: str = "auto"
    amend: bool = False
    arms: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("seeds", self.seeds, 1), ("workers", self.workers, 1), ("epochs", self.epochs, 1)):
            if value is not None and value < least:
                raise UsageError(f"{name} must be at least {least}, got {value}")

    def require_search(self) -> None:
        """Errors: UsageError for what a study can be asked, and a search cannot."""
        if self.folds:
            raise UsageError(f"a search has no folds, got {self.folds}: repeat its finalists as a study with folds")
        if self.arms is not None:
            raise UsageError("a search trains all of its finalists: only arms of a study can be chosen, or left out")
        if self.amend:
            raise UsageError("a search cannot be amended: give the changed file another name")

    def seed_count(self, study: Study) -> int:
        """Seeds of each arm."""
        return study.seeds if self.seeds is None else self.seeds

    def fold_count(self, study: Study) -> int:
        """Folds of each arm and seed; 0 for none."""
        return study.folds if self.folds is None else self.folds

    def values(self, arm: Arm, *, folds: int = 0, fold: int = 0) -> dict[str, Any]:
        """What they change in an arm's configuration."""
        changed: dict[str, Any] = {"device": self.device}
        if folds:
            changed |= {"folds": folds, "fold": fold}
        for name in ("fragments", *_SPLIT_FIELDS):
            if (value := getattr(self, name)) is not None and not (name in _SPLIT_FIELDS and name in arm.values):
                changed[name] = value
        if self.epochs is not None and architecture(arm.values.get("arch", _DEFAULT_ARCH)).trained_by_gradient:
            changed["epochs"] = self.epochs
        return changed

    def require_split(self, arms: Sequence[Arm]) -> None:
        """Errors: UsageError where a split is asked for, and all arms say which one is theirs."""
        for name in _SPLIT_FIELDS:
            if getattr(self, name) is not None and all(name in arm.values for arm in arms):
                raise UsageError(f"{name} is {arms[0].values[name]} by the file, for each of its arms: leave it out")

    def trains(self, arm: str) -> bool:
        """Whether runs of an arm are made where they are missing."""
        return self.arms is None or any(fnmatchcase(arm, pattern) for pattern in self.arms)


@dataclass(frozen=True)
class Experiment:
    """One run of a study; `run` is its folder, `finished` whether it is there and `begun` whether it was begun.

    `key` is its identity, by which it is found under any name. `wanted` tells whether it is made where it is not there.
    """

    arm: Arm
    seed: int
    fold: int
    config: TrainConfig
    key: str
    run: Path
    finished: bool
    begun: bool
    wanted: bool = True

    @property
    def missing(self) -> bool:
        """Whether it is to be made."""
        return self.wanted and not self.finished

    @property
    def name(self) -> str:
        """What tells it from the others of the study."""
        return f"{self.arm.name}-seed{self.seed}" + (f"-fold{self.fold}" if self.config.folds else "")


def plan_experiments(study: Study, splits: TrainedSplits, options: StudyOptions, runs: Path) -> list[Experiment]:
    """All runs of a study, with those that are there.

    Errors: UsageError for arms to train that the study does not have, or a split that none of them takes.
    """
    arms = study_arms(study)
    options.require_split(arms)
    for pattern in options.arms or ():
        if not any(fnmatchcase(arm.name, pattern) for arm in arms):
            raise unknown_name("arm", pattern, [arm.name for arm in arms])
    seeds, folds = range(options.seed_count(study)), options.fold_count(study)
    known = index_runs(runs)
    taken: set[Path] = set()
    found: dict[str, Path] = {}
    experiments = []
    for arm in arms:
        wanted = options.trains(arm.name)
        for seed in seeds:
            for fold in range(max(folds, 1)):
                config = arm.config(seed, **options.values(arm, folds=folds, fold=fold))
                key = identity(config, splits.fingerprints(config))
                run = found.get(key) or known.get(key) or _own_path(runs, arm, config, taken)
                found[key] = run
                taken.add(run)
                finished, begun = is_usable(run), (run / "config.json").is_file()
                experiments.append(Experiment(arm, seed, fold, config, key, run, finished, begun, wanted))
    return experiments


def by_now(item: Experiment, known: Mapping[str, Path]) -> Experiment:
    """An experiment as its run is in an index of now: another study may have begun or finished it since the plan.

    Where something else has taken the folder of one that is not there yet, it has another.
    """
    run = known.get(item.key) or free_path(item.run.parent, item.run.name, ())
    return replace(item, run=run, finished=is_usable(run), begun=item.key in known)


def distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """One experiment of each run, the first: arms of studies that are included may share runs."""
    found: dict[Path, Experiment] = {}
    for item in experiments:
        found.setdefault(item.run, item)
    return list(found.values())


def index_runs(runs: Path, *, pruned: bool = False) -> dict[str, Path]:
    """The runs there are by what they are; of equal ones a finished one, and none, or with `pruned` all, given up."""
    found: dict[str, Path] = {}
    for key, run in _runs_by_identity(runs):
        if is_pruned(run) != pruned or (has_result(run) and not is_usable(run)):
            continue  # given up, or damaged
        if key not in found or (is_usable(run) and not is_usable(found[key])):
            found[key] = run
    return found


def _runs_by_identity(runs: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(runs.glob("*/config.json")):
        try:
            yield identity(TrainConfig.of(read_config(path)), read_json(path).get("data")), path.parent
        except GenrekitError:
            continue  # of another version, or no run


def find_damaged(experiments: Sequence[Experiment]) -> dict[Path, str]:
    """The finished runs that experiments would take if they could be read, and what is wrong with each."""
    lacking = {item.key for item in experiments if not item.finished}
    runs = experiments[0].run.parent
    damaged = {run: damage(run) for key, run in _runs_by_identity(runs) if key in lacking and has_result(run)}
    return {run: problem for run, problem in damaged.items() if problem}


def is_usable(run: Path) -> bool:
    """Whether a run is finished and has what a study reads; its weights need not be there any more."""
    return has_result(run) and not damage(run)


def damage(run: Path) -> str:
    """Why what a study reads of a finished run cannot be read; empty where it can.

    Errors: OSError where the operating system does not let a file be read, which says nothing of the run.
    """
    try:
        _require_whole(run, tuple(map(_state, (run / name for name in ("result.json", ANSWERS, HISTORY)))))
    except GenrekitError as error:
        return str(error)
    return ""


def _state(path: Path) -> tuple[int, ...]:
    """What is another when a file has changed; nothing where there is none."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


@lru_cache(maxsize=10_000)
def _require_whole(run: Path, _states: tuple[tuple[int, ...], ...]) -> None:
    """Read what a study reads of a run: once, where nothing is wrong with it."""
    read_result(run)
    told, written = len(load_answers(run / ANSWERS).right), len(read_history(run / HISTORY))
    if written != told:
        raise GenrekitError(f"{run / HISTORY} has {written} epochs of {told}")


def identity(config: TrainConfig, data: Any) -> str:
    """What two runs share that need not both be done: all but the device."""
    return repr((sorted(config.model_dump(mode="json", exclude={"device"}).items()), sorted((data or {}).items())))


def _own_path(runs: Path, arm: Arm, config: TrainConfig, taken: Collection[Path]) -> Path:
    own = arm.name.rpartition("/")[2]
    stem = f"{arm.study}-{own}-seed{config.seed}" + (f"-fold{config.fold}" if config.folds else "")
    return free_path(runs, stem, taken)


def free_path(runs: Path, stem: str, taken: Collection[Path]) -> Path:
    """A folder for a new run: its stem, with a number where there is such a folder."""
    names = (runs / (f"{stem}-{number}" if number > 1 else stem) for number in range(1, 1_000_000))
    return next(path for path in names if path not in taken and not path.exists())


def is_own(run: Path, stem: str) -> bool:
    """Whether a run's folder is one that `free_path` gives for a stem."""
    return re.fullmatch(rf"{re.escape(stem)}(-\d+)?", run.name) is not None


def read_plan(path: Path, folder: Path, now: Mapping[str, Any]) -> dict[str, Any]:
    """Read what was planned, of a study or a search, which has what is written now.

    Errors: GenrekitError where it cannot be read, or is of another format version or kind.
    """
    remedy = f"remove {folder} to plan anew"
    try:
        then = read_json(path)
    except GenrekitError as error:
        raise GenrekitError(f"{error}: {remedy}") from error
    if not isinstance(then, dict) or then.get("format_version") != PLAN_FORMAT_VERSION:
        raise GenrekitError(f"{path} is no plan of format {PLAN_FORMAT_VERSION}: {remedy}")
    kind, other = ("search", "no search") if "search" in now else ("study", "a search")
    if kind not in then:
        raise GenrekitError(f"{path} is of {other}: give the file another name, or choose another folder for reports")
    for name, value in now.items():
        if not isinstance(then.get(name), type(value)):
            raise GenrekitError(f"{path} says no {name}: {remedy}")
    return then


def _all_splits(splits: TrainedSplits, experiments: Sequence[Experiment]) -> str:
    """A fingerprint of all that arms train and validate on."""
    every = {json.dumps(splits.fingerprints(item.config), sort_keys=True) for item in experiments}
    return hashlib.sha256("\n".join(sorted(every)).encode()).hexdigest()


def fix_plan(
    folder: Path, study: Study, splits: TrainedSplits, experiments: Sequence[Experiment], options: StudyOptions
) -> dict[str, Any]:
    """Write down, before the first run, what was planned; later calls are held to it.

    Errors: GenrekitError where the study, the collection or the split of an arm is another one than was planned.
    """
    path = folder / "plan.json"
    data = {**splits.fingerprints(experiments[0].config), "splits of all arms": _all_splits(splits, experiments)}
    now = {
        "format_version": PLAN_FORMAT_VERSION,
        "study": study.fingerprint,
        "data": data,
        "seeds": sorted({experiment.seed for experiment in experiments}),
        "amended": False,
    }
    if not path.exists():
        write_json(path, now)
        return now
    then = read_plan(path, folder, now)
    if other := other_data(then["data"], data):
        raise GenrekitError(
            f"{folder} is of a study of another collection or split, with other {', '.join(other)}: "
            "choose another folder for reports, or use that study's cache"
        )
    if then["study"] != now["study"]:
        if not options.amend:
            raise GenrekitError(
                f"the study {study.name} has changed since {path} was written: give the file another name, or amend "
                "the plan, which the report will say"
            )
        then = {**then, "study": now["study"], "amended": True}
        write_json(path, then)
    return then
