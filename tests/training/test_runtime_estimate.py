"""What a training will take is foretold from small steps: more work takes longer."""

from typing import Any

import pytest
import torch
from tiny_training import FRONT_END, tiny_config
from torch.utils.flop_counter import FlopCounterMode

from genrekit.models import build_model
from genrekit.training.runtime_estimate import Pace, measure_pace

PACE = Pace(convolution_1d=1e-9, convolution_2d=1e-9, dense=1e-8)


def step(batch_size: int = 4, **values: object) -> float:
    config = tiny_config(**values)
    with torch.device("meta"):
        model = build_model(config, FRONT_END, 10)
    return PACE.step_seconds(model, FRONT_END.shape(config.input), batch_size)


def test_the_pace_is_measured_and_positive() -> None:
    pace = measure_pace(torch.device("cpu"))
    assert min(pace.convolution_1d, pace.convolution_2d, pace.dense) > 0


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_wider_convolutions_and_larger_batches_take_longer(kind: str) -> None:
    assert step(input=kind) < step(input=kind, channels=(8, 16))
    assert step(4, input=kind) < step(8, input=kind)


def test_a_convolution_is_counted_by_its_products() -> None:
    """One channel of width 3 x 3 on 16 x 17: 2 * 9 * 272 operations a fragment; 10 x 64 weights after pooling."""
    config = tiny_config(channels=(1,), hidden=())
    with torch.device("meta"):
        model = build_model(config, FRONT_END, 10)
    assert PACE.step_seconds(model, (16, 17), 2) == pytest.approx(2 * 2 * 9 * 272 * 1e-9 + 640 * 1e-8)


@pytest.mark.parametrize(
    "values", [{"input": "mel"}, {"input": "waveform"}, {"channels": (3, 5, 2), "dropout": 0.2}, {"arch": "mlp2"}]
)
def test_operations_are_those_that_torch_counts(values: dict[str, Any]) -> None:
    config = tiny_config(**values)
    model, shape = build_model(config, FRONT_END, 10).eval(), FRONT_END.shape(config.input)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(3, *shape))
    counts = counter.get_flop_counts()["Global"]
    counted = sum(count for operation, count in counts.items() if "convolution" in str(operation))
    pace = Pace(convolution_1d=1.0, convolution_2d=1.0, dense=0.0)
    assert pace.step_seconds(model, shape, 3) == counted


def test_wider_layers_take_longer_whatever_the_batch() -> None:
    assert step(arch="mlp", hidden=(16, 8)) < step(arch="mlp", hidden=(32, 8))
    assert step(4, arch="mlp") == step(8, arch="mlp")


def test_the_callers_random_state_is_left() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    measure_pace(torch.device("cpu"))
    assert torch.equal(torch.rand(2), expected)
