"""A network in a file computes features of fragments, and every file that cannot is refused in one line."""

import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from tiny_network import onnx_network
from torch import Tensor, nn

from genrekit._types import FloatArray
from genrekit.errors import GenrekitError
from genrekit.models.network_file import NetworkFile

RATE = 8_000


class Energy(nn.Module):
    """The mean, the mean square and the mean of absolute values of a waveform, [B, n_samples] to [B, 3]."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Embed a batch."""
        values = [waveform.mean(dim=1), waveform.square().mean(dim=1), waveform.abs().mean(dim=1)]
        return torch.stack(values, dim=1)


def torchscript(path: Path, module: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch recommend another format
        torch.jit.script(module).save(str(path))
    return path


def fragments(count: int = 3, seconds: float = 1.0) -> FloatArray:
    values = np.random.default_rng(0).uniform(-1, 1, (count, round(seconds * RATE))) + np.arange(count)[:, None] / 10
    return values.astype(np.float32)


def test_torchscript_computes_the_features_of_its_module(tmp_path: Path) -> None:
    network = NetworkFile(torchscript(tmp_path / "energy.pt", Energy()), RATE)
    assert (network.name, network.dimension) == ("energy", 3)
    expected = Energy()(torch.from_numpy(fragments())).numpy()
    np.testing.assert_allclose(network.compute(fragments(), RATE), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(("batch", "n_samples"), id="batch"),
        pytest.param((1, "n_samples"), id="one at a time"),
        pytest.param(("n_samples",), id="without a batch"),
    ],
)
def test_onnx_computes_the_mean_over_windows(tmp_path: Path, shape: Sequence[str | int]) -> None:
    network = NetworkFile(onnx_network(tmp_path / "mean.onnx", shape, scale=2.0), RATE, window_s=0.25)
    features = network.compute(fragments(), RATE)
    means = fragments().mean(axis=1)
    np.testing.assert_allclose(features, np.stack([means, 2 * means], axis=1), atol=1e-5)


def test_what_is_left_after_the_last_window_is_not_used(tmp_path: Path) -> None:
    network = NetworkFile(onnx_network(tmp_path / "mean.onnx"), RATE, window_s=0.4)
    used = fragments()[:, : 2 * 3_200].mean(axis=1)
    np.testing.assert_allclose(network.compute(fragments(), RATE)[:, 0], used, atol=1e-6)


def test_fragments_are_resampled_to_the_rate_of_the_network(tmp_path: Path) -> None:
    network = NetworkFile(onnx_network(tmp_path / "fixed.onnx", ("batch", 4_000)), 4_000)
    assert network.compute(fragments(), RATE).shape == (3, 2)


def test_the_digest_depends_on_the_file_the_rate_and_the_window(tmp_path: Path) -> None:
    first, second = onnx_network(tmp_path / "1.onnx"), onnx_network(tmp_path / "2.onnx", scale=3.0)
    networks = [NetworkFile(first, RATE), NetworkFile(second, RATE), NetworkFile(first, 4_000)]
    assert len({network.digest for network in [*networks, NetworkFile(first, RATE, 0.5)]}) == 4
    assert NetworkFile(first, RATE).digest == networks[0].digest


def test_a_network_in_use_can_be_sent_to_another_process(tmp_path: Path) -> None:
    network = NetworkFile(onnx_network(tmp_path / "mean.onnx"), RATE)
    features = network.compute(fragments(), RATE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network)).compute(fragments(), RATE), features)


def refusal(path: Path, window_s: float | None = None) -> str:
    with pytest.raises(GenrekitError) as caught:
        NetworkFile(path, RATE, window_s).compute(fragments(), RATE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path / "absent.onnx")
    assert message.startswith(f"cannot read the network for features {tmp_path / 'absent.onnx'}: No such file")


@pytest.mark.parametrize("name", ["damaged.onnx", "damaged.pt"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a network")
    assert f"{name} is not a readable network (" in refusal(tmp_path / name)


def test_onnx_that_refers_to_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load(onnx_network(tmp_path / "whole.onnx"))
    (scale,) = [tensor for tensor in model.graph.initializer if tensor.name == "scale"]
    scale.raw_data = scale.raw_data or np.float32(1).tobytes()
    scale.ClearField("float_data")
    onnx.external_data_helper.set_external_data(scale, "secret.bin", offset=0, length=4)
    (tmp_path / "secret.bin").write_bytes(scale.raw_data)
    scale.ClearField("raw_data")
    (tmp_path / "referring.onnx").write_bytes(model.SerializeToString())
    assert "referring.onnx refers to other files: save the network with its weights in one file" in refusal(
        tmp_path / "referring.onnx"
    )


def test_nan_is_refused(tmp_path: Path) -> None:
    assert "gives NaN or infinity" in refusal(onnx_network(tmp_path / "nan.onnx", scale=float("nan")))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        pytest.param(("batch", 3, 224, 224), TensorProto.FLOAT, id="images"),
        pytest.param(("batch", "n_samples"), TensorProto.DOUBLE, id="float64"),
        pytest.param((2, "n_samples"), TensorProto.FLOAT, id="two at a time"),
    ],
)
def test_an_input_that_is_no_waveform_is_refused(tmp_path: Path, shape: Sequence[str | int], kind: int) -> None:
    message = refusal(onnx_network(tmp_path / "other.onnx", shape, kind))
    assert "other.onnx is not a waveform: it must be float32 [batch, n_samples] or [n_samples], got" in message


def test_a_window_of_another_length_than_the_fixed_input_names_the_right_one(tmp_path: Path) -> None:
    message = refusal(onnx_network(tmp_path / "fixed.onnx", ("batch", 2_000)), 0.5)
    assert message.endswith("reads windows of 2000 samples, got 4000: set features_window to 0.25")


def test_a_window_longer_than_the_fragments_is_refused(tmp_path: Path) -> None:
    assert "features_window must be at most the length" in refusal(onnx_network(tmp_path / "m.onnx"), 2.0)


def test_outputs_that_are_no_embeddings_are_refused(tmp_path: Path) -> None:
    message = refusal(torchscript(tmp_path / "identity.pt", Flat()))
    assert "it must give one embedding each" in message


class Flat(nn.Module):
    """Its output has no batch."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Sum everything."""
        return waveform.sum()


def test_too_little_memory_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NetworkFile(onnx_network(tmp_path / "mean.onnx"), RATE)

    def fail(_: FloatArray) -> None:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 1000000000000")

    monkeypatch.setitem(network.__dict__, "_run", fail)
    with pytest.raises(GenrekitError, match=r"not enough memory to run .*: use a smaller features_window"):
        network.compute(fragments(), RATE)


def test_without_onnxruntime_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = onnx_network(tmp_path / "mean.onnx")
    monkeypatch.setattr("genrekit.models.onnx_session.find_spec", lambda _: None)
    assert refusal(path) == (
        f"reading {path} needs onnx, onnxruntime, which are not installed: pip install 'genrekit[export]'"
    )
