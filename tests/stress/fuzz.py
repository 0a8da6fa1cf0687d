"""Fuzz `genrekit prepare` with broken files. It must not crash, and must not change the good tracks.

Usage: python tests/stress/fuzz.py [--files 2000] [--deep 4000] [--seed 0]

The script creates a tree with mutated files of each format, with paths that are not regular files, with unusual names,
and with good tracks, many of them in deep folders. A separate process checks the header of each file and transforms the
file. A timer and a limit on its address space stop files that take more than 2 s or 500 MB. Then the command line
prepares the whole tree, and the good tracks alone. The script prints a table by kind and format, and all violations.
The exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from mutations import ENCODINGS, MUTATIONS, encoded, sound

from genrekit.audio.decode import LongAudioError, probe
from genrekit.audio.long_tracks import long_track
from genrekit.audio.transform import expected_rows, transform_track
from genrekit.config import PrepareConfig
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.errors import UnreadableAudioError

FRONT_END = {"sample_rate": 8_000, "duration_s": 0.5, "n_fft": 512, "hop_length": 256, "n_mels": 16}
"""A front end that costs next to nothing, so that what a file costs is seen."""

GENRES = ("blues", "jazz", "rock")
ALARM_S = 10
"""After so long a file is taken to hang, and its process is killed."""

_ADDRESS_SPACE = 4 << 30
"""Bytes that the measuring process may reserve beyond what it starts with: a header of terabytes cannot have them."""

Fate = Literal["kept", "skipped", "either", "passed over"]


_DEPTHS: dict[int, Fate] = {400: "kept", 1_200: "kept"}
"""What becomes of a file so many folders deep. libsndfile itself opens no path of more than 1,023 bytes."""


@dataclass(frozen=True)
class Limits:
    """The time and memory that one file may take."""

    seconds: float = 2
    bytes: int = 500_000_000


@dataclass(frozen=True)
class Planted:
    """One path in the tree. `shown` is the path as prepare prints it, `fate` the expected outcome."""

    path: Path
    shown: str
    kind: str
    form: str
    fate: Fate

    @property
    def track_id(self) -> str:
        """The ID of the file as a track."""
        return self.shown.removesuffix(Path(self.shown).suffix)


@dataclass(frozen=True)
class Measured:
    """The outcome for a file: kept, skipped, or the kind of failure, with the reason or the traceback."""

    outcome: Literal["kept", "skipped", "crashed"]
    message: str = ""
    seconds: float = 0
    bytes: int = 0


@dataclass(frozen=True)
class Report:
    """The results of one round of fuzzing."""

    table: str
    violations: tuple[str, ...]


def plant(root: Path, files: int, deep: int, seed: int) -> list[Planted]:
    """Create the tree: `files` mutated files, `deep` good files in deep folders, and unusual paths of each kind."""
    return [*_mutants(root, files, seed), *_good(root), *_deep(root, deep), *_odd_names(root), *_no_files(root)]


def _mutants(root: Path, files: int, seed: int) -> Iterator[Planted]:
    pairs = [(kind, suffix) for kind in MUTATIONS for suffix in ENCODINGS]
    for number in range(files):
        kind, suffix = pairs[number % len(pairs)]
        rng = random.Random(f"{seed}-{number}")
        content = MUTATIONS[kind](sound(suffix, rng.randrange(1_000)), suffix, rng)
        fate: Fate = "skipped" if kind in {"empty", "text"} else "kept" if kind == "wrong suffix" else "either"
        yield _file(root, f"{GENRES[number % 3]}/{kind}/{number:05}.{suffix}", content, kind, suffix, fate)


def _good(root: Path) -> Iterator[Planted]:
    for genre in GENRES:
        for suffix, encodings in ENCODINGS.items():
            for number in range(len(encodings)):
                name = f"{genre}/good/{suffix}-{number}.{suffix}"
                salt = 10_000 + GENRES.index(genre) * 10 * len(encodings)
                yield _file(root, name, sound(suffix, salt * len(encodings) + number), "good", suffix, "kept")


def _deep(root: Path, deep: int) -> Iterator[Planted]:
    for number in range(deep):
        folders = "/".join(f"{(number >> bit) % 3}" for bit in range(12))
        content = encoded(20_000 + number, "WAV", "PCM_16", 1, 8_000, 0.15)
        name = f"{GENRES[number % 3]}/deep/{folders}/{number:05}.wav"
        yield _file(root, name, content, "deep in folders", "wav", "kept")
    for depth, fate in _DEPTHS.items():
        steps = "/".join("d" for _ in range(depth))
        yield _file(root, f"rock/{steps}/far.wav", sound("wav", depth), f"{depth} folders deep", "wav", fate)


def _odd_names(root: Path) -> Iterator[Planted]:
    good = {
        "emoji": "🎵 so 😀.wav",
        "joined emoji": "👩‍🎤.wav",
        "Persian": "می‌خواهم.wav",
        "spaces": " a  b .wav",
        "long": "x" * 251 + ".wav",
        "markup": "[red]:smile: %s {0} $HOME `ls` --help.wav",
        "dots": "a..wav",
        "combining": "Cafe\u0301.wav",
        "upper case": "LOUD.WAV",
    }
    for number, (kind, name) in enumerate(good.items()):
        yield _file(root, f"jazz/names/{name}", sound("wav", 30_000 + number), f"name: {kind}", "wav", "kept")
    bad = {"line break": b"one\ntwo.wav", "escape": b"\x1b[31mred.wav", "no Unicode": b"caf\xe9.wav"}
    bad |= {"zero byte's neighbour": b"\x01.wav", "right to left": "a\u202egnp.wav".encode()}
    for kind, raw in bad.items():
        name = f"jazz/names/{os.fsdecode(raw)}"
        try:
            yield _file(root, name, sound("wav", 40_000), f"name: {kind}", "wav", "skipped", ascii(name)[1:-1])
        except OSError:  # a file system that has Unicode names only
            continue


def _no_files(root: Path) -> Iterator[Planted]:
    odd = root / "jazz" / "odd"
    odd.mkdir(parents=True)

    def planted(name: str, kind: str, fate: Fate) -> Planted:
        return Planted(odd / name, f"jazz/odd/{name}", kind, "wav", fate)

    (odd / "folder.wav").mkdir()
    yield planted("folder.wav", "folder", "passed over")
    (odd / "broken.wav").symlink_to("nowhere.wav")
    yield planted("broken.wav", "broken link", "skipped")
    (odd / "self.wav").symlink_to("self.wav")
    yield planted("self.wav", "circular link", "skipped")
    (odd / "here.wav").symlink_to("there.wav")
    (odd / "there.wav").symlink_to("here.wav")
    yield planted("here.wav", "circular link", "skipped")
    yield planted("there.wav", "circular link", "skipped")
    (odd / "loop").symlink_to(root, target_is_directory=True)
    (odd / "loop.wav").symlink_to("..", target_is_directory=True)
    yield planted("loop.wav", "link to a folder above", "passed over")
    os.mkfifo(odd / "pipe.wav")
    yield planted("pipe.wav", "named pipe", "skipped")
    (odd / "linked pipe.wav").symlink_to("pipe.wav")
    yield planted("linked pipe.wav", "named pipe", "skipped")
    (odd / "zero.wav").symlink_to("/dev/zero")
    yield planted("zero.wav", "device", "skipped")
    with socket.socket(socket.AF_UNIX) as listener, _inside(odd):
        listener.bind("socket.wav")
    yield planted("socket.wav", "socket", "skipped")
    closed = _file(root, "jazz/odd/closed.wav", sound("wav", 50_000), "no permission", "wav", "skipped")
    closed.path.chmod(0)
    if os.access(closed.path, os.R_OK):  # as root
        closed = Planted(closed.path, closed.shown, closed.kind, closed.form, "kept")
    yield closed
    yield _file(root, "jazz/odd/late.wav", sound("wav", 50_001), "time: far", "wav", "kept")
    os.utime(odd / "late.wav", (0, 14_000_000_000))
    yield _file(root, "jazz/odd/early.wav", sound("wav", 50_002), "time: before 1970", "wav", "kept")
    os.utime(odd / "early.wav", (0, -1_000_000))
    yield _file(root, "jazz/odd/rival.flac", b"no FLAC", "same name, broken", "flac", "skipped")
    yield _file(root, "jazz/odd/rival.wav", sound("wav", 50_003), "same name, good", "wav", "kept")
    yield _beyond(odd)


def _beyond(odd: Path) -> Planted:
    """Create a folder whose path is longer than the system allows, so that nobody can list it, not even root."""
    name, depth = "y" * 250, 0
    handle = os.open(odd, os.O_RDONLY)
    longest = os.pathconf(odd, "PC_PATH_MAX")
    while len(os.fsencode(odd)) + 251 * depth < longest:
        os.mkdir(name, dir_fd=handle)
        below = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle, depth = below, depth + 1
    os.close(handle)
    below_odd = "/".join([name] * depth)
    return Planted(odd / below_odd, f"jazz/odd/{below_odd}", "folder that cannot be listed", "", "skipped")


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _file(root: Path, name: str, content: bytes, kind: str, form: str, fate: Fate, shown: str = "") -> Planted:
    path = root / name
    _make_folder(path.parent)
    path.write_bytes(content)
    return Planted(path, shown or name, kind, form, fate)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, one after another. pathlib and os use recursion, which fails for deep paths."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for below in reversed(missing):
        below.mkdir()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Create an empty folder, and remove it at the end of the block, however deep its content is."""
    folder = Path(tempfile.mkdtemp(prefix="genrekit-fuzz-"))
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


