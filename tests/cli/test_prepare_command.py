"""genrekit prepare."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import soundfile
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection

from genrekit.audio import fallback_decoders
from genrekit.cli.prepare import genres_text
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


def test_prepare_lists_the_genres_and_says_what_comes_next(music: Path, genrekit: CommandLine) -> None:
    outcome = genrekit(*PREPARE)
    assert outcome.out.splitlines()[1:] == ["2 genres: blues 3, jazz 3"]
    assert outcome.err.splitlines()[-1] == "note: next, train a model: genrekit train"
    elsewhere = genrekit(*PREPARE, "--out", "other cache.h5")
    assert elsewhere.err.splitlines()[-1] == "note: next, train a model: genrekit train --cache 'other cache.h5'"
    assert "next" not in genrekit(*PREPARE, "--quiet").err
    in_json = genrekit(*PREPARE, "--json")
    assert "next" not in in_json.err
    assert in_json.json["tracks_per_genre"] == {"blues": 3, "jazz": 3}


def test_of_many_genres_the_first_are_listed() -> None:
    text = genres_text({f"g{number:03d}": 2 for number in range(100)})
    assert text.startswith("100 genres: g000 2, g001 2, ")
    assert text.endswith("g019 2 and 80 more")


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
    (music / "jazz" / "song.zip").write_bytes(b"?")
    outcome = genrekit(*PREPARE)
    assert outcome.code == 0
    assert "4 skipped" in outcome.out
    for line in (
        "warning: skipped blues/one.wav: 0.000125 s of audio, shorter than 0.1 s",
        "warning: skipped blues/nan.wav: NaN or infinite samples",
        "warning: skipped jazz/text.mp3: not decodable",
        "warning: skipped jazz/song.zip: .zip is not a supported audio format",
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


def test_a_silent_track_is_skipped_with_a_warning(music: Path, genrekit: CommandLine) -> None:
    soundfile.write(music / "jazz" / "rest.wav", np.zeros(8_800), 8_000)
    for _ in range(2):
        outcome = genrekit(*PREPARE)
        assert "6 tracks" in outcome.out
        assert "warning: skipped jazz/rest.wav: silent: every fragment is below -80 dBFS" in outcome.err


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


@pytest.mark.parametrize("content", [b"my thesis", b"RIFF"], ids=["text", "audio"])
def test_overwrite_does_not_replace_a_file_that_is_no_cache(music: Path, genrekit: CommandLine, content: bytes) -> None:
    (music / "cache.h5").write_bytes(content)
    for options, remedy in (((), "another file with --out"), (("--overwrite",), "choose another --out")):
        outcome = genrekit(*PREPARE, *options)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert outcome.err.endswith(f"{remedy}\n")
        assert (music / "cache.h5").read_bytes() == content


def test_overwrite_does_not_replace_another_hdf5_file(music: Path, genrekit: CommandLine) -> None:
    with h5py.File(music / "cache.h5", "w") as file:
        file["mine"] = [1]
    before = (music / "cache.h5").read_bytes()
    assert genrekit(*PREPARE, "--overwrite").err.endswith("choose another --out\n")
    assert (music / "cache.h5").read_bytes() == before


def test_overwrite_replaces_a_damaged_cache(music: Path, genrekit: CommandLine) -> None:
    assert genrekit(*PREPARE).code == 0
    (music / "cache.h5").write_bytes((music / "cache.h5").read_bytes()[:1_000])
    assert "replace it with genrekit prepare --overwrite" in genrekit(*PREPARE).err
    assert genrekit(*PREPARE, "--overwrite").code == 0
    assert genrekit(*PREPARE, "--json").json["reused"] > 0


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
        pytest.param(("--n-mels", "0"), "genrekit: n_mels: input should be greater than", id="no bands"),
    ],
)
def test_invalid_variants_are_refused(
    music: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
) -> None:
    outcome = genrekit(*PREPARE, *options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


def test_verify_compares_the_content_of_files(music: Path, genrekit: CommandLine) -> None:
    genrekit(*PREPARE)
    assert "note: 6 files with the content that the cache was prepared from\n" in genrekit(*PREPARE, "--verify").err
    status = (music / "jazz" / "jazz-0.wav").stat()
    (music / "jazz" / "jazz-0.wav").write_bytes((music / "jazz" / "jazz-1.wav").read_bytes())
    os.utime(music / "jazz" / "jazz-0.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    outcome = genrekit(*PREPARE)
    assert "warning: jazz/jazz-0 has other content, but the same size and time: it was prepared again\n" in outcome.err
    assert "5 tracks reused" in outcome.out


def test_genres_are_renamed_selected_and_counted(music: Path, genrekit: CommandLine) -> None:
    write_collection(music, {"Blues": 1, "ska": 1, "polka": 2}, duration_s=1.1, sample_rate=8_000)
    outcome = genrekit(*PREPARE, "--min-tracks", "2")
    assert outcome.code == 0
    assert "note: left out, fewer than 2 tracks (--min-tracks): Blues (1 track), ska (1 track)\n" in outcome.err
    for options in ([], ["--genres", "blues,Blues,jazz"]):
        outcome = genrekit(*PREPARE, *options)
        assert (outcome.code, outcome.err) == (
            1,
            "genrekit: data: the genres Blues and blues differ only in case: rename one, or join them with "
            "--genre-aliases\n",
        )
    Path("aliases.toml").write_text('Blues = "blues"\n')
    joined = genrekit(*PREPARE, "--genre-aliases", "aliases.toml", "--genres", "blues,jazz", "--json").json
    assert [track.genre for track in open_cache(joined["cache"]).tracks] == ["blues"] * 4 + ["jazz"] * 3


def test_duplicates_are_reported_with_their_genres(music: Path, genrekit: CommandLine) -> None:
    samples, rate = soundfile.read(music / "blues" / "blues-0.wav")
    soundfile.write(music / "jazz" / "twin.flac", samples, rate)
    soundfile.write(music / "jazz" / "more.flac", soundfile.read(music / "jazz" / "jazz-0.wav")[0], rate)
    outcome = genrekit(*PREPARE)
    assert (
        "warning: blues/blues-0 (blues) and jazz/twin (jazz) are sample-identical, with different genres: no split "
        "uses them; remove tracks, or correct their genres\n"
    ) in outcome.err
    assert (
        "note: jazz/jazz-0 (jazz) and jazz/more (jazz) are sample-identical: track and artist splits keep them in the "
        "same set\n"
    ) in outcome.err


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


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_file_that_needs_another_decoder_is_used_once_it_is_installed(
    music: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["ffmpeg", "-v", "error", "-i", str(music / "jazz" / "jazz-0.wav"), str(music / "jazz" / "song.m4a")]
    subprocess.run(command, check=True)
    reason = "m4a needs PyAV or ffmpeg: pip install 'genrekit[formats]'"
    with monkeypatch.context() as without:
        for name in ("_load_av", "_ffmpeg", "_ffmpeg_version"):
            without.setattr(fallback_decoders, name, lambda: None)
        assert genrekit(*PREPARE, "--json").json["skipped"] == [{"path": "jazz/song.m4a", "reason": reason}]
    result = genrekit(*PREPARE, "--json").json
    assert (result["tracks"], result["reused"], result["skipped"]) == (7, 6, [])
    assert genrekit(*PREPARE, "--json").json["reused"] == 7
    decoders = {track.id: track.decoder for track in open_cache(Path("data/cache.h5")).tracks}
    assert decoders["jazz/song"] == fallback_decoders.fallback_decoder()
    assert decoders["jazz/jazz-0"] == ""


def test_a_damaged_file_is_named_with_both_lengths(music: Path, genrekit: CommandLine) -> None:
    path = music / "jazz" / "cut.wav"
    soundfile.write(path, np.sin(np.arange(3 * 8_000)) / 2, 8_000)
    path.write_bytes(path.read_bytes()[:-3_200])
    warning = "jazz/cut.wav: damaged: 2.8 s of 3 s can be decoded and are used"
    assert f"warning: {warning}" in genrekit(*PREPARE).err
    assert warning in genrekit(*PREPARE, "--json").json["warnings"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ("--augment", "--augmentations", "noise", "--pitch-shift=-1,1"),
            "--pitch-shift has no effect, because --augmentations does not list pitch_shift",
            id="strength",
        ),
        pytest.param(
            ("--store", "waveform", "--mel-dtype", "float32"),
            "--mel-dtype has no effect with --store waveform: leave it out, or store mel spectrograms too",
            id="format",
        ),
        pytest.param(
            ("data", "--manifest", "tracks.csv"),
            "--manifest lists all files, so DATA_DIR (data) has no effect: choose one",
            id="manifest",
        ),
    ],
)
def test_an_option_without_effect_is_wrong_usage(
    music: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
) -> None:
    outcome = genrekit(*PREPARE, *options)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"genrekit: {message}\n")
    assert not (music / "cache.h5").exists()


def test_options_of_mel_spectrograms_are_noted_if_only_waveforms_are_stored(music: Path, genrekit: CommandLine) -> None:
    outcome = genrekit(*PREPARE, "--store", "waveform", "--fmin", "50")
    assert "note: --n-mels, --fmin: no effect, because the cache has waveforms only\n" in outcome.err


@pytest.mark.parametrize("option", ["--augmentations=noise", "--variants-each=2", "--noise=20,30", "--augment-seed=3"])
def test_an_option_of_augmentation_without_augment_is_wrong_usage(
    music: Path, genrekit: CommandLine, option: str
) -> None:
    outcome = genrekit(*PREPARE, option)
    name = option.partition("=")[0]
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"genrekit: {name} has no effect without --augment: add --augment\n"
