"""How the runs of a cluster are submitted, tried again and ended, with tasks that a test answers itself."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from genrekit.config import TrainConfig
from genrekit.engines.dask_engine import DaskEngine
from genrekit.engines.live_tasks import Ended, Message, TaskGivenUpError
from genrekit.errors import GenrekitError
from genrekit.io.files import write_json
from genrekit.metrics.epochs import Epoch
from genrekit.studies.cluster_pool import train_on_cluster, wait_until_seen
from genrekit.studies.cluster_worker import TrainTask, resumed
from genrekit.studies.worker_pool import Conditions, Job, Problem, Stopped, Watcher
from genrekit.training.tracking import NO_TRACKING
from genrekit.workflows.run_records import RUN_FORMAT_VERSION

FULL = Problem("the disk is full", of_surroundings=True)
NAN = Problem("the loss is NaN")
EPOCH = Epoch(1, 0.01, 2.3, 0.1, 2.3, 0.1, 0.1, 1.5)

Script = Mapping[int, list[list[Any]]]
"""For each task, what it sends and how it ends, each time that it is submitted."""


class Tasks:
    """Tasks that follow a script. The engine of a cluster in which they run."""

    def __init__(self, script: Script) -> None:
        self._script = {task: deque(tries) for task, tries in script.items()}
        self._events: deque[Message | Ended] = deque()
        self._in_flight: set[int] = set()
        self.submitted: list[tuple[int, TrainTask]] = []
        self.answers: list[bool] = []
        self.most = 0

    @contextmanager
    def live_tasks(self, _resources: Mapping[str, float]) -> Iterator[Tasks]:
        yield self

    def __len__(self) -> int:
        return len(self._in_flight)

    def submit(self, task: int, _function: Callable[..., Any], item: TrainTask) -> None:
        self._in_flight.add(task)
        self.most = max(self.most, len(self))
        self.submitted.append((task, item))
        for event in self._script[task].popleft():
            ended = isinstance(event, (Problem, BaseException)) or event is None
            self._events.append(
                Message(task, event, "reply" if event[0] == "epoch" and item.asks else "")
                if not ended
                else Ended(task, error=event)
                if isinstance(event, BaseException)
                else Ended(task, event)
            )

    def next_event(self) -> Message | Ended | None:
        event = self._events.popleft()
        if isinstance(event, Ended):
            self._in_flight.remove(event.task)
        return event

    def answer(self, _message: Message, value: bool) -> None:
        self.answers.append(value)


class Log(Watcher):
    """Keeps what happened to jobs."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.problems: dict[int, Problem | None] = {}

    def started(self, job: int) -> None:
        self.events.append(("started", job))

    def epoch(self, job: int, epoch: Epoch) -> None:
        self.events.append(("epoch", job))

    def retried(self, job: int, problem: Problem) -> None:
        self.events.append(("retried", job))

    def ended(self, job: int, problem: Problem | None) -> None:
        self.events.append(("ended", job))
        self.problems[job] = problem


@pytest.fixture(autouse=True)
def _finished_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        Path("runs", str(number)).mkdir(parents=True)
        Path("runs", str(number), "result.json").touch()


def train(tasks: Tasks, watcher: Watcher, jobs: int, most: int = 2) -> dict[str, str]:
    waiting = iter([Job(f"run{number}", {}, Path("runs", str(number)), False) for number in range(jobs)])
    return train_on_cluster(
        lambda: next(waiting, None),
        Conditions(Path("cache.h5"), None, NO_TRACKING, False),
        cast(DaskEngine, tasks),
        limit=lambda: most,
        resources={},
        watcher=watcher,
    )


def test_workers_get_absolute_paths_and_only_as_many_runs_as_they_have_room_for(tmp_path: Path) -> None:
    tasks, log = Tasks({number: [[("started", None), ("epoch", EPOCH), None]] for number in range(3)}), Log()
    assert train(tasks, log, 3) == {}
    assert tasks.most == 2
    assert [item.job.run for _, item in tasks.submitted] == [tmp_path / "runs" / str(number) for number in range(3)]
    assert tasks.submitted[0][1].conditions.cache == tmp_path / "cache.h5"
    assert log.problems == dict.fromkeys(range(3))
    assert tasks.answers == []  # nothing can stop these runs, so they do not wait


