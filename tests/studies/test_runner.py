"""Running a study: which runs are trained, reused or refused, and what the report has."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_workflow import STUDY, EventLog, two_genres

from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import exclusive_lock
from genrekit.studies.plan import StudyOptions
from genrekit.studies.results import StudyResult
from genrekit.studies.runner import run_study
from genrekit.studies.worker_pool import Conditions, Job, Problem, Watcher, train_jobs
from genrekit.training.loop import FitResult, fit
from genrekit.training.tracking import NO_TRACKING
from genrekit.workflows.reporter import Reporter, RunProgress
from genrekit.workflows.train import train

pytestmark = pytest.mark.usefixtures("quick_figures")

HEAD = 'format_version = 1\ntitle = "T"\nquestion = "Q?"\n'


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_genres(tmp_path_factory.mktemp("study"))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "tiny.toml"


def run(study: Path, cache: Path, reporter: Reporter | None = None, **options: Any) -> StudyResult:
    options = {"seeds": 3, "device": "cpu", **options}
    return run_study(str(study), cache, StudyOptions(**options), reporter=reporter or Reporter())


@pytest.mark.slow
def test_every_configuration_is_trained_with_every_seed(study: Path, cache: Path) -> None:
    result = run(study, cache)
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        f"tiny-{configuration}-seed{seed}" for configuration in ("fast", "slow") for seed in range(3)
    ]
    assert {run.name: run.seeds for run in result.runs} == {"slow": (0, 1, 2), "fast": (0, 1, 2)}
    assert set(result.ranking) == {"slow", "fast"}
    assert [finding.hypothesis for finding in result.findings] == ["fast is better"]
    assert result.report is not None
    text = result.report.read_text(encoding="utf-8")
    assert "fast is better" in text
    experiment = json.loads(Path("reports/tiny/experiments/fast-seed2.json").read_text())
    assert (experiment["seed"], experiment["hyperparameters"]["lr"]) == (2, 1e-2)
    assert experiment["result"]["validation"]["track_accuracy"] >= 0
    assert not {"run", "bundle", "kept"} & set(experiment["result"])


@pytest.mark.slow
def test_a_finished_run_is_not_repeated_whatever_its_name(study: Path, cache: Path) -> None:
    values = {**tomllib.loads(STUDY)["base"], "lr": 1e-2, "seed": 1}
    train(cache, values, out="runs/mine")
    events = EventLog()
    run(study, cache, events)
    assert not Path("runs/tiny-fast-seed1").exists()
    assert events.states[0].count("finished before") == 1
    before = {path: path.stat().st_mtime_ns for path in Path("runs").glob("*/result.json")}
    events = EventLog()
    again = run(study, cache, events)
    assert events.states == []
    assert {path: path.stat().st_mtime_ns for path in Path("runs").glob("*/result.json")} == before
    assert len(again.runs) == 2


@pytest.mark.slow
def test_a_study_and_a_run_are_locked_against_other_processes(study: Path, cache: Path) -> None:
    with (
        exclusive_lock(Path("reports/tiny/.lock"), "another"),
        pytest.raises(GenrekitError, match="the study tiny: proc"),
    ):
        run(study, cache)
    assert not Path("runs").exists()
    run(study, cache)
    Path("runs/tiny-fast-seed1/result.json").unlink()
    events = EventLog()
    with exclusive_lock(Path("runs/tiny-fast-seed1/.lock"), "another"):
        result = run(study, cache, events)
    assert "fast-seed1 failed: cannot train runs/tiny-fast-seed1: process" in events.warnings[-1]
    assert [item.path for item in result.skipped] == ["fast-seed1"]


@pytest.mark.slow
def test_a_study_has_the_same_result_after_its_weights_are_deleted(study: Path, cache: Path) -> None:
    before = run(study, cache)
    for path in Path("runs").iterdir():
        shutil.rmtree(path / "best")
        for checkpoint in path.glob("*last.safetensors"):
            checkpoint.unlink()
    events = EventLog()
    assert run(study, cache, events) == before
    assert events.states == []


@pytest.mark.slow
def test_a_finished_run_without_predictions_is_trained_again_in_a_new_folder(study: Path, cache: Path) -> None:
    """It can neither be evaluated nor resumed."""
    before = run(study, cache, seeds=1)
    for path in (Path("runs/tiny-fast-seed0/answers.safetensors"), Path("runs/tiny-fast-seed0/last.safetensors")):
        path.unlink()
    shutil.rmtree("runs/tiny-fast-seed0/best")
    assert run(study, cache, seeds=1).findings == before.findings
    assert Path("runs/tiny-fast-seed0-2/answers.safetensors").is_file()


@pytest.mark.slow
def test_several_workers_give_the_same_runs_as_one(study: Path, cache: Path) -> None:
    """With one thread each, because the number of threads may change the last bits."""
    script = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from genrekit.studies.plan import StudyOptions; from genrekit.studies.runner import run_study\n"
        "if __name__ == '__main__':\n"
        "    options = StudyOptions(seeds=2, device='cpu', workers=int(sys.argv[2]))\n"
        "    run_study('tiny.toml', sys.argv[1], options, runs=sys.argv[3], reports=sys.argv[3] + '-reports')\n"
    )
    Path("go.py").write_text(script, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for workers, runs in (("1", "alone"), ("2", "together")):
        subprocess.run([sys.executable, "go.py", cache, workers, runs], check=True, env=environment, timeout=300)
    names = sorted(path.name for path in Path("alone").iterdir())
    assert names == sorted(path.name for path in Path("together").iterdir())
    for name in names:
        one, other = (Path(runs, name, "history.csv").read_text().splitlines() for runs in ("alone", "together"))
        assert [line.rpartition(",")[0] for line in one] == [line.rpartition(",")[0] for line in other]


@pytest.mark.slow
def test_a_failed_run_is_reported_and_does_not_stop_the_rest(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("lr = 1e-4", "lr = 1e30"), encoding="utf-8")
    events = EventLog()
    result = run(study, cache, events, seeds=1)
    (skipped,) = result.skipped
    assert skipped.path == "slow-seed0"
    assert "NaN or infinite" in skipped.reason
    assert "slow-seed0 failed" in events.warnings[0]
    assert result.ranking == ("fast",)
    assert result.findings[0].verdict == "not tested"
    events = EventLog()
    run(study, cache, events, seeds=1)
    assert events.states[0] == ("waiting", "finished before")


def test_an_error_is_raised_if_every_run_fails(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("1e-4", "1e30").replace("1e-2", "1e31"), encoding="utf-8")
    events = EventLog()
    with pytest.raises(GenrekitError, match="no run of tiny finished"):
        run(study, cache, events, seeds=1)
    assert len(events.warnings) == 2
    assert "NaN or infinite" in events.warnings[0]


def test_best_models_that_are_not_a_folder_are_refused_before_training(study: Path, cache: Path) -> None:
    Path("afile").touch()
    with pytest.raises(GenrekitError, match=r"^afile is not a directory; --best-models needs one$"):
        run_study(study, cache, StudyOptions(seeds=1, device="cpu"), best_models="afile")
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("result.json", "", "cannot read"),
        ("result.json", '{"format_version": 1', "cannot read"),
        ("result.json", "[]", "has no names and values"),
        ("result.json", '{"format_version": 99}', "format_version 99 is not supported"),
        ("result.json", '{"format_version": 1}', "field required"),
        (
            "result.json",
            '{"format_version": 1, "parameters": 1, "seconds": 1, "split": "", "validation": {}}',
            "field required",
        ),
        ("history.csv", "x" * 200_000, "cannot read"),
        ("answers.safetensors", "odd", "is damaged"),
        ("answers.safetensors", None, "no predictions at"),
        ("history.csv", None, "cannot read"),
        ("history.csv", "", "has 0 of 2 epochs"),
        ("history.csv", "epoch,lr\n1,nan\n", "is not a table of epochs"),
    ],
)
def test_a_damaged_run_is_named_and_trained_again(
    study: Path, cache: Path, file: str, text: str | None, says: str
) -> None:
    before = run(study, cache, seeds=1)
    path = Path("runs/tiny-fast-seed0", file)
    path.unlink()
    if text is not None:
        path.write_text(text)
    events = EventLog()
    alone = run(study, cache, events, seeds=1, configurations=())
    assert alone.absent == ("fast",)
    assert events.warnings[0].startswith("tiny-fast-seed0 is damaged and not used: ")
    assert says in events.warnings[0]
    again = EventLog(lambda experiment: experiment.epoch == 1)
    with pytest.raises(KeyboardInterrupt):
        run(study, cache, again, seeds=1)
    after = run(study, cache, seeds=1)
    assert [item.track_accuracy for item in after.runs] == [item.track_accuracy for item in before.runs]
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "tiny-fast-seed0",
        "tiny-fast-seed0-2",
        "tiny-slow-seed0",
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"format_version": 1}', '{"format_version": 2, "study": "a", "data": []}'])
def test_a_damaged_plan_is_refused_with_a_remedy(study: Path, cache: Path, text: str) -> None:
    run(study, cache, seeds=1)
    Path("reports/tiny/plan.json").write_text(text)
    with pytest.raises(GenrekitError, match="remove reports/tiny to start over"):
        run(study, cache, seeds=1)


def test_configurations_with_the_same_settings_are_noted(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("fast = { lr = 1e-2 }", "fast = { lr = 1e-2 }\nquick = { lr = 1e-2 }"))
    events = EventLog()
    run(study, cache, events, seeds=2)
    assert [note for note in events.notes if "same settings" in note] == [
        "quick has the same settings as fast; they share their runs"
    ]


@pytest.mark.slow
def test_the_report_has_the_range_of_training_set_sizes_of_folds(study: Path, cache: Path) -> None:
    result = run(study, cache, seeds=1, folds=5)
    assert result.head is not None
    assert result.head.training_tracks < result.head.most_training_tracks
    assert result.report is not None
    text = f"{result.head.training_tracks} to {result.head.most_training_tracks} tracks to train"
    assert text in result.report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_interrupted_run_resumes(study: Path, cache: Path) -> None:
    events = EventLog(lambda experiment: experiment.epoch == 1 and experiment.name == "slow-seed1")
    with pytest.raises(KeyboardInterrupt):
        run(study, cache, events)
    assert events.notes[-1] == "to resume, run the same command again"
    assert Path("runs/tiny-slow-seed0/result.json").exists()
    assert Path("runs/tiny-slow-seed1/last.safetensors").exists()
    assert not Path("runs/tiny-slow-seed1/result.json").exists()
    run(study, cache)
    assert sorted(path.name for path in Path("runs").iterdir() if path.name.startswith("tiny-slow")) == [
        f"tiny-slow-seed{seed}" for seed in range(3)
    ]
    assert len(Path("runs/tiny-slow-seed1/history.csv").read_text().splitlines()) == 3


def test_a_run_resumes_on_another_device(study: Path, cache: Path) -> None:
    events = EventLog(lambda experiment: experiment.epoch == 1 and experiment.name == "slow-seed0")
    with pytest.raises(KeyboardInterrupt):
        run(study, cache, events, seeds=1)
    config = Path("runs/tiny-slow-seed0/config.json")
    config.write_text(config.read_text().replace('"device": "cpu"', '"device": "mps"'))
    result = run(study, cache, seeds=1)
    assert result.skipped == ()
    assert sorted(path.name for path in Path("runs").iterdir()) == ["tiny-fast-seed0", "tiny-slow-seed0"]


@pytest.mark.slow
def test_seeds_added_after_the_plan_are_marked(study: Path, cache: Path) -> None:
    run(study, cache, seeds=1)
    result = run(study, cache, seeds=2)
    assert {run.name: run.later_seeds for run in result.runs} == {"slow": (1,), "fast": (1,)}
    assert all("2 of 5 seeds" in run.cut for run in result.runs)


@pytest.mark.slow
def test_a_verdict_at_fewer_epochs_names_them(study: Path, cache: Path) -> None:
    result = run(study, cache, epochs=1)
    assert all("1 of 2 epochs" in run.cut for run in result.runs)
    finding = result.findings[0]
    assert finding.verdict != "not tested"
    assert (finding.epochs, finding.planned_epochs) == (1, 2)


@pytest.mark.slow
def test_a_changed_study_is_refused_until_it_is_amended(study: Path, cache: Path) -> None:
    run(study, cache, seeds=1)
    study.write_text(STUDY.replace("fast is better", "slow is better"), encoding="utf-8")
    with pytest.raises(GenrekitError, match="the study tiny has changed since"):
        run(study, cache, seeds=1)
    result = run(study, cache, seeds=1, amend=True)
    assert result.head is not None
    assert "The study was changed after its first run." in result.head.notes
    assert run(study, cache, seeds=1).head is not None  # it stays amended, and is not asked again


def test_another_collection_or_split_is_refused_with_the_difference(study: Path, cache: Path, tmp_path: Path) -> None:
    run(study, cache, seeds=1)
    other = two_genres(tmp_path / "other", other="c")
    with pytest.raises(GenrekitError, match=r"of another collection or split \(different genres, training tracks"):
        run(study, other, seeds=1)
    with pytest.raises(GenrekitError, match="different training tracks, validation tracks"):
        run(study, cache, seeds=1, split_seed=7)


@pytest.mark.slow
def test_folds_validate_every_track(study: Path, cache: Path) -> None:
    result = run(study, cache, seeds=1, folds=3)
    assert sorted(path.name for path in Path("runs").glob("tiny-slow*")) == [
        f"tiny-slow-seed0-fold{fold}" for fold in range(3)
    ]
    assert {run.name: run.seeds for run in result.runs} == {"slow": (0,), "fast": (0,)}
    assert result.head is not None
    assert (result.head.split, result.head.validation_tracks) == ("track, seed 0, 3 folds", 22)


@pytest.mark.slow
def test_a_study_may_declare_folds_and_splits_of_its_configurations(study: Path, cache: Path) -> None:
    text = STUDY.replace("[base]", "folds = 2\n[base]").replace("1e-4 }", '1e-4, split = "fragment" }')
    study.write_text(text, encoding="utf-8")
    result = run(study, cache, seeds=1)
    assert len(list(Path("runs").glob("tiny-*-seed0-fold*"))) == 4
    assert result.head is not None
    assert result.head.split == "fragment, seed 0, 2 folds; track, seed 0, 2 folds"
    run(study.rename("plain.toml"), cache, seeds=1, folds=0)
    assert len(list(Path("runs").glob("plain-*"))) == 2


def test_a_study_of_a_study_trains_nothing_new(study: Path, cache: Path) -> None:
    """Runs are found by their settings and data."""
    events = EventLog()
    run(study, cache, seeds=1)
    twin = study.with_name("twin.toml")
    twin.write_text(STUDY.replace('"Tiny"', '"Twin"'), encoding="utf-8")
    result = run(twin, cache, events, seeds=1)
    assert events.states == []
    assert sorted(path.name for path in Path("runs").iterdir()) == ["tiny-fast-seed0", "tiny-slow-seed0"]
    assert result.study == "twin"


@pytest.mark.parametrize("name", ["seeds", "workers", "epochs"])
def test_zero_seeds_workers_or_epochs_are_refused(name: str) -> None:
    values: dict[str, Any] = {name: 0}
    with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
        StudyOptions(**values)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_run_reported(study: Path, cache: Path, tmp_path: Path) -> None:
    study.write_text(STUDY.replace("epochs = 2", "epochs = 60"), encoding="utf-8")
    script = (
        "from genrekit.studies.plan import StudyOptions; from genrekit.studies.runner import run_study\n"
        "if __name__ == '__main__':\n"
        "    print(run_study('tiny.toml', 'cache.h5', StudyOptions(seeds=2, device='cpu', workers=2)).skipped)\n"
    )
    Path("go.py").write_text(script, encoding="utf-8")
    Path("cache.h5").symlink_to(cache)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "go.py"], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        victim = _first_worker(parent.pid)
        os.kill(victim, signal.SIGKILL)
        out, _ = parent.communicate(timeout=300)
    assert parent.returncode == 0
    assert out.count("its process ended (signal 9)") == 1
    assert len(list(Path("runs").glob("*/result.json"))) == 3


def _first_worker(parent: int) -> int:
    """The process that writes the first history."""
    for _ in range(1800):
        time.sleep(0.1)
        if list(Path("runs").glob("*/history.csv")):
            return _workers(parent)[0]
    raise AssertionError("no worker began")


def _workers(parent: int) -> list[int]:
    """The worker processes of a process."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"worker_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.slow
