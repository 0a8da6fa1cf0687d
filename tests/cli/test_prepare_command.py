"""genrekit prepare."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection

from genrekit.data.cache.reader import open_cache

PREPARE = ("prepare", *SMALL, "--workers", "1")


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder whose data/ has three tracks of each of two genres."""
    monkeypatch.chdir(tmp_path)
    return write_collection(tmp_path / "data", {"blues": 3, "jazz": 3}, duration_s=1.1, sample_rate=8_000)


def test_json_has_the_keys_that_others_rely_on(music: Path, genrekit: CommandLine) -> None:
    (music / "blues" / "broken.wav").write_bytes(b"no audio")
    (music / "jazz" / "twin.wav").write_bytes((music / "blues" / "blues-0.wav").read_bytes())
    outcome = genrekit(*PREPARE, "--augment", "--json")
    assert outcome.code == 0
    result = outcome.json
    assert result["cache"] == "data/cache.h5"
    assert (result["tracks"], result["fragments"], result["reused"]) == (7, 14, 0)
    assert result["variants"] == ["original", "time_stretch", "pitch_shift", "noise", "resampling"]
    assert [skip["path"] for skip in result["skipped"]] == ["blues/broken.wav"]
    assert result["skipped"][0]["reason"].startswith("not decodable")
    assert result["duplicates"] == [["blues/blues-0", "jazz/twin"]]
    assert result["seconds"] > 0
    assert genrekit(*PREPARE, "--augment", "--json").json["reused"] == 7


def test_the_result_is_on_stdout_and_everything_else_on_stderr(music: Path, genrekit: CommandLine) -> None:
    outcome = genrekit(*PREPARE)
    assert outcome.out.startswith("data/cache.h5: 6 tracks, 12 fragments, 0 skipped, 0 duplicates, 0 tracks reused")
    assert "6 tracks, 12 fragments" in outcome.err
    assert "free on disk" in outcome.err
    assert genrekit(*PREPARE, "--quiet").err == ""


def test_an_unreadable_file_is_reported_and_others_are_prepared(music: Path, genrekit: CommandLine) -> None:
    soundfile.write(music / "blues" / "one.wav", np.zeros(1), 8_000)
    soundfile.write(music / "blues" / "nan.wav", np.full(8_000, np.nan), 8_000, subtype="FLOAT")
    (music / "jazz" / "text.mp3").write_text("la la la")
    (music / "jazz" / "song.m4a").write_bytes(b"?")
    outcome = genrekit(*PREPARE)
    assert outcome.code == 0
    assert "4 skipped" in outcome.out
    for line in (
        "warning: skipped blues/one.wav: 0.000125 s of audio, shorter than 0.1 s",
        "warning: skipped blues/nan.wav: NaN or infinite samples",
        "warning: skipped jazz/text.mp3: not decodable",
        "warning: skipped jazz/song.m4a: m4a is not supported: convert it",
    ):
        assert line in outcome.err


def test_a_name_is_not_printed_as_an_emoji(music: Path, genrekit: CommandLine) -> None:
    (music / "jazz" / "[b]:smile:.wav").write_text("la la la")
    assert "warning: skipped jazz/[b]:smile:.wav: not decodable" in genrekit(*PREPARE).err


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_any_name_can_be_printed_whatever_the_encoding_of_stdout(encoding: str, music: Path) -> None:
    (music / "jazz" / "Бумбокс.wav").write_text("la la la")
    cache = os.fsdecode(b"caf\xe9 \xf0\x9f\x8e\xb5.h5")
    try:
        (music / cache).touch()
    except OSError:
        cache = "caf\xe9 \U0001f3b5.h5"  # this file system has Unicode names only
    command = [sys.executable, "-m", "genrekit", *PREPARE, "--out", cache]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    plain, answer = (
        subprocess.run([*command, *options], env=environment, capture_output=True, check=False)
        for options in ([], ["--json"])
    )
    assert (plain.returncode, answer.returncode) == (0, 0), plain.stderr + answer.stderr
    assert b": 6 tracks" in plain.stdout
    result = json.loads(answer.stdout.decode(encoding))
    assert result["cache"] == cache
    assert [skip["path"] for skip in result["skipped"]] == ["jazz/Бумбокс.wav"]


