"""The features of MSD_musicnn agree with the published network, whatever the rate, the batch and the runtime."""

import json
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pytest
import torch

from genrekit._types import FloatArray
from genrekit.audio.level import normalize_waveform
from genrekit.errors import GenrekitError
from genrekit.io.tensors import metadata_of, write_tensors
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.musicnn import DIMENSION, N_TAGS, WEIGHTS, LogMel, MusicnnExtractor, load_musicnn

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "musicnn" / "reference.json"
"""Outputs that TensorFlow computed with the published weights, if they lie beside the checkout."""

FIRST_LOGITS = [-5.95511, -6.91465, -5.67787, -6.08155, -4.23393, -6.16156, -7.09748, -5.67968, -7.63203, -1.99543]
FIRST_PENULTIMATE = [-0.17718, 4.19464, -0.28483, -0.27512, 2.42683, 3.60492, -0.25741, 0.70108, -0.07686, 0.63091]
"""The first of these outputs."""


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return MusicnnExtractor()


def reference_input() -> torch.Tensor:
    """The log mel spectrogram that TensorFlow was given, [1, 187, 96]."""
    frame, band = np.arange(187)[:, None], np.arange(96)[None]
    values = 2 + 1.5 * np.sin(0.05 * frame * (1 + band / 96)) + np.cos(0.3 * band)
    return torch.from_numpy(values.astype(np.float32))[None]


def noise(count: int, n_samples: int) -> FloatArray:
    """Fragments from full scale down to -60 dB."""
    samples = np.random.default_rng(0).uniform(-1, 1, (count, n_samples)) * np.geomspace(1, 1e-3, count)[:, None]
    return samples.astype(np.float32)


def tone(sample_rate: int, duration_s: float = 2.0) -> FloatArray:
    """A chord of 440, 1320 and 3000 Hz, [1, n_samples]."""
    time = np.arange(round(duration_s * sample_rate)) / sample_rate
    chord = 0.3 * np.sin(2 * np.pi * np.outer([440, 1320, 3000], time)).sum(axis=0)
    return chord.astype(np.float32)[None]


def test_the_outputs_are_those_of_the_published_network() -> None:
    logits, penultimate = load_musicnn()(reference_input())[0].split([N_TAGS, DIMENSION - N_TAGS])
    np.testing.assert_allclose(logits[:10], FIRST_LOGITS, atol=1e-4)
    np.testing.assert_allclose(penultimate[:10], FIRST_PENULTIMATE, atol=1e-4)


def test_all_logits_are_those_of_the_published_network() -> None:
    if not PUBLISHED.is_file():
        pytest.skip("the published outputs do not lie beside the checkout")
    published = json.loads(PUBLISHED.read_text())["MSD_musicnn"]
    outputs = load_musicnn()(reference_input())[0]
    np.testing.assert_allclose(outputs[:N_TAGS], published["logits"], atol=1e-4)
    np.testing.assert_allclose(outputs[N_TAGS : N_TAGS + 10], published["penultimate_first10"], atol=1e-4)


def test_the_spectrogram_is_that_of_librosa() -> None:
    waveform = noise(1, 16_000)[0]
    mel = librosa.feature.melspectrogram(
        y=waveform,
        sr=16_000,
        n_fft=512,
        hop_length=256,
        win_length=512,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=96,
        fmin=0.0,
        fmax=8_000.0,
        htk=False,
        norm="slaney",
    )
    expected = np.log10(10_000 * mel.astype(np.float32) + 1).T
    np.testing.assert_allclose(LogMel(16_000)(torch.from_numpy(waveform)[None])[0], expected, atol=1e-4)


@pytest.mark.parametrize("sample_rate", [11_025, 22_050, 44_100, 48_000])
def test_a_tone_has_the_same_spectrogram_at_every_rate(sample_rate: int) -> None:
    direct = LogMel(16_000)(torch.from_numpy(tone(16_000)))
    resampled = LogMel(sample_rate)(torch.from_numpy(tone(sample_rate)))
    assert resampled.shape == direct.shape
    inside = slice(4, -4)  # the resampling filter sees zeros beyond the ends
    np.testing.assert_allclose(resampled[:, inside], direct[:, inside], atol=0.02)


def test_five_seconds_have_313_frames() -> None:
    assert LogMel(22_050)(torch.zeros(1, 110_250)).shape == (1, 313, 96)


