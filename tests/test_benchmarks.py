"""The benchmarks run and say whether each bar is met; what they measure here is no claim."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_music import write_collection

from genrekit import FeatureConfig, prepare

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.slow


def run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / program), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="memory and opened files are looked up as Linux shows them")
@pytest.mark.parametrize(
    ("program", "rows"),
    [
        ("prepare.py", "rerun,earlier-whole"),
        ("batches.py", "mel"),
        ("train.py", "step,start,memory"),
        ("compare.py", "workers"),
        ("busy.py", "small"),
        ("predict.py", "files,one,memory"),
        ("audio_libraries.py", "filters,front-end,masks,descriptors,shape"),
        ("musicnn.py", "features,track"),
        ("cluster.py", "dask,merge"),
        ("ranks.py", "default"),
    ],
    ids=["prepare", "batches", "train", "compare", "busy", "predict", "audio libraries", "musicnn", "cluster", "ranks"],
)
def test_a_row_is_measured_and_held_against_its_bar(
    program: str, rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARLIER", str(BENCHMARKS.parent))
    folder = write_collection(tmp_path / "music", {"blues": 1, "jazz": 1}, duration_s=6, sample_rate=22_050)
    done = run(program, folder, "--quick", "--rows", rows)
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.startswith("row ")
    assert [line.split()[0] for line in lines] == rows.split(",")
    assert all(line.endswith(("met", "missed")) for line in lines)


def test_the_accuracy_of_recipes_and_of_the_included_model_is_printed(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 10, "jazz": 10}, duration_s=1.1, sample_rate=8_000)
    front_end = FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=512, hop_length=256, n_mels=16)
    cache = prepare(folder, out=tmp_path / "cache.h5", features=front_end, workers=1).cache
    done = run("accuracy.py", cache, "--recipes", "fast", "--split", "track", "--files", folder)
    assert done.returncode == 0, done.stderr
    assert "| recipe | tracks, % | fragments, % | parameters | seconds |" in done.stdout
    assert "\n| fast | " in done.stdout
    assert " of 20 files are correct, in %: " in done.stdout


def test_the_cost_of_a_large_collection_is_predicted(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 1, "jazz": 1}, duration_s=6, sample_rate=22_050)
    done = run("scaling.py", folder, "--sizes", "2,4", "--held-out", "3")
    assert done.returncode == 0, done.stderr
    model, held_out, _, *sets = done.stdout.splitlines()
    assert model.startswith("seconds = ")
    assert held_out.startswith("held out: 3 clips, 15 fragments: ")
    assert [line.split()[0] for line in sets] == ["FMA-small", "FMA-medium", "FMA-large", "FMA-full"]


def test_an_unknown_row_is_refused(tmp_path: Path) -> None:
    done = run("prepare.py", tmp_path, "--rows", "floor,flor")
    assert done.returncode == 2
    assert "no rows flor" in done.stderr


def test_an_earlier_checkout_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARLIER", str(tmp_path))
    done = run("prepare.py", tmp_path, "--rows", "earlier-whole")
    assert done.returncode == 1
    assert f"EARLIER={tmp_path} is not a checkout of genrekit" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up as Linux shows it")
def test_the_memory_of_a_file_is_measured() -> None:
    done = run("memory.py", "--minutes", "0.2", "--command", "first")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["first", "0.2", "min"]