def test_special_files_and_false_headers_do_not_stop_the_others(music: Path, genrekit: CommandLine) -> None:
    alone = genrekit(*PREPARE, "--out", "alone.h5", "--json").json
    os.mkfifo(music / "blues" / "pipe.wav")
    soundfile.write(music / "jazz" / "lying.flac", np.zeros(8_000), 8_000)
    content = bytearray((music / "jazz" / "lying.flac").read_bytes())
    content[21] |= 0x0F  # 36 bits, all set: 68,719,476,735 samples
    content[22:26] = b"\xff" * 4
    (music / "jazz" / "lying.flac").write_bytes(content)
    os.utime(music / "jazz" / "jazz-0.wav", (0, 14_000_000_000))
    outcome = genrekit(*PREPARE, "--json")
    assert outcome.code == 0
    assert [skip["path"] for skip in outcome.json["skipped"]] == ["blues/pipe.wav", "jazz/lying.flac"]
    assert outcome.json["tracks"] == alone["tracks"]
    caches = [open_cache(music.parent / name) for name in ("alone.h5", "data/cache.h5")]
    np.testing.assert_array_equal(caches[0].waveform, caches[1].waveform)


def test_strict_stops_at_a_bad_file_and_keeps_the_old_cache(music: Path, genrekit: CommandLine) -> None:
    genrekit(*PREPARE)
    before = (music / "cache.h5").read_bytes()
    (music / "jazz" / "text.mp3").write_text("la la la")
    outcome = genrekit(*PREPARE, "--strict")
    assert outcome.code == 1
    assert "jazz/text.mp3" in outcome.err
    assert outcome.err.count("\n") == 1
    assert (music / "cache.h5").read_bytes() == before


def test_a_silent_track_is_kept_with_a_warning(music: Path, genrekit: CommandLine) -> None:
    soundfile.write(music / "jazz" / "rest.wav", np.zeros(8_800), 8_000)
    outcome = genrekit(*PREPARE)
    assert "7 tracks" in outcome.out
    assert "warning: jazz/rest is silent" in outcome.err
    cache = open_cache(music / "cache.h5")
    assert not cache.mel[cache.original_rows(["jazz/rest"])].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda _data: None, "no folder data: make it, with one folder of audio files per genre in it", id="missing"
        ),
        pytest.param(lambda data: data.mkdir(), "data has no audio", id="empty"),
        pytest.param(
            lambda data: write_collection(data, {"blues": 2}, duration_s=1.1, sample_rate=8_000),
            "data has only one genre (blues): a classifier needs at least two",
            id="one genre",
        ),
        pytest.param(
            lambda data: write_collection(
                data / "genres_original", {"blues": 2, "jazz": 2}, duration_s=1.1, sample_rate=8_000
            ),
            "did you mean data/genres_original?",
            id="one folder deeper",
        ),
    ],
)
def test_a_folder_that_is_not_a_collection_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine, make: object, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert callable(make)
    make(Path("data"))
    outcome = genrekit(*PREPARE)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert message in outcome.err
    assert not Path("data/cache.h5").exists()


def test_a_cache_with_another_configuration_is_replaced_only_with_overwrite(music: Path, genrekit: CommandLine) -> None:
    genrekit(*PREPARE)
    before = (music / "cache.h5").read_bytes()
    outcome = genrekit(*PREPARE, "--top-db", "60")
    assert outcome.code == 1
    assert "top_db is 80.0, not 60.0" in outcome.err
    assert (music / "cache.h5").read_bytes() == before
    assert genrekit(*PREPARE, "--top-db", "60", "--overwrite").code == 0