def test_only_selected_configurations_are_trained_and_existing_runs_of_others_are_used(
    study: Path, cache: Path
) -> None:
    first = run(study, cache, configurations=("f*",))
    assert sorted(path.name for path in Path("runs").iterdir()) == [f"tiny-fast-seed{seed}" for seed in range(3)]
    assert (first.ranking, first.absent, first.findings[0].verdict) == (("fast",), ("slow",), "not tested")
    assert first.report is not None
    assert "Without a complete seed: slow" in first.report.read_text(encoding="utf-8")
    assert "Without a complete seed: slow" in first.report.with_name("report.html").read_text(encoding="utf-8")
    second = run(study, cache, configurations=("slow",))
    assert (set(second.ranking), second.absent) == ({"slow", "fast"}, ())
    assert second.findings[0].verdict != "not tested"


@pytest.mark.slow
def test_a_seed_with_a_missing_fold_does_not_count(study: Path, cache: Path) -> None:
    run(study, cache, seeds=1, folds=2, configurations=("slow",))
    run(study, cache, seeds=1, folds=2, configurations=("fast",))
    shutil.rmtree("runs/tiny-fast-seed0-fold1")
    assert run(study, cache, seeds=1, folds=2, configurations=()).absent == ("fast",)
    shutil.rmtree("runs/tiny-slow-seed0-fold1")
    with pytest.raises(GenrekitError, match="no seed of tiny has all of its folds"):
        run(study, cache, seeds=1, folds=2, configurations=())


