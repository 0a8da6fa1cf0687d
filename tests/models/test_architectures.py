import math
from typing import Any, get_args

import pytest
import torch
from registered import NETWORKS
from tiny_training import FRONT_END, tiny_config, tiny_model, tiny_network
from torch import Tensor, nn

from genrekit.config import FeatureConfig, Input, TrainConfig, architecture
from genrekit.errors import UsageError
from genrekit.models import build_model, count_parameters
from genrekit.models.ensemble import Ensemble, repeat_for
from genrekit.models.pooling import Attention, make_pool

INPUTS: tuple[Input, ...] = get_args(Input)
TINY: tuple[Input, ...] = ("mel", "waveform")
"""Inputs whose tiny fragments have room for two blocks."""


def kinds(model: nn.Module, *wanted: type[nn.Module]) -> list[type[nn.Module]]:
    return [type(module) for module in model.modules() if isinstance(module, wanted)]


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("arch", NETWORKS)
def test_a_model_gives_a_logit_for_each_genre(arch: str, kind: Input) -> None:
    model = tiny_model(tiny_config(arch=arch, input=kind)).eval()
    logits = model(torch.rand(3, *FRONT_END.shape(kind)))
    assert logits.shape == (3, 2)
    assert not torch.allclose(logits.exp().sum(dim=1), torch.ones(3))


@pytest.mark.parametrize("arch", NETWORKS)
def test_a_power_spectrogram_is_read_in_two_dimensions(arch: str) -> None:
    model = tiny_network(tiny_config(arch=arch, input="stft")).eval()
    assert model.standardize.mean.shape == model.standardize.deviation.shape == (201, 1)
    assert model(torch.rand(3, *FRONT_END.shape("stft"))).shape == (3, 2)
    assert kinds(model, nn.Conv1d, nn.Conv2d) == ([nn.Conv2d] if arch.startswith("cel") else [])


def test_mlp_is_three_linear_layers_with_relu_between_them() -> None:
    model = tiny_model(tiny_config(arch="mlp", hidden=(16, 8)))
    layers = kinds(model, nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Dropout)
    assert layers == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("hidden", [(), (5,), (9, 7, 5)])
def test_mlp2_has_any_number_of_normalized_hidden_layers(hidden: tuple[int, ...]) -> None:
    model = tiny_model(tiny_config(arch="mlp2", hidden=hidden, dropout=0.5))
    assert kinds(model, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout) == [
        *[nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout] * len(hidden),
        nn.Linear,
    ]
    widths = [module.out_features for module in model.modules() if isinstance(module, nn.Linear)]
    assert widths == [*hidden, 2]


