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
from tiny_cli import CommandLine

import genrekit as library
from genrekit.cli.predict_display import show
from genrekit.cli.timeline import Key, letters, strip
from genrekit.inference import streaming, tags
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

    def test_an_empty_folder_is_reported_and_other_files_are_predicted(self, here: Path, genrekit: CommandLine) -> None:
        Path("empty").mkdir()
        outcome = genrekit("predict", "empty", "data/jazz/jazz-0.wav", "--json")
        assert outcome.code == 1
        assert outcome.json["skipped"] == [{"path": "empty", "reason": "no audio files in this folder"}]
        assert len(outcome.json["files"]) == 1

    @pytest.mark.parametrize(
        "listed",
        [
            pytest.param(b"data/jazz/jazz-0.wav\nwith space.wav\n", id="lines"),
            pytest.param(b"data/jazz/jazz-0.wav\r\n\r\nwith space.wav", id="windows"),
            pytest.param(b"data/jazz/jazz-0.wav\0with space.wav\0", id="nul"),
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
            pytest.param(("--json", "--csv"), "--json and --csv cannot be used together", id="both"),
        ],
    )
    def test_invalid_options_are_wrong_usage(
        self, here: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
    ) -> None:
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", *options)
        assert outcome.code == 2
        assert message in outcome.err

    def test_a_file_below_the_least_confidence_is_unsure(self, here: Path, genrekit: CommandLine) -> None:
        command = ("predict", "data/jazz/jazz-0.wav", "--min-confidence")
        (sure,), (unsure,) = (genrekit(*command, bar, "--json").json["files"] for bar in ("0", "1"))
        assert (sure["confident"], unsure["confident"]) == (True, False)
        assert unsure["genre"] == sure["genre"] == max(sure["probabilities"], key=sure["probabilities"].get)
        assert " unsure " in genrekit(*command, "1").out
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
        assert "--write-tags needs --tags-out DIR or --in-place" in outcome.err

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
