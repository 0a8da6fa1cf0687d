"""The memory of a training run is estimated before it starts."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import FRONT_END, TinyData, tiny_config, tiny_model
from torch import nn

from genrekit.config import Architecture, TrainConfig, architectures, register_architecture
from genrekit.models import build_model
from genrekit.training import footprint
from genrekit.training.footprint import Footprint, free_memory, measure, model_to_measure
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
def test_the_size_of_the_checkpoint_is_the_estimated_one(tmp_path: Path, opt: str, ema: float) -> None:
    path = tmp_path / "last.safetensors"
    config = tiny_config(arch="mlp", hidden=(512, 256), opt=opt, ema=ema, epochs=1)
    model = tiny_model(config)
    estimated = measure(model, config, FRONT_END.shape("mel"), CPU).checkpoint
    fit(model, TinyData(), config, device=CPU, checkpoint=path)
    assert path.stat().st_size == pytest.approx(estimated, rel=0.01)


def test_a_batch_needs_what_autograd_keeps_and_its_largest_array_twice() -> None:
    """A fragment of 272 values, 64 activations that the next layer needs, 2 log-probabilities and an int64 target."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(272, 64), nn.ReLU(), nn.Linear(64, 2))
    kept = 4 * (272 + 64 + 2) + 8
    assert measure(model, tiny_config(batch_size=1), (16, 17), CPU).batch == pytest.approx(kept + 4 * 272, rel=0.05)


def test_a_branch_of_a_network_counts() -> None:
    """A network need not be a sequence: the sum in a residual block keeps the inputs of both terms."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.head = nn.Conv1d(16, 16, 3, padding=1), nn.Linear(272, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head((inputs + self.convolution(inputs).square()).flatten(1))
            return logits

    kept = 4 * (272 + 272 + 272 + 2) + 8  # the input, what is squared, the sum
    assert measure(Residual(), tiny_config(batch_size=1), (16, 17), CPU).batch == pytest.approx(
        kept + 4 * 272, rel=0.05
    )


@pytest.mark.parametrize(
    "values",
    [
        {"arch": "cel", "dropout": 0.2},
        {"arch": "cel3", "dropout": 0.0},
        {"arch": "cel2", "input": "waveform", "dropout": 0.3},
        {"arch": "mlp", "hidden": (64, 32)},
        {"arch": "mlp2", "input": "waveform", "hidden": (64,), "dropout": 0.5},
    ],
    ids=str,
)
def test_a_model_without_values_has_the_same_footprint(values: dict[str, Any]) -> None:
    config = tiny_config(**values)
    shape = FRONT_END.shape(config.input)
    empty = model_to_measure(config, FRONT_END, 2)
    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
    assert measure(empty, config, shape, CPU) == measure(tiny_model(config), config, shape, CPU)


def test_a_model_that_computes_outside_torch_is_measured_with_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    class Outside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(torch.from_numpy(inputs.detach().numpy().mean(axis=2)))
            return logits

    monkeypatch.setattr(architectures, "_REGISTERED", dict(architectures._REGISTERED))
    register_architecture(Architecture("outside", lambda *_: Outside()))
    config = TrainConfig.of({"arch": "outside"})
    model = model_to_measure(config, FRONT_END, 2)
    assert model.get_parameter("head.weight").device.type == "cpu"
    assert measure(model, config, (16, 17), CPU).batch > 0


def test_measuring_changes_neither_the_model_nor_the_random_state() -> None:
    config = tiny_config(arch="cel", dropout=0.5)
    model = tiny_model(config).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    measure(model, config, (16, 17), CPU)
    assert torch.equal(torch.rand(2), expected)
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_batch_twice_as_large_takes_twice_as_much() -> None:
    one, two = (measured(batch_size=size).batch for size in (16, 32))
    assert two == 2 * one > 0


def test_a_classical_model_has_no_batches() -> None:
    config = TrainConfig.of({"arch": "lda"})
    model = build_model(config, FRONT_END, 2)
    found = measure(model, config, FRONT_END.shape("mel"), CPU)
    assert found.batch == 0
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters()) > 0


def test_the_peak_is_the_memory_of_a_step_and_on_the_cpu_also_the_heap() -> None:
    found = Footprint(parameters=25, weights=110, gradients=100, optimizer=200, average=0, batch=1_000, heap=300)
    assert found.checkpoint == 2 * 110 + 200
    assert found.memory == 2 * 110 + 100 + 200 + 1_000 + 300
    small = measured()
    assert small.heap == 2 * small.gradients + small.batch
    assert measured(device=torch.device("cuda")).heap == 0


def test_free_memory_is_read_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        footprint, "Path", lambda _: SimpleNamespace(read_text=lambda **_: "MemTotal: 9 kB\nMemAvailable:  5 kB\n")
    )
    assert free_memory(CPU) == 5 * 1_024

    def absent(**_: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(footprint, "Path", lambda _: SimpleNamespace(read_text=absent))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 7, "SC_PAGE_SIZE": 4_096}.__getitem__)
    assert free_memory(CPU) == 7 * 4_096
