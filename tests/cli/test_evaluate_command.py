"""genrekit evaluate on a folder, into a folder and into a page, as it is typed."""

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection
from tiny_tunes import tune, write

from genrekit import evaluate
from genrekit.errors import UsageError
from genrekit.models.bundle import read_metadata


def held_out() -> list[str]:
    """Ids of the workspace's test tracks."""
    subsets = json.loads(Path("data/cache.splits/track-0.json").read_text())["parts"]
    return sorted(track for track, subset in subsets.items() if subset == "test")


@pytest.fixture
def fresh(here: Path) -> Path:
    """A folder with two tracks of each genre that are in no training or validation set, and others that are."""
    return write_collection(here / "fresh", {"blues": 12, "jazz": 12, "metal": 12}, duration_s=1.1, sample_rate=8_000)


def keep_new_tracks(folder: Path) -> None:
    """Remove all tracks of a folder but those with numbers that the workspace does not have."""
    for path in folder.rglob("*.wav"):
        if int(path.stem.split("-")[1]) < 10:
            path.unlink()


FINE = ("--sample-rate", "16000", "--duration-s", "2.5", "--n-fft", "1024", "--hop-length", "256", "--n-mels", "64")


@pytest.fixture
def music_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine) -> Path:
    """A model of eight tunes; the folder copies has them as MP3, and a new tune of each genre."""
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        genre, samples = ("blues", "jazz")[number % 2], tune(number, 5)
        if number < 8:
            write(tmp_path / "music" / genre / f"{number}.wav", samples)
        write(tmp_path / "copies" / genre / f"copy-{number}.mp3", 0.3 * samples)
    genrekit("prepare", "music", *FINE, "--workers", "1")
    shown = genrekit("train", "--arch", "mlp", "--epochs", "1", "--split", "track", "--json")
    return Path(shown.json["run"], "best")


def test_models_of_other_genres_are_in_a_table_of_their_own(here: Path, genrekit: CommandLine) -> None:
    """They are scored on other tracks, so nothing compares them."""
    write_collection(here / "more", {"blues": 13, "jazz": 13, "metal": 13}, duration_s=1.1, sample_rate=8_000)
    genrekit("prepare", "data", *SMALL, "--genres", "blues,jazz", "--out", "two.h5", "--workers", "1")
    for arch in ("lda", "logreg"):
        assert genrekit("train", "--arch", arch, "--cache", "two.h5", "--out", f"runs/{arch}").code == 0
    for name in ("mlp", "lda", "cel", "logreg"):
        shutil.copytree(here / "runs" / name / "best", here / "mix" / name)
    shown = genrekit("evaluate", "mix", "--data", "more", "--report", "report.html")
    titles = [line for line in shown.out.splitlines() if line.startswith("accuracy in %")]
    groups = ["more (models of blues, jazz)", "more (models of blues, jazz, metal)"]
    assert sorted(line.removeprefix("accuracy in % on ").partition(", in the order")[0] for line in titles) == groups
    page = Path("report.html").read_text()
    assert all(f"Accuracy in % on {group} with" in page for group in groups)
    result = genrekit("evaluate", "mix", "--data", "more", "--json").json
    tracks = {Path(model["bundle"]).name: model["tracks"] for model in result["models"]}
    assert tracks == {"mlp": 12, "cel": 12, "lda": 8, "logreg": 8}
    pairs = [{Path(pair["first"]).name, Path(pair["other"]).name} for pair in result["comparisons"]]
    assert sorted(map(sorted, pairs)) == [["cel", "mlp"], ["lda", "logreg"]]


