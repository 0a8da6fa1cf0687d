"""genrekit train."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from tiny_cli import SMALL, STOPS, CommandLine

from genrekit.models.bundle import load_bundle, read_metadata
from genrekit.training import trainer
from genrekit.training.checkpoint import load_checkpoint
from genrekit.training.tracking import Tracker, Tracking
from genrekit.training.validation_log import load_answers

KEY = "0123456789abcdef0123456789abcdef01234567"
"""A key of the right form that belongs to no account."""

SMALL_CEL = ("train", "--arch", "cel", "--channels", "4,8")


def history(run: Path) -> list[dict[str, str]]:
    with open(run / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_json_has_the_keys_that_others_rely_on(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit(*SMALL_CEL, "--epochs", "3", "--json")
    assert outcome.code == 0
    result = outcome.json
    assert result["run"].startswith("runs/20")
    assert result["run"].endswith("-cel-mel-adam-onecycle")
    assert result["bundle"] == f"{result['run']}/best"
    assert (result["epochs"], result["seconds"] > 0) == (3, True)
    assert 1 <= result["best_epoch"] <= 3
    assert result["parameters"] == read_metadata(Path(result["bundle"])).parameters
    figures = {"loss", "fragment_accuracy", "track_accuracy"}
    assert set(result["validation"]) == set(result["last"]) == figures
    assert {name: set(values) for name, values in result["training"].items()} == {"best": figures, "last": figures}
    assert 0 <= result["dead_channels"] <= 1
    assert result["monitor"] == "last"


def test_the_stored_predictions_give_the_accuracies_of_the_history(here: Path, genrekit: CommandLine) -> None:
    result = genrekit(*SMALL_CEL, "--epochs", "3", "--lr", "0.02", "--out", "runs/one", "--json").json
    answers, rows = load_answers(Path("runs/one/answers.safetensors")), history(Path("runs/one"))
    assert answers.track_ids == tuple(sorted(read_metadata(Path("runs/one/best")).validation))
    assert answers.clusters == answers.track_ids
    assert (answers.resampled, answers.best_epoch, answers.steps_per_epoch) == ("tracks", result["best_epoch"], 2)
    assert answers.right.mean(axis=1).tolist() == [float(row["validation_track_accuracy"]) for row in rows]
    # Each track has as many fragments as another here.
    assert answers.loss.mean(axis=1) == pytest.approx([float(row["validation_loss"]) for row in rows], rel=1e-5)
    assert {name: asdict(figures) for name, figures in answers.training.items()} == result["training"]
    assert answers.dead_channels == result["dead_channels"]
    last = {name: float(rows[-1][f"validation_{name}"]) for name in result["last"]}
    assert result["last"] == last
    kept = {"format_version": 1, **{name: value for name, value in result.items() if name != "kept"}}
    assert kept.items() <= json.loads(Path("runs/one/result.json").read_text()).items()


def test_gradient_norms_are_optional_columns_of_the_history(here: Path, genrekit: CommandLine) -> None:
    for name, flags in {"plain": (), "logged": ("--log-gradients",)}.items():
        options = ("--epochs", "2", "--device", "cpu", "--out", f"runs/{name}")
        assert genrekit(*SMALL_CEL, *options, *flags).code == 0
    columns = [*history(Path("runs/plain"))[0]]
    assert columns[-1] == "seconds"
    for row in history(Path("runs/logged")):
        assert [*row] == [*columns, "gradient_mean", "gradient_max"]
        assert 0 < float(row["gradient_mean"]) < float(row["gradient_max"])
    plain, logged = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("plain", "logged"))
    assert plain == logged


def test_the_last_epoch_can_be_the_result(here: Path, genrekit: CommandLine) -> None:
    options = ("--epochs", "3", "--lr", "0.5", "--device", "cpu", "--out")
    refused = genrekit(*SMALL_CEL, *options, "runs/last", "--monitor", "last", "--patience", "2")
    assert (refused.code, Path("runs/last").exists()) == (2, False)
    assert "patience must be 0 with monitor last" in refused.err
    outcome = genrekit(*SMALL_CEL, *options, "runs/last", "--monitor", "last")
    assert outcome.code == 0
    assert "validation, last epoch 3: loss " in outcome.out
    assert "also used to select the epoch" not in outcome.out
    assert "best" not in outcome.err.replace("runs/last/best", "")
    result = json.loads(Path("runs/last/result.json").read_text())
    assert (result["best_epoch"], result["monitor"]) == (3, "last")
    assert result["validation"] == result["last"]
    assert result["training"]["best"] == result["training"]["last"]


def test_the_folder_of_a_run_has_all_its_files(here: Path, genrekit: CommandLine) -> None:
    genrekit(*SMALL_CEL, "--opt", "sgd", "--sched", "cosine", "--epochs", "3", "--seed", "5", "--out", "runs/one")
    run = Path("runs/one")
    config = json.loads((run / "config.json").read_text())
    assert (config["arch"], config["opt"], config["lr"], config["seed"]) == ("cel", "sgd", 0.03, 5)
    rows = history(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["train_loss"]) > 0 for row in rows)
    assert sorted(path.name for path in (run / "plots").iterdir()) == ["confusion.png", "learning_curves.png"]
    metadata = load_bundle(run / "best").metadata
    assert metadata.genres == ("blues", "jazz", "metal")
    assert (len(metadata.training), len(metadata.validation)) == (24, 3)
    assert metadata.split_name == "track, seed 0"
    assert metadata.train.seed == 5


def test_progress_shows_size_before_and_a_line_for_each_epoch(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit(*SMALL_CEL, "--epochs", "2", "--monitor", "loss")
    lines = outcome.err.splitlines()
    size = next(number for number, line in enumerate(lines) if "parameters" in line)
    first = next(number for number, line in enumerate(lines) if line.strip().startswith("1/2"))
    assert size < first
    assert lines[first + 1].strip().startswith("2/2")
    assert "24 tracks" in outcome.err
    assert "of tracks correct (track, seed 0 split; also used to select the epoch)" in outcome.out


def test_sizes_of_checkpoint_and_memory_are_printed_before_training(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit(*SMALL_CEL, "--epochs", "1", "--device", "cpu", "--out", "runs/one")
    said = re.search(r"checkpoint ([\d.]+) kB, about ([\d.]+) kB of memory", outcome.err)
    assert said is not None, outcome.err
    checkpoint, memory = map(float, said.groups())
    assert 0.2 < checkpoint / (Path("runs/one/last.safetensors").stat().st_size / 1e3) < 1.0  # its header counts here
    assert 100 < memory < 10_000


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        pytest.param(("--arch", "cel", "--channels", "4,8"), "choose a batch_size below 32", id="batch"),
        pytest.param(("--arch", "mlp", "--hidden", "500,500"), "choose fewer or narrower layers", id="layers"),
    ],
)
def test_too_little_memory_gives_one_warning(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], remedy: str
) -> None:
    monkeypatch.setattr("genrekit.workflows.train_run.free_memory", lambda _: 100_000)
    outcome = genrekit("train", *options, "--epochs", "1", "--quiet")
    assert outcome.code == 0
    assert re.fullmatch(
        rf"warning: training needs about [\d.]+ [kM]B of memory, only 100.0 kB is free: {remedy}\n", outcome.err
    )


def test_bf16_training_gives_a_bundle_in_fp32(here: Path, genrekit: CommandLine) -> None:
    for precision in ("fp32", "bf16", "auto"):
        options = ("--epochs", "2", "--device", "cpu", "--precision", precision)
        assert genrekit(*SMALL_CEL, *options, "--out", f"runs/{precision}").code == 0
    paths = {name: Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("fp32", "bf16", "auto")}
    assert paths["auto"] == paths["fp32"] != paths["bf16"]
    tensors = load_bundle(Path("runs/bf16/best")).model.state_dict().values()
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}


def test_the_same_command_gives_the_same_weights(here: Path, genrekit: CommandLine) -> None:
    for name in ("one", "two"):
        genrekit(*SMALL_CEL, "--epochs", "2", "--out", f"runs/{name}", "--device", "cpu")
    first, second = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("one", "two"))
    assert first == second


def test_a_waveform_model_is_trained(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("train", "--arch", "cel3", "--input", "waveform", "--channels", "2,4", "--epochs", "1", "--json")
    assert outcome.code == 0
    assert read_metadata(Path(outcome.json["bundle"])).train.input == "waveform"


def test_default_channels_that_do_not_fit_short_fragments_are_left_out(here: Path, genrekit: CommandLine) -> None:
    """The cache has 16 bands and 16 frames. Averages of 8 frames leave two, so there is room for one of two blocks."""
    outcome = genrekit("train", "--arch", "cel", "--downsample", "2,8", "--epochs", "1", "--out", "runs/short")
    assert outcome.code == 0, outcome.err
    note = "note: cel has the channels 32 here: each block halves a fragment, so only 1 of the default 2 blocks fit"
    assert note in " ".join(outcome.err.split())
    assert json.loads(Path("runs/short/config.json").read_text())["channels"] == [32]
    assert read_metadata(Path("runs/short/best")).train.channels == (32,)


def test_channels_that_the_user_sets_are_not_changed(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("train", "--arch", "cel", "--channels", "2,2,2,2,2", "--epochs", "1", "--out", "runs/five")
    assert outcome.code == 2
    assert "channels must name at most 2 blocks" in outcome.err
    assert not Path("runs/five").exists()


def test_train_says_what_comes_next(here: Path, genrekit: CommandLine) -> None:
    options = ("train", "--arch", "lda", "--cache", "./data/cache.h5")
    outcome = genrekit(*options, "--out", "my runs/one")
    assert outcome.err.splitlines()[-3:] == [
        "note: next, compare runs: genrekit compare 'my runs'",
        "note: next, test the model: genrekit evaluate 'my runs/one/best'",
        "note: next, use the model: genrekit predict SONG --model 'my runs/one/best'",
    ]
    assert "compare runs: genrekit compare\n" in genrekit(*options, "--out", "runs/two").err
    assert "next" not in genrekit(*options, "--quiet").err
    assert "next" not in genrekit(*options, "--json").err


def test_the_five_best_are_kept(here: Path, genrekit: CommandLine) -> None:
    for seed in range(6):
        genrekit("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--seed", seed, "--out", f"runs/{seed}")
    kept = sorted(path.name for path in Path("best_models").iterdir() if not path.name.startswith("."))
    assert len(kept) == 5
    accuracies = [read_metadata(Path("best_models", name)).validation_figures.track_accuracy.value for name in kept]
    everything = [read_metadata(run / "best").rank for run in Path("runs").iterdir()]
    assert sorted(accuracies) == sorted(-rank[0] for rank in sorted(everything)[:5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--cache", "absent.h5"), "no cache at absent.h5: prepare a collection first", id="no cache"),
        pytest.param(("--cache", "notes.txt"), "notes.txt is not a readable cache", id="no HDF5"),
        pytest.param(("--out", "runs/mlp"), "runs/mlp already exists", id="the run exists"),
        pytest.param(
            ("--resume", "--out", "runs/mlp"), "runs/mlp is finished: there is nothing to resume", id="finished"
        ),
        pytest.param(("--resume", "--out", "runs/absent"), "runs/absent/config.json", id="no run to resume"),
        pytest.param(("--split", "fault-filtered"), "no track has a GTZAN name", id="no GTZAN"),
        pytest.param(("--split", "manifest"), "choose --split track or artist", id="no manifest"),
        pytest.param(("--wandb", "online"), "WANDB_API_KEY", id="no key"),
        pytest.param(("--lr", "1e38", "--sched", "none"), "the loss is NaN or infinite in epoch 1", id="diverged"),
    ],
)
def test_a_problem_before_training_is_one_line(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("HOME", str(here))
    Path("notes.txt").write_text("no cache")
    before = sorted(Path().rglob("*"))
    outcome = genrekit("train", "--quiet", "--arch", "cel", "--channels", "4", "--epochs", "2", *arguments)
    assert outcome.code == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert set(before) <= set(Path().rglob("*"))


@pytest.mark.parametrize("option", ["spec-freq-mask", "spec-time-mask"])
def test_a_mask_wider_than_the_input_is_refused_before_a_run_is_created(
    here: Path, genrekit: CommandLine, option: str
) -> None:
    before = sorted(Path().rglob("*"))
    outcome = genrekit("train", "--arch", "mlp", f"--{option}", "5000")
    assert outcome.code == 2
    assert f"{option.replace('-', '_')} must be less than n_" in outcome.err
    assert sorted(Path().rglob("*")) == before


def test_the_options_of_training_reach_the_run(here: Path, genrekit: CommandLine) -> None:
    options = ("--input", "waveform", "--random-start", "--gain-db", "3", "--mixup", "0.2", "--ema", "0.9")
    outcome = genrekit("train", "--arch", "cel", "--channels", "2,4", "--epochs", "1", *options, "--json")
    assert outcome.code == 0
    config = json.loads((Path(outcome.json["run"]) / "config.json").read_text())
    assert (config["random_start"], config["gain_db"], config["mixup"], config["ema"]) == (True, 3.0, 0.2, 0.9)


def test_a_genre_with_too_few_tracks_is_an_error_that_says_what_to_do(here: Path, genrekit: CommandLine) -> None:
    for number in range(1, 10):
        Path(f"data/jazz/jazz-{number}.wav").unlink()
    genrekit("prepare", *SMALL, "--out", "few.h5", "--workers", "1")
    outcome = genrekit(*SMALL_CEL, "--cache", "few.h5")
    assert outcome.code == 1
    assert "jazz has 1 usable track, but the training and the validation set need one each: add tracks" in outcome.err


@pytest.mark.parametrize(("store", "other"), [("mel", "waveform"), ("waveform", "mel")])
def test_a_cache_without_the_input_is_refused_before_a_run_is_created(
    here: Path, genrekit: CommandLine, store: str, other: str
) -> None:
    genrekit("prepare", *SMALL, "--out", "one.h5", "--store", store, "--workers", "1")
    outcome = genrekit("train", "--input", other, "--cache", "one.h5", "--out", "runs/new", "--channels", "4")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"one.h5 has no {other}, only {store}" in outcome.err
    assert not Path("runs/new").exists()
    assert genrekit("train", "--input", store, "--cache", "one.h5", "--channels", "4", "--epochs", "1").code == 0


def test_the_key_is_in_no_file_and_no_message(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_MODE")
    Path(".env").write_text(f"WANDB_API_KEY={KEY}\n")
    outcome = genrekit(*SMALL_CEL, "--epochs", "1", "--wandb", "offline", "--out", "runs/one")
    assert outcome.code == 0
    assert list(Path("runs/one").glob("wandb/offline-run-*/*.wandb"))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".env"]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in outcome.out + outcome.err


def stop_in_third_epoch(options: Sequence[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal to a training run of 60 epochs; return its exit code and what it printed after the third epoch."""
    command = [sys.executable, "-m", "genrekit", *options, "--out", "runs/stopped"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().startswith("3/60"):
            process.send_signal(number)
            break
    _, err = process.communicate(timeout=60)
    return process.returncode, err


LONG = (*SMALL_CEL, "--epochs", "60", "--patience", "0", "--device", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "message"),
    STOPS,
)
def test_a_signal_ends_a_run_after_a_checkpoint(
    here: Path, number: signal.Signals, code: int, message: str, genrekit: CommandLine
) -> None:
    returned, err = stop_in_third_epoch(LONG, number)
    assert returned == code
    assert "to resume from the last complete epoch: genrekit train --resume --out runs/stopped\n" in err
    assert err.splitlines()[-1] == f"genrekit: {message}"
    epochs = [row["epoch"] for row in history(Path("runs/stopped"))]
    assert 3 <= len(epochs) < 60
    assert genrekit("train", "--resume", "--out", "runs/stopped", "--quiet").code == 0
    assert [row["epoch"] for row in history(Path("runs/stopped"))] == [str(number) for number in range(1, 61)]


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_weights(here: Path) -> None:
    stop_in_third_epoch(LONG, signal.SIGTERM)
    # The number of threads decides the order of sums: all three run in processes alike.
    for rest in (("train", "--resume", "--out", "runs/stopped"), (*LONG, "--out", "runs/whole")):
        subprocess.run([sys.executable, "-m", "genrekit", *rest, "--quiet"], check=True, capture_output=True)
    for name in ("best/model.safetensors", "answers.safetensors"):
        stopped, whole = (Path(f"runs/{run}/{name}").read_bytes() for run in ("stopped", "whole"))
        assert stopped == whole, name