class Meter:
    """A process that checks and transforms one file after another, and measures each.

    It is restarted after a file that killed it, or that used so much memory that the peak of later files would be
    hidden.
    """

    def __init__(self, scratch: Path) -> None:
        self._warm = scratch / "warm.wav"
        self._warm.write_bytes(sound("wav", 0))
        self._process: subprocess.Popen[str] | None = None

    def measure(self, path: Path, limits: Limits) -> Measured:
        """Measure a file. If it takes too long, measure it again and keep the shorter time, because other programs also
        run.
        """
        first = self._once(path)
        if first.seconds <= limits.seconds:
            return first
        second = self._once(path)
        return second if second.seconds < first.seconds else first

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _once(self, path: Path) -> Measured:
        if self._process is None:
            command = [sys.executable, __file__, "--measure", str(self._warm)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(os.fsencode(path).hex()) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if line:
            return Measured(**json.loads(line))
        self.close()
        code = process.returncode
        if code == -signal.SIGALRM:
            return Measured("crashed", f"took more than {ALARM_S} s", float(ALARM_S))
        return Measured("crashed", f"killed the process with {signal.Signals(-code).name if code < 0 else code}")


def _serve(warm: Path) -> None:
    """Run the measuring process: receive paths and send measurements."""
    warnings.simplefilter("error")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    config = PrepareConfig.of({"front_end": FRONT_END})
    _transformed(warm, config)
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _LINUX else 0
    if reserved:
        resource.setrlimit(resource.RLIMIT_AS, (reserved + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    for line in sys.stdin:
        path = Path(os.fsdecode(bytes.fromhex(json.loads(line))))
        before = _peak_bytes(reset=True)
        started = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, float(os.environ.get("GENREKIT_FUZZ_ALARM_S", ALARM_S)))
        measured = _transformed(path, config)
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds, grown = time.perf_counter() - started, _peak_bytes(reset=False) - before
        answer = {"outcome": measured.outcome, "message": measured.message, "seconds": seconds, "bytes": max(grown, 0)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _transformed(path: Path, config: PrepareConfig) -> Measured:
    try:
        expected_rows(probe(path), config)
        wild = {name for rows in _rows(path, config) for name, values in rows.items() if not np.isfinite(values).all()}
    except UnreadableAudioError as error:
        return Measured("skipped", str(error))
    except Exception:  # noqa: BLE001 - whatever else comes is what is looked for
        return Measured("crashed", traceback.format_exc())
    return Measured("crashed", f"{', '.join(sorted(wild))} not finite") if wild else Measured("kept")


def _rows(path: Path, config: PrepareConfig) -> Iterator[dict[str, Any]]:
    """Yield the tensors of a file: of all rows, or of one row after another if the file is long."""
    try:
        yield transform_track("track", path, config).tensors
    except LongAudioError:
        yield from (row.tensors for row in long_track("track", path, config).rows())


_LINUX = sys.platform == "linux"


def _peak_bytes(*, reset: bool) -> int:
    """Return the peak memory since the last reset, or since the start of the process if the system cannot reset it."""
    if not _LINUX:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1_024 * int(status.partition("VmHWM:")[2].split()[0])


@dataclass(frozen=True)
class Prepared:
    """The output of the command line for a tree."""

    code: int
    answer: dict[str, Any]
    stderr: str
    cache: Path


def prepare(root: Path, out: Path, errors: IO[bytes], workers: int) -> Prepared:
    """Run `genrekit prepare` on a tree."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in FRONT_END.items()]
    command = [sys.executable, "-m", "genrekit", "prepare", str(root), "--json", "--out", str(out), *options]
    command += ["--workers", str(workers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, timeout=1_200, check=False)
    errors.seek(0)
    stderr = errors.read().decode(errors="backslashreplace")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"no JSON: {done.stdout[:200]!r}"}
    return Prepared(done.returncode, answer, stderr, out)


def fuzz(scratch: Path, *, files: int, deep: int, seed: int, limits: Limits | None = None, workers: int = 2) -> Report:
    """Create a tree in an empty folder, measure each file, prepare the tree, and compare with the good files alone."""
    limits = limits or Limits()
    planted = plant(scratch / "all", files, deep, seed)
    meter = Meter(scratch)
    try:
        measured = {thing: meter.measure(thing.path, limits) for thing in planted if thing.kind != "deep in folders"}
    finally:
        meter.close()
    violations = [*measured_violations(measured, limits)]
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as good_errors:
        whole = prepare(scratch / "all", scratch / "all.h5", errors, workers)
        violations += _command_violations(whole, planted, measured)
        if whole.code == 0:
            good = [thing for thing in planted if thing.fate == "kept"]
            _link(good, scratch / "all", scratch / "good")
            alone = prepare(scratch / "good", scratch / "good.h5", good_errors, workers)
            violations += _row_violations(whole, alone, good)
    skipped = {file["path"] for file in whole.answer.get("skipped", [])}
    return Report(_table(planted, measured, skipped), tuple(violations))


def measured_violations(measured: dict[Planted, Measured], limits: Limits) -> Iterator[str]:
    """Return the files that crashed, hung, or exceeded a limit."""
    for thing, found in measured.items():
        if found.outcome == "crashed":
            yield f"{thing.shown}: {found.message}"
        if found.seconds > limits.seconds:
            yield f"{thing.shown}: {found.seconds:.2f} s"
        if found.bytes > limits.bytes:
            yield f"{thing.shown}: {found.bytes / 1e6:.0f} MB"


def _command_violations(whole: Prepared, planted: list[Planted], measured: dict[Planted, Measured]) -> Iterator[str]:
    if whole.code:
        yield f"prepare ended with {whole.code}: {whole.answer}; it wrote {whole.stderr[-2_000:]!r}"
        return
    if "Traceback" in whole.stderr:
        yield f"prepare wrote a traceback: {whole.stderr[:2_000]}"
    named = Counter(file["path"] for file in whole.answer["skipped"])
    cached = {track.id for track in open_cache(whole.cache).tracks}
    yield from (f"{path} is named {times} times" for path, times in named.items() if times > 1)
    yield from (f"nobody made {path}" for path in named.keys() - {thing.shown for thing in planted})
    yield from (
        f"{file['path']} has no reason in a line: {file['reason']!r}"
        for file in whole.answer["skipped"]
        if not file["reason"].isprintable() or len(file["reason"]) < 5
    )
    for thing in planted:
        fate = _fate(thing.shown in named, thing.track_id in cached)
        wanted = {thing.fate} if thing.fate != "either" else {"kept", "skipped"}
        if thing.fate == "either" and thing in measured:
            wanted &= {measured[thing].outcome}
        if fate not in wanted and not (thing.fate == "skipped" and thing.kind.startswith("same name") and fate):
            yield f"{thing.shown} is {fate}, not {' or '.join(sorted(wanted))}"


def _fate(named: bool, cached: bool) -> str:
    return {(True, True): "skipped and kept", (True, False): "skipped", (False, True): "kept"}.get(
        (named, cached), "passed over"
    )


def _row_violations(whole: Prepared, alone: Prepared, good: list[Planted]) -> Iterator[str]:
    if alone.code or alone.answer["skipped"]:
        yield f"prepare of the good files alone ended with {alone.code}: {alone.answer}"
        return
    ours, theirs = _digests(open_cache(whole.cache)), _digests(open_cache(alone.cache))
    yield from (f"{name} is not alone in the cache of the good files" for name in theirs.keys() - _ids(good))
    for track_id in sorted(_ids(good)):
        if track_id not in theirs or ours.get(track_id) != theirs[track_id]:
            yield f"{track_id} has other rows than without the bad files"


def _ids(things: Sequence[Planted]) -> set[str]:
    return {thing.track_id for thing in things}


def _digests(cache: Cache) -> dict[str, str]:
    """Return a digest of all rows of each track."""
    found = {}
    for track in cache.tracks:
        rows = slice(track.first_row, track.first_row + track.rows)
        content = [cache.waveform[rows], cache.mel[rows], cache.start_s[rows]]
        found[track.id] = hashlib.blake2b(b"".join(part.tobytes() for part in content)).hexdigest()
    return found


def _link(good: list[Planted], root: Path, target: Path) -> None:
    for thing in good:
        path = target / thing.path.relative_to(root)
        _make_folder(path.parent)
        path.hardlink_to(thing.path)


def _table(planted: list[Planted], measured: dict[Planted, Measured], skipped: set[str]) -> str:
    groups: dict[tuple[str, str], list[Planted]] = {}
    for thing in planted:
        groups.setdefault((thing.kind, thing.form), []).append(thing)
    width = max(len(kind) for kind, _ in groups)
    lines = [f"{'kind':{width}}  format  files  skipped  kept  worst s  worst MB"]
    for (kind, form), things in groups.items():
        lines.append(f"{kind:{width}}  {form:6}  {_figures(things, measured, skipped)}")
    lines.append(f"{'all':{width}}  {'':6}  {_figures(planted, measured, skipped)}")
    return "\n".join(lines)


def _figures(things: list[Planted], measured: dict[Planted, Measured], skipped: set[str]) -> str:
    costs = [measured[thing] for thing in things if thing in measured]
    named = sum(thing.shown in skipped for thing in things)
    kept = sum(thing.shown not in skipped and thing.fate != "passed over" for thing in things)
    seconds = (
        f"{max(cost.seconds for cost in costs):7.3f}  {max(cost.bytes for cost in costs) / 1e6:8.1f}" if costs else ""
    )
    return f"{len(things):5}  {named:7}  {kept:4}  {seconds}".rstrip()


def main() -> int:
    """Run the fuzzer and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2_000, help="mutated files")
    parser.add_argument("--deep", type=int, default=4_000, help="good files deep in folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        _serve(options.measure)
        return 0
    started = time.monotonic()
    with scratch_folder() as scratch:
        report = fuzz(scratch, files=options.files, deep=options.deep, seed=options.seed)
    print(report.table)
    print(f"{len(report.violations)} violations in {time.monotonic() - started:.0f} s")
    for violation in report.violations:
        print(f"- {violation if len(violation) < 3_000 else violation[:1_500] + ' ... ' + violation[-1_500:]}")
    return bool(report.violations)


if __name__ == "__main__":
    sys.exit(main())
