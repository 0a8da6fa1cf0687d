"""The planned runs of a study, and the plan that is written before the first one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from genrekit.config import Config, TrainConfig, architecture, fields_with
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError, UsageError, few, unknown_name
from genrekit.io.files import read_json, write_json
from genrekit.io.records import as_record
from genrekit.studies.run_index import damage, free_path, identity, index_runs, is_usable, runs_by_identity
from genrekit.studies.schema import Configuration, Study
from genrekit.studies.study_files import fingerprint, study_configurations
from genrekit.workflows.runs import CONFIG, has_result, other_data

PLAN_FORMAT_VERSION = 2

_MOST_RUNS = 1_000_000
"""Most runs of a study; a plan takes about a kilobyte for each."""

_DEFAULT_ARCH = TrainConfig.model_fields["arch"].default

_ALL_SPLITS = "splits of all arms"
"""Key of the digest of all configurations' splits; "arm" is an earlier word for a configuration."""

_SPLIT_FIELDS = fields_with(TrainConfig, lambda option: option.scope == "split")


@dataclass(frozen=True)
class StudyOptions:
    """How to run a study; values that are None are taken from its file.

    A split that the file sets for a configuration is not changed. `configurations` are the names of the configurations
    to train, with * for any text; None trains all. Finished runs of the others are used too. `workers` is the number of
    runs at a time: by default one on this machine, and on a cluster as many as its workers have threads or resources.
    """

    seeds: int | None = None
    folds: int | None = None
    epochs: int | None = None
    fragments: str | None = None
    split: str | None = None
    split_seed: int | None = None
    workers: int | None = None
    device: str = "auto"
    amend: bool = False
    configurations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("seeds", self.seeds, 1), ("workers", self.workers, 1), ("epochs", self.epochs, 1)):
            if value is not None and value < least:
                raise UsageError(f"{name} must be at least {least}, got {value}")

    def require_search(self) -> None:
        """Refuse options that a search does not have.

        Errors: UsageError.
        """
        if self.folds:
            raise UsageError(f"a search has no folds, got {self.folds}; repeat its finalists as a study with folds")
        if self.configurations is not None:
            raise UsageError("a search trains all of its finalists; configurations can be selected in a study only")
        if self.amend:
            raise UsageError("a search cannot be amended: leave out --amend, and give the changed file another name")

    def seed_count(self, study: Study) -> int:
        """Return the number of seeds of each configuration."""
        return study.seeds if self.seeds is None else self.seeds

    def fold_count(self, study: Study) -> int:
        """Return the number of folds of each seed; 0 for none."""
        return study.folds if self.folds is None else self.folds

    def values(self, configuration: Configuration, *, folds: int = 0, fold: int = 0) -> dict[str, Any]:
        """Return the settings that the options change in a configuration."""
        changed: dict[str, Any] = {"device": self.device}
        if folds:
            changed |= {"folds": folds, "fold": fold}
        for name in ("fragments", *_SPLIT_FIELDS):
            value = getattr(self, name)
            if value is not None and not (name in _SPLIT_FIELDS and name in configuration.values):
                changed[name] = value
        if (
            self.epochs is not None
            and architecture(configuration.values.get("arch", _DEFAULT_ARCH)).trained_by_gradient
        ):
            changed["epochs"] = self.epochs
        return changed

    def require_split(self, configurations: Sequence[Configuration]) -> None:
        """Refuse a split if the file sets it for every configuration.

        Errors: UsageError.
        """
        for name in _SPLIT_FIELDS:
            if getattr(self, name) is not None and all(name in item.values for item in configurations):
                value = configurations[0].values[name]
                raise UsageError(f"the file sets {name} of every configuration ({value}); leave the option out")

    def trains(self, configuration: str) -> bool:
        """Return whether missing runs of a configuration are trained."""
        return self.configurations is None or any(
            fnmatchcase(configuration, pattern) for pattern in self.configurations
        )


@dataclass(frozen=True)
class Experiment:
    """One planned run of a study.

    `run` is its folder, `key` the identity by which an existing run is found under any name. `started`: the folder
    exists. `finished`: it has a usable result. `wanted`: it is trained if it is missing.
    """

    configuration: Configuration
    seed: int
    fold: int
    config: TrainConfig
    key: str
    run: Path
    finished: bool
    started: bool
    wanted: bool = True

    @property
    def missing(self) -> bool:
        """Whether it will be trained."""
        return self.wanted and not self.finished

    @property
    def name(self) -> str:
        """The name within the study."""
        return f"{self.configuration.name}-seed{self.seed}" + (f"-fold{self.fold}" if self.config.folds else "")