def test_a_file_that_is_not_a_cache_is_not_overwritten(music: Path, genrekit: CommandLine) -> None:
    (music / "cache.h5").write_text("my thesis")
    outcome = genrekit(*PREPARE)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert (music / "cache.h5").read_text() == "my thesis"


def test_a_manifest_has_artists_and_splits(music: Path, genrekit: CommandLine) -> None:
    lines = ["path,genre,artist,split"]
    for genre in ("blues", "jazz"):
        for n, part in enumerate(("train", "valid", "test")):
            lines.append(f"data/{genre}/{genre}-{n}.wav,{genre},singer {n},{part}")
    Path("tracks.csv").write_text("\n".join(lines))
    outcome = genrekit(*PREPARE, "--manifest", "tracks.csv", "--json")
    assert outcome.json["tracks"] == 6
    tracks = open_cache(music / "cache.h5").tracks[:2]
    assert [track.artists for track in tracks] == [("singer 0",), ("singer 1",)]
    assert [track.subset for track in tracks] == ["train", "validation"]


def test_a_full_disk_is_one_line_that_says_how_to_continue(
    music: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        outcome = genrekit(*PREPARE)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1].startswith("genrekit: cannot write data/cache.h5: No space left on device")
    assert not (music / "cache.h5").exists()
    assert genrekit(*PREPARE).code == 0


def test_options_select_the_variants(music: Path, genrekit: CommandLine) -> None:
    options = ("--augment", "--augmentations", "noise,time_stretch", "--variants-each", "2", "--copies", "1")
    names = ["original", "time_stretch", "time_stretch_2", "noise", "noise_2", "chain"]
    assert genrekit(*PREPARE, *options, "--json").json["variants"] == names
    strength = open_cache(music / "cache.h5").strength
    assert np.isnan(strength[0]).all()
    assert np.isfinite(strength[3]).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(("--copies", "2"), "copies must be 0 without augment, got 2", id="copies alone"),
        pytest.param(("--augment", "--augmentations", "nose"), "'nose': did you mean noise?", id="unknown kind"),
        pytest.param(("--augment", "--variants-each", "0"), "augment needs a kind of augmentation", id="none"),
        pytest.param(("--store", "wave"), "unknown store 'wave'", id="unknown store"),
    ],
)
def test_invalid_variants_are_refused(
    music: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
) -> None:
    outcome = genrekit(*PREPARE, *options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


def test_duplicates_are_reported_with_their_genres(music: Path, genrekit: CommandLine) -> None:
    samples, rate = soundfile.read(music / "blues" / "blues-0.wav")
    soundfile.write(music / "jazz" / "twin.flac", samples, rate)
    outcome = genrekit(*PREPARE)
    assert "note: blues/blues-0 (blues) and jazz/twin (jazz) are sample-identical" in outcome.err


def test_a_misspelled_folder_suggests_an_existing_one(music: Path, genrekit: CommandLine) -> None:
    music.rename(music.with_name("genres_original"))
    outcome = genrekit("prepare", "genres_orignal", "--out", "cache.h5")
    assert outcome.err == "genrekit: no folder genres_orignal: did you mean genres_original?\n"


def test_too_little_disk_space_is_an_error_before_work_starts(
    music: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1_000))
    outcome = genrekit(*PREPARE)
    assert outcome.code == 1
    assert "but only 1.0 kB is free: make space, or use another disk" in outcome.err
    assert sorted(path.name for path in music.iterdir() if path.is_file()) == [".cache.h5.lock"]


@pytest.mark.parametrize(
    ("free", "fitting"),
    [
        pytest.param(400_000, "mel spectrograms only (", id="mel"),
        pytest.param(120_000, "both tensors of originals only (", id="originals"),
        pytest.param(20_000, "mel spectrograms of originals only (", id="mel of originals"),
    ],
)
def test_the_error_for_too_little_space_suggests_a_smaller_cache(
    music: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, free: int, fitting: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=free))
    outcome = genrekit(*PREPARE, "--augment")
    assert outcome.code == 1
    assert fitting in outcome.err.partition("prepare less: ")[2]
