"""Dead channels: channels that no input activates are counted."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from tiny_training import TinyData, tiny_config, tiny_network
from torch import Tensor, nn

from genrekit.config import Input, Stored
from genrekit.training.dead_units import ACTIVATIONS, dead_channels

CPU = torch.device("cpu")


def share(model: nn.Module, data: TinyData) -> float | None:
    return dead_channels(model, data.validation_batches(), CPU)


def activations(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, ACTIVATIONS)]


@pytest.mark.parametrize("kind", get_args(Stored))
@pytest.mark.parametrize("arch", ["cel", "cel2", "cel3"])
def test_channels_with_a_large_negative_bias_are_dead(arch: str, kind: Input) -> None:
    """There are 4 + 8 channels and 6 hidden units. Weights are 0, so the output of a channel is its bias."""
    model, data = tiny_network(tiny_config(arch=arch, input=kind, hidden=(6,))), TinyData(kind)
    layers = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.Linear))]
    biases = [layer.get_parameter("bias") for layer in layers]
    with torch.no_grad():
        for layer, bias in zip(layers, biases, strict=True):
            layer.get_parameter("weight").zero_()
            bias.fill_(1.0)
        assert share(model, data) == 0
        biases[0][1] = biases[1][0] = biases[1][7] = -1e6
    assert share(model, data) == 3 / 18


@pytest.mark.parametrize("arch", ["mlp", "mlp2"])
def test_hidden_units_count_as_channels_do(arch: str) -> None:
    model, data = tiny_network(tiny_config(arch=arch, hidden=(3, 2))), TinyData()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.zero_()
                module.bias.fill_(1.0)
        first = next(module for module in model.modules() if isinstance(module, nn.Linear))
        first.bias[2] = -1.0
    assert share(model, data) == 1 / 5


def test_a_channel_that_one_fragment_of_any_batch_activates_is_not_dead() -> None:
    layer = nn.Linear(1, 2)
    model = nn.Sequential(layer, nn.ReLU())
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.copy_(torch.tensor([0.0, -9.0]))

    def batches(*values: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for value in values:
            yield torch.tensor([[value]]), torch.zeros(1), torch.zeros(1)

    assert dead_channels(model, batches(-1.0, -2.0), CPU) == 1.0
    assert dead_channels(model, batches(0.0), CPU) == 1.0
    assert dead_channels(model, batches(-1.0, 5.0, -2.0), CPU) == 0.5
    assert dead_channels(model, batches(-1.0, 10.0, -2.0), CPU) == 0.0


def test_a_model_without_activations_has_no_share() -> None:
    assert share(tiny_network(tiny_config(arch="mlp2", hidden=())), TinyData()) is None


@pytest.mark.parametrize("options", [{"arch": "cel"}, {"arch": "mlp2"}])
def test_the_model_does_not_change(options: dict[str, Any]) -> None:
    model = tiny_network(tiny_config(**options))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    share(model, TinyData())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert activations(model)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_layer_that_a_model_uses_twice_is_counted_twice() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.activation = nn.ReLU()
            self.first, self.second = nn.Linear(1, 3), nn.Linear(3, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden: Tensor = self.activation(self.second(self.activation(self.first(inputs))))
            return hidden

    model = Shared()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
        model.first.bias[0] = -9.0
    batches = [(torch.ones(4, 1), torch.zeros(4), torch.zeros(4))] * 2
    assert dead_channels(model, iter(batches), CPU) == 1 / 5
