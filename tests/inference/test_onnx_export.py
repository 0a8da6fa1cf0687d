"""An exported model gives the probabilities of its bundle for any number of clips, and describes itself."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from registered import CLASSICAL, NETWORKS
from tiny_bundle import describe, lived_in
from tiny_training import FRONT_END, tiny_config

from genrekit._types import FloatArray
from genrekit.config import Input, PrepareConfig
from genrekit.errors import GenrekitError
from genrekit.inference.onnx_export import WaveformModel, expected_probabilities, largest_difference, to_onnx
from genrekit.inference.prediction import predict_file
from genrekit.models.bundle import Bundle, load_bundle, save_bundle


def bundle(folder: Path, front_end: dict[str, object] | None = None, **values: object) -> Bundle:
    config = tiny_config(**values)
    prepared = PrepareConfig.of({"front_end": {**FRONT_END.model_dump(), **(front_end or {})}})
    save_bundle(folder, lived_in(config), describe(config, prepare=prepared.model_dump()))
    return load_bundle(folder)


def clips(count: int = 5, n_samples: int = FRONT_END.n_samples) -> FloatArray:
    """Noise at several levels, the last clip silent."""
    noise = np.random.default_rng(0).uniform(-1, 1, (count, n_samples)) * np.geomspace(1, 1e-3, count)[:, None]
    noise[-1] = 0
    return noise.astype(np.float32)


@pytest.mark.parametrize("arch", NETWORKS)
@pytest.mark.parametrize("kind", get_args(Input))
def test_features_and_model_in_torch_give_the_probabilities_of_the_bundle(
    tmp_path: Path, arch: str, kind: Input
) -> None:
    made = bundle(tmp_path / "best", arch=arch, input=kind)
    computed = WaveformModel(made)(torch.from_numpy(clips())).detach().numpy()
    np.testing.assert_allclose(computed, expected_probabilities(made, clips()), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("front_end", "values"),
    [
        pytest.param({"n_fft": 63, "duration_s": 0.513, "normalization": "rms"}, {"arch": "cel3"}, id="odd-window-rms"),
        pytest.param(
            {"normalization": "none"}, {"arch": "cel2", "input": "waveform", "channels": (8, 8)}, id="cel2-waveform"
        ),
        pytest.param({}, {"arch": "cel", "input": "stft"}, id="power-spectrogram"),
    ],
)
def test_the_exported_model_gives_the_probabilities_of_the_bundle(
    tmp_path: Path, front_end: dict[str, object], values: dict[str, object]
) -> None:
    made = bundle(tmp_path / "best", front_end, **values)
    model, n_samples = to_onnx(made), made.metadata.prepare.front_end.n_samples
    for count in (1, 5):
        assert largest_difference(model, made, clips(count, n_samples)) < 1e-5


@pytest.mark.slow
def test_the_file_describes_its_input_and_output(tmp_path: Path) -> None:
    made = bundle(tmp_path / "best", arch="mlp2")
    model = to_onnx(made)
    assert largest_difference(model, made, clips()) < 1e-5
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("waveform", "tensor(float)", ["batch", FRONT_END.n_samples])
    assert (answered.name, answered.shape) == ("probabilities", ["batch", 2])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["genres"]) == ["blues", "rock"]
    assert int(metadata["sample_rate"]) == FRONT_END.sample_rate
    assert int(metadata["n_samples"]) == FRONT_END.n_samples
    assert str(tmp_path).encode() not in model


def test_a_clip_gives_what_predicting_its_file_gives(tmp_path: Path) -> None:
    made = bundle(tmp_path / "best", arch="cel")
    clip = clips(2)[0]
    soundfile.write(tmp_path / "x.wav", clip, FRONT_END.sample_rate, subtype="FLOAT")
    predicted = predict_file(made, tmp_path / "x.wav").probabilities
    np.testing.assert_allclose([*predicted.values()], expected_probabilities(made, clip[None])[0], atol=1e-6)


@pytest.mark.parametrize("arch", CLASSICAL)
def test_a_classical_model_is_refused(tmp_path: Path, arch: str) -> None:
    made = bundle(tmp_path / "best", arch=arch)
    with pytest.raises(GenrekitError, match=f"is a {arch} model that cannot be exported: "):
        to_onnx(made)
