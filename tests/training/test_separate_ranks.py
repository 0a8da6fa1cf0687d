"""Two ranks on two hosts train a model as one process does, and end if one of the hosts is cut off."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from test_ranks import OTHER_HAS_ENDED
from tiny_cache import AUGMENTED, build
from tiny_cli import CommandLine
from tiny_cluster import wait_until
from tiny_hosts import Host, finished, tiny_hosts
from tiny_music import write_collection

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosts")]

TRAIN = ["train", "--cache", "cache.h5", "--arch", "cel", "--channels", "4,8", "--batch-size", "8", "--wandb", "off"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a cache."""
    music = write_collection(tmp_path / "music", {"blues": 4, "rock": 4}, duration_s=1.1, sample_rate=8_000)
    build(music, tmp_path / "cache.h5", AUGMENTED)
    return tmp_path


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    with tiny_hosts(tmp_path / "hosts", "one", "two") as hosts:
        yield hosts


def torchrun(
    hosts: list[Host], folder: Path, *options: str, program: Sequence[str] = ("-m", "genrekit"), logs: bool = False
) -> list[subprocess.Popen[str]]:
    rendezvous = ("--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "one:29500")
    run = ("torch.distributed.run", *rendezvous, *program, *TRAIN, *options)
    return [host.python(*run, folder=folder, log=folder / host.name if logs else None) for host in hosts]


def test_two_ranks_on_two_hosts_train_like_one_process(
    folder: Path, hosts: list[Host], genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--epochs", "3", "--json", "--best-models", "best")
    (code, output, errors), other = [finished(process) for process in torchrun(hosts, folder, *options, "--out", "run")]
    assert (code, other[0]) == (0, 0), errors + other[2]
    outputs = [text for text in (output, other[1]) if text]  # either host may have the first rank
    monkeypatch.chdir(folder)
    alone = genrekit(*TRAIN, *options, "--out", "alone").json
    assert [json.loads(text)["validation"] for text in outputs] == [pytest.approx(alone["validation"], rel=1e-4)]


def test_a_host_that_is_cut_off_ends_the_ranks_of_all(folder: Path, hosts: list[Host]) -> None:
    """gloo itself would wait for half an hour."""
    program = (str(Path(__file__).with_name("soon_unreachable.py")),)
    options = ("--epochs", "100000", "--out", "run", "--quiet")
    one, two = torchrun(hosts, folder, *options, program=program, logs=True)
    wait_until((folder / "run" / "last.safetensors").exists, one, two)
    hosts[1].disconnect()
    message = OTHER_HAS_ENDED.replace(" 60 s", " 6 s")
    wait_until(lambda: all(message in (folder / host.name).read_text() for host in hosts))
    assert "Error" not in "".join(line for line in (folder / "one").read_text().splitlines() if "[rank" in line)
