"""Running a search: which trials are run, pruned, resumed and repeated, and what the report has."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tiny_workflow import SEARCH, EventLog, two_genres

from genrekit.errors import GenrekitError, UsageError
from genrekit.studies.optuna_trials import Trial
from genrekit.studies.plan import StudyOptions
from genrekit.studies.results import SearchResult, StudyResult
from genrekit.studies.search_runner import run_search
from genrekit.training.loop import FitResult, fit
from genrekit.workflows.compare import compare
from genrekit.workflows.reporter import Reporter, RunProgress
from genrekit.workflows.train import train

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_genres(tmp_path_factory.mktemp("search"))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(SEARCH, encoding="utf-8")
    return tmp_path / "tiny.toml"


def run(file: Path, cache: Path, reporter: Reporter | None = None, place: str = ".", **options: Any) -> StudyResult:
    options = {"device": "cpu", **options}
    return run_search(
        file,
        cache,
        StudyOptions(**options),
        runs=Path(place, "runs"),
        reports=Path(place, "reports"),
        reporter=reporter or Reporter(),
    )


def searched(result: StudyResult) -> SearchResult:
    assert result.search is not None
    return result.search


def trials(result: StudyResult) -> tuple[Trial, ...]:
    return searched(result).trials


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path]:
    """Return the result of an uninterrupted search, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.toml").write_text(SEARCH, encoding="utf-8")
    return run(folder / "tiny.toml", cache, place=str(folder)), folder


def test_trials_are_runs_and_finalists_are_trained_again_with_other_seeds(whole: tuple[StudyResult, Path]) -> None:
    result, folder = whole
    assert len(trials(result)) == 5
    assert {trial.state for trial in trials(result)} == {"finished", "pruned"}
    names = [path.name for path in sorted((folder / "runs").iterdir())]
    unique = {json.dumps(trial.chosen) for trial in trials(result) if trial.state == "finished"}
    assert names == sorted(
        [f"tiny-{name}-seed{seed}" for name in searched(result).finalists for seed in (0, 1)]
        + [name for name in names if "-seed" not in name]
    )
    assert len([name for name in names if "-seed" not in name]) >= len(unique)
    first = json.loads((folder / "runs/tiny-trial0/config.json").read_text())
    assert first["seed"] == 1_000
    assert {key: first[key] for key in ("lr", "channels")} == trials(result)[0].chosen
    assert {run.name: run.seeds for run in result.runs} == dict.fromkeys(searched(result).finalists, (0, 1))


def test_finalists_are_the_best_configurations_each_once(whole: tuple[StudyResult, Path]) -> None:
    result, _ = whole
    values: dict[str, float] = {}
    for trial in trials(result):
        if trial.value is not None:
            values.setdefault(json.dumps(trial.chosen), trial.value)
    best = sorted(values.values())[:2]
    by_name = {trial.name: trial.value for trial in trials(result)}
    assert [by_name[name] for name in searched(result).finalists] == best


def test_the_objective_is_that_of_the_best_epoch(whole: tuple[StudyResult, Path]) -> None:
    result, folder = whole
    trial = trials(result)[0]
    stored = json.loads((folder / "runs/tiny-trial0/result.json").read_text())
    assert trial.value == stored["validation"]["loss"] == min(trial.curve)
    assert len(trial.curve) == 3


def test_a_trial_that_falls_behind_is_stopped_and_stays_unfinished(
    whole: tuple[StudyResult, Path], cache: Path
) -> None:
    result, folder = whole
    pruned = [trial for trial in trials(result) if trial.state == "pruned"]
    assert {trial.name for trial in pruned} >= {"trial2", "trial3"}
    assert [trials(result)[number].chosen["lr"] for number in (2, 3)] == [1e-7, 1e-7]
    for trial in pruned:
        assert len(trial.curve) == 2  # the first epoch is free
        run = folder / "runs" / f"tiny-{trial.name}"
        assert json.loads((run / "pruned.json").read_text())["epoch"] == 2
        assert not (run / "result.json").exists()
        assert not (run / "best").exists()
        with pytest.raises(GenrekitError, match=r"a search stopped .* after epoch 2: start a new run"):
            train(cache, {}, out=run, resume=True)
    ranked = compare([folder / "runs"])
    assert not {f"tiny-{trial.name}" for trial in pruned} & {Path(run.name).name for run in ranked.runs}


