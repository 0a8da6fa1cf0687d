"""The average of weights, compared with one that is computed by hand."""

import pytest
import torch
from torch import nn

from genrekit.training.ema import WeightAverage


def example() -> tuple[nn.Linear, WeightAverage, list[float]]:
    """Return a model after three steps, its average, and the expected average."""
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.75)
    expected: list[float] = []
    for weight in (8.0, 4.0, 0.0):
        nn.init.constant_(model.weight, weight)
        average.update()
        expected.append(weight if not expected else 0.75 * expected[-1] + 0.25 * weight)
    return model, average, expected


def test_the_average_starts_as_the_first_weights_and_decays() -> None:
    _, average, expected = example()
    assert expected == [8.0, 7.0, 5.25]
    assert average.state["weight"].item() == 5.25


def test_the_model_has_the_averaged_weights_in_the_block_only_even_after_an_error() -> None:
    model, average, _ = example()

    def fail() -> None:
        with average.applied():
            assert model.weight.item() == 5.25
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert model.weight.item() == 0.0


def test_buffers_are_not_averaged() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 0.5)
    average.update()
    mean = model.get_buffer("running_mean").fill_(3.0)
    assert sorted(average.state) == ["bias", "weight"]
    with average.applied():
        assert mean.tolist() == [3.0, 3.0]


def test_a_restored_average_continues() -> None:
    model, average, _ = example()
    other = WeightAverage(model, 0.75)
    other.restore(average.state)
    for each in (average, other):
        each.update()
    assert torch.equal(average.state["weight"], other.state["weight"])


def test_a_state_of_another_model_is_refused() -> None:
    _, average, _ = example()
    with pytest.raises(KeyError):
        WeightAverage(nn.Linear(1, 1), 0.5).restore(average.state)
