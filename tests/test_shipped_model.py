"""The model that comes with genrekit predicts without any preparation, and says what it is."""

import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import other_audio
import pytest
import soundfile
from other_audio import RATE, TEST_TEXTS, unseen_signals, write_speech
from shipped_model import OTHER_WEIGHT, other_map, ship, shipped_card
from sklearn.linear_model import LogisticRegression
from tiny_cli import CommandLine

from genrekit import open_cache, predict
from genrekit.audio.synthetic_signals import write_signals
from genrekit.data.splits.gtzan import index
from genrekit.demo.synthesizer import synthesize_track
from genrekit.inference.prediction import FilePrediction
from genrekit.models.bundle import load_bundle, read_metadata
from genrekit.models.classical import Classifier
from genrekit.models.seen_audio import read_seen_audio
from genrekit.workflows.predict import SHIPPED


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", synthesize_track("jazz", 0, 0, 22_050, 6.0), 22_050)
    return Path("song.wav")


def test_predict_works_in_an_empty_folder_and_says_which_model_it_uses(song: Path, genrekit: CommandLine) -> None:
    done = genrekit("predict", song)
    assert done.code == 0, done.err
    assert done.err.count("\n") == 1
    assert "note: no model in best_models/: the model that comes with genrekit is used" in done.err
    probabilities = genrekit("predict", song, "--json").json["files"][0]["probabilities"]
    assert len(probabilities) == 11
    assert "other" in probabilities
    assert sum(probabilities.values()) == pytest.approx(1)


def test_a_folder_that_is_named_must_have_a_model(song: Path, genrekit: CommandLine) -> None:
    refused = genrekit("predict", song, "--model", "best_models")
    assert refused.code == 1
    assert "no bundle at best_models" in refused.err


def test_models_of_the_user_come_first(here: Path, genrekit: CommandLine) -> None:
    done = genrekit("predict", "data/jazz/jazz-0.wav", "--json")
    assert done.json["bundle"].startswith("best_models/")


def test_it_is_small_and_calibrated() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 500_000
    model = load_bundle(SHIPPED).model
    assert isinstance(model, Classifier)
    assert model.temperature is not None
    assert model.temperature.item() != 1


def test_its_card_says_where_it_comes_from() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert card == shipped_card(read_metadata(SHIPPED))
    for words in (
        "rebuilt from published pictures",
        "95 % interval",
        "What it is not for",
        "ISC licence",
        "443 tracks",
        "The class `other`",
        "English and German speech from espeak-ng",
    ):
        assert words in card


def test_it_has_no_paths_of_the_computer_that_made_it() -> None:
    metadata = read_metadata(SHIPPED)
    assert (metadata.cache, metadata.collection) == (None, None)
    assert metadata.prepare.front_end.pad == "wrap"
    assert read_seen_audio(SHIPPED) is not None


def test_a_run_becomes_a_model_that_rejects_noise_and_keeps_its_genres(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    """As the tool makes it, but for the speech: espeak-ng may be missing."""
    monkeypatch.setattr(other_audio, "write_speech", lambda *_, **__: [])
    done = genrekit("train", "--recipe", "pretrained", "--out", "runs/pretrained")
    assert done.code == 0, done.err
    with open_cache("data/cache.h5") as cache:
        ship(Path("runs/pretrained"), cache, tmp_path / "shipped")
    metadata = read_metadata(tmp_path / "shipped")
    assert metadata.genres[-1] == "other"
    assert (metadata.cache, metadata.collection) == (None, None)
    assert (tmp_path / "shipped" / "README.md").read_text(encoding="utf-8") == shipped_card(metadata)
    noise = np.random.default_rng(11).normal(0, 0.1, 6 * RATE)
    soundfile.write("noise.wav", noise, RATE)
    songs = sorted(Path("data").glob("*/*.wav"))
    trained, shipped = (
        [file.genre for file in predict([*songs, "noise.wav"], model).files]
        for model in ("runs/pretrained/best", tmp_path / "shipped")
    )
    assert shipped[:-1] == trained[:-1]
    assert shipped[-1] == "other"


def write_gtzan(folder: Path, subsets: Sequence[str]) -> Path:
    """Write one synthetic track of each genre for each subset of GTZAN's fault-filtered split, under GTZAN's names."""
    tracks = index()
    genres = sorted({name.partition(".")[0] for name in tracks})
    for genre, subset in product(genres, subsets):
        name = next(name for name, track in tracks.items() if name.startswith(genre) and track.subset == subset)
        path = folder / genre / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, synthesize_track(genre, 0, len(subset), 22_050, 5.0), 22_050)
    return folder


