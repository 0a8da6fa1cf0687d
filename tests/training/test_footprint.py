"""What a training takes is known before it begins."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import FRONT_END, TinyData, tiny_config, tiny_model
from torch import nn

from genrekit.training import footprint
from genrekit.training.footprint import Footprint, free_memory, measure_batch, measure_model
from genrekit.training.loop import fit

CPU = torch.device("cpu")


@pytest.mark.parametrize(("opt", "slots"), [("adam", 2), ("adamw", 2), ("sgd", 1)])
def test_sizes_of_a_model_are_known_without_its_content(opt: str, slots: int) -> None:
    config = tiny_config(arch="mlp", hidden=(512, 256), opt=opt)
    with torch.device("meta"):
        found = measure_model(tiny_model(config), config)
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
    said = measure_model(model, config).checkpoint
    fit(model, TinyData(), config, device=CPU, checkpoint=path)
    assert path.stat().st_size == pytest.approx(said, rel=0.01)


def test_a_batch_takes_what_its_layers_keep_for_the_backward_pass() -> None:
    """Linear layers keep their input, a tanh its output; backward begins with one more of the largest."""
    model = nn.Sequential(nn.Linear(100, 400), nn.Tanh(), nn.Linear(400, 2))
    kept = 100 + 400 + 400
    assert measure_batch(model, (100,), 64) == pytest.approx(64 * 4 * kept, rel=0.03)


def test_a_batch_twice_as_large_takes_twice_as_much() -> None:
    model = tiny_model(tiny_config())
    one, two = (measure_batch(model, FRONT_END.shape("mel"), size) for size in (16, 32))
    assert two == 2 * one > 0


def test_measuring_changes_neither_the_model_nor_the_random_state() -> None:
    model = tiny_model(tiny_config(dropout=0.5))
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    measure_batch(model, FRONT_END.shape("mel"), 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_peak_is_what_a_step_holds() -> None:
    found = Footprint(parameters=25, weights=110, gradients=100, optimizer=200, average=0, batch=1_000)
    assert found.checkpoint == 2 * 110 + 200
    assert found.memory == 2 * 110 + 100 + 200 + 1_000


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
