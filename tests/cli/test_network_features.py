"""Features of pretrained networks with all commands."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny_cli import CommandLine
from tiny_network import onnx_network
from torch import Tensor, nn

from genrekit import load_model
from genrekit.errors import BundleError, GenrekitError
from genrekit.inference.onnx_export import largest_difference, to_onnx
from genrekit.models.bundle import load_bundle

MUSICNN = ("train", "--arch", "logreg", "--features", "musicnn", "--out", "runs/musicnn")


@pytest.fixture
def trained(here: Path, genrekit: CommandLine) -> Path:
    done = genrekit(*MUSICNN)
    assert done.code == 0, done.err
    assert "logreg on musicnn: " in done.err
    return here / "runs" / "musicnn" / "best"


class Energy(nn.Module):
    """The mean and the mean square of a waveform in eight parts, [B, n_samples] to [B, 16]."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Embed a batch."""
        parts = waveform[:, : waveform.shape[1] // 8 * 8].reshape(len(waveform), 8, -1)
        return torch.cat([parts.mean(dim=2), parts.square().mean(dim=2)], dim=1)


def test_musicnn_is_used_by_all_commands(trained: Path, here: Path, genrekit: CommandLine) -> None:
    facts = genrekit("info", "runs/musicnn/best", "--json").json["facts"]
    assert (facts["input"], facts["network"]["name"]) == ("waveform", "musicnn")
    assert "Million Song Dataset" in facts["outside_data"]
    assert "Outside data: the features are those of MSD" in (trained / "README.md").read_text()
    compared = genrekit("compare")
    assert " musicnn +" in compared.out
    assert "+ uses a network trained on outside data" in compared.out
    evaluated = genrekit("evaluate", "runs/musicnn/best", "--report", "report.html", "--json")
    assert evaluated.code == 0, evaluated.err
    assert any("uses a network trained on outside data" in warning for warning in evaluated.json["warnings"])
    assert "musicnn +" in genrekit("evaluate", "runs/musicnn/best").out
    assert "It uses a network trained on outside data: MSD" in (here / "report.html").read_text()
    predicted = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/musicnn/best", "--json")
    assert predicted.json["files"][0]["genre"] == "jazz"
    assert list((here / "data" / "cache.features").glob("*-musicnn-*.safetensors"))
    again = genrekit(*MUSICNN[:-1], "runs/again")
    assert "computing" not in again.err
    one, two = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("musicnn", "again"))
    assert one == two


def test_the_level_of_a_file_does_not_matter(trained: Path, tmp_path: Path) -> None:
    model = load_model(trained)
    samples, rate = soundfile.read("data/jazz/jazz-1.wav", dtype="float32")
    expected = model.predict_proba(samples, rate)
    for level in (0.5, 0.01):
        soundfile.write(tmp_path / "quiet.wav", level * samples, rate, subtype="FLOAT")
        probabilities = [*model.predict(tmp_path / "quiet.wav").probabilities.values()]
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)


@pytest.mark.slow
def test_an_exported_model_contains_the_network(trained: Path) -> None:
    bundle = load_bundle(trained)
    clips = np.random.default_rng(0).uniform(-1, 1, (3, 4_000)).astype(np.float32)
    model = to_onnx(bundle)
    assert largest_difference(model, bundle, clips) < 1e-4
    assert len(model) > 800_000


@pytest.mark.slow
def test_a_forest_on_musicnn_is_not_exported(here: Path, genrekit: CommandLine) -> None:
    assert genrekit("train", "--arch", "forest", "--features", "musicnn", "--out", "runs/forest").code == 0
    refused = genrekit("export", "runs/forest/best")
    assert refused.code == 1
    assert "a forest cannot be exported" in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(("--arch", "cel"), "features is for classical models: leave it out for cel", id="network"),
        pytest.param(("--input", "mel"), "input must be waveform for features musicnn, got mel", id="mel"),
        pytest.param(("--features-rate", "16000"), "features_rate needs features that are a file", id="rate"),
        pytest.param(("--features", "musicn"), "unknown features 'musicn': did you mean musicnn?", id="misspelled"),
        pytest.param(("--features", "net.onnx"), "features_rate must be the sample rate of the input", id="no rate"),
        pytest.param(("--arch", "lda", "--c", "1"), "c is for logreg and svm: leave it out for lda", id="c"),
        pytest.param(
            ("--features", "net.pt", "--features-rate", "8000", "--carry-network"),
            "carry_network needs an ONNX file: TorchScript can run code",
            id="carry",
        ),
        pytest.param(
            ("--features", "net.onnx", "--features-rate", "8000"), "cannot read the network for features", id="missing"
        ),
    ],
)
def test_wrong_options_are_refused(here: Path, genrekit: CommandLine, options: tuple[str, ...], message: str) -> None:
    refused = genrekit(*MUSICNN, *options)
    assert refused.code in (1, 2)
    assert message in refused.err
    assert refused.err.count("genrekit: ") == 1
    assert not Path("runs/musicnn").exists()


def test_a_cache_without_waveforms_or_normalization_is_refused(here: Path, genrekit: CommandLine) -> None:
    small = ("--sample-rate", "8000", "--duration-s", "0.5", "--n-fft", "512", "--hop-length", "256", "--n-mels", "16")
    for name, option, message in (
        ("mel", ("--store", "mel"), "has no waveform, only mel"),
        ("raw", ("--normalization", "none"), "has normalization none, but features of musicnn depend on the level"),
    ):
        genrekit("prepare", *small, *option, "--out", f"{name}/cache.h5", "--workers", "1")
        refused = genrekit(*MUSICNN, "--cache", f"{name}/cache.h5")
        assert refused.code == 1
        assert message in refused.err
        assert not Path("runs/musicnn").exists()