@pytest.mark.parametrize(
    ("arch", "activation"), [("cel", nn.ReLU()), ("cel2", nn.LeakyReLU(0.01)), ("cel3", nn.ELU())], ids=str
)
@pytest.mark.parametrize("kind", TINY)
def test_a_cel_model_is_what_its_definition_says(arch: str, activation: nn.Module, kind: Input) -> None:
    """Convolution, batch norm, activation, max pool and channel dropout; flatten; dense layers: written out by hand."""
    model = tiny_model(tiny_config(arch=arch, input=kind, channels=(4, 8), hidden=(6,))).eval()
    values = torch.rand(3, *FRONT_END.shape(kind))
    two = kind == "mel"
    convolve = nn.functional.conv2d if two else nn.functional.conv1d
    pool = nn.functional.max_pool2d if two else nn.functional.max_pool1d
    convolutions = [module for module in model.modules() if isinstance(module, (nn.Conv1d, nn.Conv2d))]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    first, output = (module for module in model.modules() if isinstance(module, nn.Linear))
    assert [tuple(module.weight.shape[2:]) for module in convolutions] == [(3, 3) if two else (3,)] * 2
    for norm in norms:  # statistics and weights that change something, a negative weight among them
        norm.running_mean = torch.rand(norm.num_features)
        norm.weight.data.uniform_(-1, 1)
        norm.bias.data.uniform_(-1, 1)

    expected = values.unsqueeze(1)
    for convolution, norm in zip(convolutions, norms, strict=True):
        convolved = convolve(expected, convolution.weight, padding=1)
        normed = nn.functional.batch_norm(convolved, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        expected = pool(activation(normed), 2)
    expected = output(activation(first(expected.flatten(1))))
    torch.testing.assert_close(model(values), expected)


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("innermost", [True, False])
def test_the_blocks_keep_channels_innermost_in_memory_if_they_are_many(kind: Input, innermost: bool) -> None:
    """The fast layout on a CPU: a layer that leaves it changes nothing but the time."""
    model = tiny_model(tiny_config(arch="cel2", input=kind, channels=(8 if innermost else 7, 8), dropout=0.3)).train()
    found: list[bool] = []

    def look(_: nn.Module, __: tuple[Tensor, ...], made: Tensor) -> None:
        found.append(made.is_contiguous(memory_format=torch.channels_last))

    for layer in model.get_submodule("blocks").children():
        layer.register_forward_hook(look)
    model(torch.rand(3, *FRONT_END.shape(kind)))
    assert found == [innermost] * 10


@pytest.mark.slow
def test_waveforms_lie_in_a_device_s_own_layout_where_it_is_no_cpu() -> None:
    with torch.device("meta"):
        model = tiny_network(tiny_config(arch="cel2", input="waveform", channels=(8, 8)))
        made = model.get_submodule("blocks.0").register_forward_hook(lambda _, __, made: strides.append(made.stride()))
        strides: list[tuple[int, ...]] = []
        model(torch.rand(3, *FRONT_END.shape("waveform")))
    made.remove()
    assert strides == [(8 * 512, 512, 512, 1)]


@pytest.mark.parametrize("kind", TINY)
def test_the_weights_of_a_cel_model_have_the_names_and_shapes_that_bundles_hold(kind: Input) -> None:
    """Those of plain torch layers in a row, of one dimension for waveforms: they are a format on disk."""
    model = tiny_network(tiny_config(arch="cel", input=kind, channels=(4, 8), hidden=(6,), dropout=0.3))
    found = {name: tuple(value.shape) for name, value in model.state_dict().items() if "dense" not in name}
    two = kind == "mel"
    norms = {
        f"blocks.{place}.{name}": () if name == "num_batches_tracked" else (n_channels,)
        for place, n_channels in ((1, 4), (6, 8))
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    width = (3, 3) if two else (3,)
    statistics = dict.fromkeys(("standardize.mean", "standardize.deviation"), (16, 1) if two else (1,))
    assert found == statistics | norms | {"blocks.0.weight": (4, 1, *width), "blocks.5.weight": (8, 4, *width)}


@pytest.mark.parametrize("threads", [1, 2])
def test_statistics_of_a_large_batch_are_within_a_hundredth_in_the_layout_of_single_sums(threads: int) -> None:
    """A batch of eight fragments of 5 seconds; 0.4 % was found on one thread."""
    norm = nn.BatchNorm2d(32, momentum=1.0)
    values = torch.randn(8, 32, 1, 110_250, generator=torch.Generator().manual_seed(0)) + 1
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        norm(values.contiguous(memory_format=torch.channels_last))
    finally:
        torch.set_num_threads(before)
    assert norm.running_var is not None
    exact = values.double().var(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_var.double(), exact, rtol=0.01, atol=0)


@pytest.mark.parametrize("kind", TINY)
def test_a_cel_model_drops_whole_channels(kind: Input) -> None:
    model = tiny_model(tiny_config(arch="cel", input=kind, channels=(4, 8), dropout=0.3))
    dropped = [module for module in model.modules() if isinstance(module, (nn.Dropout1d, nn.Dropout2d, nn.Dropout))]
    assert [(type(module), module.p) for module in dropped] == [(nn.Dropout2d, 0.3)] * 2


@pytest.mark.parametrize(("kind", "most"), [("mel", 4), ("waveform", 9)])
def test_a_block_that_would_pool_away_a_dimension_is_refused_with_the_most_blocks(kind: Input, most: int) -> None:
    """Fragments are [16, 17] and [512] here."""
    tiny_model(tiny_config(arch="cel", input=kind, channels=(2,) * most))
    with pytest.raises(UsageError, match=rf"channels must name at most {most} blocks .* got {most + 1}"):
        tiny_model(tiny_config(arch="cel", input=kind, channels=(2,) * (most + 1)))


@pytest.mark.parametrize("kind", INPUTS)
def test_the_default_blocks_fit_the_default_fragments(kind: Input) -> None:
    with torch.device("meta"):
        model = build_model(TrainConfig.of({"arch": "cel", "input": kind}), FeatureConfig(), 10)
    assert len(kinds(model, nn.Conv1d, nn.Conv2d)) == len((architecture("cel").channels or {})[kind])


def test_parameters_are_counted_as_by_hand() -> None:
    model = tiny_model(tiny_config(arch="mlp", hidden=(16, 8)))
    n_inputs = math.prod(FRONT_END.shape("mel"))
    assert count_parameters(model) == (n_inputs * 16 + 16) + (16 * 8 + 8) + (8 * 2 + 2)


PUBLISHED = [
    # input, architecture, channels, hidden, count, biases of convolutions in it
    ("stft", "cel", (32, 32), (), 2_217_706, 64),
    ("stft", "cel", (64, 64), (64,), 28_300_938, 128),
    ("stft", "cel", (128, 128, 64), (64,), 7_289_610, 320),
    ("waveform", "cel2", (32, 32), (), 8_823_210, 64),
    ("waveform", "mlp2", (), (256,) * 4, 28_426_250, 0),
    ("waveform", "mlp2", (), (512,) * 2, 56_718_346, 0),
    ("waveform", "mlp2", (), (1_024, 512, 256), 113_559_306, 0),
]
"""An older project's models of ten genres; its convolutions had biases, which batch norm takes away."""


@pytest.mark.parametrize(("kind", "arch", "channels", "hidden", "published", "biases"), PUBLISHED, ids=str)
def test_parameters_are_those_of_published_models_but_for_biases_of_convolutions(
    kind: Input, arch: str, channels: tuple[int, ...], hidden: tuple[int, ...], published: int, biases: int
) -> None:
    config = TrainConfig.of({"arch": arch, "input": kind, "channels": channels, "hidden": hidden})
    with torch.device("meta"):
        model = build_model(config, FeatureConfig(), 10)
    assert biases == sum(channels)
    assert count_parameters(model) + biases == published


@pytest.mark.parametrize("arch", NETWORKS)
def test_the_seed_decides_the_first_weights_and_leaves_the_callers_randomness_alone(arch: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat([p.flatten() for p in tiny_model(tiny_config(arch=arch, seed=seed)).parameters()])

    torch.manual_seed(5)
    undisturbed = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
    assert torch.equal(torch.rand(1), undisturbed)


class TestStandardization:
    """Inputs are standardized inside the model."""

    @pytest.mark.parametrize("kind", TINY)
    def test_what_comes_after_sees_mean_0_and_deviation_1(self, kind: Input) -> None:
        model = tiny_network(tiny_config(arch="mlp", input=kind))
        values = 3 + 2 * torch.randn(64, *FRONT_END.shape(kind), generator=torch.Generator().manual_seed(0))
        if kind == "mel":
            values *= torch.arange(1, 17)[:, None]
        axes: Any = (0, 2) if kind == "mel" else (0, 1)
        shape = (16, 1) if kind == "mel" else (1,)
        model.standardize.set_statistics(values.mean(axes).reshape(shape), values.std(axes).reshape(shape))
        standardized = model.standardize(values)
        torch.testing.assert_close(standardized.mean(axes), torch.zeros(shape).squeeze(), atol=1e-4, rtol=0)
        torch.testing.assert_close(standardized.std(axes), torch.ones(shape).squeeze(), atol=1e-4, rtol=0)

    def test_a_band_that_is_always_silent_in_training_is_not_blown_up_later(self) -> None:
        model = tiny_network(tiny_config(arch="mlp"))
        model.standardize.set_statistics(torch.zeros(16, 1), torch.zeros(16, 1))
        assert model.standardize(torch.ones(1, 16, 17)).max() <= 100

    def test_statistics_travel_with_the_weights_and_are_not_trained(self) -> None:
        model = tiny_network(tiny_config(arch="mlp"))
        model.standardize.set_statistics(torch.full((16, 1), 0.25), torch.full((16, 1), 0.5))
        other = tiny_network(tiny_config(arch="mlp"))
        other.load_state_dict(model.state_dict())
        assert torch.equal(other.standardize.mean, torch.full((16, 1), 0.25))
        assert not [name for name, _ in model.named_parameters() if name.startswith("standardize")]


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize(("pool", "width"), [("mean", 1), ("mean-max", 2), ("attention", 1)])
def test_pooling_over_time_gives_the_same_features_for_fragments_of_any_length(
    kind: Input, pool: str, width: int
) -> None:
    """Frames that repeat have the mean and the maximum of one of them."""
    model = tiny_network(tiny_config(arch="cel", input=kind, channels=(4, 8), pool=pool)).eval()
    output = next(module for module in model.get_submodule("dense").modules() if isinstance(module, nn.Linear))
    bands = 4 if kind == "mel" else 1
    assert output.in_features == 8 * bands * width
    frame = torch.rand(3, 8, bands, 1)
    layer = model.get_submodule("pool")
    torch.testing.assert_close(layer(frame.expand(-1, -1, -1, 9)), layer(frame))
    features = layer(frame).flatten(1)
    torch.testing.assert_close(features, torch.cat([frame.flatten(1)] * width, dim=1))


def test_mean_max_is_the_mean_and_the_maximum_over_time() -> None:
    frames = torch.rand(3, 8, 4, 5)
    pooled = make_pool("mean-max", 32, 5)[0](frames)
    torch.testing.assert_close(pooled, torch.cat([frames.mean(3), frames.max(3).values], dim=1))


def test_attention_starts_as_the_mean_and_learns_to_prefer_frames() -> None:
    layer, _ = make_pool("attention", 32, 5)
    assert isinstance(layer, Attention)
    frames = torch.rand(3, 8, 4, 5)
    torch.testing.assert_close(layer(frames), frames.mean(3).flatten(1))
    frames[:, 0, 0] = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    layer.score.weight.data[0, 0] = 50.0
    torch.testing.assert_close(layer(frames), frames[..., 2].flatten(1))


def test_a_centred_model_does_not_notice_a_constant_gain_of_a_band() -> None:
    values, gains = torch.rand(3, *FRONT_END.shape("mel")), torch.rand(3, 16, 1)
    for center in (True, False):
        model = tiny_model(tiny_config(arch="cel", center=center)).eval()
        assert torch.allclose(model(values), model(values + gains), atol=1e-5) == center


def test_a_model_reads_averages_of_neighbouring_bands_and_frames() -> None:
    model = tiny_network(tiny_config(arch="cel", channels=(4,), downsample=(2, 4))).eval()
    values = torch.rand(3, 8, 4)  # frames beyond the last whole group of four are left out
    spread = values.repeat_interleave(2, dim=1).repeat_interleave(4, dim=2)
    padded = torch.cat([spread, torch.rand(3, 16, 1)], dim=2)
    plain = tiny_network(tiny_config(arch="cel", channels=(4,))).eval()
    blocks = plain.get_submodule("blocks")
    blocks.load_state_dict(model.get_submodule("blocks").state_dict())
    dense, pool = (model.get_submodule(name) for name in ("dense", "pool"))
    expected = dense(pool(blocks(values.unsqueeze(1))))
    torch.testing.assert_close(model(padded), expected)


def test_too_many_blocks_for_an_averaged_fragment_are_refused() -> None:
    with pytest.raises(UsageError, match=r"at most 2 blocks .* averaged to \[8, 4\] by downsample"):
        tiny_model(tiny_config(arch="cel", channels=(4, 8, 8), downsample=(2, 4)))


@pytest.mark.parametrize("arch", NETWORKS)
def test_an_ensemble_predicts_the_mean_of_its_networks(arch: str) -> None:
    ensemble = tiny_model(tiny_config(arch=arch, members=3)).eval()
    assert isinstance(ensemble, Ensemble)
    values = torch.rand(5, *FRONT_END.shape("mel"))
    each = torch.stack([network(values).softmax(1) for network in ensemble.networks]).detach()
    torch.testing.assert_close(ensemble(values).softmax(1), each.mean(0))
    assert len({float(probabilities[0, 0]) for probabilities in each}) == 3  # initial weights differ


def test_each_network_of_an_ensemble_learns_as_if_it_were_alone() -> None:
    config = tiny_config(arch="mlp", members=2)
    ensemble = tiny_model(config)
    assert isinstance(ensemble, Ensemble)
    values, targets = torch.rand(5, *FRONT_END.shape("mel")), torch.tensor([0, 1, 0, 1, 1])
    logits = ensemble.train()(values)
    nn.functional.cross_entropy(logits, repeat_for(logits, targets)).backward()
    for network in ensemble.networks:
        trained = [parameter.grad for parameter in network.parameters()]
        loss = nn.functional.cross_entropy(network(values), targets)
        alone = torch.autograd.grad(loss, list(network.parameters()))
        for together, single in zip(trained, alone, strict=True):
            assert together is not None
            torch.testing.assert_close(2 * together, single)
