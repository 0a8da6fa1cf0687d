"""genrekit evaluate --unknown: how well a model tells audio that it does not know from the test tracks."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import edit
from tiny_cli import CommandLine

from genrekit import evaluate
from genrekit.errors import GenrekitError, UsageError
from genrekit.models.bundle import read_metadata

BUNDLE = Path("runs/mlp/best")


@pytest.fixture
def noises(here: Path) -> Path:
    generator = np.random.default_rng(0)
    for number in range(6):
        path = here / "unknown" / f"{number % 2}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, generator.uniform(-0.5, 0.5, 6_000), 8_000)
    return Path("unknown")


def test_files_of_a_folder_are_compared_with_the_test_tracks(noises: Path, genrekit: CommandLine) -> None:
    (model,) = genrekit("evaluate", BUNDLE, "--unknown", noises, "--json").json["models"]
    unknown = model["unknown"]
    assert unknown["source"] == "unknown"
    names = [file["path"] for file in unknown["files"]]
    assert names == ["0/0.wav", "0/2.wav", "0/4.wav", "1/1.wav", "1/3.wav", "1/5.wav"]
    threshold = read_metadata(BUNDLE).confidence_threshold
    assert unknown["threshold"] == threshold
    accepted = [file["probability"] >= threshold for file in unknown["files"]]
    assert [file["accepted"] for file in unknown["files"]] == accepted
    assert unknown["false_acceptance"]["value"] == pytest.approx(sum(accepted) / 6)
    assert 0 <= unknown["auroc"]["low"] <= unknown["auroc"]["value"] <= unknown["auroc"]["high"] <= 1


def test_the_synthetic_signals_need_no_folder(here: Path, genrekit: CommandLine) -> None:
    done = genrekit("evaluate", "best_models", "--unknown", "signals", "--report", "report.html", "--json").json
    assert len(done["models"]) == 2
    for model in done["models"]:
        files = {file["path"]: file for file in model["unknown"]["files"]}
        assert {"silence", "white noise", "pink noise", "tone of 440 Hz"} < files.keys()
        assert (files["silence"]["genre"], files["silence"]["accepted"]) == (None, False)
    assert "Unknown audio (signals, 6 files)" in Path("report.html").read_text(encoding="utf-8")
    shown = genrekit("evaluate", "best_models", "--unknown", "signals").out
    assert "unknown audio, signals (6 files), in %" in shown
    assert "falsely accepted" in shown


def test_without_unknown_audio_nothing_is_measured(here: Path, genrekit: CommandLine) -> None:
    (model,) = genrekit("evaluate", BUNDLE, "--json").json["models"]
    assert model["unknown"] is None
    assert "AUROC" not in genrekit("evaluate", BUNDLE).out


def test_a_bundle_without_a_threshold_has_the_area_only(here: Path, genrekit: CommandLine) -> None:
    edit(BUNDLE, lambda values: values.pop("confidence_threshold"))
    done = genrekit("evaluate", BUNDLE, "--unknown", "signals", "--json").json
    unknown = done["models"][0]["unknown"]
    assert (unknown["false_acceptance"], unknown["threshold"]) == (None, None)
    assert unknown["auroc"]["high"] > 0
    assert "mlp: no confidence threshold, so acceptance is not measured: train again" in done["warnings"]


def test_a_wrong_folder_is_refused_before_the_test_set_is_read(here: Path) -> None:
    Path("empty").mkdir()
    for folder, error, message in (
        ("nowhere", UsageError, "unknown must be a folder of audio files, or signals, got nowhere"),
        ("empty", GenrekitError, "no audio files in empty"),
    ):
        with pytest.raises(error, match=message):
            evaluate(BUNDLE, "data/cache.h5", unknown=folder)
    assert not Path("data/cache.splits/readings.json").exists()


def test_a_damaged_file_is_skipped(noises: Path, genrekit: CommandLine) -> None:
    (noises / "bad.wav").write_bytes(b"RIFF")
    done = genrekit("evaluate", BUNDLE, "--unknown", noises, "--json").json
    assert [file["path"] for file in done["skipped"]] == ["unknown/bad.wav"]
    assert len(done["models"][0]["unknown"]["files"]) == 6


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="it needs espeak-ng to synthesize speech")
def test_speech_is_predicted_like_any_other_file(here: Path, genrekit: CommandLine) -> None:
    Path("speech").mkdir()
    words = ["espeak-ng", "-w", "speech/weather.wav", "It will rain in the morning."]
    subprocess.run(words, check=True)
    (model,) = genrekit("evaluate", BUNDLE, "--unknown", "speech", "--json").json["models"]
    (file,) = model["unknown"]["files"]
    assert 1 / 3 <= file["probability"] <= 1
