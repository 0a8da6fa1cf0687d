"""Several processes train a model as one process does. They are started by torchrun, with gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_cache import AUGMENTED, build
from tiny_cli import CommandLine
from tiny_hosts import children
from tiny_music import write_collection
from torch import nn
from train_in_ranks import RUNS, figures, stop_after_two, train

from genrekit.errors import GenrekitError
from genrekit.training.ranks import ALONE, CurrentBatch, Ranks, has_other_buffers, share_layers
from genrekit.workflows import train as workflow

TESTS = Path(__file__).resolve().parents[1]
TRAIN = ["train", "--arch", "cel", "--channels", "8,8", "--epochs", "3", "--batch-size", "8", "--wandb", "off"]


OTHER_HAS_ENDED = (
    "genrekit: another process of this run has ended, or its host has not answered for 60 s, so this one stops too; "
    "read the message of that process"
)


def torchrun(*arguments: str, folder: Path, size: int = 2) -> subprocess.Popen[str]:
    """Start processes, in a new session."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "training")))
    return subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], timeout_s: float = 240) -> tuple[int, str, str]:
    """Wait for the end; return the exit code and both outputs."""
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def in_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the results of train_in_ranks.py."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.raises(KeyboardInterrupt):
        train("augmented", checkpoint=folder / "resume.safetensors", on_epoch=stop_after_two)
    script = str(TESTS / "training" / "train_in_ranks.py")
    code, _, errors = finished(torchrun(script, str(folder), folder=folder))
    assert code == 0, errors
    return folder


@pytest.fixture
def music_cache(tmp_path: Path) -> Path:
    folder = write_collection(tmp_path / "music", {"blues": 4, "rock": 4}, duration_s=1.1, sample_rate=8_000)
    build(folder, tmp_path / "cache.h5", AUGMENTED)
    return tmp_path / "cache.h5"


def assert_equal_weights(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=f"{name} differs")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_get_the_weights_and_figures_of_one_process(name: str, in_two_ranks: Path) -> None:
    weights, result = train(name)
    assert_equal_weights(load_file(in_two_ranks / f"{name}.safetensors"), weights)
    histories = json.loads((in_two_ranks / "histories.json").read_text())[name]
    for epoch, expected in zip(histories, figures(result), strict=True):
        assert epoch == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_a_training_of_one_process_can_be_resumed_with_two_ranks(in_two_ranks: Path) -> None:
    weights, _ = train("augmented")
    assert_equal_weights(load_file(in_two_ranks / "resumed.safetensors"), weights)


@pytest.mark.slow
def test_the_command_writes_one_run_and_prints_one_result(music_cache: Path, genrekit: CommandLine) -> None:
    folder = music_cache.parent
    options = ["--cache", str(music_cache), "--best-models", str(folder / "best"), "--json"]
    process = torchrun("-m", "genrekit", *TRAIN, *options, folder=folder)
    code, output, errors = finished(process)
    assert code == 0, errors
    assert "Warning" not in errors
    result = json.loads(output)
    (run,) = (folder / "runs").iterdir()
    assert result["run"] == f"runs/{run.name}"
    assert len(list((folder / "best").glob("cel*"))) == 1
    alone = genrekit(*TRAIN, *options[:2], "--out", str(folder / "alone"), "--json").json
    assert result["validation"] == pytest.approx(alone["validation"], rel=1e-4)
    both = [(run / "history.csv").read_text().count("\n") for run in (run, folder / "alone")]
    assert both == [4, 4]


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_with_one_line(music_cache: Path) -> None:
    folder = music_cache.parent
    long = [*TRAIN, "--epochs", "100000", "--cache", str(music_cache), "--out", "run", "--quiet"]
    process = torchrun("-m", "genrekit", *long, folder=folder)
    give_up = time.monotonic() + 200
    while not (folder / "run" / "last.safetensors").exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    workers = [pid for pid in children(process.pid) if "RANK=1" in environment(pid)]
    os.kill(workers[0], signal.SIGKILL)
    code, _, errors = finished(process)
    lines = [line for line in errors.splitlines() if line.startswith("genrekit: ")]
    assert code != 0
    assert lines in (
        [OTHER_HAS_ENDED],
        ["genrekit: terminated"],  # if torchrun was faster
    )
    assert "Error" not in "".join(line for line in errors.splitlines() if line.startswith("[rank0]"))


@pytest.mark.slow
def test_a_rank_that_computes_for_long_is_waited_for(tmp_path: Path) -> None:
    """Only a host that cannot be reached ends the others; one that answers may take its time."""
    code, _, errors = finished(torchrun(str(TESTS / "training" / "late_ranks.py"), folder=tmp_path))
    assert code == 0, errors


def environment(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def test_other_commands_are_refused(genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    result = genrekit("prepare")
    assert result.code == 2
    assert "torchrun is for genrekit train: run genrekit prepare without it" in result.err


def test_a_classical_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Ranks, "from_first", lambda _ranks, value: value)
    with pytest.raises(GenrekitError, match="lda is fitted by one process: train it without torchrun"):
        workflow._begin({"arch": "lda"}, tmp_path / "run", tmp_path, resume=False, ranks=Ranks(0, 2))


def test_buffers_are_sent_only_if_a_layer_may_have_others_in_each_rank() -> None:
    """Statistics of genrekit's batch norm are those of the whole batch; torch's instance norm sees its own share."""
    model = nn.Sequential(nn.Conv1d(2, 2, 1), nn.BatchNorm1d(2), nn.Dropout())
    share_layers(model, CurrentBatch(ALONE), ALONE)
    assert not has_other_buffers(model)
    model.append(nn.InstanceNorm1d(2, track_running_stats=True))
    assert has_other_buffers(model)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 16, 33])
def test_each_fragment_belongs_to_one_rank(size: int, count: int) -> None:
    shares = [list(range(count))[Ranks(rank, size).share(count)] for rank in range(size)]
    assert [fragment for share in shares for fragment in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
