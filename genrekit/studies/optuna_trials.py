"""The trials of a search in a SQLite file. The only module that imports optuna.

The random state of a trial depends only on the search's seed and the number of the trial, which counts completely drawn
trials. The sampler sees ended trials only. So a search that was interrupted and resumed draws the same trials as
without the interruption.
"""

from __future__ import annotations

import json
import math
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from genrekit.errors import GenrekitError, missing_extra
from genrekit.io.targets import require_plain_file
from genrekit.studies.search_schema import Dimension, Search, is_integer


@dataclass(frozen=True)
class Trial:
    """One configuration that a search tried, and its objective; None if it did not finish.

    `chosen` has the drawn hyperparameters, `curve` the objective after each epoch of the first seed, `problem` the
    reason of a failure.
    """

    number: int
    state: TrialState
    chosen: dict[str, Any]
    value: float | None
    curve: tuple[float, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """The name within the search."""
        return f"trial{self.number}"


TrialState = Literal["running", "finished", "pruned", "failed"]


if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_FEWEST_FOR_IMPORTANCE = 4

TRIALS_FILE = "search.db"
"""The file with the trials, in the folder of the search's report."""

_SQLITE_ENDINGS = ("-journal", "-wal", "-shm")
"""Endings of the files that SQLite opens beside its file. It follows links, and waits for a named pipe."""

_NUMBER, _PROBLEM = "number", "problem"


def require_optuna() -> None:
    """Require that optuna is installed.

    Errors: GenrekitError with the command that installs it.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise missing_extra("a search", "search", ["optuna"]) from error


@contextmanager
def open_trials(path: Path, search: Search) -> Iterator[Trials]:
    """Open the trials of a search within the block; a missing file is created.

    Errors: GenrekitError if optuna is missing, or the file is damaged, a link or a special file, or cannot be written.
    """
    require_optuna()
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("", *_SQLITE_ENDINGS):
        require_plain_file(path.with_name(path.name + ending))
    storage = None
    try:
        storage = _storage(path)
        yield Trials(_study(search, storage), search, path)
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError) as error:
        reason = (str(getattr(error, "orig", error)).splitlines() or [type(error).__name__])[0]
        raise GenrekitError(f"cannot use {path}: {reason}; {_remedy(error)}") from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


_DAMAGES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA})


def _remedy(error: BaseException | None) -> str:
    """Return what to do. If the disk is full or the file is locked, its trials are intact and the search resumes."""
    while error is not None:
        if (
            isinstance(error, sqlite3.Error)
            and getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF not in _DAMAGES
        ):
            return "check the space and the permissions there, then run the same command to continue"
        error = error.__cause__
    return "remove it to start over"


def _storage(path: Path) -> optuna.storages.RDBStorage:
    import optuna

    def connect() -> sqlite3.Connection:  # a path, because special characters would be parsed in a URL
        return sqlite3.connect(path, check_same_thread=False)

    try:
        return optuna.storages.RDBStorage(f"sqlite:///{TRIALS_FILE}", engine_kwargs={"creator": connect})
    except RuntimeError as error:
        raise GenrekitError(
            f"{path} was written by another version of optuna than {optuna.__version__}; install that one"
        ) from error


def count_ended(path: Path, search: Search) -> int:
    """Return how many trials in a file have ended.

    Errors: as of `open_trials`.
    """
    with open_trials(path, search) as trials:
        return sum(trial.state != "running" for trial in trials.records)


class Trials:
    """The trials of a search; interrupted ones keep the state "running"."""

    def __init__(self, study: optuna.Study, search: Search, path: Path) -> None:
        """Check the stored trials.

        Errors: GenrekitError if one is damaged.
        """
        import optuna

        self._study, self._search = study, search
        self._distributions = {name: _distribution(name, dimension) for name, dimension in search.dimensions.items()}
        for incomplete in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if _NUMBER not in incomplete.user_attrs:  # interrupted while it was drawn; it is drawn again
                study.tell(incomplete.number, state=optuna.trial.TrialState.FAIL)
        try:
            self._require_valid()
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise GenrekitError(f"{path} is damaged: {reason}; remove it to start over") from error

    def _require_valid(self) -> None:
        """Check the numbers of the trials, and their hyperparameters and objectives.

        Errors: ValueError, KeyError or TypeError.
        """
        if self._study.direction != _direction(self._search):
            raise ValueError(f"it has trials of a search with another objective than {self._search.objective}")
        for number, frozen in enumerate(self._frozen()):
            if frozen.user_attrs[_NUMBER] != number:
                raise ValueError(f"trial {number} has the number {frozen.user_attrs[_NUMBER]!r}")
            for name, distribution in self._distributions.items():
                if not distribution._contains(distribution.to_internal_repr(frozen.params[name])):
                    raise ValueError(f"trial {number} has {name} {frozen.params[name]!r}, which is not in the space")
            trial = self._record(frozen)
            if trial.state == "finished" and (trial.value is None or not math.isfinite(trial.value)):
                raise ValueError(f"trial {number} is finished without a finite objective")
            if not all(map(math.isfinite, trial.curve)):
                raise ValueError(f"trial {number} has an objective that is not finite")
            if sorted(frozen.intermediate_values) != list(range(1, len(trial.curve) + 1)):
                raise ValueError(f"trial {number} has objectives of the epochs {sorted(frozen.intermediate_values)}")

    @property
    def records(self) -> tuple[Trial, ...]:
        """All trials, ordered by number."""
        return tuple(self._record(frozen) for frozen in self._frozen())

    def draw(self) -> Trial:
        """Draw a new trial, in the state "running"."""
        number = len(self._frozen())
        self._study.sampler = _sampler(self._search, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optuna warns of its experimental features
            self._study.ask(self._distributions).set_user_attr(_NUMBER, number)
        return self.records[number]

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Record the objective of an epoch, counted from 1, and return whether the trial should be pruned.

        An epoch that is already recorded is not changed, and never prunes.
        """
        from optuna.trial import Trial as OptunaTrial

        frozen = self._frozen()[number]
        if epoch in frozen.intermediate_values:
            return False
        trial = OptunaTrial(self._study, frozen._trial_id)
        trial.report(value, epoch)
        return trial.should_prune()

    def finish(self, number: int, value: float) -> None:
        """Record the objective of a finished trial."""
        self._study.tell(self._frozen()[number].number, value)

    def prune(self, number: int) -> None:
        """Record that a trial was stopped early."""
        from optuna.trial import TrialState as State

        self._study.tell(self._frozen()[number].number, state=State.PRUNED)

    def fail(self, number: int, problem: str) -> None:
        """Record why a trial failed."""
        from optuna.trial import Trial as OptunaTrial
        from optuna.trial import TrialState as State

        frozen = self._frozen()[number]
        OptunaTrial(self._study, frozen._trial_id).set_user_attr(_PROBLEM, problem)
        self._study.tell(frozen.number, state=State.FAIL)

    def importances(self) -> dict[str, float]:
        """Return each hyperparameter's share of the objective's variance, the largest first (fANOVA: Hutter 2014).

        Empty if fewer than four trials are finished, or if all have the same objective.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        finished = [trial.value for trial in self.records if trial.state == "finished"]
        if len(finished) < _FEWEST_FOR_IMPORTANCE or len(set(finished)) == 1:
            return {}
        importances = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {name: float(share) for name, share in importances.items()}

    def _frozen(self) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy=False) if _NUMBER in trial.user_attrs]

    def _record(self, frozen: FrozenTrial) -> Trial:
        state = _STATES[frozen.state.name]
        return Trial(
            number=frozen.user_attrs[_NUMBER],
            state=state,
            chosen={name: _decoded(self._distributions[name], frozen.params[name]) for name in self._distributions},
            value=frozen.value if state == "finished" else None,
            curve=tuple(value for _, value in sorted(frozen.intermediate_values.items())),
            problem=frozen.user_attrs.get(_PROBLEM, ""),
        )


_STATES: Mapping[str, TrialState] = {
    "RUNNING": "running",
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


def _study(search: Search, storage: optuna.storages.BaseStorage) -> optuna.Study:
    import optuna

    median = optuna.pruners.MedianPruner(n_startup_trials=search.startup, n_warmup_steps=search.prune_after + 1)
    return optuna.create_study(
        study_name=search.name,
        storage=storage,
        direction=_direction(search),
        pruner=median if search.pruner == "median" else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )


def _direction(search: Search) -> optuna.study.StudyDirection:
    from optuna.study import StudyDirection

    return StudyDirection.MAXIMIZE if search.objective == "track_accuracy" else StudyDirection.MINIMIZE


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    import optuna

    seed = int(np.random.SeedSequence((search.sampler_seed, number)).generate_state(1)[0])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup)


def _distribution(name: str, dimension: Dimension) -> BaseDistribution:
    """The distribution in optuna. Choices are stored as JSON, because optuna does not accept lists as values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices:
        return CategoricalDistribution([json.dumps(choice) for choice in dimension.choices])
    assert dimension.low is not None
    assert dimension.high is not None
    if is_integer(name):
        step = 1 if dimension.step is None else int(dimension.step)
        high = int(dimension.low) + (int(dimension.high) - int(dimension.low)) // step * step
        return IntDistribution(int(dimension.low), high, log=dimension.log, step=step)
    step_size = dimension.step
    last = (
        dimension.high
        if step_size is None
        else dimension.low + (dimension.high - dimension.low + 1e-12) // step_size * step_size
    )
    return FloatDistribution(dimension.low, last, log=dimension.log, step=step_size)


def _decoded(distribution: BaseDistribution, value: Any) -> Any:
    from optuna.distributions import CategoricalDistribution

    return json.loads(value) if isinstance(distribution, CategoricalDistribution) else value
