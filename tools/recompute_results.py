"""Compute the reports in docs/results/ again from their archives, after a change to the code that writes reports.

    python tools/recompute_results.py FOLDER            All studies.
    python tools/recompute_results.py FOLDER STUDY ...  Only these.

FOLDER must not exist. The runs are unpacked there, with caches that list the tracks of the studies but have no audio.
Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
from result_records import read_tracks, unpack
from results_table import PAGES, RESULTS, keep, renewed

from genrekit.cli.app import run
from genrekit.config import PrepareConfig
from genrekit.data.cache.layout import CachedTrack, CachePlan
from genrekit.data.cache.rows import row_checksums
from genrekit.data.cache.writer import create_cache
from genrekit.errors import GenrekitError


def make_workspace(folder: Path) -> None:
    """Unpack the recorded runs into a folder, with caches `first.h5` and `all.h5` that have no audio."""
    folder.mkdir(parents=True, exist_ok=True)
    unpack(RESULTS, folder)
    with patch.object(
        os, "posix_fallocate", lambda *_: None, create=True
    ):  # the rows stay empty and take no disk space
        for fragments in ("first", "all"):
            config = PrepareConfig.of({"fragments": fragments, "front_end": {"pad": "zero"}})  # as in version 2
            plan = CachePlan(config, tracks_with(fragments), skipped=())
            create_empty_cache(folder / f"{fragments}.h5", plan)


def create_empty_cache(path: Path, plan: CachePlan) -> None:
    """Create a cache whose rows are all zeros, with their checksums and the starts of their fragments."""
    create_cache(path, plan)
    with h5py.File(path, "r+") as file:
        zeros = [np.zeros((1, *file[name].shape[1:]), file[name].dtype) for name in plan.config.inputs]
        file["checksum"][:] = row_checksums(zeros)[0]
        rows = np.concatenate([np.arange(track.rows) for track in plan.tracks])
        file["start_s"][:] = rows * plan.config.front_end.duration_s


def tracks_with(fragments: str) -> tuple[CachedTrack, ...]:
    """Return the tracks of the studies as a cache of "all" or the "first" fragments lists them; none is a duplicate."""
    tracks: list[CachedTrack] = []
    for index, listed in enumerate(read_tracks(RESULTS)):
        rows = listed.fragments if fragments == "all" else 1
        tracks.append(
            CachedTrack(
                listed.track,
                listed.track.split("/")[0],
                artists=(),
                subset=None,
                size=0,
                mtime_ns=0,
                first_row=index * rows,
                rows=rows,
                digest=listed.digest,
                recording=index,
                done=True,
            )
        )
    return tuple(tracks)


def recorded_studies() -> list[str]:
    """Return the names of the studies in docs/results/."""
    return sorted(path.parent.name for path in RESULTS.glob("*/result.json"))


def report(study: str) -> int:
    """Write the report of a study in the current folder with the command that its result names; return the exit code.

    The runs are found by the digests of their tracks.
    """
    result = json.loads((RESULTS / study / "result.json").read_text(encoding="utf-8"))
    program, command, verb, *arguments = shlex.split(result["head"]["command"])
    if (program, command, verb) != ("genrekit", "study", "run"):
        raise GenrekitError(f"{study} was run with {result['head']['command']!r}; expected genrekit study run")
    return run(["study", "report", *arguments, "--quiet"])


def main() -> None:
    """Compute the reports again, and copy them and the table of findings to docs/results/."""
    parser = argparse.ArgumentParser(description="Compute the reports in docs/results/ again from their archives.")
    parser.add_argument("folder", type=Path, help="folder to work in; it must not exist")
    parser.add_argument("studies", nargs="*", metavar="study", help="study to compute; all by default")
    given = parser.parse_args()
    if given.folder.exists():
        parser.error(f"{given.folder} exists; name another folder")
    make_workspace(given.folder)
    names = given.studies or recorded_studies()
    with chdir(given.folder):
        for name in names:
            if report(name) != 0:
                sys.exit(f"cannot write the report of {name}")
    for name in names:
        keep(given.folder, name)
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main()