class TestFigures:
    """Metrics in JSON."""

    def test_each_level_has_its_metrics(self, here: Path, genrekit: CommandLine) -> None:
        for model in genrekit("evaluate", "best_models/", "--json").json["models"]:
            for level, count in (("track_figures", 3), ("fragment_figures", 6)):
                figures = model[level]
                assert figures["count"] == sum(map(sum, figures["confusion"])) == count
                for name in ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy"):
                    assert 0 <= figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"] <= 1
                assert sum(one["count"] for one in figures["calibration"]["bins"]) == count
            assert model["track_figures"]["confusion"] == model["confusion"]

    def test_the_first_two_are_compared_on_the_same_tracks(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", "best_models/", "--json")
        (pair,) = outcome.json["comparisons"]
        first, second = outcome.json["models"]
        assert (pair["first"], pair["other"], pair["tracks"]) == (first["bundle"], second["bundle"], 3)
        difference = first["track_accuracy"]["value"] - second["track_accuracy"]["value"]
        assert pair["difference"]["value"] == pytest.approx(difference)
        assert pair["p"] >= 0.25  # three tracks cannot say more
        assert pair["tie"] is True
        assert outcome.json["ties"] == [second["bundle"]]
        shown = genrekit("evaluate", "best_models/").out
        assert "=2" in shown
        assert "on the same 3 tracks" in shown
        assert "= not significantly different from the first" in shown

    def test_each_test_set_has_a_table(self, here: Path, genrekit: CommandLine) -> None:
        other = ("--arch", "lda", "--split", "track", "--split-seed", "5", "--out", "runs/other", "--quiet")
        assert genrekit("train", *other).code == 0
        outcome = genrekit("evaluate", "best_models/")
        titles = [line for line in outcome.out.splitlines() if line.startswith("accuracy in % on the test set")]
        assert [title.split("(")[1].split(" split")[0] for title in titles] == ["track, seed 0", "track, seed 5"]
        first, second = outcome.out.split(titles[1])
        assert "=2" in first  # the second model of the first split
        assert "=" not in second.splitlines()[2].split("lda-mel")[0]


class TestFolder:
    """genrekit evaluate --data."""

    def test_the_test_tracks_as_a_folder_have_the_cache_s_figures(self, here: Path, genrekit: CommandLine) -> None:
        for track in held_out():
            target = Path("held", track).with_suffix(".wav")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("data", track).with_suffix(".wav"), target)
        cached = genrekit("evaluate", "best_models/", "--json").json["models"]
        from_files = genrekit("evaluate", "best_models/", "--data", "held", "--json").json["models"]
        for one, other in zip(cached, from_files, strict=True):
            assert one["confusion"] == other["confusion"]
            assert one["track_accuracy"] == other["track_accuracy"]
            first, second = (model["fragment_figures"]["calibration"]["error"]["value"] for model in (one, other))
            assert first == pytest.approx(second, abs=1e-6)

    def test_a_split_of_the_folder_is_not_used_and_a_note_says_so(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        rows = [f"{path},{path.parent.name},test" for path in sorted(fresh.rglob("*.wav"))]
        Path("fresh.csv").write_text("\n".join(["path,genre,split", *rows]))
        outcome = genrekit("evaluate", "runs/mlp/best", "--data", "fresh.csv")
        assert outcome.code == 0
        assert "note: fresh.csv has a split, but all of its tracks are evaluated" in outcome.err

    def test_training_and_validation_tracks_are_left_out_under_any_name(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        (fresh / "jazz" / "jazz-0.wav").rename(fresh / "jazz" / "another.wav")
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--json")
        for model in outcome.json["models"]:
            seen = read_metadata(Path(model["bundle"]))
            assert model["left_out"] == len(seen.training) + len(seen.validation) == 27
            assert model["tracks"] == 9
        assert "27 tracks left out, used in training or validation" in outcome.err

    def test_training_tracks_in_another_encoding_are_left_out(self, music_model: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", music_model, "--data", "copies", "--json")
        (model,) = outcome.json["models"]
        seen = read_metadata(music_model)
        assert model["left_out"] == len(seen.training) + len(seen.validation) == 6
        assert model["tracks"] == 4
        assert "without landmarks" not in outcome.err

    def test_a_bundle_without_landmarks_recognizes_exact_copies_and_says_so(
        self, music_model: Path, genrekit: CommandLine
    ) -> None:
        (music_model / "landmarks.npz").unlink()
        outcome = genrekit("evaluate", music_model, "--data", "copies")
        assert "resampling 10 tracks" in outcome.out
        assert (
            "note: models without landmarks of their training tracks (best): only exact copies of these tracks are "
            "left out; train again to recognize others\n"
        ) in outcome.err

    def test_the_test_set_of_another_cache_is_compared_with_the_training_tracks(
        self, music_model: Path, genrekit: CommandLine
    ) -> None:
        genrekit("prepare", "copies", *FINE, "--out", "copies.h5", "--workers", "1")
        outcome = genrekit("evaluate", music_model, "--cache", "copies.h5")
        metadata = read_metadata(music_model)
        seen = {Path(track).name for track in (*metadata.training, *metadata.validation)}
        subsets = json.loads(Path("copies.splits/track-0.json").read_text())["parts"]
        tested = {track.rpartition("-")[2] for track, subset in subsets.items() if subset == "test"}
        assert tested
        assert tested <= seen
        assert outcome.code == 1
        assert outcome.err.endswith("on every test track of the track, seed 0 split: no test track is left\n")

    def test_gtzan_tracks_used_in_training_are_recognized_by_name(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        """Another copy has another digest, and the same name in another folder."""
        keep_new_tracks(fresh)
        (fresh / "jazz" / "jazz-10.wav").rename(fresh / "jazz" / "jazz.00007.wav")
        bundle = Path("runs/mlp/best/model.json")
        values = json.loads(bundle.read_text())
        values["validation"]["genres_original/jazz/jazz.00007"] = "0" * 32
        bundle.write_text(json.dumps(values))
        (model,) = genrekit("evaluate", "runs/mlp/best", "--data", "fresh", "--json").json["models"]
        assert (model["tracks"], model["left_out"]) == (5, 1)

    def test_aliases_rename_the_genres_of_the_folder(self, here: Path, fresh: Path, genrekit: CommandLine) -> None:
        keep_new_tracks(fresh)
        command = ("evaluate", "runs/mlp/best", "--data", "fresh", "--json")
        expected = genrekit(*command).json["models"][0]["confusion"]
        (fresh / "jazz").rename(fresh / "Jazz & Swing")
        Path("names.csv").write_text("alias,genre\nJazz & Swing,jazz\n")
        (model,) = genrekit(*command, "--genre-aliases", "names.csv").json["models"]
        assert (model["confusion"], model["unknown_genres"]) == (expected, {})
        report = genrekit(*command[:-1], "--genre-aliases", "names.csv", "--report", "report.html")
        assert report.code == 0
        assert "--genre-aliases=names.csv" in Path("report.html").read_text()

    def test_aliases_without_a_folder_are_refused(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", "runs/mlp/best", "--genre-aliases", "names.csv")
        assert (outcome.code, "needs --data" in outcome.err) == (2, True)

    def test_a_stop_in_the_middle_leaves_nothing(
        self, here: Path, fresh: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("genrekit.workflows.evaluate_folder.Recording", stop)
        before = sorted(here.rglob("*"))
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--report", "report.html")
        assert (outcome.code, outcome.err.count("interrupted")) == (130, 1)
        assert sorted(here.rglob("*")) == before

    def test_nothing_is_written_beside_it_and_nothing_is_counted(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        before = sorted(here.rglob("*"))
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh")
        assert outcome.code == 0
        assert sorted(here.rglob("*")) == before
        assert "Evaluations of a folder are not counted." in outcome.out
        assert genrekit("evaluate", "best_models/", "--data", "fresh", "--json").json["readings"] is None

    def test_genres_are_matched_by_name_and_others_are_reported(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        keep_new_tracks(fresh)
        shutil.move(fresh / "jazz", fresh / "polka")
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--json")
        for model in outcome.json["models"]:
            assert model["unknown_genres"] == {"polka": 2}
            assert model["missing_genres"] == ["jazz"]
            assert (model["tracks"], model["left_out"]) == (4, 0)
            assert sum(model["confusion"][1]) == 0
        first, second = (Path(model["bundle"]).name for model in outcome.json["models"])
        assert outcome.json["warnings"] == [
            f"{first}, {second}: 2 tracks left out, genres not in the model: polka",
            f"{first}, {second}: no tracks of these genres of the model: jazz",
        ]
        assert all(warning in outcome.err for warning in outcome.json["warnings"])

    def test_a_warning_names_the_model_and_genres_with_braces(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        keep_new_tracks(fresh)
        shutil.move(fresh / "jazz", fresh / "{jazz}")
        outcome = genrekit("evaluate", "runs/mlp/best", "--data", "fresh", "--json")
        assert outcome.json["warnings"][0] == "mlp: 2 tracks left out, genres not in the model: {jazz}"

    def test_one_genre_is_enough(self, here: Path, fresh: Path, genrekit: CommandLine) -> None:
        keep_new_tracks(fresh)
        shutil.rmtree(fresh / "jazz")
        shutil.rmtree(fresh / "metal")
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--json")
        assert [model["tracks"] for model in outcome.json["models"]] == [2, 2]

    def test_files_that_cannot_be_read_are_skipped_with_their_reason(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        keep_new_tracks(fresh)
        (fresh / "jazz" / "jazz-10.wav").write_bytes(b"no audio")
        (fresh / "jazz" / "song.zip").write_bytes(b"no audio")
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--json")
        assert outcome.code == 0
        skipped = {Path(file["path"]).name: file["reason"] for file in outcome.json["skipped"]}
        assert "not decodable" in skipped["jazz-10.wav"]
        assert ".zip is not a supported audio format" in skipped["song.zip"]
        assert "skipped" in outcome.err
        assert all(model["tracks"] == 5 for model in outcome.json["models"])

    def test_a_manifest_names_artists_whose_tracks_stay_together(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        keep_new_tracks(fresh)
        lines = [
            f"{genre}/{genre}-{number}.wav,{genre},{genre} trio" for genre in ("blues", "jazz") for number in (10, 11)
        ]
        (fresh / "tracks.csv").write_text("\n".join(["path,genre,artist", *lines]) + "\n")
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh/tracks.csv", "--json")
        assert outcome.json["comparisons"][0]["clusters"] == 2
        assert [model["resampled"] for model in outcome.json["models"]] == ["artists", "artists"]
        for model in outcome.json["models"]:  # two artists say nothing about others
            assert (model["clusters"], model["track_accuracy"]["low"], model["macro_f1"]["high"]) == (2, 0, 1)
        assert "no confidence intervals (0 to 100 %), because the 4 test tracks are by only 2 artists" in outcome.err
        assert "resampling" not in genrekit("evaluate", "best_models/", "--data", "fresh/tracks.csv").out

    def test_models_with_different_features_are_evaluated_together(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        keep_new_tracks(fresh)
        front_end = ("--sample-rate", "6000", "--duration-s", "0.4", "--n-fft", "256", "--hop-length", "128")
        genrekit("prepare", "--out", "other.h5", *front_end, "--n-mels", "12", "--fragments", "1", "--workers", "1")
        other = ("--cache", "other.h5", "--arch", "mlp", "--hidden", "8,8", "--input", "waveform", "--epochs", "1")
        assert genrekit("train", *other, "--out", "runs/other", "--quiet").code == 0
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--json")
        assert sorted(model["fragments"] for model in outcome.json["models"]) == [6, 12, 12]
        assert len(outcome.json["comparisons"]) == 2

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            pytest.param(("--data", "absent"), "no folder absent", id="missing"),
            pytest.param(("--data", "frsh"), "did you mean fresh?", id="misspelled"),
            pytest.param(("--data", "strange"), "has none of the genres in strange (polka)", id="unknown genres"),
            pytest.param(
                ("--data", "data"), "was trained or validated on every track of its genres in data", id="no new track"
            ),
            pytest.param(("--data", "empty"), "has no audio", id="empty"),
            pytest.param(("--data", "fresh/jazz/jazz-11.wav"), "cannot read the manifest", id="an audio file"),
        ],
    )
    def test_a_folder_that_cannot_be_evaluated_is_an_error_of_one_line(
        self, here: Path, fresh: Path, genrekit: CommandLine, arguments: tuple[str, ...], words: str
    ) -> None:
        (here / "empty").mkdir()
        (here / "strange" / "polka").mkdir(parents=True)
        shutil.copy(fresh / "jazz" / "jazz-11.wav", here / "strange" / "polka")
        for track in held_out():
            Path("data", track).with_suffix(".wav").unlink()
        outcome = genrekit("evaluate", "best_models/", *arguments)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert words in outcome.err

    @pytest.mark.parametrize("sources", [{}, {"cache": "data/cache.h5", "data": "data"}], ids=["none", "both"])
    def test_the_function_needs_exactly_one_source(self, here: Path, sources: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="needs either a cache or a folder of labelled tracks"):
            evaluate("best_models", **sources)

    def test_a_cache_and_a_folder_cannot_be_combined(self, here: Path, fresh: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", "best_models/", "--data", "fresh", "--cache", "data/cache.h5")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "cannot be used together" in outcome.err


def test_details_have_no_effect_on_json(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("evaluate", "best_models/", "--details", "--json")
    assert outcome.code == 2
    assert "--details has no effect with --json" in outcome.err


class TestOut:
    """genrekit evaluate --out."""

    def test_it_holds_tables_pictures_and_the_result(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", "best_models/", "--out", "deep/look", "--json")
        folder = Path("deep/look")
        assert json.loads((folder / "result.json").read_text()) == outcome.json
        with open(folder / "models.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["model"] for row in rows] == [Path(model["bundle"]).name for model in outcome.json["models"]]
        for place, model in enumerate(outcome.json["models"], 1):
            own = folder / f"{place:02d}-{Path(model['bundle']).name}"
            for name in ("confusion.png", "reliability.png", "genres.png"):
                assert imread(own / name)[..., :3].std() > 0.05
            assert {path.name for path in own.iterdir()} >= {"genres.csv", "genres.md", "confusion.csv"}
            for name in ("confusion", "reliability", "genres"):
                assert (own / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
                assert ElementTree.parse(own / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"

    def test_a_file_in_its_place_is_one_line_and_no_reading_is_counted(self, here: Path, genrekit: CommandLine) -> None:
        Path("look").write_text("mine")
        outcome = genrekit("evaluate", "best_models/", "--out", "look")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "cannot write look" in outcome.err
        assert Path("look").read_text() == "mine"
        assert genrekit("evaluate", "best_models/", "--json").json["readings"] == 1

    def test_the_folders_of_earlier_evaluations_are_removed(self, here: Path, genrekit: CommandLine) -> None:
        assert genrekit("evaluate", "best_models/", "--out", "look").code == 0
        earlier = sorted(Path("look").glob("0*"))
        assert len(earlier) == 2
        (earlier[1] / "my notes.txt").write_text("mine")
        Path("look/03-mine").mkdir()
        assert genrekit("evaluate", "runs/mlp/best", "--out", "look").code == 0
        assert sorted(path.name for path in Path("look").glob("0*")) == ["01-mlp", earlier[1].name, "03-mine"]
        assert [path.name for path in earlier[1].iterdir()] == ["my notes.txt"]


class TestReport:
    """genrekit evaluate --report."""

    def test_it_tells_of_every_model_and_how_to_make_it_again(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", "best_models/", "--report", "new/report.html", "--json")
        page = Path("new/report.html").read_text(encoding="utf-8")
        for model in outcome.json["models"]:
            assert Path(model["bundle"]).name in page
        assert "--arch=cel --input=mel --channels=4,8 --epochs=2" in page
        assert "--sample-rate=8000" in page
        for model in outcome.json["models"]:
            name = Path(model["bundle"]).name
            assert f"genrekit evaluate runs/{name}/best --cache=data/cache.h5" in page
        assert page.count(" over epochs;") == 2 * 2  # loss and accuracy of both models
        mistakes = min(8, sum(sum(row) for row in outcome.json["models"][0]["confusion"]))
        assert page.count("<audio") <= 2 * mistakes

    def test_the_report_on_a_folder_has_audio_of_the_mistakes(
        self, here: Path, fresh: Path, genrekit: CommandLine
    ) -> None:
        keep_new_tracks(fresh)
        shutil.move(fresh / "jazz" / "jazz-10.wav", fresh / "metal" / "wrong.wav")
        outcome = genrekit("evaluate", "runs/mlp/best", "--data", "fresh", "--report", "report.html", "--json")
        (model,) = outcome.json["models"]
        wrong = sum(map(sum, model["confusion"])) - sum(model["confusion"][index][index] for index in range(3))
        page = Path("report.html").read_text(encoding="utf-8")
        assert wrong > 0
        assert page.count("<audio") == page.count("data:image/png") == min(8, wrong)

    def test_an_old_report_is_replaced_whole(
        self, here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = Path("report.html")
        old = '<meta name="generator" content="genrekit evaluate">'
        report.write_text(old)
        replace = os.replace

        def fail(source: str, target: str) -> None:
            if Path(target).name == "report.html":
                raise OSError(28, "No space left on device", str(target))
            replace(source, target)

        monkeypatch.setattr(os, "replace", fail)
        outcome = genrekit("evaluate", "best_models/", "--report", "report.html")
        assert (outcome.code, report.read_text()) == (1, old)
        assert "No space left on device" in outcome.err
        assert [path.name for path in here.glob("*report*")] == ["report.html"]
        monkeypatch.undo()
        monkeypatch.chdir(here)
        assert genrekit("evaluate", "best_models/", "--report", "report.html").code == 0
        assert report.read_text().startswith("<!doctype html>")

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            pytest.param("file/report.html", "cannot write file/report.html", id="below a file"),
            pytest.param("/proc/report.html", "cannot write /proc/report.html", id="a folder that takes no files"),
            pytest.param("best_models", "it is a directory; name a file in it", id="a folder"),
        ],
    )
    def test_a_target_that_cannot_be_written_is_one_line_before_anything_is_read(
        self, here: Path, genrekit: CommandLine, target: str, words: str
    ) -> None:
        Path("file").write_text("")
        outcome = genrekit("evaluate", "best_models/", "--report", target)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert words in outcome.err
        assert genrekit("evaluate", "best_models/", "--json").json["readings"] == 1

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
    def test_a_read_only_folder_is_one_line(self, here: Path, genrekit: CommandLine) -> None:
        Path("locked").mkdir(mode=0o555)
        outcome = genrekit("evaluate", "best_models/", "--report", "locked/report.html")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "Permission denied" in outcome.err