def test_a_run_that_fails_because_of_its_surroundings_is_tried_three_times() -> None:
    tasks, log = Tasks({0: [[("started", None), FULL]] * 3, 1: [[("started", None), FULL], [None]]}), Log()
    assert train(tasks, log, 2) == {"run0": "the disk is full"}
    assert [task for task, _ in tasks.submitted] == [0, 1, 0, 1, 0]
    assert log.events.count(("retried", 0)) == 2
    assert log.events.count(("started", 0)) == 1
    assert log.problems == {0: FULL, 1: None}


@pytest.mark.parametrize(
    ("end", "text"),
    [
        pytest.param(NAN, "the loss is NaN", id="own fault"),
        pytest.param(
            TaskGivenUpError(4), "4 workers died while running it, possibly because memory ran out", id="dead"
        ),
        pytest.param(ZeroDivisionError("nothing"), "unexpected ZeroDivisionError: nothing", id="bug"),
    ],
)
def test_another_failure_ends_only_its_run(end: Problem | BaseException, text: str) -> None:
    if isinstance(end, ZeroDivisionError):
        try:
            raise end
        except ZeroDivisionError as error:
            end = error
    tasks, log = Tasks({0: [[end]], 1: [[None]]}), Log()
    problems = train(tasks, log, 2)
    assert problems.keys() == {"run0"}
    assert problems["run0"].startswith(text)
    assert log.problems[1] is None


def test_an_unexpected_error_of_a_full_disk_is_tried_again() -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        tasks = Tasks({0: [[error], [None]]})
    assert train(tasks, Log(), 1) == {}


def test_another_version_ends_the_command() -> None:
    with pytest.raises(GenrekitError, match="another version"):
        train(Tasks({0: [[GenrekitError("another version")]]}), Log(), 1)


def test_a_watcher_stops_a_run_after_an_epoch() -> None:
    class Stops(Log):
        stops_runs = True

        def epoch(self, job: int, epoch: Epoch) -> None:
            super().epoch(job, epoch)
            if job:
                raise Stopped

    Path("runs/1/result.json").unlink()  # a stopped run has no result
    for number in range(2):
        Path("runs", str(number), "history.csv").touch()
    tasks, log = Tasks({number: [[("epoch", EPOCH), None]] for number in range(2)}), Stops()
    assert train(tasks, log, 2) == {}
    assert tasks.answers == [True, False]
    assert log.problems == {0: None, 1: None}


def test_a_file_that_another_host_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "late" / "result.json"

    def write() -> None:
        path.parent.mkdir()
        path.touch()

    timer = threading.Timer(0.2, write)
    timer.start()
    wait_until_seen(path)
    assert path.exists()
    timer.join()


@pytest.mark.parametrize(
    ("stored", "resumes"),
    [
        pytest.param({"lr": 0.01}, True, id="same"),
        pytest.param({"lr": 0.02}, False, id="another run"),
        pytest.param({"lr": 0.01, "channels": [4]}, True, id="channels that fit"),
        pytest.param({"lr": 0.01, "device": "cpu"}, True, id="another device"),
        pytest.param(None, False, id="damaged"),
    ],
)
def test_a_run_that_an_earlier_worker_has_started_resumes(stored: dict[str, Any] | None, resumes: bool) -> None:
    run = Path("runs/started")
    wanted = TrainConfig.of({"arch": "cel", "lr": 0.01, "device": "cuda"})
    job = Job("started", wanted.model_dump(mode="json"), run, False)
    assert resumed(job) == job
    run.mkdir()
    values = {**wanted.model_dump(mode="json"), **(stored or {})}
    write_json(run / "config.json", {"format_version": RUN_FORMAT_VERSION, "data": {}, **values})
    if stored is None:
        (run / "config.json").write_text("{")
    after = resumed(job)
    assert after.resume == resumes
    if resumes:
        assert after.values == {"device": "cuda"}
