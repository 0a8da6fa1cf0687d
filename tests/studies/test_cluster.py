"""Studies and searches on a dask cluster give what one machine gives, also after processes were killed.

The cluster is a scheduler and two workers in processes of their own, with their own temporary and current folders.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_cluster import REGISTERED, ROOT, TinyCluster, tiny_cluster, wait_until
from tiny_workflow import SEARCH, STUDY, EventLog, two_genres

from genrekit.config import TrainingEngineConfig
from genrekit.engines import dask_engine
from genrekit.errors import GenrekitError
from genrekit.studies import training_pool
from genrekit.studies.plan import StudyOptions
from genrekit.studies.results import StudyResult
from genrekit.studies.runner import run_study
from genrekit.studies.search_runner import run_search
from genrekit.workflows.reporter import Reporter, RunProgress
from genrekit.workflows.runs import read_history

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask"), pytest.mark.usefixtures("quick_figures")]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than on a cluster: a busy machine starts processes slowly."""
    monkeypatch.setattr(dask_engine, "ANSWER_S", 120.0)
    monkeypatch.setattr(dask_engine, "FIRST_WORKER_S", 300.0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute as the workers do: the number of threads may change the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_genres(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCluster]:
    with tiny_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "tiny.toml"


def engine(cluster: TinyCluster, **values: Any) -> TrainingEngineConfig:
    return TrainingEngineConfig(engine="dask", scheduler=cluster.address, **values)


def run(
    study: Path,
    cache: Path,
    where: TrainingEngineConfig = TrainingEngineConfig(),  # noqa: B008 - it is frozen
    reporter: Reporter | None = None,
    folder: str = ".",
    **options: Any,
) -> StudyResult:
    options = {"seeds": 1, "device": "cpu", **options}
    return run_study(
        study,
        cache,
        StudyOptions(**options),
        runs=Path(folder, "runs"),
        reports=Path(folder, "reports"),
        best_models=Path(folder, "best_models"),
        engine=where,
        reporter=reporter or Reporter(),
    )


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


class Watch(Reporter):
    """Calls a function with the states of runs, and keeps the notes and the states."""

    def __init__(self, on_runs: Callable[[Sequence[RunProgress]], None] = lambda _: None) -> None:
        self.notes: list[str] = []
        self.seen: list[tuple[RunProgress, ...]] = []
        self._on_runs = on_runs

    def note(self, text: str) -> None:
        self.notes.append(text)

    def runs(self, runs: Sequence[RunProgress]) -> None:
        self.seen.append(tuple(runs))
        self._on_runs(runs)

    def states_of(self, index: int) -> list[str]:
        """The states of a run, each once, in order."""
        return list(dict.fromkeys(runs[index].state for runs in self.seen))


def test_a_study_on_a_cluster_equals_that_of_one_machine(study: Path, cache: Path, cluster: TinyCluster) -> None:
    """Relative paths name the same folders on workers, whose current folder is another one."""
    watch = Watch()
    remote = run(study, cache, engine(cluster), watch, seeds=2)
    local = run(study, cache, folder="local", seeds=2)
    assert files("runs") == files("local/runs")
    assert files("best_models") == files("local/best_models")
    assert [item.name for item in remote.runs] == [item.name for item in local.runs]
    for ours, theirs in zip(remote.runs, local.runs, strict=True):
        assert ours.track_accuracy == theirs.track_accuracy
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert remote.findings == local.findings
    for index in range(4):
        assert watch.states_of(index) == ["waiting", "running", "finished"]
        assert {runs[index].epoch for runs in watch.seen} >= {0, 2}
    assert [note for note in watch.notes if note.startswith("up to 2 runs at a time on tcp://")]
    again = Watch()
    run(study, cache, engine(cluster), again, seeds=2)
    assert again.seen == []


def test_a_search_on_a_cluster_equals_that_of_one_machine(
    cache: Path, cluster: TinyCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run at a time, so that trials end in the same order."""
    monkeypatch.chdir(tmp_path)
    text = SEARCH.replace("trials = 5", "trials = 4").replace("finalists = 2", "finalists = 1")
    Path("tiny.toml").write_text(text.replace("\nseeds = 2", "\nseeds = 1"), encoding="utf-8")
    options = StudyOptions(device="cpu", workers=1)
    local = run_search("tiny.toml", cache, options, runs="local/runs", reports="local/reports")
    watch = Watch()
    remote = run_search("tiny.toml", cache, options, engine=engine(cluster), reporter=watch)
    assert local.search is not None
    assert remote.search is not None
    for ours, theirs in zip(remote.search.trials, local.search.trials, strict=True):
        assert (ours.state, ours.chosen) == (theirs.state, theirs.chosen)
        assert ours.curve == pytest.approx(theirs.curve, rel=1e-5)
    pruned = [trial.number for trial in remote.search.trials if trial.state == "pruned"]
    assert pruned
    for number in pruned:
        assert json.loads(Path(f"runs/tiny-trial{number}/pruned.json").read_text())["epoch"] == 2
        assert len(read_history(Path(f"runs/tiny-trial{number}/history.csv"))) == 2
    assert remote.ranking == local.ranking
    assert files("runs") == files("local/runs")


def test_a_failed_run_is_one_row_and_a_killed_one_is_tried_again(
    study: Path, cache: Path, cluster: TinyCluster
) -> None:
    text = STUDY.replace("epochs = 2", "epochs = 60").replace("lr = 1e-4", "lr = 1e30")
    study.write_text(text, encoding="utf-8")
    killed: list[int] = []

    def kill(runs: Sequence[RunProgress]) -> None:
        if not killed and runs[1].epoch >= 3 and runs[1].state == "running":
            killed.append(int(Path("runs/tiny-fast-seed0/.lock.pid").read_text()))
            os.kill(killed[0], signal.SIGKILL)

    watch = Watch(kill)
    result = run(study, cache, engine(cluster), watch)
    assert [item.path for item in result.skipped] == ["slow-seed0"]
    assert "NaN or infinite" in result.skipped[0].reason
    assert result.ranking == ("fast",)
    assert killed
    assert [note for note in watch.notes if "tried again" in note] == [
        "fast-seed0 is tried again: its process ended (signal 9), possibly because memory ran out"
    ]
    assert_resumed(watch, 1, 60)


def assert_resumed(watch: Watch, index: int, epochs: int) -> None:
    """Require that a run was continued, not repeated: the epochs never decrease, and all are there."""
    numbers = [runs[index].epoch for runs in watch.seen]
    assert numbers == sorted(numbers)
    assert len(read_history(Path("runs/tiny-fast-seed0/history.csv"))) == epochs


@pytest.mark.stress
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_a_run_of_a_lost_worker_resumes_on_another_one(
    study: Path, cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    study.write_text(STUDY.replace("epochs = 2", "epochs = 60"), encoding="utf-8")
    with tiny_cluster(tmp_path / "cluster") as cluster:
        killed: list[subprocess.Popen[bytes]] = []

        def kill(runs: Sequence[RunProgress]) -> None:
            if not killed and runs[0].epoch >= 3 and runs[0].state == "running":
                trainer = Path("runs/tiny-fast-seed0/.lock.pid").read_text()
                parent = int(Path(f"/proc/{trainer}/stat").read_text().rpartition(")")[2].split()[1])
                killed.extend(worker for worker in cluster.workers if worker.pid == parent)
                killed[0].send_signal(number)

        watch = Watch(kill)
        result = run(study, cache, engine(cluster), watch, configurations=("fast",))
        assert not result.skipped
        assert len(killed) == 1
    assert_resumed(watch, 0, 60)


@pytest.mark.stress
def test_after_a_killed_scheduler_one_line_is_printed_and_the_same_command_resumes(
    study: Path, cache: Path, tmp_path: Path
) -> None:
    study.write_text(STUDY.replace("epochs = 2", "epochs = 60"), encoding="utf-8")
    with tiny_cluster(tmp_path / "cluster") as cluster, started(cache, cluster) as process:
        wait_until(lambda: epochs_of("fast") >= 3, process)
        assert cluster.scheduler is not None
        cluster.scheduler.kill()
        _, err = process.communicate(timeout=900)
        assert process.returncode == 1
        assert "genrekit: the connection to the dask scheduler at tcp://" in err
        assert "Traceback" not in err
        wait_until(lambda: not Path("runs/tiny-fast-seed0/.lock.pid").exists() or not is_alive("fast"))
    before = epochs_of("fast")
    run(study, cache, configurations=("fast",))
    assert 3 <= before <= epochs_of("fast") == 60


@pytest.mark.stress
def test_workers_stop_training_after_a_killed_parent_and_the_same_command_resumes(
    study: Path, cache: Path, cluster: TinyCluster
) -> None:
    study.write_text(STUDY.replace("epochs = 2", "epochs = 5000"), encoding="utf-8")
    with started(cache, cluster) as process:
        wait_until(lambda: epochs_of("fast") >= 3, process)
    wait_until(lambda: not is_alive("fast"))
    before = epochs_of("fast")

    def stop(run: RunProgress) -> bool:
        return run.epoch > before

    with pytest.raises(KeyboardInterrupt):
        run(study, cache, engine(cluster), EventLog(stop), configurations=("fast",))
    wait_until(lambda: not is_alive("fast"))
    assert before < epochs_of("fast") < 5000


@contextmanager
def started(cache: Path, cluster: TinyCluster) -> Iterator[subprocess.Popen[str]]:
    """Run the study as a command, which is killed at the end of the block."""
    command = [sys.executable, "-m", "genrekit", "study", "run", "tiny.toml", "--cache", str(cache), "--seeds", "1"]
    command += ["--configurations", "fast", "--device", "cpu", "--engine", "dask", "--scheduler", cluster.address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def epochs_of(name: str) -> int:
    history = Path(f"runs/tiny-{name}-seed0/history.csv")
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def is_alive(name: str) -> bool:
    """Whether the process that holds or held the lock of a run is running."""
    holder = Path(f"runs/tiny-{name}-seed0/.lock.pid")
    return holder.exists() and Path(f"/proc/{holder.read_text()}").exists()


def test_resources_that_no_worker_has_are_named_before_anything_starts(
    study: Path, cache: Path, cluster: TinyCluster
) -> None:
    expected = (
        rf"^no worker of {cluster.address} has the resources GPU=1: start one with dask worker {cluster.address} "
        r"--resources GPU=1$"
    )
    with pytest.raises(GenrekitError, match=expected):
        run(study, cache, engine(cluster, resources="GPU=1"))
    assert not Path("runs").exists()


def test_runs_go_to_workers_with_the_resources(study: Path, cache: Path, tmp_path: Path) -> None:
    with tiny_cluster(tmp_path / "cluster", workers=1) as cluster:
        cluster.start_worker(options=("--nthreads", "2", "--resources", "GPU=1"))
        watch = Watch()
        log = tmp_path / "cluster" / "cluster.log"
        wait_until(lambda: log.read_text().count(REGISTERED) == 2, *cluster.workers)
        run(study, cache, engine(cluster, resources="GPU=1"), watch)
    assert [note for note in watch.notes if note.startswith("up to 1 run at a time")]
    assert not [runs for runs in watch.seen if [item.state for item in runs].count("running") > 1]


def test_a_folder_that_workers_do_not_see_is_named_before_anything_starts(
    study: Path, cache: Path, cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unseen:
        def __init__(self, folder: Path) -> None:
            self.path = folder / "token"

        def __enter__(self) -> Path:
            return self.path

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(training_pool, "shared_token", Unseen)
    with pytest.raises(
        GenrekitError, match=r"^worker tcp://\S+ does not see \S+/runs/token: use a folder on a file sy"
    ):
        run(study, cache, engine(cluster))
    assert not list(Path().glob("runs/*/config.json"))


def test_a_worker_with_another_version_is_refused(study: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "old" / "genrekit").mkdir(parents=True)
    (tmp_path / "old" / "genrekit" / "__init__.py").touch()
    (tmp_path / "old" / "genrekit" / "_version.py").write_text('__version__ = "0.0.9"\n')
    with tiny_cluster(tmp_path / "cluster", workers=0) as other:
        other.start_worker(tmp_path / "old")
        with pytest.raises(GenrekitError, match=r"has genrekit 0\.0\.9, but this command is genrekit \d"):
            run(study, cache, engine(other))
    assert not Path("runs").exists()