@pytest.mark.slow
def test_a_shared_run_is_trained_once(study: Path, cache: Path) -> None:
    study.write_text(
        STUDY.replace("fast = { lr = 1e-2 }", "fast = { lr = 1e-2 }\nslower = { lr = 1e-4 }"), encoding="utf-8"
    )
    events = EventLog()
    result = run(study, cache, events, seeds=1)
    assert events.states[0] == ("waiting", "waiting")
    assert events.states[-1] == ("finished", "finished")
    assert len(result.runs) == 3


@pytest.mark.slow
def test_a_report_alone_trains_nothing(study: Path, cache: Path) -> None:
    with pytest.raises(GenrekitError, match=r"tiny has no finished runs: train it with genrekit study run"):
        run(study, cache, configurations=())
    assert not Path("reports").exists()
    run(study, cache, seeds=1, configurations=("slow",))
    result = run(study, cache, configurations=())
    assert [(item.name, item.seeds, item.cut) for item in result.runs] == [("slow", (0,), "1 of 5 seeds")]
    assert not list(Path("runs").glob("*fast*"))


def test_an_unknown_configuration_to_train_is_refused_with_suggestions(study: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown configuration 'fats': did you mean fast\? \(choices: slow, fast\)"):
        run(study, cache, configurations=("slow", "fats"))
    assert not Path("runs").exists()


class Beside(EventLog):
    """Calls a function while the first run is trained."""

    def __init__(self, other: Callable[[], object]) -> None:
        super().__init__()
        self._other = [other]

    def runs(self, runs: Sequence[RunProgress]) -> None:
        super().runs(runs)
        if self._other and "running" in self.states[-1]:
            self._other.pop()()


@pytest.mark.slow
def test_runs_that_another_study_starts_or_finishes_meanwhile_are_reused(study: Path, cache: Path) -> None:
    study.with_name("other.toml").write_text(STUDY, encoding="utf-8")
    options = StudyOptions(seeds=1, device="cpu")

    def other() -> None:
        stopping = EventLog(lambda experiment: experiment.epoch == 1 and experiment.name == "fast-seed1")
        with pytest.raises(KeyboardInterrupt):
            run_study("other.toml", cache, replace(options, seeds=2, configurations=("fast",)), reporter=stopping)

    beside = Beside(other)
    result = run_study(str(study), cache, replace(options, seeds=2), reporter=beside)
    assert (beside.warnings, result.skipped) == ([], ())
    assert beside.states[-1] == ("finished", "finished", "finished before", "finished")
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "other-fast-seed0",
        "other-fast-seed1",
        "tiny-slow-seed0",
        "tiny-slow-seed1",
    ]


