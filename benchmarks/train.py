"""What a training costs beside the work that cannot be avoided: its steps' overhead, its start, its data, its memory.

Usage: python benchmarks/train.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN; where it has too few tracks, slower and quieter
versions of them are made in a temporary folder (TMPDIR says where; it needs 5 GB). Prints one table: what, ours, the
peer's or the most that is allowed, their ratio (median of the repeats, and the range), the bar, met or missed. Every
process has one thread for its libraries.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from batches import against_decoding
from measuring import Bench, Row, Sample, run_table, seconds
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from genrekit.config import PrepareConfig, TrainConfig
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.loader import FragmentSource, Select, TrainingBatches
from genrekit.io.memory import all_arrays_kept
from genrekit.models import build_model
from genrekit.training import trainer
from genrekit.training.checkpoint import Checkpoint, save_checkpoint
from genrekit.training.footprint import measure
from genrekit.training.loop import fit
from genrekit.training.optimizers import make_optimizer

FEW, MANY = 250, 1_000
"""Tracks of the small and the large cache; a track of 30 s has six fragments."""

OPTIONS = ("--device", "cpu", "--wandb", "off", "--epochs", "1", "--quiet")

SMALL = ("--arch", "mlp", "--hidden", "16,16")
"""A model that takes next to nothing."""

FIRST_STEP = """
import os, sys
from genrekit.cli.app import run
from genrekit.training.trainer import Trainer

Trainer._step = lambda *_: os._exit(0)
sys.exit(run(sys.argv[1:]) or 1)
"""
"""A training that ends where its first step would begin."""

PLAIN = """
import statistics, sys, time
import torch
from torch.nn.functional import cross_entropy
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.models import build_model

config, front_end, steps = TrainConfig(), PrepareConfig().front_end, int(sys.argv[1])
model = build_model(config, front_end, 10)
optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
inputs = torch.rand(config.batch_size, *front_end.shape(config.input))
targets = torch.arange(config.batch_size) % 10
taken = []
for _ in range(steps):
    started = time.perf_counter()
    optimizer.zero_grad()
    cross_entropy(model(inputs), targets).backward()
    optimizer.step()
    taken.append(time.perf_counter() - started)
print(1_000 * statistics.median(taken))
"""
"""The default network trained as one would write it down, on a batch that is ready; prints a step's milliseconds."""


def prepared(bench: Bench, count: int) -> Path:
    """The cache of so many tracks, mel spectrograms alone, made once."""
    cache = bench.scratch / f"mel-{count}.h5"
    if not cache.exists():
        folder = bench.tracks(bench.size(count))
        seconds([sys.executable, "-m", "genrekit", "prepare", folder, "--out", cache, "--store", "mel", "--quiet"])
    return cache


class Stopwatch:
    """Adds up the time of calls."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started
                self.calls += 1

        return timed

    @contextmanager
    def patched(self, owner: Any, name: str) -> Iterator[None]:
        """Time a function wherever it is called in the block."""
        with replaced(owner, name, self.around(getattr(owner, name))):
            yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let a name mean something else in the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class TimedBatches(TrainingBatches):
    """Batches that ask for the time before each of the last epoch's and after the last."""

    def __init__(self, *arguments: Any, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.clock = clock
        self.times: list[float] = []

    def train_batches(self, epoch: int, select: Select | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the epoch's batches."""
        self.times = [self.clock()]
        for batch in super().train_batches(epoch, select):
            yield batch
            self.times.append(self.clock())


def timed_batches(cache: Cache, config: TrainConfig, clock: Callable[[], float]) -> TimedBatches:
    """All tracks to train on, and one to validate on."""
    ids = [track.id for track in cache.tracks]
    sources = FragmentSource(cache, "mel", ids), FragmentSource(cache, "mel", ids[:1])
    return TimedBatches(*sources, batch_size=config.batch_size, seed=0, clock=clock)


def median_step(data: TimedBatches) -> float:
    """Milliseconds from batch to batch in the last epoch."""
    return 1_000 * statistics.median(after - before for before, after in pairwise(data.times))


def whole(bench: Bench) -> Sample:
    """Milliseconds of a whole step, the second epoch's median, against one in plain torch on a batch that is ready."""
    cache = open_cache(prepared(bench, 100))
    config = TrainConfig.of({"epochs": 2, "patience": 0, "device": "cpu", "sched": "none", "mixup": 0.0})
    data = timed_batches(cache, config, time.perf_counter)
    model = build_model(config, cache.config.front_end, len(cache.genres))
    fit(model, data, config, device=torch.device("cpu"))
    command = [sys.executable, "-c", PLAIN, str(data.steps_per_epoch)]
    plain = subprocess.run(command, check=True, capture_output=True, text=True)
    return Sample(median_step(data), float(plain.stdout))


def overhead(bench: Bench) -> Sample:
    """Milliseconds of a step outside forward, backward and optimizer, the second epoch's median; 2 are allowed."""
    cache = open_cache(prepared(bench, 100))
    config = TrainConfig.of({"epochs": 2, "patience": 0, "device": "cpu", "sched": "none", "mixup": 0.0})
    forward, backward, step = Stopwatch(), Stopwatch(), Stopwatch()
    data = timed_batches(cache, config, lambda: time.perf_counter() - forward.seconds - backward.seconds - step.seconds)
    model = build_model(config, cache.config.front_end, len(cache.genres))
    model.forward = forward.around(model.forward)

    def timed_optimizer(model: torch.nn.Module, config: TrainConfig) -> Optimizer:
        optimizer = make_optimizer(model, config)
        optimizer.step = step.around(optimizer.step)  # type: ignore[method-assign]
        return optimizer

    with backward.patched(Tensor, "backward"), replaced(trainer, "make_optimizer", timed_optimizer):
        fit(model, data, config, device=torch.device("cpu"))
    assert step.calls == backward.calls == 2 * data.steps_per_epoch
    return Sample(median_step(data), 2)


def network(_: Bench) -> Sample:
    """Milliseconds of both passes of the default network on waveforms, against its layers as one would write them."""
    front_end = PrepareConfig().front_end
    config = TrainConfig.of({"arch": "cel2", "input": "waveform", "hidden": (), "dropout": 0.2})
    layers: list[nn.Module] = [nn.Unflatten(1, (1, -1))]
    for n_in, n_out in pairwise((1, *config.block_channels)):
        layers += [nn.Conv1d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm1d(n_out), nn.MaxPool1d(2)]
        layers += [nn.LeakyReLU(), nn.Dropout1d(config.dropout)]
    width = config.block_channels[-1] * (front_end.n_samples >> len(config.block_channels))
    plain = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, 10))
    with all_arrays_kept():
        return Sample(passes(build_model(config, front_end, 10)), passes(plain))


