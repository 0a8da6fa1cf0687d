"""A cache is refused in one line if its datasets are stored elsewhere, or do not fit its configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiny_cache import AUGMENTED, build, content
from tiny_cli import CommandLine
from tiny_music import write_collection

from genrekit.data.cache.reader import Cache, open_cache
from genrekit.errors import IncompatibleCacheError

Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("schema")
    folder = write_collection(root / "music", {"blues": 2, "jazz": 2}, duration_s=1.2, sample_rate=8_000)
    return build(folder, root / "cache.h5", AUGMENTED).cache.path.read_bytes()


@pytest.fixture
def path(prepared: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "cache.h5"
    path.write_bytes(prepared)
    return path


DATASETS = (
    *("waveform", "mel", "genre", "track", "variant", "start_s", "strength", "landmark", "checksum"),
    *("genres", "variants", "skipped/path", "skipped/reason", "skipped/size", "skipped/mtime_ns"),
    *(f"tracks/{name}" for name in ("id", "genre", "artist", "part", "digest", "recording", "done", "note", "decoder")),
    *(f"tracks/{name}" for name in ("size", "mtime_ns", "ctime_ns", "inode", "file_digest", "first_row", "rows")),
    *(f"tracks/{name}" for name in ("padded", "cancelled", "silent_fragments", "bandwidth_hz")),
)

SECRET = b"a line of another file that must not be shown\n" * 200


def external(file: Any, name: str) -> None:
    """Replace a dataset by one whose values are bytes of another file."""
    shape = file[name].shape
    del file[name]
    count = max(1, int(np.prod(shape)))
    kind = "S45" if name in ("tracks/id", "tracks/genre", "genres", "skipped/path") else "i1"
    file.create_dataset(name, shape=(count,), dtype=kind, external=[("secret.txt", 0, h5py.h5f.UNLIMITED)])


def virtual(file: Any, name: str) -> None:
    """Replace a dataset by a virtual one over another file."""
    shape, kind = file[name].shape or (1,), file[name].dtype
    layout = h5py.VirtualLayout(shape=shape, dtype=kind)
    layout[...] = h5py.VirtualSource("other.h5", name, shape=shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def external_link(file: Any, name: str) -> None:
    del file[name]
    file[name] = h5py.ExternalLink("other.h5", f"/{name}")


def soft_link(file: Any, name: str) -> None:
    file.move(name, "moved")
    file[name] = h5py.SoftLink("/moved")


def compressed(file: Any, name: str) -> None:
    values, kind = file[name][()], file[name].dtype
    del file[name]
    file.create_dataset(name, data=values, dtype=kind, chunks=True, maxshape=(None,) * values.ndim, compression="gzip")


def group(file: Any, name: str) -> None:
    del file[name]
    file.create_group(name)


def missing(file: Any, name: str) -> None:
    del file[name]


def scalar(file: Any, name: str) -> None:
    del file[name]
    file[name] = 3


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("change", [external, virtual, external_link, soft_link, compressed, group, missing, scalar])
def test_a_dataset_that_is_not_stored_in_the_file_is_refused(path: Path, change: Any, name: str) -> None:
    path.with_name("secret.txt").write_bytes(SECRET)
    path.with_name("other.h5").write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file, name)
    line = refusal(path)
    assert name.rpartition("/")[2] in line
    assert "another file" not in line


@pytest.mark.parametrize("name", ["tracks", "skipped"])
@pytest.mark.parametrize("link", [h5py.SoftLink("/moved"), h5py.ExternalLink("other.h5", "/moved")])
def test_a_group_that_is_a_link_is_refused(path: Path, name: str, link: Any) -> None:
    with h5py.File(path, "r+") as file:
        file.move(name, "moved")
        file[name] = link
    path.with_name("other.h5").write_bytes(path.read_bytes())
    assert f"/{name} is a link" in refusal(path)


def refusal(path: Path) -> str:
    with pytest.raises(IncompatibleCacheError) as caught:
        open_cache(path)
    line = str(caught.value)
    assert "\n" not in line
    assert "genrekit prepare" in line or "name a cache with --cache" in line
    return line


def other_shape(name: str) -> Change:
    def change(file: Any) -> None:
        values = file[name][()]
        del file[name]
        file[name] = values[..., :-1] if values.ndim > 1 else values[:-1]

    return change


def other_type(name: str) -> Change:
    def change(file: Any) -> None:
        values = file[name][()]
        del file[name]
        file[name] = values.astype("f8" if values.dtype != np.float64 else "f4")

    return change


def put(name: str, index: int | slice, value: Any) -> Change:
    def change(file: Any) -> None:
        file[name][index] = value

    return change


def attribute(name: str, value: Any) -> Change:
    return lambda file: file.attrs.__setitem__(name, value)


def config_with(old: str, new: str) -> Change:
    def change(file: Any) -> None:
        assert old in file.attrs["config"]
        file.attrs["config"] = file.attrs["config"].replace(old, new)

    return change


def removed(name: str) -> Change:
    return lambda file: file.attrs.__delitem__(name)


ARRAYS = ("waveform", "mel", "track", "genre", "variant", "start_s", "strength", "landmark", "checksum")

CHANGES: dict[str, Change] = {
    **{f"{name}, another shape": other_shape(name) for name in (*ARRAYS, "tracks/rows", "tracks/digest")},
    **{f"{name}, another type": other_type(name) for name in (*ARRAYS, "tracks/rows", "tracks/done", "skipped/size")},
    **{f"track {value}": put("track", 3, value) for value in (-1, 4, 2**31 - 1)},
    **{f"genre {value}": put("genre", 3, value) for value in (-1, 1, 2, 32_767)},
    **{f"variant {value}": put("variant", 3, value) for value in (0, 5, 255)},
    **{f"start {value}": put("start_s", 3, value) for value in (-1.0, np.nan, np.inf, 9.0)},
    "starts that fall": put("start_s", slice(5, 10), -0.0),
    **{f"recording {value}": put("tracks/recording", 1, value) for value in (-1, 4)},
    **{f"first row {value}": put("tracks/first_row", 1, value) for value in (-1, 5, 2**62)},
    **{f"{value} rows": put("tracks/rows", 1, value) for value in (-1, 0, 9, 2**31 - 1)},
    "an empty id": put("tracks/id", 1, ""),
    "an id twice": put("tracks/id", 1, "blues/blues-0"),
    "an id that is not text": put("tracks/id", 1, b"\xff\xfe"),
    "an empty genre": put("tracks/genre", 1, ""),
    "another genre": put("tracks/genre", 1, "polka"),
    "no digest": put("tracks/digest", 1, b""),
    "a digest that is not text": put("tracks/digest", 1, b"\xff" * 32),
    "bandwidth NaN": put("tracks/bandwidth_hz", 1, np.nan),
    "bandwidth -1": put("tracks/bandwidth_hz", 1, -1),
    "-1 silent fragments": put("tracks/silent_fragments", 1, -1),
    "other genres": put("genres", 0, "polka"),
    "other variants": put("variants", 1, "echo"),
    "another checksum": put("checksum", 0, 7),
    "version 999": attribute("format_version", 999),
    "version text": attribute("format_version", "three"),
    "version array": attribute("format_version", [3, 3]),
    "no version": removed("format_version"),
    "no configuration": removed("config"),
    "configuration number": attribute("config", 3),
    "configuration list": attribute("config", "[]"),
    "configuration text": attribute("config", "{"),
    "configuration deep": attribute("config", "[" * 5_000),
    "another number of mels": config_with('"n_mels":16', '"n_mels":17'),
    "another duration": config_with('"duration_s":0.5', '"duration_s":0.6'),
    "another store": config_with('"store":"both"', '"store":"disk"'),
    "another mel type": config_with('"mel_dtype":"float16"', '"mel_dtype":"float32"'),
    "fewer variants": config_with('"variants_each":1', '"variants_each":2'),
    "unknown key": config_with('"store":', '"colour":1,"store":'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_cache_whose_content_does_not_fit_is_refused(path: Path, name: str) -> None:
    with h5py.File(path, "r+") as file:
        CHANGES[name](file)
    assert str(path) in refusal(path)


def test_a_cache_without_tracks_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for name in (*ARRAYS, *(f"tracks/{name}" for name in file["tracks"])):
            dataset = file[name]
            shape, kind = (0, *dataset.shape[1:]), dataset.dtype
            del file[name]
            file.create_dataset(name, shape=shape, dtype=kind)
    refusal(path)


def test_a_changed_cache_ends_each_command_with_one_line(here: Path, genrekit: CommandLine) -> None:
    """A cache of another mel and a cache with an index out of range trained and evaluated before."""
    for change in (config_with('"n_mels":16', '"n_mels":15'), put("track", 3, -1)):
        with h5py.File("data/cache.h5", "r+") as file:
            change(file)
        for arguments in (("train", "--arch", "lda"), ("evaluate", "best_models"), ("info", "data/cache.h5")):
            outcome = genrekit(*arguments)
            assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        with h5py.File("data/cache.h5", "r+") as file:
            config_with('"n_mels":1', '"n_mels":1')(file)
    assert not list(Path("runs").glob("2*"))


def damage(cache: Cache, row: int) -> None:
    with open(cache.path, "r+b") as file:
        file.seek(cache.extents["mel"].at(row) + 10)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def test_the_rows_of_the_test_set_are_verified_before_an_evaluation_counts(here: Path, genrekit: CommandLine) -> None:
    cache = open_cache("data/cache.h5")
    assert genrekit("evaluate", "best_models", "--quiet").code == 0
    readings = Path("data/cache.splits/readings.json").read_bytes()
    for track in cache.tracks:
        damage(cache, track.first_row + 5)
    opened = open_cache("data/cache.h5")
    assert len(opened.damaged_rows()) == len(cache.tracks)
    outcome = genrekit("evaluate", "best_models", "--quiet")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "rows are damaged" in outcome.err
    assert Path("data/cache.splits/readings.json").read_bytes() == readings


def test_prepare_with_verify_computes_damaged_rows_again(path: Path, tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 2, "jazz": 2}, duration_s=1.2, sample_rate=8_000)
    cache = build(folder, tmp_path / "again.h5", AUGMENTED).cache
    before = content(cache.path)
    damage(cache, 7)
    with pytest.raises(IncompatibleCacheError, match="prepare again with --verify"):
        build(folder, cache.path, AUGMENTED)
    repaired = build(folder, cache.path, AUGMENTED, verify=True)
    assert (sorted(repaired.damaged), repaired.reused) == (["blues/blues-0"], 3)
    after = content(cache.path)
    assert after.keys() == before.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
