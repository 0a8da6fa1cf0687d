"""study run --shard: shares of a study that are trained in any order, at the same time, and after signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_workflow import STUDY, EventLog, two_genres

from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.shards import ShardNumber
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import exclusive_lock
from genrekit.studies import shard_runner
from genrekit.studies.plan import StudyOptions, plan_experiments
from genrekit.studies.preview import plan_study
from genrekit.studies.runner import run_study
from genrekit.studies.shard_runner import StudyShard, run_shard, share_of
from genrekit.studies.study_files import open_study
from genrekit.workflows.reporter import Reporter

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_genres(tmp_path_factory.mktemp("study"))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "tiny.toml"


def options(**values: Any) -> StudyOptions:
    return StudyOptions(**{"seeds": 3, "device": "cpu", **values})


def run(study: Path, cache: Path, shard: str, reporter: Reporter | None = None, **values: Any) -> StudyShard:
    return run_shard(study, cache, shard, options(**values), reporter=reporter or Reporter())


def results() -> list[str]:
    return sorted(path.parent.name for path in Path("runs").glob("*/result.json"))


def shares(study: Path, cache: Path, of: int, **values: Any) -> list[list[str]]:
    """The names of the runs in each share of a study."""
    splits = TrainedSplits(open_cache(cache))
    experiments = plan_experiments(open_study(str(study)), splits, options(**values), Path("runs"))
    return [[item.name for item in share_of(experiments, ShardNumber(number + 1, of))] for number in range(of)]


def test_shares_are_disjoint_and_do_not_depend_on_what_is_finished(study: Path, cache: Path) -> None:
    before = shares(study, cache, 4)
    assert before == [["slow-seed0", "fast-seed1"], ["slow-seed1", "fast-seed2"], ["slow-seed2"], ["fast-seed0"]]
    assert shares(study, cache, 2, configurations=("fast",)) == [["fast-seed0", "fast-seed2"], ["fast-seed1"]]
    assert [len(share) for share in shares(study, cache, 9)] == 6 * [1] + 3 * [0]
    run(study, cache, "3/4")
    assert results() == ["tiny-slow-seed2"]
    assert shares(study, cache, 4) == before


def test_configurations_with_the_same_settings_are_trained_in_one_share(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("fast = { lr = 1e-2 }", "fast = { lr = 1e-2 }\nquick = { lr = 1e-2 }"))
    names = [name for share in shares(study, cache, 3) for name in share]
    assert sorted(names) == sorted(f"{name}-seed{seed}" for name in ("slow", "fast") for seed in range(3))


@pytest.mark.slow
def test_all_shares_give_the_runs_and_the_report_of_the_whole_study(study: Path, cache: Path) -> None:
    whole = run_study(study, cache, options(), runs="whole/runs", reports="whole/reports")
    events = EventLog()
    second = run(study, cache, "2/2", events)
    assert (second.runs, second.trained, second.finished, second.skipped) == (3, 3, 0, ())
    assert len(events.states[0]) == 3
    assert sorted(path.name for path in Path("reports/tiny").iterdir() if path.name[0] != ".") == ["plan.json"]
    run(study, cache, "1/2")
    assert results() == sorted(path.name for path in Path("whole/runs").iterdir())
    again = run(study, cache, "1/2")
    assert (again.runs, again.trained, again.finished) == (3, 0, 3)
    report = run_study(study, cache, options(configurations=()))
    assert [item.track_accuracy for item in report.runs] == [item.track_accuracy for item in whole.runs]
    assert (report.ranking, report.findings, report.absent) == (whole.ranking, whole.findings, ())


def test_a_dry_run_has_the_runs_of_its_share(study: Path, cache: Path) -> None:
    plan = plan_study(str(study), cache, options(), shard="2/4")
    assert plan.missing == 2
    assert [(item.name, item.missing) for item in plan.configurations] == [("slow", 1), ("fast", 1)]
    assert plan.detectable == plan_study(str(study), cache, options()).detectable
    assert not Path("reports").exists()


def test_a_failed_run_is_named_and_the_others_are_trained(study: Path, cache: Path) -> None:
    study.write_text(STUDY.replace("1e-4", "1e30"), encoding="utf-8")
    events = EventLog()
    part = run(study, cache, "1/1", events, seeds=1)
    assert (part.runs, part.trained, [item.path for item in part.skipped]) == (2, 1, ["slow-seed0"])
    assert events.warnings[0].startswith("slow-seed0 failed: ")
    assert events.warnings[0].endswith("; run the same command to try it again")


def test_a_run_that_another_process_trains_is_named(study: Path, cache: Path) -> None:
    """So it is if one shard is started twice: the second one fails, and the first one goes on."""

    def stop(run: Any) -> bool:
        return bool(run.epoch)

    with pytest.raises(KeyboardInterrupt):
        run(study, cache, "1/2", EventLog(stop), seeds=1)
    with exclusive_lock(Path("runs/tiny-slow-seed0/.lock"), "another"):
        part = run(study, cache, "1/2", seeds=1)
    assert [item.path for item in part.skipped] == ["slow-seed0"]
    assert part.skipped[0].reason.startswith("cannot train runs/tiny-slow-seed0: process ")


def test_a_shard_does_not_wait_for_ever_for_a_process_that_runs_the_whole_study(
    study: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_runner, "_LOCK_S", 0.1)
    with (
        exclusive_lock(Path("reports/tiny/.lock"), "another"),
        pytest.raises(GenrekitError, match=r"^the study tiny: process \d+ is working on it"),
    ):
        run(study, cache, "1/2")
    assert not Path("runs").exists()


def test_an_invalid_shard_is_refused(study: Path, cache: Path) -> None:
    for text in ("0/2", "3/2", "two"):
        with pytest.raises(UsageError, match="--shard must be a number from 1/N to N/N"):
            run(study, cache, text)


def start(cache: Path, shard: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "genrekit", "study", "run", "tiny.toml", "--cache", str(cache), "--seeds", "2"]
    command += ["--device", "cpu", "--shard", shard]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_shards_at_the_same_time_train_all_runs(study: Path, cache: Path) -> None:
    processes = [start(cache, shard) for shard in ("2/2", "1/2")]
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert "2 runs, 2 trained, 0 finished before, 0 failed" in out
        last = out.splitlines()[-1]
        assert last == f"when all parts are complete: genrekit study report tiny.toml --cache {cache} --seeds 2"
    assert results() == [f"tiny-{name}-seed{seed}" for name in ("fast", "slow") for seed in (0, 1)]
    assert json.loads(Path("reports/tiny/plan.json").read_text())["seeds"] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGUSR1, 138), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=["USR1", "TERM", "KILL"],
)
def test_a_stopped_shard_resumes_from_its_checkpoint(
    study: Path, cache: Path, number: signal.Signals, code: int
) -> None:
    study.write_text(STUDY.replace("epochs = 2", "epochs = 5000"), encoding="utf-8")
    process = start(cache, "1/4")
    history = Path("runs/tiny-slow-seed0/history.csv")
    while not history.exists() or len(history.read_text().splitlines()) < 4:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == code
    assert "Traceback" not in err
    assert ("run the same command again" in err) == (number != signal.SIGKILL)
    before = len(history.read_text().splitlines()) - 1
    assert before >= 3
    events = EventLog(lambda item: item.epoch > before)
    with pytest.raises(KeyboardInterrupt):
        run(study, cache, "1/4", events, seeds=2)
    assert len(history.read_text().splitlines()) - 1 == before + 1
