"""What a search tries next, kept in a SQLite file: the only door to optuna.

A trial's number counts the trials that were drawn whole, and its random state depends on the search's seed and that
number alone. The sampler sees the trials that have ended, and nothing else: so a search that was stopped and goes on
draws what it would have drawn.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from genrekit.errors import GenrekitError, missing_extra
from genrekit.studies.search_schema import Dimension, Search, is_integer


@dataclass(frozen=True)
class Trial:
    """One configuration that a search tried: what it chose, and the objective, None where it was not finished.

    `curve` has the figure of each epoch of its first seed, `problem` why it failed.
    """

    number: int
    state: TrialState
    chosen: dict[str, Any]
    value: float | None
    curve: tuple[float, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others of its search."""
        return f"trial{self.number}"


TrialState = Literal["running", "finished", "pruned", "failed"]


if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_FEWEST_FOR_IMPORTANCE = 4

TRIALS_FILE = "search.db"
"""Where trials are kept, in the folder of a search's report."""

_NUMBER, _PROBLEM = "number", "problem"


def require_optuna() -> None:
    """Refuse a search where its library is missing.

    Errors: GenrekitError that says what to install.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise missing_extra("a search", "search", ["optuna"]) from error


@contextmanager
def open_trials(path: Path, search: Search) -> Iterator[Trials]:
    """Open the trials of a search for the length of the block; the file is made where there is none.

    Errors: GenrekitError where optuna is missing, or the file is damaged or cannot be written.
    """
    require_optuna()
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = None
    try:
        storage = _storage(path)
        yield Trials(_study(search, storage), search)
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise GenrekitError(f"cannot use {path}: {reason}; remove it to search anew") from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _storage(path: Path) -> optuna.storages.RDBStorage:
    import optuna

    def connect() -> sqlite3.Connection:  # of a path, in which an address would read marks of its own
        return sqlite3.connect(path, check_same_thread=False)

    try:
        return optuna.storages.RDBStorage(f"sqlite:///{TRIALS_FILE}", engine_kwargs={"creator": connect})
    except RuntimeError as error:
        raise GenrekitError(f"{path} was made by another version of optuna than {optuna.__version__}") from error


def count_ended(path: Path, search: Search) -> int:
    """How many trials in a file need not be tried again.

    Errors: as of opening it.
    """
    with open_trials(path, search) as trials:
        return sum(trial.state != "running" for trial in trials.records)


class Trials:
    """The trials of a search; those that were left while they ran go on as they are."""

    def __init__(self, study: optuna.Study, search: Search) -> None:
        import optuna

        self._study, self._search = study, search
        self._distributions = {name: _distribution(name, its) for name, its in search.dimensions.items()}
        for torn in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if _NUMBER not in torn.user_attrs:  # it was stopped while it was drawn, and is drawn again
                study.tell(torn.number, state=optuna.trial.TrialState.FAIL)

    @property
    def records(self) -> tuple[Trial, ...]:
        """All trials, by their numbers."""
        return tuple(self._record(frozen) for frozen in self._frozen())

    def ask(self) -> Trial:
        """Draw a new trial, which runs from then on."""
        number = len(self._frozen())
        self._study.sampler = _sampler(self._search, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what optuna finds experimental
            self._study.ask(self._distributions).set_user_attr(_NUMBER, number)
        return self.records[number]

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Keep the figure of an epoch, counted from 1, and return whether the trial is worth no more of them.

        An epoch that is known already keeps its figure, and prunes nothing.
        """
        from optuna.trial import Trial as OptunaTrial

        frozen = self._frozen()[number]
        if epoch in frozen.intermediate_values:
            return False
        trial = OptunaTrial(self._study, frozen._trial_id)
        trial.report(value, epoch)
        return trial.should_prune()

    def finish(self, number: int, value: float) -> None:
        """A trial has ended with the objective's value."""
        self._study.tell(self._frozen()[number].number, value)

    def prune(self, number: int) -> None:
        """A trial was given up."""
        from optuna.trial import TrialState as State

        self._study.tell(self._frozen()[number].number, state=State.PRUNED)

    def fail(self, number: int, problem: str) -> None:
        """A trial could not be finished."""
        from optuna.trial import Trial as OptunaTrial
        from optuna.trial import TrialState as State

        frozen = self._frozen()[number]
        OptunaTrial(self._study, frozen._trial_id).set_user_attr(_PROBLEM, problem)
        self._study.tell(frozen.number, state=State.FAIL)

    def importances(self) -> dict[str, float]:
        """Each hyperparameter's share of the objective's variance, the largest first (fANOVA: Hutter et al. 2014).

        There are none where too few trials are finished, or all have the same value.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        finished = [trial.value for trial in self.records if trial.state == "finished"]
        if len(finished) < _FEWEST_FOR_IMPORTANCE or len(set(finished)) == 1:
            return {}
        found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {name: float(share) for name, share in found.items()}

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
        direction="maximize" if search.objective == "track_accuracy" else "minimize",
        pruner=median if search.pruner == "median" else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    import optuna

    seed = int(np.random.SeedSequence((search.sampler_seed, number)).generate_state(1)[0])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup)


def _distribution(name: str, its: Dimension) -> BaseDistribution:
    """What optuna draws from; choices are kept as JSON, which lists are no value for in optuna."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if its.choices:
        return CategoricalDistribution([json.dumps(choice) for choice in its.choices])
    assert its.low is not None
    assert its.high is not None
    if is_integer(name):
        step = 1 if its.step is None else int(its.step)
        high = int(its.low) + (int(its.high) - int(its.low)) // step * step
        return IntDistribution(int(its.low), high, log=its.log, step=step)
    step_size = its.step
    last = its.high if step_size is None else its.low + (its.high - its.low + 1e-12) // step_size * step_size
    return FloatDistribution(its.low, last, log=its.log, step=step_size)


def _decoded(distribution: BaseDistribution, value: Any) -> Any:
    from optuna.distributions import CategoricalDistribution

    return json.loads(value) if isinstance(distribution, CategoricalDistribution) else value