def plan_experiments(study: Study, splits: TrainedSplits, options: StudyOptions, runs: Path) -> list[Experiment]:
    """Return all runs of a study, with the folders of existing ones.

    Errors: UsageError for unknown configurations to train, or for a split that the file sets for all of them.
    """
    configurations = study_configurations(study)
    options.require_split(configurations)
    for pattern in options.configurations or ():
        if not any(fnmatchcase(item.name, pattern) for item in configurations):
            raise unknown_name("configuration", pattern, [item.name for item in configurations])
    seeds, folds = range(options.seed_count(study)), options.fold_count(study)
    count = len(configurations) * len(seeds) * max(folds, 1)
    if count > _MOST_RUNS:
        raise UsageError(f"a study can have at most {_MOST_RUNS:,} runs, got {count:,}: use fewer seeds or folds")
    known = index_runs(runs)
    taken: set[Path] = set()
    run_of: dict[str, Path] = {}
    experiments = []
    for item in configurations:
        wanted = options.trains(item.name)
        for seed in seeds:
            for fold in range(max(folds, 1)):
                config = item.train_config(seed, **options.values(item, folds=folds, fold=fold))
                key = identity(config, splits.fingerprints(config))
                run = run_of.get(key) or known.get(key) or _new_folder(runs, item, config, taken)
                run_of[key] = run
                taken.add(run)
                finished, started = is_usable(run), (run / CONFIG).is_file()
                experiments.append(Experiment(item, seed, fold, config, key, run, finished, started, wanted))
    return experiments


def refreshed(experiment: Experiment, known: Mapping[str, Path]) -> Experiment:
    """Look an experiment up in a new index; another study may have started or finished its run since the plan.

    If its folder has been taken by another run, it gets a new one.
    """
    run = known.get(experiment.key) or free_path(experiment.run.parent, experiment.run.name, ())
    return replace(experiment, run=run, finished=is_usable(run), started=experiment.key in known)


def distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the first experiment of each run; configurations of included studies may share runs."""
    first: dict[Path, Experiment] = {}
    for experiment in experiments:
        first.setdefault(experiment.run, experiment)
    return list(first.values())


def find_damaged(experiments: Sequence[Experiment]) -> dict[Path, str]:
    """Return the finished runs of experiments that cannot be read, and why."""
    unfinished = {item.key for item in experiments if not item.finished}
    runs = experiments[0].run.parent
    damaged = {run: damage(run) for key, run in runs_by_identity(runs) if key in unfinished and has_result(run)}
    return {run: problem for run, problem in damaged.items() if problem}


def _new_folder(runs: Path, configuration: Configuration, config: TrainConfig, taken: Collection[Path]) -> Path:
    name = configuration.name.rpartition("/")[2]
    stem = f"{configuration.study}-{name}-seed{config.seed}" + (f"-fold{config.fold}" if config.folds else "")
    return free_path(runs, stem, taken)


def fix_plan(
    folder: Path, study: Study, splits: TrainedSplits, experiments: Sequence[Experiment], options: StudyOptions
) -> dict[str, Any]:
    """Write the plan before the first run; later calls are compared with it.

    Errors: GenrekitError if the study, the collection or a split differs from the plan.
    """
    path = folder / "plan.json"
    data = {**splits.fingerprints(experiments[0].config), _ALL_SPLITS: _all_splits(splits, experiments)}
    planned = {
        "format_version": PLAN_FORMAT_VERSION,
        "study": fingerprint(study),
        "data": data,
        "seeds": sorted({experiment.seed for experiment in experiments}),
        "amended": False,
    }
    if not path.exists():
        require_new_folder(folder)
        write_json(path, planned)
        return planned
    stored = read_plan(path, folder, "study")
    if other := other_data(stored["data"], data):
        different = ", ".join(other).replace(_ALL_SPLITS, "splits of configurations")
        raise GenrekitError(
            f"{folder} belongs to a study of another collection or split (different {different}); choose another "
            "folder with --reports, or the cache of that study with --cache"
        )
    if stored["study"] != planned["study"]:
        if not options.amend:
            raise GenrekitError(
                f"the study {study.name} has changed since {path} was written; pass --amend, which is "
                "noted in the report, or choose another folder with --reports"
            )
        stored = {**stored, "study": planned["study"], "amended": True}
        write_json(path, stored)
    return stored


def require_new_folder(folder: Path) -> None:
    """Check that a folder without a plan has no files that a report would replace.

    Errors: GenrekitError with the first of them.
    """
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise GenrekitError(
            f"{folder} is not the folder of a study or a search, and is not empty ({few(others)}): choose another "
            "folder with --reports"
        )


class _Plan(Config):
    """The content of `plan.json`: of the plan of a study, `study` is its digest; of a search, `search`."""

    format_version: Literal[2]
    data: dict[str, str]
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    amended: bool


class _StudyPlan(_Plan):
    study: str


class _SearchPlan(_Plan):
    search: str
    options: dict[str, int | str]


def read_plan(path: Path, folder: Path, kind: Literal["study", "search"]) -> dict[str, Any]:
    """Read the plan of a study or a search.

    Errors: GenrekitError if it cannot be read, is damaged, or has another format version or kind.
    """
    remedy = f"remove {folder} to start over"
    try:
        stored = read_json(path)
    except GenrekitError as error:
        if isinstance(error.__cause__, OSError):  # the plan itself may be whole
            raise
        raise GenrekitError(f"{error}; {remedy}") from error
    other = "search" if kind == "study" else "study"
    if isinstance(stored, dict) and other in stored and kind not in stored:
        raise GenrekitError(f"{path} belongs to a {other}; rename the file, or choose another folder with --reports")
    as_record(_StudyPlan if kind == "study" else _SearchPlan, stored, path, remedy)
    return dict(stored)


def _all_splits(splits: TrainedSplits, experiments: Sequence[Experiment]) -> str:
    """A digest of the splits of all experiments."""
    every = {json.dumps(splits.fingerprints(item.config), sort_keys=True) for item in experiments}
    return hashlib.sha256("\n".join(sorted(every)).encode()).hexdigest()
