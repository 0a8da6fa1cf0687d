"""The command line sets how malloc keeps memory. The Python API leaves it to the program that uses it."""

import shutil
from pathlib import Path

import pytest
from tiny_cache import PLAIN
from tiny_cli import SMALL, CommandLine

import genrekit as library

NETWORK = {"arch": "mlp", "hidden": (4, 4), "epochs": 1, "device": "cpu"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | int, ...]]:
    """The calls of the C library's allocator in this process."""
    made: list[tuple[str | int, ...]] = []
    monkeypatch.setattr("genrekit.io.memory._call", lambda *values: made.append(values))
    return made


def test_the_python_api_changes_no_setting_of_the_allocator(here: Path, calls: list[tuple[str | int, ...]]) -> None:
    library.prepare("data", PLAIN, out="new.h5", workers=1)
    run = library.train("data/cache.h5", NETWORK, out="runs/new")
    library.evaluate(run.bundle, "data/cache.h5")
    library.predict("data/jazz/jazz-0.wav", run.bundle)
    assert calls == []


def test_commands_with_networks_keep_all_memory_until_they_end(
    here: Path, genrekit: CommandLine, calls: list[tuple[str | int, ...]]
) -> None:
    for command in (
        ("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--out", "runs/new"),
        ("evaluate", "runs/new/best"),
        ("predict", "data/jazz/jazz-0.wav", "--model", "runs/new/best"),
    ):
        assert genrekit(*command, "--quiet").code == 0
        assert calls[:2] == [("mallopt", -4, 0), ("mallopt", -1, -1)]
        assert calls[2:] == [
            ("mallopt", -4, 65_536),
            ("mallopt", -1, 32 << 20),
            ("mallopt", -3, 32 << 20),
            ("malloc_trim", 0),
        ]
        calls.clear()


def test_prepare_keeps_the_memory_of_small_arrays(
    here: Path, genrekit: CommandLine, calls: list[tuple[str | int, ...]]
) -> None:
    shutil.rmtree("data/metal")
    assert genrekit("prepare", *SMALL, "--out", "new.h5", "--workers", "1", "--quiet").code == 0
    assert calls == [("mallopt", -1, 32 << 20), ("mallopt", -3, 32 << 20)]