def test_a_run_interrupted_in_its_first_epoch_resumes_from_the_start(here: Path, genrekit: CommandLine) -> None:
    for name in ("result.json", "last.safetensors", "history.csv"):
        Path("runs/cel", name).unlink()
    whole = Path("runs/cel/best/model.safetensors").read_bytes()
    assert genrekit("train", "--resume", "--out", "runs/cel").code == 0
    assert Path("runs/cel/best/model.safetensors").read_bytes() == whole


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        pytest.param((), "offline", id="as it was started"),
        pytest.param(("--wandb", "off"), "off", id="another mode"),
    ],
)
def test_a_resumed_run_is_tracked_as_it_was_started(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], mode: str
) -> None:
    """`--resume` used the mode of the environment instead."""
    config = Path("runs/cel/config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "tracking": "offline"}))
    for name in ("result.json", "last.safetensors", "history.csv"):
        Path("runs/cel", name).unlink()
    used: list[Tracking] = []

    def remember(tracking: Tracking, **_: object) -> Tracker:
        used.append(tracking)
        return Tracker()

    monkeypatch.setattr("genrekit.workflows.train_fit.open_tracker", remember)
    assert genrekit("train", "--resume", "--out", "runs/cel", *options).code == 0
    assert [tracking.mode for tracking in used] == [mode]


def test_a_run_stores_how_it_is_tracked(here: Path, genrekit: CommandLine) -> None:
    train = ("train", "--arch", "lda", "--wandb", "off", "--out", "runs/lda")
    assert genrekit(*train).code == 0
    assert json.loads(Path("runs/lda/config.json").read_text())["tracking"] == "off"
    assert genrekit("train", "--config", "runs/lda/config.json", "--out", "runs/same").code == 0


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def assert_resumable_to_the_weights_of_a_whole_one(genrekit: CommandLine, *options: str) -> None:
    """Resume runs/stopped and compare its weights with those of an uninterrupted run."""
    assert genrekit("train", "--resume", "--out", "runs/stopped").code == 0
    assert genrekit(*options, "--out", "runs/whole").code == 0
    for name in ("best/model.safetensors", "answers.safetensors"):
        stopped, whole = (Path(f"runs/{run}/{name}").read_bytes() for run in ("stopped", "whole"))
        assert stopped == whole, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "finished"),
    [
        pytest.param([signal.SIGTERM], 3, id="TERM"),
        pytest.param([signal.SIGTERM, signal.SIGTERM], 2, id="TERM twice"),
        pytest.param([signal.SIGTERM, signal.SIGINT], 2, id="TERM and Ctrl-C"),
        pytest.param([signal.SIGINT], 2, id="Ctrl-C"),
    ],
)
def test_sigterm_waits_for_the_current_step_and_a_second_signal_does_not(
    here: Path,
    genrekit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[signal.Signals],
    finished: int,
) -> None:
    """An epoch has two steps here; the signal comes within the third."""
    options = (*SMALL_CEL, "--epochs", "3", "--device", "cpu")
    steps = {"started": 0, "finished": 0}
    learn = trainer.Trainer._update_weights

    def stopped(training: trainer.Trainer, loss: torch.Tensor) -> None:
        steps["started"] += 1
        if steps["started"] == 3:
            for number in numbers:
                os.kill(os.getpid(), number)
        learn(training, loss)
        steps["finished"] += 1

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_update_weights", stopped)
        outcome = genrekit(*options, "--out", "runs/stopped")
    assert steps == {"started": 3, "finished": finished}
    assert outcome.code == CODES[numbers[-1]]
    assert "to resume from the last complete epoch: genrekit train --resume --out runs/stopped\n" in outcome.err
    assert [row["epoch"] for row in history(Path("runs/stopped"))] == ["1"]
    assert_resumable_to_the_weights_of_a_whole_one(genrekit, *options)


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_a_signal_waits_until_the_checkpoint_is_written(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    options = (*SMALL_CEL, "--epochs", "3", "--device", "cpu")
    fsync = os.fsync

    def stopped(descriptor: int) -> None:
        if list(Path("runs/stopped").glob(".last.safetensors.*")):
            os.kill(os.getpid(), number)
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", stopped)
        outcome = genrekit(*options, "--out", "runs/stopped")
    assert outcome.code == CODES[number]
    assert "to resume from the last complete epoch: " in outcome.err
    assert len(load_checkpoint(Path("runs/stopped/last.safetensors")).progress["history"]) == 1
    assert_resumable_to_the_weights_of_a_whole_one(genrekit, *options)


@pytest.mark.parametrize("number", CODES)
def test_a_run_stops_immediately_before_its_first_step(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("genrekit.workflows.train_run.measure", lambda *_: os.kill(os.getpid(), number))
        outcome = genrekit(*SMALL_CEL, "--out", "runs/stopped")
    assert (outcome.code, Path("runs/stopped").exists()) == (CODES[number], False)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_interrupted_before_its_first_checkpoint_starts_again(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    Path("data/cache.h5").rename("my cache.h5")
    Path("data/cache.splits").rename("my cache.splits")
    options = (*SMALL_CEL, "--epochs", "2", "--device", "cpu", "--cache", "my cache.h5")
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_update_weights", lambda *_: os.kill(os.getpid(), number))
        outcome = genrekit(*options, "--out", "runs/stopped")
    assert outcome.code == code
    command = "genrekit train --resume --out runs/stopped --cache 'my cache.h5'"
    assert f"to resume from epoch 1: {command}\n" in outcome.err
    assert sorted(path.name for path in Path("runs/stopped").iterdir()) == [".lock", "config.json"]
    assert genrekit(*shlex.split(command)[1:]).code == genrekit(*options, "--out", "runs/whole").code == 0
    stopped, whole = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("stopped", "whole"))
    assert stopped == whole


def unfinished(run: Path) -> bytes:
    """Turn a finished run into one that was interrupted right before its end; return its weights."""
    (run / "result.json").unlink()
    return (run / "best" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "spoil", "message"),
    [
        pytest.param(("--augment", "--top-db", "60"), "", "configuration", id="configuration"),
        pytest.param((), "", "configuration", id="no augmentation"),
        pytest.param(("--augment",), "changed", "tracks", id="a track changed"),
        pytest.param(("--augment",), "gone", "training tracks", id="a track gone"),
        pytest.param(("--augment",), "renamed", "genres", id="a genre renamed"),
    ],
)
def test_resuming_with_another_cache_is_refused_and_names_the_difference(
    here: Path, genrekit: CommandLine, options: tuple[str, ...], spoil: str, message: str
) -> None:
    unfinished(Path("runs/cel"))
    before = {path: path.read_bytes() for path in Path("runs/cel").rglob("*") if path.is_file()}
    trained = sorted(read_metadata(Path("runs/cel/best")).training)[0]
    if spoil == "changed":
        shutil.copy("data/metal/metal-0.wav", f"data/{trained}.wav")
    elif spoil == "gone":
        Path(f"data/{trained}.wav").unlink()
    elif spoil == "renamed":
        Path("data/metal").rename("data/rock")
    genrekit("prepare", *SMALL, *options, "--out", "other.h5", "--workers", "1")
    outcome = genrekit("train", "--resume", "--out", "runs/cel", "--cache", "other.h5", "--quiet")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "genrekit: runs/cel was started with another cache (different " in outcome.err
    assert message in outcome.err.partition(" (different ")[2].partition("):")[0]
    assert outcome.err.endswith("resume with that cache (--cache), or start a new run without --resume\n")
    assert {path: path.read_bytes() for path in Path("runs/cel").rglob("*") if path.is_file()} == before


def test_a_run_resumes_with_the_same_cache_at_another_path(here: Path, genrekit: CommandLine) -> None:
    whole = unfinished(Path("runs/cel"))
    genrekit("prepare", *SMALL, "--augment", "--out", "elsewhere.h5", "--workers", "1")
    assert genrekit("train", "--resume", "--out", "runs/cel", "--cache", "elsewhere.h5").code == 0
    assert Path("runs/cel/best/model.safetensors").read_bytes() == whole


def test_resuming_repairs_files_that_were_partly_written(here: Path, genrekit: CommandLine) -> None:
    """Killed between checkpoint and history, and while files and the bundle were written."""
    run = Path("runs/cel")
    names, table = sorted(run.rglob("*")), history(run)
    whole = unfinished(run)
    (run / "history.csv").write_text("".join((run / "history.csv").read_text().splitlines(keepends=True)[:2]))
    (run / ".best.abcd").mkdir()
    for torn in (".last.safetensors.x.tmp", ".tmpAb3xY9", "plots/.confusion.png.x.tmp", ".best.abcd/model.json"):
        (run / torn).touch()
    assert genrekit("train", "--resume", "--out", "runs/cel").code == 0
    assert history(run) == table
    assert sorted(run.rglob("*")) == names
    assert (run / "best" / "model.safetensors").read_bytes() == whole


def test_a_printed_configuration_is_read_back(here: Path, genrekit: CommandLine) -> None:
    options = ("train", "--arch", "mlp2", "--hidden", "16,8", "--lr", "0.0003", "--l1", "1e-6", "--sched", "cosine")
    printed = genrekit(*options, "--print-config").out
    assert 'arch = "mlp2"' in printed.splitlines()
    Path("run.toml").write_text(printed)
    assert genrekit("train", "--config", "run.toml", "--print-config").out == printed
    assert not [path for path in Path("runs").iterdir() if path.name not in ("cel", "mlp")]


def test_options_override_the_file_and_the_file_overrides_defaults(here: Path, genrekit: CommandLine) -> None:
    Path("run.toml").write_text('arch = "mlp2"\ndropout = 0.5\nepochs = 7\n')
    lines = genrekit("train", "--config", "run.toml", "--epochs", "9", "--print-config").out.splitlines()
    assert {'arch = "mlp2"', "dropout = 0.5", "epochs = 9", "batch_size = 32"} <= set(lines)


def test_the_configuration_of_a_run_gives_the_same_weights_again(here: Path, genrekit: CommandLine) -> None:
    assert genrekit("train", "--config", "runs/cel/config.json", "--out", "runs/again").code == 0
    first, again = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("cel", "again"))
    assert first == again


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        pytest.param("epohcs = 3", 2, "run.toml: unknown key 'epohcs': did you mean epochs?", id="unknown key"),
        pytest.param('arch = "cell"', 2, "run.toml: unknown arch 'cell': did you mean cel", id="unknown name"),
        pytest.param("epochs = ", 1, "cannot read run.toml: ", id="no TOML"),
    ],
)
def test_an_invalid_configuration_file_is_an_error_that_names_it(
    here: Path, genrekit: CommandLine, text: str, code: int, message: str
) -> None:
    Path("run.toml").write_text(text)
    outcome = genrekit("train", "--config", "run.toml")
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert message in outcome.err


def test_resuming_with_another_setting_is_refused(here: Path, genrekit: CommandLine) -> None:
    Path("runs/mlp/result.json").unlink()
    outcome = genrekit("train", "--resume", "--out", "runs/mlp", "--lr", "0.5")
    assert outcome.code == 2
    assert (
        "runs/mlp was started with lr 0.003, got 0.5: leave lr out, or start a new run without --resume" in outcome.err
    )


def test_a_run_resumes_on_another_device(here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("runs/mlp/result.json").unlink()
    config = Path("runs/mlp/config.json")
    config.write_text(config.read_text().replace('"device": "auto"', '"device": "cuda"'))
    assert "no cuda device here" in genrekit("train", "--resume", "--out", "runs/mlp").err
    assert genrekit("train", "--resume", "--out", "runs/mlp", "--device", "cpu").code == 0


def test_a_run_that_did_not_start_leaves_its_folder_free(here: Path, genrekit: CommandLine) -> None:
    """On a full disk, a run may leave nothing but its lock."""
    Path("runs/new").mkdir()
    Path("runs/new/.lock").touch()
    assert genrekit("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--out", "runs/new").code == 0
