"""Penalties are sums over the weights of linear and convolution layers, or over norms of all parameters."""

import math

import pytest
import torch
from tiny_training import tiny_config, tiny_model
from torch import Tensor, nn

from genrekit.training.regularizers import configured_penalty, norm_penalty, penalized_weights, penalty


def small_network() -> nn.Sequential:
    """Return a network with the weights 1, -2, 3 and -4; its biases and its norm are 100."""
    convolution, linear = nn.Conv1d(1, 1, 2), nn.Linear(2, 1)
    network = nn.Sequential(convolution, nn.BatchNorm1d(1), nn.Flatten(), linear)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(100)
        convolution.weight.copy_(torch.tensor([[[1.0, -2.0]]]))
        linear.weight.copy_(torch.tensor([[3.0, -4.0]]))
    return network


@pytest.mark.parametrize(
    ("l1", "l2", "expected"),
    [
        pytest.param(0.5, 0.0, 0.5 * (1 + 2 + 3 + 4), id="l1"),
        pytest.param(0.0, 0.1, 0.1 * (1 + 4 + 9 + 16), id="l2"),
        pytest.param(0.5, 0.1, 5.0 + 3.0, id="both"),
    ],
)
def test_a_penalty_is_the_sum_over_weights_without_biases_and_norms(l1: float, l2: float, expected: float) -> None:
    found = penalty(penalized_weights(small_network()), l1, l2)
    assert found is not None
    assert found.shape == ()
    assert found.item() == pytest.approx(expected)


def test_without_factors_there_is_no_penalty() -> None:
    assert penalty(penalized_weights(small_network()), 0.0, 0.0) is None


def gradients(l1: float, l2: float) -> list[tuple[Tensor, Tensor]]:
    """Return each weight and its gradient."""
    weights = penalized_weights(small_network())
    total = penalty(weights, l1, l2)
    assert total is not None
    total.backward()
    return [(weight.detach(), weight.grad) for weight in weights if weight.grad is not None]


def test_the_gradient_of_l1_is_its_factor_with_the_sign_of_the_weight() -> None:
    found = gradients(0.25, 0.0)
    assert len(found) == 2
    for weight, gradient in found:
        torch.testing.assert_close(gradient, 0.25 * weight.sign())


def test_the_gradient_of_l2_is_twice_its_factor_times_the_weight() -> None:
    found = gradients(0.0, 0.25)
    assert len(found) == 2
    for weight, gradient in found:
        torch.testing.assert_close(gradient, 2 * 0.25 * weight)


@pytest.mark.parametrize("arch", ["mlp", "mlp2", "cel", "cel2", "cel3"])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_parameters_with_more_than_one_dimension_are_penalized(arch: str, kind: str) -> None:
    """Biases, norms and the statistics of the input are vectors or not parameters. All other parameters are weights."""
    model = tiny_model(tiny_config(arch=arch, input=kind))
    expected = {id(parameter) for parameter in model.parameters() if parameter.ndim > 1}
    assert {id(weight) for weight in penalized_weights(model)} == expected
    assert len(expected) == 3


class TestNorms:
    """The norms of all parameters, biases and batch norms included."""

    @pytest.mark.parametrize(
        ("l1", "l2", "expected"),
        [
            pytest.param(0.5, 0.0, 0.5 * (1 + 2 + 3 + 4 + 4 * 100), id="l1"),
            pytest.param(0.0, 0.1, 0.1 * (math.hypot(1, 2) + math.hypot(3, 4) + 4 * 100), id="l2"),
            pytest.param(0.5, 0.1, 205 + 0.1 * (math.hypot(1, 2) + 5 + 400), id="both"),
        ],
    )
    def test_the_penalty_is_the_sum_by_hand(self, l1: float, l2: float, expected: float) -> None:
        found = norm_penalty(list(small_network().parameters()), l1, l2)
        assert found is not None
        assert found.shape == ()
        assert found.item() == pytest.approx(expected)

    def test_without_factors_there_is_none(self) -> None:
        assert norm_penalty(list(small_network().parameters()), 0.0, 0.0) is None

    def test_the_gradient_of_an_l2_norm_has_the_length_of_its_factor_however_large_the_tensor(self) -> None:
        network = small_network()
        total = norm_penalty(list(network.parameters()), 0.0, 0.25)
        assert total is not None
        total.backward()
        for parameter in network.parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, 0.25 * parameter.detach() / parameter.detach().norm())

    @pytest.mark.parametrize(("l1", "l2"), [(0.5, 0.0), (0.0, 0.5)])
    def test_at_zero_the_gradient_is_zero(self, l1: float, l2: float) -> None:
        weight = torch.zeros(3, 2, requires_grad=True)
        total = norm_penalty([weight], l1, l2)
        assert total is not None
        total.backward()
        assert weight.grad is not None
        assert torch.equal(weight.grad, torch.zeros(3, 2))

    def test_the_configuration_selects_the_penalty(self) -> None:
        model = tiny_model(tiny_config(l1=0.5, l2=0.25))
        by_weights = configured_penalty(model, tiny_config(l1=0.5, l2=0.25))()
        by_norms = configured_penalty(model, tiny_config(l1=0.5, l2=0.25, penalty="norms"))()
        assert by_weights == penalty(penalized_weights(model), 0.5, 0.25)
        assert by_norms == norm_penalty(list(model.parameters()), 0.5, 0.25)
        assert configured_penalty(model, tiny_config(penalty="norms"))() is None

    def test_the_penalty_changes_with_the_weights(self) -> None:
        model = tiny_model(tiny_config())
        compute = configured_penalty(model, tiny_config(l1=0.5, penalty="norms"))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        assert compute() == 0


def test_trained_weights_of_any_module_are_penalized_once_without_biases_and_norms() -> None:
    tied = nn.Linear(3, 3)
    frozen = nn.Linear(2, 2).requires_grad_(False)
    attention = nn.MultiheadAttention(4, 2)
    model = nn.ModuleList(
        [
            tied,
            tied,
            frozen,
            attention,
            nn.LayerNorm((2, 3)),
            nn.Embedding(5, 2),
            nn.ConvTranspose2d(1, 2, 3),
            nn.PReLU(),
        ]
    )
    shapes = [tuple(weight.shape) for weight in penalized_weights(model)]
    assert sorted(shapes) == sorted([(3, 3), (12, 4), (4, 4), (5, 2), (1, 2, 3, 3)])
