"""Models on power spectrograms, which are computed from the cached waveforms, with all commands."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tiny_cli import SMALL, CommandLine

from genrekit.data.cache.reader import open_cache
from genrekit.data.loader import FragmentSource
from genrekit.models.bundle import load_bundle

STFT = ("train", "--input", "stft", "--channels", "2,4", "--device", "cpu", "--epochs", "2")


@pytest.mark.slow
def test_a_model_on_power_spectrograms_is_trained_evaluated_and_used(here: Path, genrekit: CommandLine) -> None:
    trained = genrekit(*STFT, "--spec-freq-mask", "20", "--spec-time-mask", "4", "--out", "runs/stft")
    assert trained.code == 0, trained.err
    assert "cel on stft: " in trained.err
    assert genrekit("evaluate", "runs/stft/best", "--json").json["models"][0]["tracks"] == 3
    assert "stft" in genrekit("info", "runs/stft/best").out
    Path("data/cache.h5").rename("hidden.h5")  # a bundle predicts from the file alone
    predicted = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/stft/best", "--json").json["files"][0]
    cache, bundle = open_cache(Path("hidden.h5")), load_bundle("runs/stft/best")
    source = FragmentSource(cache, "stft", ["jazz/jazz-0"])
    expected = bundle.model(source.inputs(source.rows)).softmax(dim=1).mean(dim=0).tolist()
    np.testing.assert_allclose(list(predicted["probabilities"].values()), expected, rtol=1e-5)


@pytest.mark.parametrize("arch", ["mlp", "mlp2", "cel2"])
def test_every_network_accepts_power_spectrograms(here: Path, genrekit: CommandLine, arch: str) -> None:
    layers = ("--channels", "2,4") if arch == "cel2" else ("--hidden", "4,4")
    outcome = genrekit("train", "--arch", arch, "--input", "stft", *layers, "--epochs", "1", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["run"].endswith(f"-{arch}-stft-adam-onecycle")


def test_a_cache_without_waveforms_is_refused(here: Path, genrekit: CommandLine) -> None:
    genrekit("prepare", *SMALL, "--out", "one.h5", "--store", "mel", "--workers", "1")
    outcome = genrekit(*STFT, "--cache", "one.h5", "--out", "runs/new")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "one.h5 has no waveform, only mel" in outcome.err
    assert not Path("runs/new").exists()
    genrekit("prepare", *SMALL, "--out", "two.h5", "--store", "waveform", "--workers", "1")
    assert genrekit(*STFT, "--cache", "two.h5").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ("--spec-freq-mask", "201"), "spec_freq_mask must be less than the bands of stft (201)", id="bands"
        ),
        pytest.param(
            ("--spec-time-mask", "21"), "spec_time_mask must be less than the frames of stft (21)", id="frames"
        ),
        pytest.param(("--gain-db", "3"), "gain_db needs input waveform, got stft", id="gain"),
        pytest.param(("--arch", "lda", "--channels", "none"), "input must be mel for lda", id="classical"),
    ],
)
def test_incompatible_options_are_refused(
    here: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
) -> None:
    outcome = genrekit(*STFT, *options, "--out", "runs/new")
    assert outcome.code == 2
    assert message in outcome.err
    assert not Path("runs/new").exists()


def test_the_input_is_in_the_printed_configuration_and_read_from_it(here: Path, genrekit: CommandLine) -> None:
    printed = genrekit(*STFT, "--print-config").out
    assert tomllib.loads(printed)["input"] == "stft"
    Path("stft.toml").write_text(printed)
    assert genrekit("train", "--config", "stft.toml", "--out", "runs/again").code == 0
    assert json.loads(Path("runs/again/config.json").read_text())["input"] == "stft"


def test_an_interrupted_stft_run_resumes_to_the_same_weights(here: Path, genrekit: CommandLine) -> None:
    assert genrekit(*STFT, "--out", "runs/whole").code == 0
    whole = Path("runs/whole/best/model.safetensors").read_bytes()
    Path("runs/whole/result.json").unlink()
    Path("runs/whole/previous-last.safetensors").rename("runs/whole/last.safetensors")
    assert genrekit("train", "--resume", "--out", "runs/whole").code == 0
    assert Path("runs/whole/best/model.safetensors").read_bytes() == whole