def test_the_report_has_the_trials_and_the_finalists(whole: tuple[StudyResult, Path]) -> None:
    result, folder = whole
    assert result.report == folder / "reports/tiny/report.md"
    text = result.report.read_text(encoding="utf-8")
    assert "They were selected on the validation tracks that they are evaluated on" in text
    assert "5 of 5 trials" in text
    assert "pruned after epoch 2" in text
    for name in ("trials.png", "slices.png", "report.html", "accuracy.png"):
        assert (folder / "reports/tiny" / name).exists()
    stored = json.loads((folder / "reports/tiny/result.json").read_text())
    assert len(stored["search"]["trials"]) == 5


@pytest.mark.slow
def test_the_same_file_and_data_give_the_same_trials(whole: tuple[StudyResult, Path], file: Path, cache: Path) -> None:
    assert trials(run(file, cache)) == trials(whole[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trial", "epoch", "state"),
    [
        pytest.param(0, 0, "running", id="before the first epoch"),
        pytest.param(1, 2, "running", id="within a trial"),
        pytest.param(1, 3, "running", id="after a trial's last epoch"),
        pytest.param(1, 3, "finished", id="between trials"),
        pytest.param(3, 2, "running", id="late"),
    ],
)
def test_an_interrupted_search_resumes_with_the_same_trials(
    whole: tuple[StudyResult, Path], file: Path, cache: Path, trial: int, epoch: int, state: str
) -> None:
    def stop(item: RunProgress) -> bool:
        return (item.name, item.state, item.epoch >= epoch) == (f"trial{trial}", state, True)

    stopped = EventLog(stop)
    with pytest.raises(KeyboardInterrupt):
        run(file, cache, stopped)
    assert "to resume, run the same command again" in stopped.notes
    result = run(file, cache)
    assert trials(result) == trials(whole[0])
    assert sorted(path.name for path in Path("runs").iterdir()) == sorted(
        path.name for path in (whole[1] / "runs").iterdir()
    )
    assert result.ranking == whole[0].ranking


@pytest.mark.slow
def test_a_killed_search_resumes(whole: tuple[StudyResult, Path], file: Path, cache: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from genrekit.studies.plan import StudyOptions; from genrekit.studies.search_runner import run_search\n"
        "from genrekit.workflows.reporter import Reporter\n"
        "class Killer(Reporter):\n"
        "    def runs(self, runs):\n"
        "        if any((item.name, item.state, item.epoch) == ('trial2', 'running', 1) for item in runs):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "run_search('tiny.toml', sys.argv[1], StudyOptions(device='cpu'), reporter=Killer())\n"
    )
    Path("go.py").write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, "go.py", cache], check=False, env=dict(os.environ), timeout=300)
    assert done.returncode == -signal.SIGKILL
    result = run(file, cache)
    assert [(item.state, item.chosen) for item in trials(result)] == [
        (item.state, item.chosen) for item in trials(whole[0])
    ]
    for ours, theirs in zip(trials(result), trials(whole[0]), strict=True):
        assert ours.curve == pytest.approx(theirs.curve, rel=1e-4)


@pytest.mark.slow
def test_more_trials_are_added_if_the_file_declares_more(
    whole: tuple[StudyResult, Path], file: Path, cache: Path
) -> None:
    file.write_text(SEARCH.replace("trials = 5", "trials = 2"), encoding="utf-8")
    assert trials(run(file, cache)) == trials(whole[0])[:2]
    file.write_text(SEARCH, encoding="utf-8")
    events = EventLog()
    assert trials(run(file, cache, events)) == trials(whole[0])
    assert events.states[0].count("finished before") == 2
    events = EventLog()
    run(file, cache, events)
    assert events.states == []


