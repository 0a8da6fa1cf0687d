"""The records behind the reports in docs/results/: one compressed archive per study, `records.tar.xz`.

An archive holds what the figures and verdicts of its study are computed from, at the paths `genrekit study run` uses:

    records.json                      {"format_version": 1}
    reports/STUDY/plan.json           and experiments/NAME.json
    runs/NAME/config.json             and result.json, history.csv, answers.safetensors

Studies share runs. A run is stored once, in the archive of the first study in alphabetical order that uses it, so
readers need all archives. The same records always give the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from genrekit.data.cache.reader import Cache
from genrekit.errors import GenrekitError

ARCHIVE = "records.tar.xz"

FORMAT_VERSION = 1

RUN_FILES = ("config.json", "result.json", "history.csv", "answers.safetensors")
"""The files of a run that a study reads. The weights are not among them."""

TRACKS = "tracks.csv"

_HEADER = "records.json"

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6 | lzma.PRESET_EXTREME, "lc": 1, "lp": 2}]
"""lp=2 suits values of four bytes: most of an archive is float32 losses."""


def read_records(results: Path) -> dict[str, bytes]:
    """Read the files of all archives in `results`, by their paths.

    Errors: GenrekitError if an archive cannot be read, or if two archives disagree about a file.
    """
    records: dict[str, bytes] = {}
    for path in sorted(results.glob(f"*/{ARCHIVE}")):
        for name, content in read_archive(path).items():
            if records.setdefault(name, content) != content:
                raise GenrekitError(f"{path}: {name} differs from the copy in another archive")
    return records


def write_records(results: Path, records: Mapping[str, bytes]) -> None:
    """Write one archive per study; runs that no study uses are left out.

    An archive that already holds the right files is not touched: another version of liblzma may compress them
    differently.
    Errors: GenrekitError for a path that an archive must not have; nothing is written then.
    """
    archives = {results / study / ARCHIVE: files for study, files in assign_files(records).items()}
    for path, files in archives.items():
        for name in files:
            _require_name(name, path)
    for path, files in archives.items():
        if not path.is_file() or read_archive(path) != files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_pack(files))


def assign_files(records: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Return the files of each study's archive: its plan and experiments, and the runs no earlier study uses."""
    assigned: dict[str, dict[str, bytes]] = {}
    taken: set[str] = set()
    for study in sorted({name.split("/")[1] for name in records if name.startswith("reports/")}):
        folders = {f"reports/{study}", *(runs_of(records, study) - taken)}
        taken |= folders
        assigned[study] = {name: records[name] for name in sorted(records) if _folder(name) in folders}
    return assigned


def runs_of(records: Mapping[str, bytes], study: str) -> set[str]:
    """Return the runs that a study uses, as "runs/NAME"."""
    start = f"reports/{study}/experiments/"
    return {json.loads(content)["run"] for name, content in records.items() if name.startswith(start)}


def _folder(name: str) -> str:
    """The folder of a study or of a run: "reports/STUDY" or "runs/NAME"."""
    return "/".join(name.split("/")[:2])


def unpack(results: Path, folder: Path) -> None:
    """Write runs/ and reports/ of all studies into a folder, as `genrekit study run` left them.

    Errors: GenrekitError if the folder already has runs/ or reports/, or if an archive cannot be read.
    """
    for target in (folder / "runs", folder / "reports"):
        if target.exists():
            raise GenrekitError(f"{target} exists; unpack into another folder")
    files = read_records(results)
    for report in (path.parent for path in results.glob(f"*/{ARCHIVE}")):
        shown = [path for path in report.iterdir() if path.name != ARCHIVE]
        files |= {f"reports/{report.name}/{path.name}": path.read_bytes() for path in shown}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read_archive(path: Path) -> dict[str, bytes]:
    """Read the files of one archive, by their paths.

    Errors: GenrekitError if it cannot be read, has another format version, or has a path it must not have.
    """
    try:
        unpacked = io.BytesIO(lzma.decompress(path.read_bytes()))  # unlike tarfile, checks the data to the last byte
        with tarfile.open(fileobj=unpacked, mode="r:") as archive:
            files = {member.name: _content(archive, member, path) for member in archive}
        header = json.loads(files.pop(_HEADER))
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, lzma.LZMAError) as error:
        raise GenrekitError(f"cannot read {path} ({error}); restore it from version control") from error
    if header != {"format_version": FORMAT_VERSION}:
        raise GenrekitError(f"{path} has {header}; this version reads format_version {FORMAT_VERSION}")
    return files


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    if member.name != _HEADER:
        _require_name(member.name, path)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        raise GenrekitError(f"{path}: {member.name} is not a regular file")
    return file.read()


def _require_name(name: str, path: Path) -> None:
    """Errors: GenrekitError for a path that does not belong in the archive at `path`: it could lead out of a folder."""
    part, run_file = r"[^/\\]*[^/\\.][^/\\]*", "|".join(map(re.escape, RUN_FILES))
    report = rf"reports/{re.escape(path.parent.name)}/(plan|experiments/{part})\.json"
    if not re.fullmatch(rf"{report}|runs/{part}/({run_file})", name):
        raise GenrekitError(f"{path} must not have a file {name!r}")


def _pack(files: Mapping[str, bytes]) -> bytes:
    """An archive with sorted names; every file has mode 0644, time 0, and owner and group 0."""
    header = json.dumps({"format_version": FORMAT_VERSION}).encode()
    packed = io.BytesIO()
    with (
        lzma.open(packed, "wb", filters=_FILTERS) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in [(_HEADER, header), *sorted(files.items())]:
            member = tarfile.TarInfo(name)  # with these modes, times and owners
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@dataclass(frozen=True)
class ListedTrack:
    """A track that the studies were run on; `digest` is that of its decoded audio."""

    track: str
    digest: str
    fragments: int


def write_tracks(results: Path, cache: Cache) -> None:
    """Write the list of tracks of a cache that has all fragments."""
    with open(results / TRACKS, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("track", "digest", "fragments"))
        writer.writerows((track.id, track.digest, track.rows) for track in cache.tracks)


def read_tracks(results: Path) -> list[ListedTrack]:
    """Read the list of tracks."""
    with open(results / TRACKS, encoding="utf-8", newline="") as file:
        return [ListedTrack(row["track"], row["digest"], int(row["fragments"])) for row in csv.DictReader(file)]