def passes(model: nn.Module) -> float:
    """Median milliseconds of a forward and a backward pass of a batch of eight 5-second waveforms."""
    inputs, taken = torch.rand(8, PrepareConfig().front_end.n_samples), []
    for _ in range(7):
        started = time.perf_counter()
        cross_entropy(model(inputs), torch.arange(8)).backward()
        taken.append(time.perf_counter() - started)
    return 1_000 * statistics.median(taken)


def checkpoint(bench: Bench) -> Sample:
    """Seconds to write what resuming a perceptron on waveforms needs, against torch.save of the same."""
    model = nn.Sequential(nn.Linear(PrepareConfig().front_end.n_samples, 256), nn.Linear(256, 10))
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    slots = {index: {name: torch.rand_like(tensor)} for index, (name, tensor) in enumerate(weights.items())}
    state = Checkpoint(weights, {}, {"state": slots, "param_groups": []}, {})
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        ours = least(lambda: save_checkpoint(Path(folder, "ours.safetensors"), state))
        return Sample(ours, least(lambda: synced(state, Path(folder, "peer.pt"))))


def least(work: Callable[[], None]) -> float:
    """The least seconds of five calls."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def synced(state: Checkpoint, path: Path) -> None:
    """Save with torch, as safely as a checkpoint is: beside the old file, on the disk, then in its place."""
    with open(path.with_suffix(".new"), "wb") as file:
        torch.save((state.model, state.optimizer), file)
        file.flush()
        os.fsync(file.fileno())
    path.with_suffix(".new").replace(path)


def start(bench: Bench) -> Sample:
    """Seconds from the command to its first step, above those of importing torch; 2 are allowed."""
    cache = prepared(bench, MANY)
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        command = [sys.executable, "-c", FIRST_STEP, "train", "--cache", cache, "--out", f"{folder}/run", *OPTIONS]
        ours = seconds(command)
    return Sample(ours - seconds([sys.executable, "-c", "import torch"]), 2)


def memory(bench: Bench) -> Sample:
    """Peak megabytes that are no file's, training on a cache and on one of a quarter of its size."""
    many, few = (anonymous_megabytes(bench, prepared(bench, count)) for count in (MANY, FEW))
    return Sample(many, few)


def anonymous_megabytes(bench: Bench, cache: Path, options: Sequence[str] = SMALL) -> float:
    """The most anonymous memory that a training holds, looked at every 10 ms; mapped pages of the cache can go."""
    peak = 0
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        command = [sys.executable, "-m", "genrekit", "train", "--cache", str(cache), "--out", f"{folder}/run", *OPTIONS]
        command += ["--best-models", f"{folder}/best", *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            status = Path(f"/proc/{process.pid}/status")
            while process.poll() is None:
                found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("RssAnon:")]
                peak = max(peak, *map(int, found), 0)
                time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return peak / 1_024


def estimated_memory(bench: Bench) -> Sample:
    """Peak memory of the default run above that of a tiny run, in MiB without mapped files, against the estimate."""
    cache = prepared(bench, FEW)
    config = TrainConfig.of({"device": "cpu"})
    front_end = open_cache(cache).config.front_end
    said = measure(build_model(config, front_end, 10), config, front_end.shape("mel"), torch.device("cpu")).memory
    return Sample(anonymous_megabytes(bench, cache, ()) - anonymous_megabytes(bench, cache), said / 2**20)


ROWS = [
    Row("whole", "a step of 32 mel fragments against a loop in plain torch on ready ones", "ms", "at most", 1, whole),
    Row("step", "a step of 32 mel fragments but for forward, backward, optimizer", "ms", "at most", 1, overhead),
    Row(
        "network",
        "passes of the default network on 8 waveforms against its layers as written",
        "ms",
        "at most",
        0.75,
        network,
    ),
    Row("checkpoint", "a checkpoint of 230 MB against torch.save of the same", "s", "at most", 1, checkpoint),
    Row("start", "from the command to its first step on 6,000 fragments, above import torch", "s", "at most", 1, start),
    Row(
        "data",
        "data of an epoch from the cache against decoding and transforming on the fly",
        "us/fragment",
        "at most",
        0.02,
        against_decoding,
    ),
    Row("memory", "peak anonymous memory, a cache against one of a quarter", "MiB", "at most", 1.1, memory),
    Row(
        "estimated-memory",
        "peak memory of the default run against its estimate",
        "MiB",
        "at most",
        1.1,
        estimated_memory,
    ),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    run_table(str(__doc__), ROWS)
