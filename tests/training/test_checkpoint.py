"""A checkpoint is restored exactly and replaced atomically. Other files are refused, and no code in them is run."""

import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from genrekit.errors import GenrekitError
from genrekit.training.checkpoint import FORMAT_VERSION, Checkpoint, load_checkpoint, previous_path, save_checkpoint


def example(epoch: int = 1) -> Checkpoint:
    """Return a checkpoint with every kind of content."""
    weight = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(epoch))
    return Checkpoint(
        model={"conv.weight": weight.to(memory_format=torch.channels_last), "norm.count": torch.tensor(epoch)},
        best={"conv.weight": -weight, "norm.count": torch.tensor(0)},
        optimizer={
            "state": {0: {"step": torch.tensor(2.0), "exp_avg": weight / 3}, 11: {"momentum_buffer": weight.double()}},
            "param_groups": [{"lr": 0.1 + 0.2, "betas": [0.9, 0.999], "foreach": None, "params": [0, 11]}],
        },
        progress={"history": [{"epoch": epoch, "validation_loss": 1 / 3}], "schedule": {"best": float("inf")}},
        average={"conv.weight": weight / 7},
        answers={"right": torch.tensor([[True, False]] * epoch), "loss": torch.tensor([[1 / 3, 2.0]] * epoch)},
    )


def assert_equal(first: Checkpoint, second: Checkpoint) -> None:
    for part in ("model", "best", "average", "answers"):
        left, right = getattr(first, part), getattr(second, part)
        assert left.keys() == right.keys()
        for name, tensor in left.items():
            assert torch.equal(tensor, right[name])
            assert tensor.dtype == right[name].dtype
    slots, others = first.optimizer["state"], second.optimizer["state"]
    assert {slot: sorted(values) for slot, values in slots.items()} == {s: sorted(v) for s, v in others.items()}
    for slot, values in slots.items():
        for name, tensor in values.items():
            assert torch.equal(tensor, others[slot][name])
            assert tensor.dtype == others[slot][name].dtype
    assert first.optimizer["param_groups"] == second.optimizer["param_groups"]
    assert first.progress == second.progress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a checkpoint of the first epoch."""
    path = tmp_path / "run" / "last.safetensors"
    save_checkpoint(path, example(1))
    return path


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def test_a_checkpoint_is_restored_exactly(path: Path) -> None:
    assert_equal(load_checkpoint(path), example(1))


def test_a_checkpoint_without_a_state_of_the_optimizer_is_restored(tmp_path: Path) -> None:
    bare = Checkpoint({"w": torch.ones(1)}, {}, {"state": {}, "param_groups": [{"params": [0]}]}, {})
    save_checkpoint(tmp_path / "last.safetensors", bare)
    assert_equal(load_checkpoint(tmp_path / "last.safetensors"), bare)


def test_the_previous_checkpoint_is_kept_and_older_ones_are_not(path: Path) -> None:
    for epoch in (2, 3):
        save_checkpoint(path, example(epoch))
    assert_equal(load_checkpoint(path), example(3))
    assert_equal(load_checkpoint(previous_path(path)), example(2))
    assert names(path) == ["last.safetensors", "previous-last.safetensors"]


def test_the_previous_checkpoint_is_kept_on_a_file_system_without_links(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for epoch in (2, 3):
        save_checkpoint(path, example(epoch))
    assert_equal(load_checkpoint(path), example(3))
    assert_equal(load_checkpoint(previous_path(path)), example(2))


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_an_error_of_one_line_and_the_old_checkpoint_is_unchanged(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(GenrekitError, match=r"cannot write .*: No space left on device; .* resume"):
            save_checkpoint(path, example(2))
    assert_equal(load_checkpoint(path), example(1))
    assert not [name for name in names(path) if name.endswith(".tmp")]
    save_checkpoint(path, example(2))
    assert_equal(load_checkpoint(path), example(2))


def test_a_disk_that_fills_up_while_tensors_are_written_is_an_error(path: Path) -> None:
    resource = pytest.importorskip("resource", reason="no limits of a process on this system")
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), names(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(GenrekitError, match=r"cannot write .*last\.safetensors: File too large; .* resume"):
            save_checkpoint(path, example(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_equal(load_checkpoint(path), example(1))
    assert names(path) == before


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
def test_an_interrupt_while_writing_does_not_change_the_old_checkpoint(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, example(2))
    assert_equal(load_checkpoint(path), example(1))
    assert not [name for name in names(path) if name.endswith(".tmp")]


def test_a_missing_checkpoint_says_that_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match=r"no checkpoint at .*last\.safetensors: .* start a new run"):
        load_checkpoint(tmp_path / "last.safetensors")


def rewritten(**changes: Any) -> Callable[[bytes], bytes]:
    """Return a complete safetensors file with other metadata; a key whose value is None is left out."""

    def rewrite(data: bytes) -> bytes:
        metadata = {"format_version": FORMAT_VERSION, "groups": [], "progress": {}, **changes}
        kept = {key: value for key, value in metadata.items() if value is not None}
        return save({"model.w": torch.ones(2)}, {"genrekit": json.dumps(kept)})

    return rewrite


DAMAGES: list[Any] = [
    pytest.param(lambda data: b"", id="empty"),
    pytest.param(lambda data: data[:4], id="half-a-length"),
    pytest.param(lambda data: data[:200], id="half-a-header"),
    pytest.param(lambda data: data[:-1], id="a-byte-short"),
    pytest.param(lambda data: data + b"\0", id="a-byte-long"),
    pytest.param(lambda data: b"\xff" * 8 + data[8:], id="endless-header"),
    pytest.param(lambda data: b"this is no checkpoint\n", id="text"),
    pytest.param(lambda data: pickle.dumps({"model": {}}), id="pickle"),
    pytest.param(lambda data: save({"w": torch.ones(2)}), id="tensors-alone"),
    pytest.param(lambda data: save({"w": torch.ones(2)}, {"genrekit": "{"}), id="half-the-metadata"),
    pytest.param(lambda data: save({"w": torch.ones(2)}, {"genrekit": "[]"}), id="metadata-a-list"),
    pytest.param(lambda data: save({"optimizer.x.w": torch.ones(2)}, {"genrekit": "{}"}), id="metadata-empty"),
    pytest.param(rewritten(progress=None), id="no-progress"),
    pytest.param(rewritten(groups=None), id="no-groups"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_the_error_names_the_previous_one(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    save_checkpoint(path, example(2))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        GenrekitError, match=r"is damaged \(.*\): replace it by previous-last.safetensors to resume"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    shutil.move(previous_path(path), path)
    assert_equal(load_checkpoint(path), example(1))


def test_the_error_for_the_only_checkpoint_does_not_name_another(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GenrekitError, match=r"is damaged \(.*\): start a new run"):
        load_checkpoint(path)


@pytest.mark.parametrize("version", [1, 99])
def test_another_format_version_is_refused_with_the_remedy(path: Path, version: int) -> None:
    path.write_bytes(rewritten(format_version=version)(b""))
    says = f"has checkpoint format {version}, but this version reads {FORMAT_VERSION}: start a new run"
    with pytest.raises(GenrekitError, match=says):
        load_checkpoint(path)


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_in_place_of_a_checkpoint_is_not_run(path: Path, write: Callable[[Any, Path], None]) -> None:
    mark = path.with_name("ran")
    write(Bomb(mark), path)
    with pytest.raises(GenrekitError, match="is damaged"):
        load_checkpoint(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()
