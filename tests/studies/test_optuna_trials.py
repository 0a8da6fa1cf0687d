"""Trials depend on their number and on trials that ended before, and are stored in a file."""

from __future__ import annotations

import builtins
import resource
from pathlib import Path
from typing import Any

import optuna
import pytest

from genrekit.errors import GenrekitError
from genrekit.studies.optuna_trials import Trial, Trials, open_trials
from genrekit.studies.search_schema import Search

SEARCH = {
    "title": "T",
    "question": "Q?",
    "trials": 30,
    "startup": 4,
    "prune_after": 1,
    "name": "own",
    "space": {
        "lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "batch_size": {"low": 8, "high": 33, "step": 8},
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.2},
        "channels": {"choices": [[4], [4, 8], None]},
    },
}


def search(**changed: Any) -> Search:
    return Search.of({**SEARCH, **changed})


def value(trial: Trial) -> float:
    """Return an objective that is best for a rate of 0.01 and one block."""
    return -abs(trial.chosen["lr"] - 0.01) - 0.01 * (trial.chosen["channels"] != [4])


def go_on(trials: Trials, until: int) -> None:
    records = trials.records
    for trial in records:
        if trial.state == "running":
            trials.finish(trial.number, value(trial))
    for _ in range(until - len(records)):
        trial = trials.draw()
        trials.finish(trial.number, value(trial))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_interrupted_search_draws_the_same_trials(tmp_path: Path, sampler: str) -> None:
    own = search(sampler=sampler)
    with open_trials(tmp_path / "whole.db", own) as trials:
        go_on(trials, 9)
        whole = trials.records
    path = tmp_path / "a ?%20 b" / "broken.db"
    for until in (1, 6, 9):
        with open_trials(path, own) as trials:
            go_on(trials, until)
            if until < 9:
                trials.draw()  # interrupted while it runs
    with open_trials(path, own) as trials:
        assert trials.records == whole
    assert path.exists()


def test_a_trial_that_was_interrupted_while_drawn_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_trials(tmp_path / "whole.db", search()) as trials:
        go_on(trials, 6)
        whole = trials.records

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with open_trials(tmp_path / "torn.db", search()) as trials:
        go_on(trials, 5)
        monkeypatch.setattr(optuna.trial.Trial, "_suggest", killed)
        with pytest.raises(KeyboardInterrupt):
            trials.draw()
        monkeypatch.undo()
    with open_trials(tmp_path / "torn.db", search()) as trials:
        assert len(trials.records) == 5
        go_on(trials, 6)
        assert trials.records == whole


def test_trials_depend_on_the_seed_and_the_space(tmp_path: Path) -> None:
    records = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with open_trials(tmp_path / f"{name}.db", search(sampler_seed=seed)) as trials:
            go_on(trials, 6)
            records.append(trials.records)
    assert records[0] == records[1] != records[2]
    for trial in records[0]:
        assert 1e-4 <= trial.chosen["lr"] <= 1e-1
        assert trial.chosen["batch_size"] in (8, 16, 24, 32)
        assert trial.chosen["dropout"] in (pytest.approx(0.0), pytest.approx(0.2), pytest.approx(0.4))
        assert trial.chosen["channels"] in ([4], [4, 8], None)


def test_the_sampler_learns(tmp_path: Path) -> None:
    with open_trials(tmp_path / "own.db", search(startup=6)) as trials:
        go_on(trials, 18)
        records = trials.records
    assert sum(map(value, records[12:])) > sum(map(value, records[:6]))


def test_a_trial_worse_than_the_median_is_pruned_after_the_first_epochs(tmp_path: Path) -> None:
    with open_trials(tmp_path / "own.db", search(startup=3)) as trials:
        for good in (0.5, 0.6, 0.7):
            number = trials.draw().number
            assert not any(trials.report(number, epoch, good) for epoch in (1, 2, 3))
            trials.finish(number, good)
        bad, fair = trials.draw().number, trials.draw().number
        assert not trials.report(bad, 1, 0.1)
        assert trials.report(bad, 2, 0.2)
        assert not trials.report(bad, 2, 0.2)  # it is known
        assert not any(trials.report(fair, epoch, 0.6) for epoch in (1, 2, 3))
        trials.prune(bad)
        trials.fail(fair, "the loss is NaN or infinite")
    with open_trials(tmp_path / "own.db", search(startup=3)) as trials:
        *_, pruned, failed = trials.records
    assert (pruned.state, pruned.curve, pruned.value) == ("pruned", (0.1, 0.2), None)
    assert (failed.state, failed.problem) == ("failed", "the loss is NaN or infinite")


def test_high_losses_are_pruned_and_nothing_without_a_pruner(tmp_path: Path) -> None:
    for pruner in ("median", "none"):
        own = search(startup=1, prune_after=0, objective="loss", pruner=pruner)
        with open_trials(tmp_path / f"{pruner}.db", own) as trials:
            first, second = trials.draw().number, trials.draw().number
            trials.report(first, 1, 1.0)
            trials.finish(first, 1.0)
            assert not trials.report(second, 1, 0.9)
            assert trials.report(trials.draw().number, 1, 2.0) == (pruner == "median")


def test_the_hyperparameter_that_matters_has_the_highest_importance(tmp_path: Path) -> None:
    with open_trials(tmp_path / "own.db", search(sampler="random")) as trials:
        go_on(trials, 3)
        assert trials.importances() == {}
        go_on(trials, 16)
        importances = trials.importances()
        assert importances == trials.importances()
    assert set(importances) == set(SEARCH["space"])  # type: ignore[call-overload]
    assert next(iter(importances)) == "lr"
    assert sum(importances.values()) == pytest.approx(1)


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    path.write_bytes(b"no database" * 100)
    message = r"cannot use .*own\.db: .*not a database; remove it to start over$"
    with pytest.raises(GenrekitError, match=message), open_trials(path, search()):
        pass


def fill_beyond(trials: Trials, limit: int) -> None:
    """Add trials to a file that may not grow beyond a limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        go_on(trials, 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="files have no limit here")
def test_trials_that_cannot_be_written_are_not_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    with open_trials(path, search()) as trials:
        go_on(trials, 1)
    with pytest.raises(GenrekitError, match=r"cannot use .*own\.db: ") as raised, open_trials(path, search()) as trials:
        fill_beyond(trials, path.stat().st_size // 2)
    assert str(raised.value).endswith(
        "check the space and the permissions there, then run the same command to continue"
    )
    with open_trials(path, search()) as trials:
        assert trials.records[0].state == "finished"


def test_without_optuna_the_error_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "optuna":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    message = r"^a search needs optuna, which is not installed: pip install 'genrekit\[search\]'$"
    with pytest.raises(GenrekitError, match=message), open_trials(tmp_path / "own.db", search()):
        pass
    assert not list(tmp_path.iterdir())
