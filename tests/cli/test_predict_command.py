"""genrekit predict, flag by flag."""

import csv
import io
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from tiny_bundle import edit
from tiny_cli import CommandLine

import genrekit as library
from genrekit.audio import tags
from genrekit.cli.predict_display import show
from genrekit.cli.timeline import Key, letters, strip
from genrekit.inference import streaming
from genrekit.inference.prediction import FragmentPrediction
from genrekit.models.bundle import read_metadata
from genrekit.workflows.predict import PredictResult
from genrekit.workflows.reporter import Reporter

GENRES = ["blues", "jazz", "metal"]


def listing(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


class TestFiles:
    def test_a_folder_is_replaced_by_the_audio_files_in_it(self, here: Path, genrekit: CommandLine) -> None:
        Path("data/blues/notes.txt").write_text("no audio")
        Path("data/blues/._blues-0.wav").write_bytes(b"hidden")
        files = genrekit("predict", "data/jazz/jazz-0.wav", "data/blues", "--json").json["files"]
        assert [file["path"] for file in files] == [
            "data/jazz/jazz-0.wav",
            *(f"data/blues/blues-{number}.wav" for number in range(10)),
        ]

    def test_a_damaged_file_is_named_with_both_lengths(self, here: Path, genrekit: CommandLine) -> None:
        soundfile.write("cut.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 3 * 8_000), 8_000)
        Path("cut.wav").write_bytes(Path("cut.wav").read_bytes()[:-3_200])
        note = "damaged: 2.8 s of 3 s can be decoded and are used"
        assert f"warning: cut.wav: {note}" in genrekit("predict", "cut.wav").err
        result = genrekit("predict", "cut.wav", "--json").json
        assert result["warnings"] == [f"cut.wav: {note}"]
        assert result["files"][0]["notes"] == [note]

    @pytest.mark.usefixtures("no_other_decoder")
    def test_a_file_that_needs_another_decoder_says_what_to_install(self, here: Path, genrekit: CommandLine) -> None:
        Path("song.m4a").write_bytes(b"?")
        outcome = genrekit("predict", "song.m4a", "data/jazz/jazz-0.wav", "--json")
        reason = "m4a needs PyAV or ffmpeg: pip install 'genrekit[formats]'"
        assert outcome.json["skipped"] == [{"path": "song.m4a", "reason": reason}]

    def test_an_empty_folder_is_reported_and_other_files_are_predicted(self, here: Path, genrekit: CommandLine) -> None:
        Path("empty").mkdir()
        outcome = genrekit("predict", "empty", "data/jazz/jazz-0.wav", "--json")
        assert outcome.code == 1
        assert outcome.json["skipped"] == [{"path": "empty", "reason": "no audio files in this folder"}]
        assert len(outcome.json["files"]) == 1

    def test_files_in_a_folder_that_are_no_audio_are_listed_with_the_reason(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        for name in ("a.mid", "b.mid", "cover.jpg", "notes.txt"):
            Path("data/blues", name).write_bytes(b"?")
        reason = ".mid is not a supported audio format"
        outcome = genrekit("predict", "data/blues", "--model", "runs/cel/best")
        assert outcome.code == 0
        assert f"note: not used: data/blues/a.mid, data/blues/b.mid: {reason}\n" in outcome.err
        outcome = genrekit("predict", "data/blues", "--model", "runs/cel/best", "--json")
        assert outcome.json["unused"] == [{"path": f"data/blues/{name}.mid", "reason": reason} for name in "ab"]
        assert outcome.json["skipped"] == []

    def test_a_folder_without_audio_names_what_is_in_it(self, here: Path, genrekit: CommandLine) -> None:
        Path("scores").mkdir()
        Path("scores/a.mid").write_bytes(b"?")
        outcome = genrekit("predict", "scores", "--model", "runs/cel/best")
        assert outcome.code == 1
        assert outcome.err == (
            "genrekit: scores: no audio files in this folder; scores/a.mid: .mid is not a supported audio format\n"
        )

    @pytest.mark.parametrize(
        "listed",
        [
            pytest.param(b"data/jazz/jazz-0.wav\nwith space.wav\n", id="lines"),
            pytest.param(b"data/jazz/jazz-0.wav\r\n\r\nwith space.wav", id="windows"),
            pytest.param(b"data/jazz/jazz-0.wav\0with space.wav\0", id="nul"),
            pytest.param(b"\xef\xbb\xbfdata/jazz/jazz-0.wav\nwith space.wav\n", id="byte order mark"),
            pytest.param("data\\jazz\\jazz-0.wav\r\nwith space.wav\r\n".encode("utf-16"), id="utf-16"),
        ],
    )
    def test_paths_are_read_from_standard_input(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, listed: bytes
    ) -> None:
        Path("data/jazz/jazz-1.wav").rename("with space.wav")
        listing(monkeypatch, listed)
        files = genrekit("predict", "data/blues/blues-0.wav", "-", "--json").json["files"]
        assert [file["path"] for file in files] == ["data/blues/blues-0.wav", "data/jazz/jazz-0.wav", "with space.wav"]

    def test_an_empty_list_is_an_error(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listing(monkeypatch, b"\n")
        outcome = genrekit("predict", "-")
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == "genrekit: no files given: name audio files, or folders of them\n"

    def test_a_name_that_no_file_can_have_is_reported_and_other_files_are_predicted(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listing(monkeypatch, b"x" * 5_000 + b".wav\ndata/jazz/jazz-0.wav\n")
        outcome = genrekit("predict", "-", "--json")
        assert outcome.code == 1
        assert len(outcome.json["files"]) == 1
        assert "File name too long" in outcome.json["skipped"][0]["reason"]

    def test_a_tenth_of_a_second_and_eight_channels_are_predicted(self, here: Path, genrekit: CommandLine) -> None:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 8))
        soundfile.write("short.wav", noise[:4_800, 0], 48_000)
        soundfile.write("wide.wav", noise, 48_000)
        short, wide = genrekit("predict", "short.wav", "wide.wav", "--json").json["files"]
        assert (short["duration_s"], len(short["fragments"])) == (0.1, 1)
        assert (wide["duration_s"], [fragment["start_s"] for fragment in wide["fragments"]]) == (1.0, [0.0, 0.5])

    def test_shorter_than_a_tenth_of_a_second_is_refused(self, here: Path, genrekit: CommandLine) -> None:
        soundfile.write("short.wav", np.zeros(700), 8_000)
        outcome = genrekit("predict", "short.wav")
        assert outcome.code == 1
        assert "short.wav: 0.0875 s of audio, shorter than 0.1 s" in outcome.err

    def test_many_files_are_predicted_as_each_alone_whatever_the_number_of_workers(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        Path("data/jazz/broken.wav").write_bytes(b"RIFF")
        one, four = (genrekit("predict", "data", "--json", "--workers", n).json for n in (1, 4))
        assert [file["path"] for file in one["files"]] == [file["path"] for file in four["files"]]
        assert one["skipped"] == four["skipped"]
        assert len(one["files"]) == 30
        for first, second in zip(one["files"], four["files"], strict=True):
            assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-6)
        alone = genrekit("predict", one["files"][7]["path"], "--json").json["files"][0]
        assert alone["probabilities"] == pytest.approx(one["files"][7]["probabilities"], abs=1e-6)

    def test_a_long_file_is_predicted_as_a_short_one(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = ("predict", "data/metal/metal-1.wav", "--hop-seconds", "0.1", "--json")
        short = genrekit(*command).json["files"]
        monkeypatch.setattr(streaming, "MAX_WAVEFORM_S", 0.5)
        monkeypatch.setattr(streaming, "MAX_SPECTROGRAMS", 1)
        assert genrekit(*command).json["files"] == short

    def test_an_interrupt_stops_the_files_that_are_being_processed(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Stopping(Reporter):
            def tracks_done(self, done: int, of: int) -> None:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr("genrekit.cli.progress.TerminalReporter.tracks_done", Stopping.tracks_done)
        outcome = genrekit("predict", "data")
        assert (outcome.code, outcome.out) == (130, "")
        assert outcome.err.endswith("genrekit: interrupted\n")


class TestModel:
    def test_the_best_of_a_folder_by_validation_is_used(self, here: Path, genrekit: CommandLine) -> None:
        best = min(Path("best_models").glob("*-*"), key=lambda path: read_metadata(path).rank)
        assert genrekit("predict", "data/jazz/jazz-0.wav", "--json").json["bundle"] == str(best)
        note = f"note: {best} is used: the best of 2 on validation"
        assert note in " ".join(genrekit("predict", "data/jazz/jazz-0.wav").err.split())

    def test_models_of_different_genres_need_a_choice(self, here: Path, genrekit: CommandLine) -> None:
        first, _ = sorted(Path("best_models").glob("*-*"), key=lambda path: read_metadata(path).rank)
        edit(first, lambda values: values.update(genres=["blues", "jazz", "rock"]))
        for model in ((), ("--model", "best_models")):
            outcome = genrekit("predict", "data/jazz/jazz-0.wav", *model)
            assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
            assert "the models in best_models have different genres" in outcome.err
            assert f"choose one, such as --model {first}" in outcome.err
        assert genrekit("predict", "data/jazz/jazz-0.wav", "--model", first).code == 0

    def test_a_damaged_bundle_among_others_is_skipped(self, here: Path, genrekit: CommandLine) -> None:
        best, other = sorted(Path("best_models").glob("*-*"), key=lambda path: read_metadata(path).rank)
        (best / "model.json").write_text("{")
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--json")
        assert outcome.code == 0
        assert outcome.json["bundle"] == str(other)
        assert f"warning: skipped model: {best / 'model.json'} is damaged" in outcome.err
        (other / "model.json").write_text("{")
        assert genrekit("predict", "data/jazz/jazz-0.wav").code == 1

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda path: path.unlink(), id="missing"),
            pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-5]), id="truncated"),
            pytest.param(lambda path: path.write_bytes(path.read_bytes() + bytes(5)), id="oversized"),
            pytest.param(lambda path: path.write_bytes(b"\x80" + path.read_bytes()[1:]), id="tampered"),
        ],
    )
    @pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
    def test_a_bundle_with_a_bad_file_is_refused_in_a_line(
        self, here: Path, genrekit: CommandLine, name: str, damage: object
    ) -> None:
        assert callable(damage)
        damage(Path("runs/mlp/best", name))
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/mlp/best")
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
        assert "runs/mlp/best" in outcome.err

    def test_a_model_with_outputs_that_are_not_finite_is_an_error(self, here: Path, genrekit: CommandLine) -> None:
        path = Path("runs/mlp/best/model.safetensors")
        tensors = load_tensors(path.read_bytes())
        for tensor in tensors.values():
            if tensor.is_floating_point():
                tensor.fill_(3e38)
        path.write_bytes(save_tensors(tensors))
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/mlp/best")
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
        assert "runs/mlp/best gives no finite probabilities for data/jazz/jazz-0.wav" in outcome.err


