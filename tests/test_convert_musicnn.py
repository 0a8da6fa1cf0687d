"""tools/convert_musicnn.py reads a checkpoint without TensorFlow, checks it, and keeps the network's outputs."""

import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from convert_musicnn import (
    CHECKPOINT,
    LICENSE,
    MAGIC,
    ConversionError,
    Published,
    checkpoint,
    convert,
    crc32c,
    largest_difference,
    live_channels,
    prune,
    read_checkpoint,
    table_entries,
)

from genrekit._types import FloatArray
from genrekit.models.musicnn import FRONT, Musicnn, load_musicnn

PUBLISHED_CHANNELS = (204, 204, 51, 51, 51)
DEAD_MIDDLE = (range(20, 64), range(17, 20), range(40, 41))
"""Channels of the three middle layers whose kernels are zero."""


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def masked_crc(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(entries: Mapping[bytes, bytes]) -> bytes:
    """An SSTable block with shared prefixes and one restart point, with its trailer."""
    data, previous = b"", b""
    for key, value in entries.items():
        shared = next((n for n, (a, b) in enumerate(zip(previous, key, strict=False)) if a != b), 0)
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        previous = key
    data += struct.pack("<II", 0, 1)
    return data + b"\0" + struct.pack("<I", masked_crc(data + b"\0"))


def table(entries: Mapping[bytes, bytes]) -> bytes:
    """An SSTable with one block of data and an empty meta index."""
    data, meta = block(entries), block({})
    handle = varint(0) + varint(len(data) - 5)
    index = block({max(entries): handle})
    footer = varint(len(data)) + varint(len(meta) - 5) + varint(len(data) + len(meta)) + varint(len(index) - 5)
    return data + meta + index + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def entry(shape: tuple[int, ...], offset: int, data: bytes) -> bytes:
    """A BundleEntryProto of float32."""
    sizes = b"".join(b"\x12" + varint(len(size)) + size for size in (b"\x08" + varint(length) for length in shape))
    numbers = (
        b"\x08\x01" + b"\x12" + varint(len(sizes)) + sizes + b"\x20" + varint(offset) + b"\x28" + varint(len(data))
    )
    return numbers + b"\x35" + struct.pack("<I", masked_crc(data))


def bundle(tensors: Mapping[str, FloatArray]) -> tuple[bytes, bytes]:
    """The index and the data of a checkpoint."""
    entries, data = {b"": b"\x08\x01"}, b""
    for name, tensor in sorted(tensors.items()):
        raw = tensor.astype("<f4").tobytes()
        entries[name.encode()] = entry(tensor.shape, len(data), raw)
        data += raw
    return table(entries), data


def network() -> dict[str, FloatArray]:
    """Random weights of the published shapes, in which the channels that `Musicnn` lacks have kernels of zero."""
    random = np.random.default_rng(0)
    tensors: dict[str, FloatArray] = {}

    def norm(number: int, channels: int) -> None:
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        for field, low, high in (("gamma", -1, 1), ("beta", -1, 1), ("moving_mean", 0, 2), ("moving_variance", 0.5, 2)):
            tensors[f"{name}/{field}"] = random.uniform(low, high, channels).astype(np.float32)

    def layer(name: str, *shape: int, dead: Sequence[int] = ()) -> None:
        kernel = random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)
        kernel[..., np.array(dead, int)] *= 1e-20
        tensors[f"{name}/kernel"] = kernel
        tensors[f"{name}/bias"] = random.normal(0, 1, shape[-1]).astype(np.float32)

    norm(0, 1)
    for number, (channels, (live, frames, bands)) in enumerate(zip(PUBLISHED_CHANNELS, FRONT, strict=True)):
        dead = random.permutation(channels)[live:].tolist()
        layer(f"conv2d_{number}" if number else "conv2d", frames, bands, 1, channels, dead=dead)
        norm(number + 1, channels)
    for number, inputs in enumerate((561, 64, 64)):
        layer(f"conv2d_{5 + number}", 7, inputs, 1, 64, dead=DEAD_MIDDLE[number])
        norm(6 + number, 64)
    norm(9, 1506)
    layer("dense", 1506, 200)
    norm(10, 200)
    layer("dense_1", 200, 50)
    return tensors


@pytest.fixture(scope="module")
def published() -> Published:
    return Published({name: torch.from_numpy(tensor) for name, tensor in network().items()})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / "musicnn-0.1.0-py3-none-any.whl"
    index, data = bundle(
        {**network(), "conv2d/bias/Adam": np.ones(3, np.float32), "beta1_power": np.ones((), np.float32)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{CHECKPOINT}/.index", index)
        archive.writestr(f"{CHECKPOINT}/.data-00000-of-00001", data)
        archive.writestr(LICENSE, "ISC")
    return path


SMALL = {"a/bias": np.arange(3, dtype=np.float32), "a/kernel": np.ones((2, 2), np.float32), "b": np.ones(1, np.float32)}


def test_a_table_gives_back_its_keys_and_values() -> None:
    entries = {b"": b"header", b"conv/bias": b"1", b"conv/kernel": b"", b"dense": b"x" * 300}
    assert dict(table_entries(table(entries))) == entries


def test_tensors_are_read_and_the_state_of_the_optimizer_is_skipped() -> None:
    extra = {"a/kernel/Adam": np.ones((2, 2), np.float32), "beta2_power": np.ones((), np.float32)}
    tensors, skipped = read_checkpoint(*bundle({**SMALL, **extra}))
    assert skipped == sorted(extra)
    assert tensors.keys() == SMALL.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, SMALL[name])


def flip_data(index: bytes, data: bytes) -> tuple[bytes, bytes]:
    return index, data[:5] + bytes([data[5] ^ 1]) + data[6:]


def flip_index(index: bytes, data: bytes) -> tuple[bytes, bytes]:
    return index[:9] + bytes([index[9] ^ 1]) + index[10:], data


def compress(index: bytes, data: bytes) -> tuple[bytes, bytes]:
    end = index.index(struct.pack("<II", 0, 1)) + 8
    return index[:end] + b"\1" + index[end + 1 :], data


def cut(index: bytes, data: bytes) -> tuple[bytes, bytes]:
    return index[:-1], data


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_data, r"a/bias: the CRC-32C is .* download the wheel again"),
        (flip_index, r"index block at byte 0: the CRC-32C is"),
        (compress, r"index block at byte 0 is compressed \(type 1\)"),
        (cut, r"not an SSTable"),
    ],
)
def test_a_damaged_checkpoint_is_refused(damage: Callable[[bytes, bytes], tuple[bytes, bytes]], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        read_checkpoint(*damage(*bundle(SMALL)))


def test_the_network_without_constant_channels_has_the_same_outputs(published: Published) -> None:
    pruned = Musicnn()
    pruned.load_state_dict(prune(published))
    assert int(live_channels(published).sum()) == len(pruned.pooled)
    assert largest_difference(published, pruned.eval().requires_grad_(False)) < 1e-5


@pytest.mark.slow
def test_a_wheel_always_gives_the_same_file_and_its_license(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    convert(wheel, first)
    convert(wheel, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".LICENSE.md").read_text() == "ISC"
    assert "skipped 2 tensors of the optimizer: beta1_power, conv2d/bias/Adam\n" in capsys.readouterr().out
    assert largest_difference(Published(read_checkpoint(*checkpoint(wheel))[0]), load_musicnn(first)) < 1e-5
