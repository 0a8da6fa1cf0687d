"""What a training takes is known before it begins."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import FRONT_END, TinyData, tiny_config, tiny_model
from torch import nn
from torch.nn.functional import cross_entropy

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.models import build_model
from genrekit.training import footprint
from genrekit.training.footprint import Footprint, free_memory, measure
from genrekit.training.loop import fit

CPU = torch.device("cpu")


def measured(*, device: torch.device = CPU, **values: Any) -> Footprint:
    """The footprint of a tiny training, whose model has no content."""
    config = tiny_config(**values)
    with torch.device("meta"):
        model = tiny_model(config)
    return measure(model, config, FRONT_END.shape(config.input), device)


@pytest.mark.parametrize(("opt", "slots"), [("adam", 2), ("adamw", 2), ("sgd", 1)])
def test_sizes_of_a_model_are_known_without_its_content(opt: str, slots: int) -> None:
    found = measured(arch="mlp", hidden=(512, 256), opt=opt)
    trained = 272 * 512 + 512 + 512 * 256 + 256 + 256 * 2 + 2
    assert found.parameters == trained
    assert found.gradients == 4 * trained
    assert found.weights == 4 * (trained + 2 * 16)  # with mean and deviation of each band
    assert found.optimizer == pytest.approx(slots * 4 * trained, rel=0.001)


@pytest.mark.parametrize(("opt", "ema"), [("adam", 0.0), ("sgd", 0.0), ("sgd", 0.9)])
def test_the_checkpoint_is_as_large_as_was_said(tmp_path: Path, opt: str, ema: float) -> None:
    path = tmp_path / "last.safetensors"
    config = tiny_config(arch="mlp", hidden=(512, 256), opt=opt, ema=ema, epochs=1)
    model = tiny_model(config)
    said = measure(model, config, FRONT_END.shape("mel"), CPU).checkpoint
    fit(model, TinyData(), config, device=CPU, checkpoint=path)
    assert path.stat().st_size == pytest.approx(said, rel=0.01)


def left_for_the_backward_pass(model: nn.Module, shape: tuple[int, ...], batch_size: int) -> int:
    """Bytes that torch itself keeps of a batch between the passes, and once more the largest array of them."""
    own = {tensor.untyped_storage()._cdata for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    inputs, targets = torch.zeros(batch_size, *shape), torch.zeros(batch_size, dtype=torch.int64)
    keep(inputs)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = cross_entropy(model.train()(inputs), targets)
    del loss
    return sum(kept.values()) + max(kept.values())


@pytest.mark.parametrize(
    "values",
    [
        {"arch": "cel", "dropout": 0.2},
        {"arch": "cel2", "dropout": 0.2, "batch_size": 8},
        {"arch": "cel3", "dropout": 0.2},
        {"arch": "cel3", "dropout": 0.0},
        {"arch": "cel", "channels": (16, 16, 8), "hidden": (64, 32), "dropout": 0.3},
        {"arch": "cel2", "input": "waveform", "dropout": 0.3},
        {"arch": "mlp", "hidden": (64, 32)},
        {"arch": "mlp2", "input": "waveform", "hidden": (64,), "dropout": 0.5},
        {"arch": "mlp2", "hidden": (2_000, 1_000), "dropout": 0.3},
    ],
    ids=str,
)
def test_a_batch_takes_what_its_layers_keep_for_the_backward_pass(values: dict[str, Any]) -> None:
    """What follows from the sizes alone is what torch holds, within a fifth."""
    front_end = FeatureConfig(sample_rate=8_000, duration_s=2.0, n_fft=512, hop_length=128, n_mels=64, fmin=0)
    config = tiny_config(**values)
    shape = front_end.shape(config.input)
    model = build_model(config, front_end, 3)
    held = left_for_the_backward_pass(model, shape, config.batch_size)
    assert measure(model, config, shape, CPU).batch == pytest.approx(held, rel=0.2)


def test_a_batch_twice_as_large_takes_twice_as_much() -> None:
    one, two = (measured(batch_size=size).batch for size in (16, 32))
    assert two == 2 * one > 0


def test_a_classical_model_has_no_batches() -> None:
    config = TrainConfig.of({"arch": "lda"})
    model = build_model(config, FRONT_END, 2)
    found = measure(model, config, FRONT_END.shape("mel"), CPU)
    assert found.batch == 0
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters()) > 0


def test_the_peak_is_what_a_step_holds_and_on_the_cpu_the_heap() -> None:
    found = Footprint(parameters=25, weights=110, gradients=100, optimizer=200, average=0, batch=1_000, heap=300)
    assert found.checkpoint == 2 * 110 + 200
    assert found.memory == 2 * 110 + 100 + 200 + 1_000 + 300
    small = measured()
    assert small.heap == 2 * small.gradients + small.batch
    assert measured(device=torch.device("cuda")).heap == 0


def test_free_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        footprint, "Path", lambda _: SimpleNamespace(read_text=lambda **_: "MemTotal: 9 kB\nMemAvailable:  5 kB\n")
    )
    assert free_memory(CPU) == 5 * 1_024

    def absent(**_: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(footprint, "Path", lambda _: SimpleNamespace(read_text=absent))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 7, "SC_PAGE_SIZE": 4_096}.__getitem__)
    assert free_memory(CPU) == 7 * 4_096