class TestOptions:
    def test_overlapping_fragments_start_every_hop(self, here: Path, genrekit: CommandLine) -> None:
        (file,) = genrekit("predict", "data/jazz/jazz-0.wav", "--hop-seconds", "0.2", "--json").json["files"]
        assert [fragment["start_s"] for fragment in file["fragments"]] == pytest.approx([0, 0.2, 0.4, 0.6])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            pytest.param(("--hop-seconds", "0"), "hop_seconds: input should be greater than 0, got '0'", id="no-hop"),
            pytest.param(
                ("--hop-seconds", "0.6"),
                "hop_seconds must be at most the length of this model's fragments (0.5 s), got 0.6",
                id="gaps",
            ),
            pytest.param(("--min-confidence", "1.5"), "min_confidence: input should be less than", id="confidence"),
            pytest.param(("--top", "0"), "'--top': Input should be greater than or equal to 1", id="top"),
            pytest.param(("--workers", "0"), "'--workers': Input should be greater than or equal to 1", id="workers"),
            pytest.param(("--genre-mode", "add"), "--genre-mode add has no effect without --write-tags", id="mode"),
            pytest.param(("--json", "--top", "2"), "--top has no effect with --json", id="top of json"),
            pytest.param(("--json", "--csv"), "--json and --csv cannot be used together", id="both"),
        ],
    )
    def test_invalid_options_are_wrong_usage(
        self, here: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
    ) -> None:
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", *options)
        assert outcome.code == 2
        assert message in outcome.err

    def test_auto_keeps_95_percent_of_the_validation_tracks(self, here: Path, genrekit: CommandLine) -> None:
        bundle = "runs/mlp/best"
        tracks = [f"data/{track}.wav" for track in read_metadata(Path(bundle)).validation]
        result = genrekit("predict", *tracks, "--model", bundle, "--min-confidence", "auto", "--json").json
        least = read_metadata(Path(bundle)).confidence_threshold
        assert result["min_confidence"] == least
        reached = [max(file["probabilities"].values()) for file in result["files"]]
        assert min(reached) == pytest.approx(least, abs=1e-3)  # three tracks, so 95 % are all of them
        model = library.load_model(bundle)
        confident = [file.confident for file in model.predict(tracks, min_confidence="auto")]
        assert confident == [file["confident"] for file in result["files"]]

    def test_a_bundle_without_a_threshold_says_what_to_do(self, here: Path, genrekit: CommandLine) -> None:
        edit(Path("runs/mlp/best"), lambda values: values.pop("confidence_threshold"))
        command = ("predict", "data/jazz/jazz-0.wav", "--model", "runs/mlp/best", "--min-confidence")
        refused = genrekit(*command, "auto")
        assert refused.code == 1
        assert refused.err.endswith(
            "runs/mlp/best has no confidence threshold for --min-confidence auto: train it again, or give a number\n"
        )
        assert genrekit(*command, "0.5").code == 0

    def test_a_confidence_that_is_no_number_is_refused(self, here: Path, genrekit: CommandLine) -> None:
        refused = genrekit("predict", "data/jazz/jazz-0.wav", "--min-confidence", "high")
        assert refused.code == 2
        assert "min_confidence must be a number from 0 to 1, or auto, got 'high'" in refused.err

    def test_a_file_below_the_least_confidence_is_unsure(self, here: Path, genrekit: CommandLine) -> None:
        command = ("predict", "data/jazz/jazz-0.wav", "--min-confidence")
        (sure,), (unsure,) = (genrekit(*command, bar, "--json").json["files"] for bar in ("0", "1"))
        assert (sure["confident"], unsure["confident"]) == (True, False)
        assert unsure["genre"] == sure["genre"] == max(sure["probabilities"], key=sure["probabilities"].get)
        shown = genrekit(*command, "1").out
        assert " unsure " in shown
        assert "unsure: the probability is below 100.0 %" in shown
        assert " unsure " not in genrekit(*command, "0").out

    def test_csv_has_a_line_for_each_file(self, here: Path, genrekit: CommandLine) -> None:
        Path("noise.mp3").write_text("no audio")
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "noise.mp3", "--csv", "--top", "2")
        assert outcome.code == 1
        assert "skipped noise.mp3" in outcome.err
        (row,) = csv.DictReader(io.StringIO(outcome.out))
        assert list(row) == ["path", "genre", "probability", "confident", "genre_2", "probability_2"]
        probabilities = genrekit("predict", "data/jazz/jazz-0.wav", "--json").json["files"][0]["probabilities"]
        first, second = sorted(probabilities, key=probabilities.get, reverse=True)[:2]
        assert (row["path"], row["genre"], row["genre_2"]) == ("data/jazz/jazz-0.wav", first, second)
        assert float(row["probability_2"]) == pytest.approx(probabilities[second], abs=1e-4)
        assert row["confident"] == "true"

    def test_more_genres_than_there_are_leave_cells_empty(self, here: Path, genrekit: CommandLine) -> None:
        header, line = genrekit("predict", "data/jazz/jazz-0.wav", "--csv", "--top", "4").out.splitlines()
        assert header.endswith("genre_4,probability_4")
        assert line.endswith(",,")

    @pytest.mark.parametrize("top", [1, 2, 3])
    def test_the_table_shows_that_many_genres(self, here: Path, genrekit: CommandLine, top: int) -> None:
        line = genrekit("predict", "data/jazz/jazz-0.wav", "--top", top).out.splitlines()[1]
        assert line.count("%") == top