def test_a_study_may_compare_features(here: Path, genrekit: CommandLine) -> None:
    (here / "features.toml").write_text(
        'title = "Features"\nquestion = "Do pretrained features help?"\nseeds = 1\n'
        'base = { split = "track" }\n[axes.model]\n'
        'mlp = { arch = "mlp", hidden = [4, 4], epochs = 1 }\nmusicnn = { arch = "logreg", features = "musicnn" }\n'
    )
    done = genrekit("study", "run", "features.toml", "--json")
    assert done.code == 0, done.err
    assert sorted(done.json["ranking"]) == ["mlp", "musicnn"]
    assert "uses a network trained on outside data" in next(here.glob("reports/**/report.md")).read_text()


@pytest.fixture
def onnx_file(here: Path) -> Path:
    return onnx_network(here / "energy.onnx", scale=2.0)


def train_with(genrekit: CommandLine, network: Path, *options: str) -> Path:
    arguments = ("--features", network, "--features-rate", "8000", "--out", "runs/own", "--c", "1")
    done = genrekit("train", "--arch", "logreg", *arguments, *options)
    assert done.code == 0, done.err
    return Path("runs/own/best")


def predictions(genrekit: CommandLine, bundle: Path, *options: str) -> Any:
    done = genrekit("predict", "data/jazz/jazz-0.wav", "--model", bundle, "--json", *options)
    assert done.code == 0, done.err
    return done.json["files"][0]["probabilities"]


def test_a_bundle_carries_its_network_or_asks_for_it(onnx_file: Path, genrekit: CommandLine) -> None:
    carrying = train_with(genrekit, onnx_file, "--carry-network")
    assert json.loads((carrying / "model.json").read_text())["network"]["carried"] is True
    expected = predictions(genrekit, carrying)
    shutil.rmtree("runs/own")
    plain = train_with(genrekit, onnx_file)
    assert predictions(genrekit, plain) == expected
    moved = onnx_file.rename(onnx_file.with_name("moved.onnx"))
    refused = genrekit("predict", "data/jazz/jazz-0.wav", "--model", plain)
    assert refused.code == 1
    assert "energy.onnx, which is not there: name it with --network" in refused.err
    assert predictions(genrekit, plain, "--network", str(moved)) == expected
    evaluated = genrekit("evaluate", plain, "--network", moved)
    assert evaluated.code == 0, evaluated.err
    assert "energy.onnx, not of musicnn" in genrekit("export", plain).err
    moved.write_bytes(moved.read_bytes() + b" ")
    with pytest.raises(BundleError, match="was trained with another network than"):
        load_model(plain, network=moved)


def test_a_file_beside_the_network_has_its_rate_and_window(onnx_file: Path, genrekit: CommandLine) -> None:
    settings = onnx_file.with_name("energy.onnx.json")
    settings.write_text('{"format_version": 1, "rate": 8000, "window": 0.25}')
    printed = genrekit("train", "--arch", "logreg", "--features", onnx_file, "--print-config").out
    assert "features_rate = 8000" in printed
    assert "features_window = 0.25" in printed
    done = genrekit("train", "--arch", "logreg", "--features", onnx_file, "--features-window", "0.5", "--out", "runs/j")
    assert done.code == 0, done.err
    config = json.loads(Path("runs/j/config.json").read_text())
    assert (config["features_rate"], config["features_window"]) == (8_000, 0.5)
    settings.unlink()
    assert predictions(genrekit, Path("runs/j/best"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "cannot read .*energy.onnx.json", id="no JSON"),
        pytest.param("[8000]", "energy.onnx.json must be a JSON object, such as", id="list"),
        pytest.param('{"rate": 8000}', "energy.onnx.json: .*format_version", id="no version"),
        pytest.param('{"format_version": 2}', "energy.onnx.json: format_version 2 is not supported", id="version"),
        pytest.param('{"format_version": 1, "rate": "fast"}', "energy.onnx.json: rate.*got 'fast'", id="rate"),
        pytest.param('{"format_version": 1, "rat": 8000}', "energy.onnx.json: .*rat", id="misspelled"),
        pytest.param(
            '{"format_version": 1, "window": 1}', "features_rate must be the sample rate .*none", id="rate out"
        ),
    ],
)
def test_a_wrong_file_beside_the_network_is_one_line(
    onnx_file: Path, genrekit: CommandLine, text: str, message: str
) -> None:
    onnx_file.with_name("energy.onnx.json").write_text(text)
    refused = genrekit("train", "--arch", "logreg", "--features", onnx_file, "--out", "runs/own")
    assert refused.code in (1, 2)
    assert re.search(message, refused.err), refused.err
    assert refused.err.count("\n") == 1
    assert not Path("runs/own").exists()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch recommends another format for new files
def test_torchscript_is_read_only_if_the_user_names_it(here: Path, genrekit: CommandLine) -> None:
    network = here / "energy.pt"
    torch.jit.script(Energy()).save(str(network))
    bundle = train_with(genrekit, network)
    with pytest.raises(BundleError, match=r"needs the network .*energy\.pt, which can run code: name it with"):
        load_model(bundle)
    assert load_model(bundle, network=network).metadata.network is not None
    other = shutil.copy(bundle / "model.safetensors", here / "other.pt")
    with pytest.raises(BundleError, match="was trained with another network"):  # and other.pt is not opened as one
        load_model(bundle, network=other)


def test_a_network_that_is_not_needed_is_refused(here: Path) -> None:
    with pytest.raises(GenrekitError, match="needs no network for its features: leave out network"):
        load_model("runs/mlp/best", network="energy.onnx")
