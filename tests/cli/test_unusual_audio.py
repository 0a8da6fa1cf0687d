"""Short, silent, cancelling and band-limited audio in prepare, predict and evaluate."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
from signals import sine, white_noise
from tiny_bundle import edit
from tiny_cli import SMALL, CommandLine

from genrekit import evaluate, load_model, open_cache, predict, prepare
from genrekit._types import FloatArray
from genrekit.errors import IncompatibleCacheError
from genrekit.models.bundle import read_metadata

RATE = 8_000
BUNDLE = "runs/cel/best"
MUSIC = sine(220, RATE, RATE, 0.3) + white_noise(RATE, amplitude=0.1)
SILENT = {
    "zeros": np.zeros(RATE, np.float32),
    "constant": np.full(RATE, 0.5, np.float32),
    "dither": white_noise(RATE, amplitude=2 / 32_768),
}


def write(name: str, waveform: FloatArray) -> str:
    soundfile.write(name, waveform, RATE, subtype="FLOAT")
    return name


def predicted(genrekit: CommandLine, *names: str) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = genrekit("predict", *names, "--model", BUNDLE, "--json").json["files"]
    return files


def as_version_2(path: Path) -> None:
    """Change a cache into one of version 2, whose first track is silent."""
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
        config = json.loads(file.attrs["config"])
        del config["front_end"]["pad"]
        file.attrs["config"] = json.dumps(config)
        for name in ("padded", "cancelled", "silent_fragments", "bandwidth_hz"):
            del file["tracks"][name]
        file["tracks"]["silent"] = np.arange(len(file["tracks/id"])) == 0


class TestPredict:
    def test_a_clip_is_predicted_as_its_repetition(self, here: Path, genrekit: CommandLine) -> None:
        names = [write("clip.wav", MUSIC[:1_000]), write("repeated.wav", np.tile(MUSIC[:1_000], 4))]
        clip, repeated = predicted(genrekit, *names)
        assert clip["probabilities"] == pytest.approx(repeated["probabilities"], abs=1e-6)
        assert [clip["padded"], repeated["padded"]] == [True, False]
        outcome = genrekit("predict", *names, "--model", BUNDLE)
        assert "note: 1 file is shorter than a fragment (0.5 s) and was repeated: clip.wav" in outcome.err

    @pytest.mark.parametrize("kind", SILENT)
    def test_silence_has_no_genre(self, here: Path, genrekit: CommandLine, kind: str) -> None:
        (file,) = predicted(genrekit, write("x.wav", SILENT[kind]))
        assert (file["genre"], file["silent"], file["confident"]) == (None, True, False)
        assert file["fragments"] == [{"start_s": start, "genre": None, "probability": 0.0} for start in (0.0, 0.5)]
        assert file["probabilities"] == pytest.approx(dict.fromkeys(("blues", "jazz", "metal"), 1 / 3))

    def test_silence_is_shown_and_not_tagged(self, here: Path, genrekit: CommandLine) -> None:
        names = [write("quiet.wav", SILENT["zeros"]), write("music.wav", MUSIC)]
        command = ("predict", *names, "--model", BUNDLE)
        outcome = genrekit(*command, "--write-tags", "--tags-out", "tagged")
        assert outcome.code == 0
        assert "warning: 1 file is silent and has no genre: quiet.wav" in outcome.err
        row = next(line for line in outcome.out.splitlines() if line.startswith("quiet.wav"))
        assert row.split() == ["quiet.wav", "silent", "1.0", "s", "--"]
        assert "- silent" in outcome.out
        assert [path.name for path in Path("tagged").iterdir()] == ["music.wav"]
        silent, _ = csv.DictReader(io.StringIO(genrekit(*command, "--csv").out))
        assert (silent["genre"], silent["probability"], silent["confident"]) == ("", "", "false")

    def test_silent_fragments_do_not_vote(self, here: Path, genrekit: CommandLine) -> None:
        silence = SILENT["dither"][:4_000]
        names = [write("x.wav", np.concatenate([silence, MUSIC, silence])), write("y.wav", MUSIC)]
        with_silence, music = predicted(genrekit, *names)
        assert with_silence["probabilities"] == pytest.approx(music["probabilities"], abs=1e-6)
        assert [fragment["genre"] is None for fragment in with_silence["fragments"]] == [True, False, False, True]
        assert not with_silence["silent"]

    def test_channels_that_cancel_are_predicted_as_one_of_them(self, here: Path, genrekit: CommandLine) -> None:
        names = [write("x.wav", np.stack([MUSIC, -MUSIC], axis=1)), write("y.wav", MUSIC)]
        opposite, mono = predicted(genrekit, *names)
        assert opposite["probabilities"] == mono["probabilities"]
        assert [opposite["cancelled"], mono["cancelled"]] == [True, False]
        outcome = genrekit("predict", *names, "--model", BUNDLE)
        assert "warning: the channels of 1 file cancel, so only one channel was used: x.wav" in outcome.err

    def test_another_bandwidth_than_in_training_is_reported(self, here: Path, genrekit: CommandLine) -> None:
        names = [write("narrow.wav", sine(220, RATE, RATE)), write("wide.wav", MUSIC)]
        narrow, wide = predicted(genrekit, *names)
        assert (narrow["unusual_bandwidth"], wide["unusual_bandwidth"]) == (True, False)
        assert narrow["bandwidth_hz"] < 1_000
        assert wide["bandwidth_hz"] == pytest.approx(4_000)
        message = "differs from that of the training set (1.6 kHz to 4.0 kHz), so the genre may be wrong: narrow.wav"
        assert message in genrekit("predict", *names, "--model", BUNDLE).err
        edit(Path(BUNDLE), lambda values: values.pop("bandwidth_hz"))
        assert not predicted(genrekit, *names)[0]["unusual_bandwidth"]

    def test_the_python_api_does_the_same(self, here: Path) -> None:
        write("silent.wav", SILENT["constant"])
        assert predict("silent.wav", BUNDLE).files[0].silent
        model = load_model(BUNDLE)
        file = model.predict("silent.wav")
        assert (file.genre, file.probability, file.confident) == (None, 0, False)
        one, silent = model.predict_proba(np.stack([[MUSIC, -MUSIC], [0 * MUSIC, 0 * MUSIC]]), RATE)
        np.testing.assert_array_equal(one, model.predict_proba(MUSIC, RATE))
        np.testing.assert_allclose(silent, np.full(3, 1 / 3), rtol=1e-6)
        clip = model.predict_proba(MUSIC[:1_000], RATE)
        np.testing.assert_allclose(clip, model.predict_proba(np.tile(MUSIC[:1_000], 4), RATE), atol=1e-6)


def test_evaluate_leaves_silent_files_out(here: Path, genrekit: CommandLine) -> None:
    Path("other/jazz").mkdir(parents=True)
    write("other/jazz/music.wav", MUSIC)
    write("other/jazz/rest.wav", SILENT["constant"])
    result = evaluate(BUNDLE, data="other")
    assert result.models[0].tracks == 1
    assert [(Path(file.path).name, file.reason[:6]) for file in result.skipped] == [("rest.wav", "silent")]


class TestPrepare:
    @pytest.fixture
    def odd(self, here: Path) -> Path:
        """Add tracks that are short, partly silent, cancelling and band-limited."""
        folder = Path("data/jazz")
        write(str(folder / "clip.wav"), MUSIC[:1_000])
        write(str(folder / "opposite.wav"), np.stack([MUSIC, -MUSIC], axis=1))
        write(str(folder / "pause.wav"), np.concatenate([SILENT["dither"], MUSIC]))
        write(str(folder / "narrow.wav"), sine(220, RATE, RATE))
        write(str(folder / "rest.wav"), SILENT["constant"])
        return folder

    def test_odd_tracks_are_named_again_when_nothing_is_new(self, odd: Path, genrekit: CommandLine) -> None:
        command = ("prepare", *SMALL, "--workers", "1", "--out", "odd.h5")
        for _ in range(2):
            outcome = genrekit(*command)
            assert "note: 1 track is shorter than a fragment (0.5 s) and was repeated: jazz/clip" in outcome.err
            assert "note: 2 silent fragments in 1 track were left out: jazz/pause" in outcome.err
            assert "warning: the channels of 1 track cancel, so only one channel was used: jazz/opposite" in outcome.err
            assert "1 track has a bandwidth that differs from the median of 4.0 kHz: jazz/narrow (" in outcome.err
        result = genrekit(*command, "--json").json
        assert (result["padded"], result["cancelled"]) == (["jazz/clip"], ["jazz/opposite"])
        assert (result["silent_fragments"], [*result["unusual_bandwidth"]]) == ({"jazz/pause": 2}, ["jazz/narrow"])
        assert [skip["path"] for skip in result["skipped"]] == ["jazz/rest.wav"]
        cache = open_cache("odd.h5")
        assert cache.start_s[cache.original_rows(["jazz/pause"])].tolist() == [1.0, 1.5]
        facts = genrekit("info", "odd.h5", "--json").json["facts"]
        assert (facts["pad"], facts["padded"], facts["silent_fragments"]) == ("wrap", ["jazz/clip"], 2)

    def test_a_new_track_leaves_what_is_known_about_the_others(self, odd: Path, genrekit: CommandLine) -> None:
        command = ("prepare", *SMALL, "--workers", "1", "--out", "odd.h5", "--json")
        before = genrekit(*command).json
        write(str(odd / "second.wav"), MUSIC[:2_000])
        after = genrekit(*command).json
        assert after["padded"] == [*before["padded"], "jazz/second"]
        assert after["unusual_bandwidth"] == before["unusual_bandwidth"]
        assert after["reused"] == before["tracks"]


class TestEarlierVersions:
    def test_a_bundle_without_pad_pads_with_zeros(self, here: Path, genrekit: CommandLine) -> None:
        padded = np.concatenate([MUSIC[:1_000], np.zeros(3_000, np.float32)])
        names = [write("clip.wav", MUSIC[:1_000]), write("zeros.wav", padded)]
        edit(Path(BUNDLE), lambda values: values["prepare"]["front_end"].pop("pad"))
        assert read_metadata(Path(BUNDLE)).prepare.front_end.pad == "zero"
        clip, zeros = predicted(genrekit, *names)
        assert clip["probabilities"] == zeros["probabilities"]

    def test_such_a_bundle_is_evaluated_unless_the_cache_has_short_tracks(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        edit(Path(BUNDLE), lambda values: values["prepare"]["front_end"].pop("pad"))
        assert genrekit("evaluate", BUNDLE, "--quiet").code == 0
        write("data/jazz/clip.wav", MUSIC[:1_000])
        assert genrekit("prepare", *SMALL, "--augment", "--workers", "1", "--quiet").code == 0
        outcome = genrekit("evaluate", BUNDLE, "--quiet")
        assert outcome.code == 1
        assert "pad zero, cache wrap" in outcome.err

    def test_an_older_cache_is_read_and_its_rows_are_reused(self, here: Path, genrekit: CommandLine) -> None:
        as_version_2(Path("data/cache.h5"))
        cache = open_cache("data/cache.h5")
        assert cache.config.front_end.pad == "zero"
        assert [track.id for track in cache.tracks if track.silent] == ["blues/blues-0"]
        assert (
            genrekit("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--quiet", "--out", "old").code == 0
        )
        assert read_metadata(Path("old/best")).bandwidth_hz is None
        command = ("prepare", *SMALL, "--augment", "--workers", "1", "--json")
        result = genrekit(*command, "--pad", "zero").json
        assert result["skipped"] == [
            {"path": "blues/blues-0.wav", "reason": "silent: every fragment is below -80 dBFS"}
        ]
        assert (result["tracks"], result["reused"]) == (29, 29)
        outcome = genrekit(*command)
        assert outcome.code == 1
        assert "pad is zero, not wrap" in outcome.err


def test_prepare_takes_the_padding_from_python(here: Path) -> None:
    write("data/jazz/clip.wav", MUSIC[:1_000])
    front_end = open_cache("data/cache.h5").config.front_end.model_copy(update={"pad": "reflect"})
    result = prepare("data", out="mirrored.h5", features=front_end, workers=1)
    assert result.padded == ("jazz/clip",)
    with pytest.raises(IncompatibleCacheError, match="pad is reflect, not zero"):
        prepare("data", out="mirrored.h5", features=front_end.model_copy(update={"pad": "zero"}), workers=1)