class TestTags:
    """genrekit predict --write-tags."""

    def test_copies_are_tagged_and_the_files_left_alone(self, here: Path, genrekit: CommandLine) -> None:
        before = {path: path.read_bytes() for path in Path("data").rglob("*.wav")}
        outcome = genrekit(
            "predict", "data/blues", "data/jazz/jazz-0.wav", "--write-tags", "--tags-out", "out", "--json"
        )
        assert outcome.code == 0, outcome.err
        files = outcome.json["files"]
        assert [file["tagged"] for file in files] == [
            *(f"out/blues-{number}.wav" for number in range(10)),
            "out/jazz-0.wav",
        ]
        for file in files:
            assert mutagen.File(file["tagged"]).tags["TCON"].text == [file["genre"]]
            np.testing.assert_array_equal(soundfile.read(file["tagged"])[0], soundfile.read(file["path"])[0])
        assert {path: path.read_bytes() for path in Path("data").rglob("*.wav")} == before

    def test_copies_keep_their_path_below_a_folder(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("predict", "data", "--write-tags", "--tags-out", "out")
        assert outcome.code == 0
        assert Path("out/jazz/jazz-3.wav").is_file()
        assert "30 of 30 files tagged" in outcome.out

    def test_in_place_the_file_itself_is_tagged(self, here: Path, genrekit: CommandLine) -> None:
        samples = soundfile.read("data/jazz/jazz-0.wav")[0]
        file = genrekit("predict", "data/jazz/jazz-0.wav", "--write-tags", "--in-place", "--json").json["files"][0]
        assert file["tagged"] == "data/jazz/jazz-0.wav"
        assert mutagen.File("data/jazz/jazz-0.wav").tags["TCON"].text == [file["genre"]]
        np.testing.assert_array_equal(soundfile.read("data/jazz/jazz-0.wav")[0], samples)

    def test_an_unsure_file_is_not_tagged(self, here: Path, genrekit: CommandLine) -> None:
        options = ("--write-tags", "--tags-out", "out", "--min-confidence", "1")
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", *options, "--json")
        assert outcome.code == 0
        assert outcome.json["files"][0]["tagged"] is None
        assert not Path("out").exists()

    def test_a_file_that_cannot_be_tagged_is_reported_and_others_are_tagged(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        soundfile.write("song.au", soundfile.read("data/jazz/jazz-1.wav")[0], 8_000)
        Path("out").mkdir()
        Path("out/jazz-0.wav").write_text("dear")
        files = ("data/jazz/jazz-0.wav", "song.au", "data/jazz/jazz-2.wav")
        outcome = genrekit("predict", *files, "--write-tags", "--tags-out", "out", "--json")
        assert outcome.code == 1
        assert [file["tagged"] for file in outcome.json["files"]] == [None, None, "out/jazz-2.wav"]
        assert [file["path"] for file in outcome.json["untagged"]] == ["data/jazz/jazz-0.wav", "song.au"]
        assert "not tagged: song.au: tags cannot be written into au files" in outcome.err
        assert Path("out/jazz-0.wav").read_text() == "dear"
        assert sorted(path.name for path in Path("out").iterdir()) == ["jazz-0.wav", "jazz-2.wav"]

    @pytest.mark.parametrize(
        "options", [("--write-tags",), ("--in-place",), ("--tags-out", "out")], ids=lambda options: options[0]
    )
    def test_one_option_without_the_other_is_wrong_usage(
        self, here: Path, genrekit: CommandLine, options: tuple[str, ...]
    ) -> None:
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", *options)
        assert outcome.code == 2
        assert "--write-tags needs --tags-out FOLDER or --in-place" in outcome.err

    def test_copies_and_in_place_are_wrong_usage(self, here: Path, genrekit: CommandLine) -> None:
        options = ("--write-tags", "--in-place", "--tags-out", "out")
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", *options)
        assert outcome.code == 2
        assert "choose one" in outcome.err

    def test_two_files_of_one_name_are_refused_before_anything_is_written(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        Path("other").mkdir()
        shutil.copy("data/jazz/jazz-0.wav", "other")
        files = ("data/jazz/jazz-0.wav", "other/jazz-0.wav")
        outcome = genrekit("predict", *files, "--write-tags", "--tags-out", "out")
        assert outcome.code == 2
        assert "data/jazz/jazz-0.wav and other/jazz-0.wav would both be copied to out/jazz-0.wav" in outcome.err
        assert not Path("out").exists()

    @pytest.mark.parametrize("folder", ["data/jazz", "link"])
    def test_copies_never_replace_the_files_themselves(self, here: Path, genrekit: CommandLine, folder: str) -> None:
        Path("link").symlink_to("data/jazz")
        before = Path("data/jazz/jazz-0.wav").read_bytes()
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--write-tags", "--tags-out", folder)
        assert outcome.code == 2
        assert f"the copy {folder}/jazz-0.wav would be the file itself" in outcome.err
        assert Path("data/jazz/jazz-0.wav").read_bytes() == before

    def test_links_out_of_the_folder_are_not_followed_in_place(self, here: Path, genrekit: CommandLine) -> None:
        Path("mine").mkdir()
        shutil.copy("data/jazz/jazz-0.wav", "mine")
        Path("mine/blues").symlink_to("../data/blues")
        before = {path: path.read_bytes() for path in Path("data").rglob("*.wav")}
        outcome = genrekit("predict", "mine", "--write-tags", "--in-place", "--json")
        assert outcome.code == 1
        assert [file["path"] for file in outcome.json["files"] if file["tagged"]] == ["mine/jazz-0.wav"]
        assert "not tagged: mine/blues/blues-0.wav: a link leads out of mine to " in outcome.err
        assert {path: path.read_bytes() for path in Path("data").rglob("*.wav")} == before

    def test_replaced_genres_are_a_note_and_can_be_kept(self, here: Path, genrekit: CommandLine) -> None:
        song = "data/jazz/jazz-0.wav"
        tags.tag_genre(Path(song), Path(song), "Polka")
        options = (song, "--write-tags", "--in-place")
        genre = genrekit("predict", *options, "--genre-mode", "add", "--json").json["files"][0]["genre"]
        assert mutagen.File(song).tags["TCON"].text == ["Polka", genre]
        outcome = genrekit("predict", *options)
        assert f"replaced other genres of 1 file: {song} (Polka); --genre-mode add keeps them" in outcome.err
        assert mutagen.File(song).tags["TCON"].text == [genre]
        outcome = genrekit("predict", *options, "--genre-mode", "both")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "unknown genre_mode 'both'" in outcome.err

    def test_without_mutagen_it_says_what_to_install(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tags, "find_spec", lambda _name: None)
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--write-tags", "--in-place")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "pip install 'genrekit[tags]'" in outcome.err


class TestTable:
    @pytest.fixture
    def result(self, here: Path) -> PredictResult:
        name = "a name that is a good deal longer than any table has room for.wav"
        samples = [soundfile.read(f"data/{genre}/{genre}-0.wav")[0] for genre in GENRES * 10]
        soundfile.write(name, np.concatenate(samples), 8_000)
        return library.predict([name, "data/jazz/jazz-0.wav"], "runs/mlp/best", min_confidence=0.5)

    @pytest.mark.parametrize("width", [80, 140])
    def test_it_fits_the_terminal_and_ends_with_a_legend(
        self, result: PredictResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        show(result)
        *table, legend, model = capsys.readouterr().out.splitlines()
        assert max(map(len, table)) <= width
        assert "\x1b" not in "".join(table)
        assert table[0].split()[-1] == "timeline"
        cells = table[1].split()[-1]
        assert len(cells) >= 8
        assert set(cells) <= set("BJM")
        assert legend.startswith("timeline: ")
        assert model == "model: runs/mlp/best"

    @pytest.mark.parametrize("width", [80, 140])
    def test_a_common_folder_stands_once_and_no_word_is_broken(
        self, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
    ) -> None:
        bundle = Path("models with long names of many words/cel3-mel-sgd-cosine-a-long-name/best")
        shutil.copytree("runs/mlp/best", bundle)
        albums = [Path("music/collection") / name for name in ("John Coltrane - Blue Train", "Extraordinarily Fine")]
        for album in albums:
            album.mkdir(parents=True)
            shutil.copy("data/jazz/jazz-0.wav", album / "01 Introduction.wav")
        predicted = library.predict(albums, bundle)
        monkeypatch.setenv("COLUMNS", str(width))
        show(predicted)
        first, *table, _, model = capsys.readouterr().out.splitlines()
        assert first == "files in music/collection:"
        assert max(map(len, table)) <= width
        text = "\n".join(table)
        for word in ("Coltrane", "Extraordinarily", "Introduction.wav"):
            assert word in text
        assert "collection" not in text
        assert model == f"model: {bundle}"

    def test_letters_are_coloured_by_genre(self) -> None:
        text = Key(GENRES).text(["blues", "blues", "jazz"])
        assert text.plain == "BBJ"
        colours = [str(span.style) for span in text.spans]
        assert colours[0] == colours[1] != colours[2]
        assert all(colour.startswith("black on ") for colour in colours)

    def test_every_genre_has_a_different_letter(self) -> None:
        assert list(letters(["pop", "punk", "opus", "ö", "пop"]).values()) == ["P", "U", "O", "1", "2"]
        many = letters([f"genre {number}" for number in range(40)])
        assert len(set(many.values())) == 40

    def test_a_letter_is_the_first_free_one_of_the_name_and_a_digit_of_a_name_is_its_own(self) -> None:
        assert letters(["ccc", "cc", "90s", "80s", "1"]) == {"ccc": "C", "cc": "2", "90s": "9", "80s": "8", "1": "1"}

    @pytest.mark.parametrize("name", ["genre {}", "{}", "ö"])
    def test_a_hundred_genres_have_two_characters_each(self, name: str) -> None:
        genres = [name.format(number) + "ö" * number for number in range(100)]
        many = letters(genres)
        assert len(set(many.values())) == 100
        assert {len(text) for text in many.values()} == {2}
        key = Key(genres)
        assert len(key.text([genres[0], None, genres[99]]).plain) == 6

    def test_a_strip_keeps_the_order_and_joins_neighbours(self) -> None:
        fragments = [FragmentPrediction(5 * n, GENRES[n // 4], 0.5) for n in range(12)]
        assert strip(fragments, 12) == strip(fragments, 99) == [fragment.genre for fragment in fragments]
        assert strip(fragments, 3) == GENRES


def test_the_python_function_takes_one_path_or_many_and_says_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], genrekit: CommandLine
) -> None:
    shown = genrekit("predict", "data/jazz/jazz-0.wav", "--json").json
    one = library.predict("data/jazz/jazz-0.wav")
    many = library.predict(["data/jazz/jazz-0.wav", Path("data/jazz/jazz-1.wav")])
    assert one.files[0].probabilities == pytest.approx(many.files[0].probabilities, abs=1e-6)
    assert [str(file.path) for file in many.files] == ["data/jazz/jazz-0.wav", "data/jazz/jazz-1.wav"]
    assert json.loads(json.dumps(shown["files"][0]["genre"])) == one.files[0].genre
    alone = library.load_model(one.bundle).predict("data/jazz/jazz-0.wav")
    assert alone.genre == one.files[0].genre
    assert capsys.readouterr() == ("", "")
