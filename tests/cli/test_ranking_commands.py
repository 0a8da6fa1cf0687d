"""genrekit compare, evaluate, predict and info."""

import csv
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection
from tiny_study import study

from genrekit.data.cache.reader import open_cache
from genrekit.models.bundle import read_metadata
from genrekit.studies.report import write_report
from genrekit.workflows.runs import mark_trial

FIGURES = ("fragment_accuracy", "track_accuracy", "macro_f1")


class TestCompare:
    """genrekit compare."""

    def test_json_has_the_keys_that_others_rely_on(self, here: Path, genrekit: CommandLine) -> None:
        result = genrekit("compare", "--json").json
        assert set(result) == {"runs", "ranking", "ties", "skipped"}
        assert sorted(result["ranking"]) == ["cel", "mlp"]
        ranks = [(-run["track_accuracy"]["mean"], run["loss"]) for run in result["runs"]]
        assert ranks == sorted(ranks)
        for run in result["runs"]:
            assert set(run) >= {"name", "config", "seeds", "track_accuracy", "loss", "parameters"}
            assert run["track_accuracy"]["low"] <= run["track_accuracy"]["mean"] <= run["track_accuracy"]["high"]

    def test_the_ranking_is_written_as_csv_and_latex(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("compare", "--csv", "tables/ranking.csv", "--latex", "tables/ranking.tex", "--json")
        assert outcome.code == 0, outcome.err
        with open("tables/ranking.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [(row["run"], float(row["accuracy"]), float(row["loss"])) for row in rows] == [
            (run["name"], run["track_accuracy"]["mean"], run["loss"]) for run in outcome.json["runs"]
        ]
        assert {row["split"] for row in rows} == {"track, seed 0 split"}
        table = Path("tables/ranking.tex").read_text(encoding="utf-8")
        assert table.count("\\toprule") == table.count("\\bottomrule") == 1
        assert all(f" & {name} & 0 & " in table for name in ("cel", "mlp"))

    @pytest.mark.parametrize("option", ["--csv", "--latex"])
    def test_a_table_that_cannot_be_written_is_one_line(self, here: Path, genrekit: CommandLine, option: str) -> None:
        outcome = genrekit("compare", option, "runs")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "cannot write runs: it is a directory; name a file in it" in outcome.err

    def test_the_star_marks_the_models_that_are_in_the_folder(self, here: Path, genrekit: CommandLine) -> None:
        assert "* its model is in best_models/" in genrekit("compare").out
        for bundle in Path("best_models").glob("mlp*"):
            shutil.rmtree(bundle)
        kept = {run["name"]: run["kept"] for run in genrekit("compare", "--json").json["runs"]}
        assert kept == {"cel": True, "mlp": False}
        assert "*" not in genrekit("compare", "--best-models", "elsewhere").out

    def test_a_repeated_training_is_in_the_folder_once(self, here: Path, genrekit: CommandLine) -> None:
        before = sorted(path.name for path in Path("best_models").iterdir())
        assert genrekit("train", "--config", "runs/mlp/config.json", "--quiet").code == 0
        assert sorted(path.name for path in Path("best_models").iterdir()) == before

    def test_a_training_that_has_diverged_is_reported_and_not_copied(self, here: Path, genrekit: CommandLine) -> None:
        before = sorted(path.name for path in Path("best_models").iterdir())
        options = ("--opt", "sgd", "--lr", "1000", "--hidden", "8,8", "--epochs", "1")
        outcome = genrekit("train", "--arch", "mlp", *options, "--json")
        assert outcome.code == 0
        assert "training has diverged: its validation loss is" in outcome.err
        assert "that of a uniform guess is 1.099; lower --lr (1000)." in outcome.err
        assert (outcome.json["kept"], outcome.json["diverged"]) == (None, True)
        assert sorted(path.name for path in Path("best_models").iterdir()) == before
        steps = [line for line in genrekit("train", "--arch", "mlp", *options).err.splitlines() if "next, " in line]
        assert steps == ["note: next, compare runs: genrekit compare"]

    @pytest.mark.slow
    def test_the_table_marks_the_five_best(self, here: Path, genrekit: CommandLine) -> None:
        for width in range(5):
            genrekit("train", "--arch", "mlp", "--hidden", f"4,{4 + width}", "--epochs", "1", "--quiet")
        lines = genrekit("compare").out.splitlines()
        places = [line.split()[0].lstrip("=") for line in lines[2:9]]
        assert places == ["*1", "*2", "*3", "*4", "*5", "6", "7"]

    @pytest.mark.slow
    def test_runs_that_differ_in_their_seed_are_one_row(self, here: Path, genrekit: CommandLine) -> None:
        common = ("--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--quiet")
        accuracies = []
        for seed in range(3):
            out = genrekit("train", *common, "--seed", seed, "--out", f"runs/mine-seed{seed}", "--json")
            accuracies.append(out.json["validation"]["track_accuracy"])
        (row,) = [run for run in genrekit("compare", "--json").json["runs"] if run["name"] == "mine"]
        assert row["seeds"] == [0, 1, 2]
        assert row["track_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
        assert row["track_accuracy"]["low"] <= row["track_accuracy"]["mean"] <= row["track_accuracy"]["high"]

    @pytest.mark.slow
    def test_configurations_with_similar_run_names_get_different_names(self, here: Path, genrekit: CommandLine) -> None:
        """A study appends a number to the name of a run if the folder exists."""
        for epochs, suffix in (("1", ""), ("2", "-2")):
            for seed in (0, 1):
                common = ("--arch", "mlp", "--hidden", "4,4", "--epochs", epochs, "--seed", seed, "--quiet")
                genrekit("train", *common, "--out", f"runs/mine-seed{seed}{suffix}")
        ranking = genrekit("compare", "--json").json["ranking"]
        mine = [name for name in ranking if name.startswith("mine")]
        assert len(set(mine)) == len(mine) == 2
        assert all(name.endswith(" and 1 more") for name in mine)

    def test_a_run_that_repeats_a_seed_is_left_out_and_named(self, here: Path, genrekit: CommandLine) -> None:
        before = genrekit("compare", "--json").json["runs"]
        shutil.copytree("runs/cel", "runs/copy")
        outcome = genrekit("compare", "--json")
        assert outcome.json["runs"] == before
        assert (
            "runs that repeat the configuration and seed of another run are left out: copy" in genrekit("compare").err
        )

    @pytest.mark.slow
    def test_a_trial_of_a_search_is_separate_from_the_runs_that_repeat_it(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        common = ("--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--quiet")
        for seed in (0, 1, 1_000):
            genrekit("train", *common, "--seed", seed, "--out", f"runs/own-seed{seed}")
        rows = {run["name"]: run["seeds"] for run in genrekit("compare", "--json").json["runs"]}
        assert rows["own"] == [0, 1, 1_000]
        mark_trial(Path("runs/own-seed1000"), "own", 3)
        rows = {run["name"]: run["seeds"] for run in genrekit("compare", "--json").json["runs"]}
        assert (rows["own"], rows["own-seed1000 (trial)"]) == ([0, 1], [1_000])

    def test_a_run_that_is_not_significantly_different_from_the_first_is_a_tie(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        """Three validation tracks tell nothing from anything."""
        result = genrekit("compare", "--json").json
        assert sorted(result["ties"]) == ["cel", "mlp"]
        assert "= not significantly different from the first" in genrekit("compare").out

    def test_without_stored_predictions_there_are_no_ties(self, here: Path, genrekit: CommandLine) -> None:
        for width in (4, 5):
            genrekit("train", "--arch", "mlp", "--hidden", f"4,{width}", "--epochs", "1", "--quiet")
        first = genrekit("compare", "--json").json["ranking"][0]
        Path("runs", first, "answers.safetensors").unlink()
        assert genrekit("compare", "--json").json["ties"] == []

    def test_named_runs_of_different_splits_are_refused_with_the_difference(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        common = ("--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--quiet")
        genrekit("train", *common, "--split-seed", "1", "--out", "runs/other")
        outcome = genrekit("compare", "runs/cel", "runs/other")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "cannot be ranked together: their splits are track, seed 0 and track, seed 1" in outcome.err

    def test_runs_of_different_splits_are_ranked_separately(self, here: Path, genrekit: CommandLine) -> None:
        genrekit("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--split-seed", "1", "--quiet")
        outcome = genrekit("compare")
        assert "validation set (track, seed 0 split" in outcome.out
        assert "validation set (track, seed 1 split" in outcome.out
        assert sum(line.split()[0].endswith("*1") for line in outcome.out.splitlines() if line.split()) == 2
        assert "ranked separately, as they are not comparable" in outcome.err

    @pytest.mark.slow
    def test_runs_of_two_collections_are_ranked_separately(self, here: Path, genrekit: CommandLine) -> None:
        """Their ties are marked each in their own ranking."""
        write_collection(Path("fewer"), {"blues": 10, "jazz": 10}, duration_s=1.0, sample_rate=8_000)
        genrekit("prepare", "fewer", *SMALL, "--out", "fewer.h5", "--quiet")
        common = ("--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--quiet", "--cache", "fewer.h5")
        for lr in ("0.1", "0.2"):
            genrekit("train", *common, "--lr", lr, "--out", f"runs/fewer-{lr}")
        outcome = genrekit("compare")
        assert "track accuracy on the validation set (track, seed 0 split, collection 1)" in outcome.out
        assert "track accuracy on the validation set (track, seed 0 split, collection 2)" in outcome.out
        firsts = [line.split()[0] for line in outcome.out.splitlines() if line.split()]
        assert firsts.count("=*1") == firsts.count("=*2") == 2
        rows = genrekit("compare", "--json").json["runs"]
        assert [row["group"].rpartition(" ")[2] for row in rows] == ["1", "1", "2", "2"]
        assert {row["name"].partition("-")[0] for row in rows[:2]} in ({"fewer"}, {"cel", "mlp"})

    def test_a_run_without_stored_predictions_is_ranked_and_described(self, here: Path, genrekit: CommandLine) -> None:
        Path("runs/cel/answers.safetensors").unlink()
        result = json.loads(Path("runs/cel/result.json").read_text())
        old = {
            name: value
            for name, value in result.items()
            if name not in ("last", "training", "dead_channels", "monitor")
        }
        Path("runs/cel/result.json").write_text(json.dumps(old))
        outcome = genrekit("compare", "--json")
        assert (outcome.code, sorted(outcome.json["ranking"])) == (0, ["cel", "mlp"])
        assert genrekit("info", "runs/cel").code == 0

    def test_finished_runs_without_their_models_are_named_in_a_note(self, here: Path, genrekit: CommandLine) -> None:
        for name in ("gone", "lost"):
            Path("runs", name).mkdir()
            shutil.copy("runs/mlp/result.json", Path("runs", name))
        outcome = genrekit("compare", "runs")
        assert outcome.code == 0
        assert "finished runs without a model are left out: gone, lost" in outcome.err
        twice = genrekit("compare", "runs", "runs", "--json").json
        assert [(item["path"], item["reason"]) for item in twice["skipped"]] == [
            ("runs/gone", "its model was removed"),
            ("runs/lost", "its model was removed"),
        ]

    def test_a_folder_of_runs_without_models_is_an_error(self, here: Path, genrekit: CommandLine) -> None:
        Path("old/gone").mkdir(parents=True)
        shutil.copy("runs/mlp/result.json", "old/gone")
        outcome = genrekit("compare", "old")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "no run in old has its model any more: the models of old/gone are deleted" in outcome.err

    def test_a_run_that_cannot_be_read_is_skipped_with_a_warning(self, here: Path, genrekit: CommandLine) -> None:
        Path("runs/cel/best/model.json").write_text("{")
        outcome = genrekit("compare")
        assert outcome.code == 0
        assert "warning: skipped runs/cel" in outcome.err
        assert "mlp" in outcome.out

    @pytest.mark.parametrize("folder", ["absent", "data"])
    def test_without_a_finished_run_it_says_what_to_do(self, here: Path, genrekit: CommandLine, folder: str) -> None:
        outcome = genrekit("compare", folder)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "train a model first" in outcome.err

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            pytest.param("cnn", "cnn is a study: genrekit study run cnn", id="study"),
            pytest.param(
                "optimisers", "optimisers does not exist: did you mean genrekit study run optimizers?", id="close"
            ),
            pytest.param("my.toml", "my.toml is not a run: genrekit study run my.toml, or genrekit search", id="file"),
        ],
    )
    def test_a_study_is_refused_with_the_command_that_runs_it(
        self, here: Path, genrekit: CommandLine, name: str, message: str
    ) -> None:
        outcome = genrekit("compare", "runs", name)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert message in outcome.err

    def test_a_run_may_have_the_name_of_a_study(self, here: Path, genrekit: CommandLine) -> None:
        shutil.copytree("runs/cel", "cnn")
        assert genrekit("compare", "cnn", "--json").json["ranking"] == ["cnn"]


class TestEvaluate:
    """genrekit evaluate."""

    def test_json_has_the_keys_that_others_rely_on(self, here: Path, genrekit: CommandLine) -> None:
        result = genrekit("evaluate", "best_models/", "--json").json
        assert len(result["models"]) == 2
        for model in result["models"]:
            assert (model["fragments"], model["tracks"], model["left_out"]) == (6, 3, 0)
            assert model["genres"] == ["blues", "jazz", "metal"]
            assert np.array(model["confusion"]).shape == (3, 3)
            assert np.array(model["confusion"]).sum() == 3
            for name in FIGURES:
                assert model[name]["low"] <= model[name]["value"] <= model[name]["high"]

    def test_models_are_in_the_order_of_validation_accuracy(self, here: Path, genrekit: CommandLine) -> None:
        result = genrekit("evaluate", "best_models/", "--json").json
        ranks = [read_metadata(Path(model["bundle"])).rank for model in result["models"]]
        assert ranks == sorted(ranks)

    def test_the_number_of_evaluations_is_printed(self, here: Path, genrekit: CommandLine) -> None:
        assert "The test set has now been evaluated once." in genrekit("evaluate", "best_models/").out
        assert "The test set has now been evaluated 2 times." in genrekit("evaluate", "best_models/").out
        assert genrekit("evaluate", "best_models/", "--json").json["readings"] == 3

    def test_the_text_has_genres_and_a_confusion_matrix(self, here: Path, genrekit: CommandLine) -> None:
        out = genrekit("evaluate", "best_models/").out
        assert "precision" in out
        assert "95 % intervals from resampling 3 tracks" in out
        matrix = out[out.index("confusion matrix") :].splitlines()
        assert matrix[1].split() == ["true", "\\", "predicted", "blu", "jaz", "met"]
        assert [line.split()[0] for line in matrix[2:5]] == ["blues", "jazz", "metal"]

    def test_tracks_that_the_model_has_seen_are_left_out_and_counted(self, here: Path, genrekit: CommandLine) -> None:
        bundle = Path("runs/mlp/best/model.json")
        values = json.loads(bundle.read_text())
        with h5py.File("data/cache.h5") as cache:
            digests = dict(zip(cache["tracks/id"].asstr(), cache["tracks/digest"][:].astype(str), strict=True))
        parts = json.loads(Path("data/cache.splits/track-0.json").read_text())["parts"]
        tested = sorted(track for track, part in parts.items() if part == "test")
        values["training"]["elsewhere/under-another-name"] = digests[tested[0]]
        bundle.write_text(json.dumps(values))
        outcome = genrekit("evaluate", "runs/mlp/best", "--json")
        (model,) = outcome.json["models"]
        assert (model["tracks"], model["left_out"]) == (2, 1)
        assert "1 track left out, used in training or validation" in outcome.err

    @pytest.mark.parametrize("source", [(), ("--data", "held")], ids=["cache", "folder"])
    def test_a_bundle_with_infinite_values_is_left_out(
        self, here: Path, genrekit: CommandLine, source: tuple[str, ...]
    ) -> None:
        """It does not stop the evaluation of the models beside it."""
        write_collection(here / "held", {"blues": 1, "jazz": 1}, duration_s=1.3, sample_rate=8_000)
        first = sorted(Path("best_models").glob("*/model.safetensors"))[0]
        tensors = load_file(first)
        save_file(
            {name: tensor / 0.0 if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}, first
        )
        outcome = genrekit("evaluate", "best_models/", *source, "--json")
        assert outcome.code == 0
        assert len(outcome.json["models"]) == 1
        assert f"left out: {first} is damaged" in outcome.err
        shutil.rmtree(Path(outcome.json["models"][0]["bundle"]))
        alone = genrekit("evaluate", "best_models/", *source)
        assert (alone.code, alone.err.count("\n")) == (1, 1)

    def test_a_bundle_of_other_genres_is_refused_with_the_difference(self, here: Path, genrekit: CommandLine) -> None:
        other = write_collection(here / "other", {"blues": 4, "polka": 4}, duration_s=1.1, sample_rate=8_000)
        genrekit("prepare", other, "--out", "other.h5", *SMALL, "--workers", "1")
        outcome = genrekit("evaluate", "best_models/", "--cache", "other.h5")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "have different genres (jazz, metal, polka)" in outcome.err

    def test_a_bundle_with_other_features_is_refused(self, here: Path, genrekit: CommandLine) -> None:
        genrekit("prepare", "--out", "other.h5", *SMALL, "--top-db", "60", "--workers", "1")
        outcome = genrekit("evaluate", "best_models/", "--cache", "other.h5")
        assert outcome.code == 1
        assert "features that differ from other.h5 (top_db 80.0, cache 60.0)" in outcome.err

    @pytest.mark.parametrize("damage", ["model.json", "model.safetensors"])
    def test_a_damaged_bundle_is_refused(self, here: Path, genrekit: CommandLine, damage: str) -> None:
        Path("runs/mlp/best", damage).write_bytes(b"\x80\x04 a pickle?")
        outcome = genrekit("evaluate", "runs/mlp/best")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "damaged" in outcome.err

    def test_a_folder_without_bundles_says_what_to_do(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("evaluate", "data")
        assert outcome.code == 1
        assert "no bundle at data: train a model first" in outcome.err


class TestPredict:
    """genrekit predict."""

    def test_json_has_the_keys_that_others_rely_on(self, here: Path, genrekit: CommandLine) -> None:
        result = genrekit("predict", "data/blues/blues-0.wav", "--json").json
        (file,) = result["files"]
        assert set(file) >= {"path", "genre", "probabilities", "fragments"}
        assert sum(file["probabilities"].values()) == pytest.approx(1)
        assert file["genre"] == max(file["probabilities"], key=file["probabilities"].get)
        assert [fragment["start_s"] for fragment in file["fragments"]] == [0.0, 0.5]
        assert set(file["fragments"][0]) == {"start_s", "genre", "probability"}

    def test_a_file_gives_the_predictions_of_its_cached_fragments(self, here: Path, genrekit: CommandLine) -> None:
        """At another rate, with two channels and in another format the answer hardly changes."""
        samples, _ = soundfile.read("data/metal/metal-3.wav")
        soundfile.write("twice.flac", np.column_stack([samples, samples]), 8_000)
        first = genrekit("predict", "data/metal/metal-3.wav", "--model", "runs/mlp/best", "--json").json["files"][0]
        second = genrekit("predict", "twice.flac", "--model", "runs/mlp/best", "--json").json["files"][0]
        assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-3)

    def test_unreadable_files_are_named_the_rest_is_predicted_and_the_code_is_1(
        self, here: Path, genrekit: CommandLine
    ) -> None:
        Path("noise.mp3").write_text("no audio")
        outcome = genrekit("predict", "noise.mp3", "data/jazz/jazz-0.wav", "absent.wav")
        assert outcome.code == 1
        assert "warning: skipped noise.mp3: not decodable" in outcome.err
        assert "warning: skipped absent.wav: " in outcome.err
        assert "jazz-0.wav" in outcome.out

    def test_without_any_readable_file_nothing_is_printed_on_stdout(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("predict", "absent.wav", "--quiet")
        assert (outcome.code, outcome.out) == (1, "")
        assert "genrekit: absent.wav: No such file or directory" in outcome.err

    def test_without_a_model_it_says_what_to_do(self, here: Path, genrekit: CommandLine) -> None:
        shutil.rmtree("best_models")
        outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "best_models")
        assert outcome.code == 1
        assert "train a model first" in outcome.err


class TestInfo:
    """genrekit info."""

    @pytest.mark.parametrize(
        ("path", "kind", "key"),
        [("data/cache.h5", "cache", "tracks"), ("runs/mlp", "run", "trained_s"), ("runs/mlp/best", "bundle", "arch")],
    )
    def test_it_describes_a_cache_a_run_and_a_bundle(
        self, here: Path, genrekit: CommandLine, path: str, kind: str, key: str
    ) -> None:
        result = genrekit("info", path, "--json").json
        assert result["kind"] == kind
        assert key in result["facts"]
        assert key in genrekit("info", path).out

    def test_a_cache_lists_its_splits_and_near_duplicates(self, here: Path, genrekit: CommandLine) -> None:
        facts = genrekit("info", "data/cache.h5", "--json").json["facts"]
        assert facts["tracks_per_split"] == {"track, seed 0": {"train": 24, "validation": 3, "test": 3}}
        assert facts["near_duplicates"] == []
        assert facts["minutes"] == pytest.approx(60 * 0.5 / 60)

    def test_verify_names_the_damaged_tracks(self, here: Path, genrekit: CommandLine) -> None:
        assert "all 300 rows match their checksums" in genrekit("info", "data/cache.h5", "--verify").out
        cache = open_cache(Path("data/cache.h5"))
        with open("data/cache.h5", "r+b") as file:
            file.seek(cache.extents["mel"].at(12) + 7)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 16]))
        outcome = genrekit("info", "data/cache.h5", "--verify")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "1 of 300 rows are damaged, in 1 track (blues/blues-1)" in outcome.err

    @pytest.mark.slow
    def test_plots_and_audio_are_written_for_each_genre_and_variant(self, here: Path, genrekit: CommandLine) -> None:
        outcome = genrekit("info", "data/cache.h5", "--plot", "look")
        assert outcome.code == 0
        assert "3 pictures and 15 WAV files in look" in outcome.out
        names = {path.name for path in Path("look").iterdir()}
        assert {"01-blues.png", "02-jazz.png", "03-metal.png"} <= names
        assert len(names) == 3 + 3 * 5
        samples, rate = soundfile.read("look/01-blues-original.wav")
        assert (len(samples), rate) == (4_000, 8_000)
        stored = open_cache(Path("data/cache.h5")).waveform[5] / 32_767
        np.testing.assert_allclose(samples, stored, atol=1e-4)

    @pytest.mark.parametrize("path", ["runs/mlp", "dropout.toml"])
    @pytest.mark.parametrize("option", [("--verify",), ("--plot", "look")])
    def test_only_a_cache_can_be_verified_or_plotted(
        self, here: Path, genrekit: CommandLine, option: tuple[str, ...], path: str
    ) -> None:
        Path("dropout.toml").write_text('title = "T"\nquestion = "Q"\n[base]\narch = "cel"\n')
        outcome = genrekit("info", path, *option)
        assert outcome.code == 1
        assert f"{path} is not a cache" in outcome.err

    @pytest.mark.parametrize("command", ["info", "compare"])
    def test_a_run_whose_model_was_deleted_says_so(self, here: Path, genrekit: CommandLine, command: str) -> None:
        Path("runs/gone").mkdir()
        shutil.copy("runs/mlp/result.json", "runs/gone")
        outcome = genrekit(command, "runs/gone")
        assert outcome.code == 1
        assert (
            "runs/gone is finished, but its model, runs/gone/best, is deleted: only studies can use the run"
            in outcome.err
        )

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("absent", "absent does not exist: name a cache, a run, a bundle, or a folder of them"),
            (
                "data",
                "data is not a cache, a finished run or a bundle, and has no runs or bundles; did you mean data/c",
            ),
            ("data/jazz", "data/jazz is not a cache, a finished run or a bundle"),
            ("stopped", "stopped is a run that is not finished"),
            ("other.toml", "other.toml is neither a study nor a search file"),
            ("bad.toml", "bad.toml is invalid: genrekit study run bad.toml --dry-run names the line"),
            ("dates.toml", "dates.toml is invalid: genrekit study run dates.toml --dry-run names the line"),
            ("reports/bad", "reports/bad/result.json is damaged: it has no names and values; run the study or the"),
            ("reports/other", "reports/other/result.json is damaged: ranking"),
        ],
    )
    def test_other_paths_are_refused(self, here: Path, genrekit: CommandLine, path: str, message: str) -> None:
        Path("stopped").mkdir()
        shutil.copy("runs/mlp/config.json", "stopped")
        Path("other.toml").write_text("a = 1\n", encoding="utf-8")
        Path("bad.toml").write_text("title = 't'\nquestion = 'q'\naxes = 3\n", encoding="utf-8")
        Path("dates.toml").write_text("title = 't'\nquestion = 'q'\nseeds = 2020-01-01\n", encoding="utf-8")
        for folder, text in {"bad": "[]", "other": '{"study": "a", "ranking": [[3]]}'}.items():
            Path("reports", folder).mkdir(parents=True)
            for name in ("plan.json", "result.json"):
                Path("reports", folder, name).write_text(text, encoding="utf-8")
        outcome = genrekit("info", path)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert message in outcome.err

    def test_a_study_file_with_lists_in_lists_is_described(self, here: Path, genrekit: CommandLine) -> None:
        Path("lists.toml").write_text(
            "title = 't'\nquestion = 'q'\n[base]\ndownsample = [[2, 2], [1, 2]]\n", encoding="utf-8"
        )
        outcome = genrekit("info", "lists.toml")
        assert outcome.code == 0
        assert "downsample 2, 2, 1, 2" in outcome.out

    @pytest.mark.parametrize(("path", "kind"), [("runs", "folder of runs"), ("best_models", "folder of bundles")])
    def test_a_folder_of_runs_or_bundles_is_described(
        self, here: Path, genrekit: CommandLine, path: str, kind: str
    ) -> None:
        result = genrekit("info", path, "--json").json
        assert (result["kind"], len(result["facts"])) == (kind, 2)
        for name, text in result["facts"].items():
            assert re.fullmatch(r"[\d.]+ % of validation tracks, track, seed 0 split", text), name
            assert name in genrekit("info", path).out

    def test_a_study_and_a_search_file_are_described(self, here: Path, genrekit: CommandLine) -> None:
        page = (Path(__file__).parents[2] / "docs" / "how-to" / "studies.md").read_text(encoding="utf-8")
        study, search = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        Path("dropout.toml").write_text(study, encoding="utf-8")
        Path("rate.toml").write_text(search, encoding="utf-8")
        result = genrekit("info", "dropout.toml", "--json").json
        assert (result["kind"], result["facts"]["axes"]) == ("study file", {"dropout": ["none", "some"]})
        assert result["facts"]["hypotheses"] == ["Some dropout is more accurate than none"]
        result = genrekit("info", "rate.toml", "--json").json
        assert (result["kind"], result["facts"]["trials"], result["facts"]["space"]) == (
            "search file",
            30,
            ["channels", "lr"],
        )
        assert "genrekit search rate.toml" in genrekit("info", "rate.toml").out

    def test_the_folder_of_a_report_is_described(self, here: Path, genrekit: CommandLine) -> None:
        folder = Path("reports/tiny")
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text("{}", encoding="utf-8")
        assert "planned, without a report so far" in genrekit("info", "reports/tiny").out
        write_report(study(2), {}, {}, folder)
        result = genrekit("info", "reports/tiny", "--json").json
        assert (result["kind"], result["facts"]["ranking"]) == ("report", list(study(2).ranking))
        assert result["facts"]["findings"] == {item.hypothesis: item.verdict for item in study(2).findings}
        assert genrekit("info", "reports/tiny").code == 0