@pytest.mark.slow
def test_a_finished_run_with_the_same_settings_is_reused(
    whole: tuple[StudyResult, Path], file: Path, cache: Path
) -> None:
    values = {"seed": 1_000, "device": "cpu", **tomllib.loads(SEARCH)["base"]}
    train(cache, {**values, **trials(whole[0])[0].chosen}, out="runs/mine")
    events = EventLog()
    assert trials(run(file, cache, events)) == trials(whole[0])
    assert not Path("runs/tiny-trial0").exists()
    assert events.states[0][0] == "finished before"


@pytest.mark.slow
def test_a_failed_trial_is_recorded_and_the_search_continues(file: Path, cache: Path) -> None:
    text = SEARCH.replace("1e-7", "1e30").replace('"loss"', '"track_accuracy"')
    file.write_text(text, encoding="utf-8")
    events = EventLog()
    result = run(file, cache, events)
    failed = [trial for trial in trials(result) if trial.state == "failed"]
    assert failed
    assert all("the loss is NaN or infinite" in trial.problem for trial in failed)
    assert len(trials(result)) == 5
    assert events.warnings[0].startswith(f"{len(failed)} of 5 trials failed; {failed[0].name}: ")
    assert not {trial.name for trial in failed} & set(searched(result).finalists)
    assert "failed: the loss is NaN or infinite" in Path("reports/tiny/report.md").read_text(encoding="utf-8")
    assert trials(run(file, cache)) == trials(result)  # it is not tried again


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device", "history.csv"),
            "cannot use history.csv: No space left on device; make space or choose another path",
            id="disk",
        ),
        pytest.param(
            OSError(errno.EFBIG, "File too large", "history.csv"),
            "cannot use history.csv: File too large",
            id="size",
        ),
        pytest.param(MemoryError(), "there was not enough memory", id="memory"),
    ],
)
def test_a_failure_of_the_computer_spends_no_trial_and_the_search_goes_on(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    file.write_text(SEARCH.replace("trials = 5", "trials = 3").replace("finalists = 2", "finalists = 1"), "utf-8")
    calls = count()

    def fitting(*arguments: Any, **options: Any) -> FitResult:
        if next(calls) == 1:
            raise error
        return fit(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr("genrekit.workflows.train_fit.fit", fitting)
        with pytest.raises(GenrekitError, match=f"^trial1: {text}.*; then run the same command to continue$"):
            run(file, cache, epochs=1)
    again = run(file, cache, epochs=1)
    whole = run(file, cache, place="whole", epochs=1)
    assert [trial.state for trial in trials(again)] == ["finished"] * 3
    assert [trial.value for trial in trials(again)] == [trial.value for trial in trials(whole)]


def test_an_invalid_combination_is_a_failed_trial(file: Path, cache: Path) -> None:
    space = 'opt = { choices = ["adam", "sgd"] }\nnesterov = { choices = [true, false] }\n'
    text = SEARCH.partition("lr =")[0].replace("finalists = 2", "finalists = 1")
    file.write_text(text.replace("[base]", "[base]\nchannels = [2]") + space, encoding="utf-8")
    records = trials(run(file, cache, epochs=1))
    problems = {trial.problem for trial in records if trial.chosen == {"opt": "adam", "nesterov": True}}
    assert problems == {"invalid settings: nesterov needs opt sgd, got adam"}
    assert all(trial.state == "finished" for trial in records if trial.chosen != {"opt": "adam", "nesterov": True})


def test_an_error_names_the_first_problem_if_every_trial_fails(file: Path, cache: Path) -> None:
    file.write_text(SEARCH.replace("[1e-2, 3e-2, 1e-7]", "[1e30, 1e31]"), encoding="utf-8")
    with pytest.raises(GenrekitError, match="no trial of tiny finished; the first problem: the loss is NaN"):
        run(file, cache)


def test_a_trial_of_several_seeds_has_their_mean(file: Path, cache: Path) -> None:
    text = SEARCH.replace("trials = 5", "trials = 2\ntrial_seeds = 2").replace("finalists = 2", "finalists = 1")
    file.write_text(text, encoding="utf-8")
    for trial in trials(run(file, cache, epochs=1)):
        losses = [
            json.loads(Path(f"runs/tiny-{trial.name}-seed{seed}/result.json").read_text())["validation"]["loss"]
            for seed in (1_000, 1_001)
        ]
        assert trial.value == pytest.approx(sum(losses) / 2)
        assert trial.curve == (losses[0],)


@pytest.mark.slow
def test_several_workers_run_trials_in_parallel_and_prune(file: Path, cache: Path) -> None:
    result = run(file, cache, workers=2)
    assert len(trials(result)) == 5
    for trial in trials(result):
        finished = Path(f"runs/tiny-{trial.name}/result.json").exists()
        pruned = Path(f"runs/tiny-{trial.name}/pruned.json").exists()
        assert (trial.state == "pruned") == pruned
        assert not (pruned and finished)
    assert not [trial for trial in trials(result) if trial.state in ("failed", "running")]
    assert len(result.runs) == 2


@pytest.mark.parametrize(
    ("old", "new", "options", "message"),
    [
        pytest.param("1e-7", "1e-6", {}, "the search tiny has changed since", id="space"),
        pytest.param(
            "", "", {"epochs": 2}, "was started with epochs as in its file, not 2; use the same value", id="epochs"
        ),
        pytest.param("", "", {"split_seed": 7}, "on another collection or split .different training", id="split"),
    ],
)
def test_a_changed_search_is_refused(
    file: Path, cache: Path, old: str, new: str, options: dict[str, Any], message: str
) -> None:
    def stop(item: RunProgress) -> bool:
        return item.state == "running"

    with pytest.raises(KeyboardInterrupt):
        run(file, cache, EventLog(stop))
    file.write_text(SEARCH.replace(old, new) if old else SEARCH, encoding="utf-8")
    with pytest.raises(GenrekitError, match=message):
        run(file, cache, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"folds": 3}, "a search has no folds, got 3", id="folds"),
        pytest.param({"amend": True}, "a search cannot be amended", id="amend"),
        pytest.param({"configurations": ("one",)}, "a search trains all of its finalists", id="configurations"),
    ],
)
def test_options_of_studies_only_are_refused(file: Path, cache: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(file, cache, **options)
    assert not Path("reports").exists()


def test_the_folder_of_a_study_is_refused(file: Path, cache: Path) -> None:
    Path("reports/tiny").mkdir(parents=True)
    plan = {"format_version": 2, "study": "x", "data": {}, "seeds": [0], "amended": False}
    Path("reports/tiny/plan.json").write_text(json.dumps(plan))
    with pytest.raises(GenrekitError, match="belongs to a study; rename the file"):
        run(file, cache)


@pytest.mark.slow
def test_a_trial_whose_name_was_taken_resumes_in_its_own_folder(file: Path, cache: Path) -> None:
    one = SEARCH.replace("trials = 5", "trials = 1")
    for text in (one, one.replace("batch_size = 8", "batch_size = 4")):
        shutil.rmtree("reports", ignore_errors=True)
        file.write_text(text, encoding="utf-8")
        with pytest.raises(KeyboardInterrupt):
            run(file, cache, EventLog(lambda item: item.state == "running" and item.epoch == 1))
    run(file, cache)
    assert not Path("runs/tiny-trial0-3").exists()
    assert not Path("runs/tiny-trial0/result.json").exists()
    assert Path("runs/tiny-trial0-2/result.json").exists()
