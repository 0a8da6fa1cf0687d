"""train --calibrate divides the logits of a network by a temperature, and all commands use it."""

from pathlib import Path

import numpy as np
import pytest
from tiny_cli import CommandLine

from genrekit import load_model
from genrekit.models.bundle import read_metadata
from genrekit.models.calibrated import Calibrated


def test_a_calibrated_network_has_the_logits_of_the_plain_one_divided(here: Path, genrekit: CommandLine) -> None:
    command = ("train", "--arch", "mlp", "--hidden", "16,8", "--epochs", "2", "--json", "--wandb", "off")
    plain, calibrated = (
        genrekit(*command, *options, "--out", f"runs/{name}").json
        for name, options in (("plain", ()), ("calibrated", ("--calibrate",)))
    )
    assert read_metadata(Path(plain["bundle"])).temperature is None
    temperature = read_metadata(Path(calibrated["bundle"])).temperature
    assert temperature not in (None, 1)
    assert calibrated["validation"]["loss"] != plain["validation"]["loss"]
    models = [load_model(one["bundle"]) for one in (plain, calibrated)]
    assert [isinstance(model.model, Calibrated) for model in models] == [False, True]
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 4_000).astype(np.float32)
    logs = [np.log(model.predict_proba(waveform, 8_000)) for model in models]
    before, after = (log - log.mean() for log in logs)
    np.testing.assert_allclose(after, before / temperature, atol=1e-5)


def test_evaluation_and_validation_use_the_temperature(here: Path, genrekit: CommandLine) -> None:
    run = genrekit("train", "--arch", "mlp", "--hidden", "16,8", "--epochs", "1", "--calibrate", "--json").json
    tracks = [f"data/{track}.wav" for track in read_metadata(Path(run["bundle"])).validation]
    files = genrekit("predict", *tracks, "--model", run["bundle"], "--min-confidence", "auto", "--json").json
    lowest = min(max(file["probabilities"].values()) for file in files["files"])
    assert lowest == pytest.approx(files["min_confidence"], abs=1e-3)
    unknown = genrekit("evaluate", run["bundle"], "--unknown", "signals", "--json").json["models"][0]["unknown"]
    assert unknown["threshold"] == files["min_confidence"]
