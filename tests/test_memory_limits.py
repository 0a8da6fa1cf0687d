"""What a file declares is checked before memory is taken for it, and too little memory is one line."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile

from genrekit.config import FeatureConfig, PrepareConfig
from genrekit.data.cache.reader import open_cache
from genrekit.errors import BundleError, GenrekitError, IncompatibleCacheError, UsageError, is_out_of_memory
from genrekit.io.files import read_json, read_toml
from genrekit.models.bundle import load_bundle
from genrekit.studies.study_files import read_study, study_configurations
from genrekit.workflows.predict import SHIPPED

STUDY = 'title = "T"\nquestion = "Q"\n'


def sparse(path: Path, n_bytes: int) -> Path:
    with open(path, "ab") as file:
        file.truncate(n_bytes)
    return path


@pytest.mark.parametrize(
    "values",
    [
        {"hop_length": 1, "n_mels": 1_024},
        {"duration_s": 600, "sample_rate": 384_000},
        {"duration_s": 600, "hop_length": 16},
    ],
)
def test_a_front_end_whose_fragments_take_gigabytes_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="of a fragment can have at most 30,000,000 values"):
        FeatureConfig.of(values)


def test_fragments_of_minutes_are_allowed_but_not_augmented_without_a_limit() -> None:
    front_end = {"duration_s": 600, "sample_rate": 44_100, "n_fft": 4_096, "hop_length": 1_024}
    PrepareConfig.of({"front_end": front_end})
    with pytest.raises(UsageError, match="augmentation needs fragments of at most 15,000,000 samples"):
        PrepareConfig.of({"front_end": front_end, "augmentation": {"augment": True}})


@pytest.mark.parametrize("count", [100_001, 10**9, 10**30])
def test_more_fragments_than_memory_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="fragments must be at most 100,000"):
        PrepareConfig.of({"fragments": count})


class TestBundle:
    @pytest.fixture
    def bundle(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))

    def test_a_declared_front_end_that_takes_gigabytes_is_refused(self, bundle: Path) -> None:
        values = json.loads((bundle / "model.json").read_text())
        values["prepare"]["front_end"] |= {"duration_s": 600, "hop_length": 1}
        (bundle / "model.json").write_text(json.dumps(values))
        with pytest.raises(BundleError, match=r"model.json is damaged.*of a fragment can have at most"):
            load_bundle(bundle)

    @pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
    def test_a_file_of_a_terabyte_is_not_read(self, bundle: Path, name: str) -> None:
        sparse(bundle / name, 1 << 40)
        with pytest.raises(BundleError, match=rf"{name}.*it has .*more than"):
            load_bundle(bundle)


def test_json_and_toml_files_of_a_terabyte_are_not_read(tmp_path: Path) -> None:
    for read in (read_json, read_toml):
        with pytest.raises(GenrekitError, match=r"cannot read .*: it has more than"):
            read(sparse(tmp_path / "x", 1 << 40))


@pytest.mark.parametrize("name", ["track", "start_s", "tracks/size", "skipped/size"])
def test_a_cache_that_declares_more_rows_than_it_can_have_is_not_read(tmp_path: Path, name: str) -> None:
    from tiny_cache import build
    from tiny_music import write_collection

    folder = write_collection(tmp_path / "music", {"blues": 1, "jazz": 1}, duration_s=1, sample_rate=8_000)
    path = build(folder, tmp_path / "cache.h5").cache.path
    with h5py.File(path, "r+") as file:
        kind = file[name].dtype
        del file[name]
        file.create_dataset(name, (10**12,), kind, chunks=(1_000,))
    with pytest.raises(IncompatibleCacheError, match="declares 1,000,000,000,000 rows"):
        open_cache(path)


class TestStudies:
    def test_a_grid_of_a_billion_configurations_is_refused_without_making_them(self, tmp_path: Path) -> None:
        grid = "".join(f"{name} = {[*range(1, 1_001)]}\n" for name in ("epochs", "batch_size", "patience"))
        (tmp_path / "big.toml").write_text(f"{STUDY}[grid]\n{grid}")
        with pytest.raises(UsageError, match=r"1,000,000,000 combinations.*at most 10,000"):
            read_study(tmp_path / "big.toml")

    def test_includes_that_double_at_each_level_are_refused(self, tmp_path: Path) -> None:
        for level in range(40):
            for side in "ab":
                included = [f"{other}{level + 1}.toml" for other in "ab"] if level < 39 else []
                content = f"include = {json.dumps(included)}\n" if included else ""
                (tmp_path / f"{side}{level}.toml").write_text(f"{STUDY}{content}[base]\nepochs = {1 + level}\n")
        with pytest.raises(UsageError, match="more than 200 studies are included"):
            read_study(tmp_path / "a0.toml")

    def test_all_configurations_of_included_studies_count(self, tmp_path: Path) -> None:
        grid = f"epochs = {[*range(1, 101)]}\npatience = {[*range(1, 91)]}\n"
        for name in "ab":
            (tmp_path / f"{name}.toml").write_text(f"{STUDY}[grid]\n{grid}")
        (tmp_path / "both.toml").write_text(f'{STUDY}include = ["a.toml", "b.toml", "gtzan.toml"]\n')
        (tmp_path / "gtzan.toml").write_text(f"{STUDY}[base]\nepochs = 3\n")
        with pytest.raises(UsageError, match="at most 10,000 configurations"):
            study_configurations(read_study(tmp_path / "both.toml"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:120] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("Error opening 'x.flac': Internal malloc () failed."), True),
        (OSError(28, "No space left on device"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_each_library_are_recognized(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def limited(*arguments: object, mebibytes: int) -> "subprocess.CompletedProcess[str]":
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))

    return subprocess.run(
        [sys.executable, "-m", "genrekit", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the address space holds on Linux")
def test_prepare_of_an_hour_of_audio_runs_with_little_memory(tmp_path: Path) -> None:
    """As a whole, the long track alone would take 1.2 GB."""
    for genre, minutes in (("long", 60), ("short", 1)):
        (tmp_path / genre).mkdir()
        with soundfile.SoundFile(tmp_path / genre / "x.flac", "w", 44_100, 2) as file:
            for _ in range(minutes):  # of a tone of 441 Hz
                file.write(np.tile(np.repeat([0.1, -0.1], 50)[:, None], (60 * 441, 2)))
    done = limited("prepare", tmp_path, "--out", tmp_path / "cache.h5", "--workers", 1, "--fragments", 3, mebibytes=900)
    assert done.returncode == 0, done.stderr
    assert "skipped" not in done.stderr
    assert {track.rows for track in open_cache(tmp_path / "cache.h5").tracks} == {3}