def test_running_out_of_memory_is_a_failed_run(study: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([10**15, 1])

    def fitting(*arguments: Any, **options: Any) -> FitResult:
        torch.empty(next(taken))
        return fit(*arguments, **options)

    monkeypatch.setattr("genrekit.workflows.train_fit.fit", fitting)
    events = EventLog()
    result = run(study, cache, events, seeds=1)
    assert events.warnings[0].startswith(
        "slow-seed0 failed: there was not enough memory: choose a smaller --batch-size"
    )
    assert result.ranking == ("fast",)


def test_a_full_disk_and_an_unexpected_error_are_failed_runs(
    study: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([errno.ENOSPC, 0, errno.EBADF])

    def fitting(*arguments: Any, **options: Any) -> FitResult:
        if number := next(failures):
            raise OSError(number, os.strerror(number), "last.safetensors")
        return fit(*arguments, **options)

    monkeypatch.setattr("genrekit.workflows.train_fit.fit", fitting)
    events = EventLog()
    result = run(study, cache, events, seeds=1)
    assert events.warnings[0].startswith(
        "slow-seed0 failed: cannot use last.safetensors: No space left on device; make space"
    )
    assert (result.ranking, [item.path for item in result.skipped]) == (("fast",), ["slow-seed0"])
    run(study, cache, events, seeds=1)
    assert "slow-seed0 failed: unexpected OSError: [Errno 9] Bad file descriptor: 'last.safe" in events.warnings[1]


@pytest.mark.slow
def test_an_idle_worker_that_dies_is_replaced(study: Path, cache: Path) -> None:
    """A worker of a search may wait until another trial has ended."""
    given = [
        Job(f"run{place}", {"arch": "mlp", "hidden": [4, 4], "epochs": 1, "device": "cpu"}, Path(f"run{place}"), False)
        for place in range(2)
    ]
    ended: list[int] = []

    def threads(process: int) -> int:
        """Its connection is closed when the last thread has ended, which can be after the first one."""
        return len(list(Path(f"/proc/{process}/task").iterdir()))

    class Deadly(Watcher):
        def ended(self, place: int, problem: Problem | None) -> None:
            assert problem is None
            ended.append(place)
            for child in _workers(os.getpid()):
                os.kill(child, signal.SIGKILL)
                while "Z" not in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2] or threads(child) > 1:
                    time.sleep(0.01)

    def take() -> Job | None:
        return given.pop(0) if given and len(given) == 2 - len(ended) else None

    assert train_jobs(take, Conditions(cache, None, NO_TRACKING, strict=False), workers=2, watcher=Deadly()) == {}
    assert Path("run1/result.json").exists()


def test_a_result_has_the_settings_that_were_trained(study: Path, cache: Path) -> None:
    result = run(study, cache, seeds=1, epochs=1, split_seed=4)
    for item in result.runs:
        assert (item.config["epochs"], item.config["split_seed"], item.epochs) == (1, 4, 1)
        assert not {"seed", "fold"} & set(item.config)


@pytest.mark.slow
def test_a_study_of_studies_shows_the_best_and_counts_the_ties_not_shown(study: Path, cache: Path) -> None:
    """Runs that two included studies share count once."""
    for name, archs in (("one", '"lda", "logreg"'), ("two", '"lda", "svm"')):
        Path(f"{name}.toml").write_text(f"{HEAD}[grid]\narch = [{archs}]\n", encoding="utf-8")
    hypothesis = '[[hypotheses]]\ntext = "c"\nwinner = { has = { arch = "cel" } }\n'
    study.write_text(f'{HEAD}include = ["one.toml", "two.toml"]\nbest = 1\n{hypothesis}', encoding="utf-8")
    events = EventLog()
    result = run(study, cache, events, folds=2)
    assert len(list(Path("runs").iterdir())) == len(events.states[0]) == 3 * 3 * 2
    assert len(result.runs) == len(result.ranking) == 1
    assert set(result.ties) == {"one/arch=lda", "one/arch=logreg", "two/arch=svm"}
    assert result.report is not None
    assert "2 others not shown" in result.report.read_text(encoding="utf-8")
    assert result.findings[0].verdict == "refuted"
    Path("two.toml").write_text(f'{HEAD}[grid]\narch = ["lda", "forest"]\n', encoding="utf-8")
    with pytest.raises(GenrekitError, match="the study tiny has changed"):
        run(study, cache, folds=2)


@pytest.mark.slow
def test_a_split_that_the_file_sets_for_all_configurations_is_refused(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("[base]", "[base]\nsplit = 'track'"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"sets split of every configuration \(track\); leave the option out"):
        run(study, cache, split="fault-filtered")
    run(study, cache, seeds=1, split_seed=1)
    with pytest.raises(GenrekitError, match="of another collection or split"):
        run(study, cache, seeds=1)


@pytest.mark.slow
def test_another_seed_of_the_study_s_splits_is_refused(study: Path, cache: Path) -> None:
    axes = "[base]\narch = 'lda'\n[axes.split]\nfragment = { split = 'fragment' }\ntrack = { split = 'track' }\n"
    study.write_text(f"{HEAD}folds = 2\n{axes}", encoding="utf-8")
    run(study, cache, seeds=1)
    with pytest.raises(GenrekitError, match="splits of configurations"):
        run(study, cache, seeds=1, split_seed=1)


def test_an_included_file_may_change_while_runs_are_trained(study: Path, cache: Path) -> None:
    inner = study.rename("inner.toml")
    study.write_text(f'{HEAD}include = ["inner.toml"]\n', encoding="utf-8")

    def write() -> None:
        inner.write_text("no study", encoding="utf-8")

    assert len(run(study, cache, Beside(write), seeds=1).ranking) == 2


def test_a_file_that_cannot_be_opened_is_not_damage(study: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(study, cache, seeds=1)
    opened = open

    def failing(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path).endswith("answers.safetensors"):
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", failing)
    with pytest.raises(OSError, match="Too many open files"):
        run(study, cache, seeds=1)
    monkeypatch.undo()
    monkeypatch.chdir(study.parent)
    assert len(run(study, cache, seeds=1).ranking) == 2
    assert len(list(Path("runs").iterdir())) == 2


def test_another_split_is_refused_although_the_first_configuration_sets_its_own(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("slow = {", "slow = { split = 'track', split_seed = 0,"), encoding="utf-8")
    run(study, cache, seeds=1)
    with pytest.raises(GenrekitError, match="of another collection or split"):
        run(study, cache, seeds=1, split_seed=1)


@pytest.mark.slow
def test_a_folder_of_a_search_is_refused(study: Path, cache: Path) -> None:
    run(study, cache, seeds=1)
    plan = Path("reports/tiny/plan.json")
    plan.write_text(plan.read_text().replace('"study"', '"search"'))
    with pytest.raises(
        GenrekitError, match="belongs to a search; rename the file, or choose another folder with --reports"
    ):
        run(study, cache, seeds=1)
