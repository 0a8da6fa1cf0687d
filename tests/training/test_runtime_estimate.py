"""The time of training is estimated from small steps: more work takes longer."""

import pytest
import torch
from tiny_training import FRONT_END, tiny_config
from torch import nn

from genrekit.models import build_model, count_parameters
from genrekit.training.runtime_estimate import Pace, measure_pace

PACE = Pace(convolution_1d=1e-9, convolution_2d=1e-9, weight=1e-8)


def step(batch_size: int = 4, **values: object) -> float:
    config = tiny_config(**values)
    with torch.device("meta"):
        model = build_model(config, FRONT_END, 10)
    return PACE.step_seconds(model, FRONT_END.shape(config.input), batch_size)


def test_the_pace_is_measured_and_positive() -> None:
    pace = measure_pace(torch.device("cpu"))
    assert min(pace.convolution_1d, pace.convolution_2d, pace.weight) > 0


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_wider_convolutions_and_larger_batches_take_longer(kind: str) -> None:
    assert step(input=kind) < step(input=kind, channels=(8, 16))
    assert step(4, input=kind) < step(8, input=kind)


def test_a_convolution_is_counted_by_its_products() -> None:
    """One channel of width 3 x 3 on 16 x 17 needs 2 * 9 * 272 operations per fragment, plus the parameters."""
    config = tiny_config(channels=(1,), hidden=())
    with torch.device("meta"):
        model = build_model(config, FRONT_END, 10)
    assert PACE.step_seconds(model, (16, 17), 2) == pytest.approx(
        2 * 2 * 9 * 272 * 1e-9 + count_parameters(model) * 1e-8
    )


def test_weights_that_are_used_for_many_parts_of_a_fragment_take_longer() -> None:
    """A layer that is applied to 17 frames needs 17 times the operations of its weights."""
    layer = nn.Linear(16, 16, bias=False)
    once, each = nn.Sequential(Mean(), layer), nn.Sequential(Transpose(), layer, Mean())
    assert PACE.step_seconds(once, (16, 17), 2) == pytest.approx(256 * 1e-8)
    assert PACE.step_seconds(each, (16, 17), 2) == pytest.approx(256 * 1e-8 + 2 * 16 * 2 * 256 * 1e-9)


class Mean(nn.Module):
    """A layer that computes the mean over the last axis."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.mean(dim=2)


class Transpose(nn.Module):
    """A layer that exchanges bands and frames."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.transpose(1, 2)


def test_wider_layers_take_longer_for_any_batch_size() -> None:
    assert step(arch="mlp", hidden=(16, 8)) < step(arch="mlp", hidden=(32, 8))
    assert step(4, arch="mlp") == step(8, arch="mlp")


def test_the_random_state_of_the_caller_does_not_change() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    measure_pace(torch.device("cpu"))
    assert torch.equal(torch.rand(2), expected)