def test_it_is_scored_on_the_test_set_of_a_cache_without_a_class_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    music = write_gtzan(tmp_path / "music", ("train", "validation", "test"))
    genrekit("prepare", music, "--workers", "1", "--quiet")
    (model,) = genrekit("evaluate", SHIPPED, "--json").json["models"]
    assert model["tracks"] == 10
    assert model["genres"][-1] == "other"
    assert [len(row) for row in model["confusion"]] == [11] * 11
    assert sum(model["confusion"][-1]) == 0


def test_a_cache_without_its_split_is_refused_with_the_option_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    music = write_gtzan(tmp_path / "music", ("validation", "test"))
    genrekit("prepare", music, "--workers", "1", "--quiet")
    refused = genrekit("evaluate", SHIPPED)
    assert refused.code == 1
    assert "the fault-filtered split has no blues tracks in the training set; use --data FOLDER" in refused.err
    assert "--split" not in refused.err


def is_refused(file: FilePrediction) -> bool:
    """Whether a file gets no genre: it is silent, rejected, or less probable than the threshold of the model."""
    return file.silent or file.rejected or not file.confident


def test_noise_and_tones_get_no_genre(tmp_path: Path) -> None:
    files = predict(list(write_signals(tmp_path).values()), SHIPPED, min_confidence="auto").files
    assert {file.path.stem: file.genre for file in files if not is_refused(file)} == {}
    assert [file.path.stem for file in files if file.silent] == ["silence"]
    assert any(file.rejected for file in files)


def test_sounds_of_kinds_that_it_was_not_trained_on_get_no_genre(tmp_path: Path) -> None:
    for name, samples in unseen_signals(np.random.default_rng(0)):
        soundfile.write(tmp_path / f"{name}.wav", 0.5 * samples / np.abs(samples).max(), RATE)
    files = predict(tmp_path, SHIPPED, min_confidence="auto").files
    assert len(files) == 9
    assert {file.path.stem: file.genre for file in files if not is_refused(file)} == {}


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="it needs espeak-ng to synthesize speech")
def test_speech_in_other_languages_than_it_was_trained_on_gets_no_genre(tmp_path: Path) -> None:
    files = predict(write_speech(tmp_path, TEST_TEXTS, voices=("", "+f3"), words=(160,)), SHIPPED).files
    assert [file.genre for file in files] == ["other"] * 4


def test_music_keeps_its_genre(song: Path) -> None:
    (file,) = predict(song, SHIPPED).files
    assert not file.rejected


def test_the_map_of_other_is_that_of_a_logistic_regression() -> None:
    random = np.random.default_rng(0)
    inputs = np.concatenate([random.normal(-1, 1, (60, 3)), random.normal(1, 1, (20, 3))])
    is_other = np.arange(80) >= 60
    expected = LogisticRegression(C=0.5, tol=1e-8).fit(inputs, is_other, np.where(is_other, OTHER_WEIGHT, 1))
    weight, bias = other_map(inputs, np.zeros(80), is_other, 0.5)
    assert weight == pytest.approx(expected.coef_[0], abs=1e-3)
    assert bias == pytest.approx(expected.intercept_[0], abs=1e-3)
    _, shifted = other_map(inputs, np.full(80, 2.0), is_other, 0.5)
    assert shifted == pytest.approx(bias + 2, abs=1e-3)