def test_silence_and_full_scale_give_finite_features(extractor: FeatureExtractor) -> None:
    square = np.sign(tone(22_050))
    features = extractor.compute(np.concatenate([np.zeros_like(square), square]), 22_050)
    assert np.isfinite(features).all()


def test_features_of_a_fragment_do_not_depend_on_the_batch(extractor: FeatureExtractor) -> None:
    fragments = noise(14, 4_000)  # more than one batch of the network
    features = extractor.compute(fragments, 8_000)
    assert features.dtype == np.float32
    assert features.shape == (14, extractor.dimension)
    for number in (0, 12, 13):
        alone = extractor.compute(fragments[number : number + 1], 8_000)
        np.testing.assert_allclose(alone[0], features[number], rtol=1e-4, atol=1e-4)


def test_every_feature_depends_on_the_input(extractor: FeatureExtractor) -> None:
    """A constant feature would have a deviation of rounding errors, and standardizing it would amplify them."""
    rate = 22_050
    clicks = np.zeros((1, 2 * rate), np.float32)
    clicks[0, :: rate // 4] = 1
    glides = np.sin(np.cumsum(np.linspace(0.01, 3, 2 * rate)))[None].astype(np.float32)
    fragments = np.concatenate([noise(6, 2 * rate), tone(rate), np.sign(tone(rate)), clicks, glides, glides**3])
    deviation = extractor.compute(fragments, rate).std(axis=0)
    assert (deviation > 1e-5).mean() > 0.9


def test_a_track_has_the_same_features_at_every_level(extractor: FeatureExtractor) -> None:
    track = noise(1, 16_000)[0]
    loud, quiet = (normalize_waveform(level * track, "peak")[None] for level in (np.float32(1), np.float32(0.25)))
    np.testing.assert_array_equal(extractor.compute(quiet, 16_000), extractor.compute(loud, 16_000))


def test_the_digest_names_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(WEIGHTS.read_bytes() + b" ")
    digest = MusicnnExtractor().digest
    assert digest == MusicnnExtractor().digest
    monkeypatch.setattr("genrekit.models.musicnn.WEIGHTS", other)
    assert MusicnnExtractor().digest != digest


def test_a_rate_without_a_common_factor_is_refused_with_the_remedy(extractor: FeatureExtractor) -> None:
    with pytest.raises(GenrekitError, match=r"cannot resample from 22051 Hz .* use a common rate, such as 22050"):
        extractor.module(22_051)


def test_fragments_that_are_too_short_are_refused_with_the_remedy(extractor: FeatureExtractor) -> None:
    with pytest.raises(GenrekitError, match=r"must last more than 0.032 s for musicnn, got 0.01 s: prepare a cache"):
        extractor.compute(np.zeros((1, 80), np.float32), 8_000)


def test_loading_the_network_leaves_torch_s_random_numbers_as_they_are() -> None:
    before = torch.get_rng_state()
    load_musicnn()
    assert torch.equal(torch.get_rng_state(), before)


def missing(_: Path) -> None:
    pass


def damaged(path: Path) -> None:
    path.write_bytes(WEIGHTS.read_bytes()[:1_000])


def incomplete(path: Path) -> None:
    write_tensors(path, {"pooled": torch.zeros(3)}, metadata_of({"format_version": 1}))


def of_another_version(path: Path) -> None:
    write_tensors(path, {"pooled": torch.zeros(3)}, metadata_of({"format_version": 2}))


@pytest.mark.parametrize("write", [missing, damaged, incomplete, of_another_version])
def test_weights_that_cannot_be_read_are_named_with_the_remedy(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "weights.safetensors"
    write(path)
    with pytest.raises(GenrekitError, match=r"weights\.safetensors.*reinstall genrekit") as caught:
        load_musicnn(path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter warns about optional libraries and about itself
@pytest.mark.parametrize("sample_rate", [16_000, 22_050])
def test_the_exported_module_computes_the_same_features(extractor: FeatureExtractor, sample_rate: int) -> None:
    n_samples = 5 * sample_rate
    program = torch.onnx.export(
        extractor.module(sample_rate),
        (torch.rand(2, n_samples) - 0.5,),
        input_names=["waveform"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=20,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        fragments = noise(count, n_samples)
        (features,) = session.run(["features"], {"waveform": fragments})
        expected = extractor.compute(fragments, sample_rate)
        np.testing.assert_allclose(features[:, :N_TAGS], expected[:, :N_TAGS], atol=1e-4)
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
