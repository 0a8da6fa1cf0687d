"""Kill `genrekit prepare` at random times, run it again, and compare the result with an uninterrupted run.

    python tests/stress/kills.py [--kills 50] [--seed 0]

SIGKILL is sent to all processes (the parent and its workers, in one session), to one worker, or to the parent alone, as
the kernel's out-of-memory killer does. The following must hold:

- After each kill, the final path has no file or a complete cache that opens. An old cache is unchanged.
- A run whose worker is killed ends with exit code 1 and one line.
- No process outlives a killed parent.
- The next run keeps each finished track. Its datasets and root attributes are equal to those of an uninterrupted run,
  and it leaves no other file.

The child process is `slow_prepare.py`: the command line with pauses in its short phases and otherwise unchanged code.
Each kill aims at the phase that has the fewest kills. It waits until that phase is visible on disk, and then for a
random time between zero and about the length of the phase. (The phase "filling" is visible when the first track is
finished that was not copied.) The length is reduced after a kill that came too late, and increased after one that did
not, because machines differ. A kill counts for the phase that the files show after it:

- creating: a new file is being laid out, or no track is finished;
- filling: some tracks are finished, but not all;
- finalizing: all tracks are finished, and the file is not yet at its final path.

Option --kills sets the number of kills of all processes while some rows are finished, but not all. In addition, a tenth
of this number is required in each phase, of a worker, and of the parent.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from killing import finish, read_command_line, say, wait_until

from genrekit.config import PrepareConfig
from genrekit.data.cache.reader import open_cache
from genrekit.errors import GenrekitError
from genrekit.workflows.prepare import prepare

Victim = Literal["tree", "worker", "parent"]

PHASES = ("creating", "filling", "finalizing")
"""Those that count, of all that there are, in their order."""

LENGTHS_S = {"creating": 0.4, "filling": 0.8, "finalizing": 0.4}
"""About how long each takes: where kills begin to aim."""

ALL_PHASES = ("starting", *PHASES, "moved")

PAUSE_S = 0.02


@dataclass
class Scenario:
    """A collection, a configuration, an old cache or none, and the expected result."""

    name: str
    folder: Path
    options: tuple[str, ...]
    config: PrepareConfig
    old: bytes | None = None
    expected: dict[str, Any] = field(default_factory=dict)

    @property
    def overwrites(self) -> bool:
        return "--overwrite" in self.options


@dataclass(frozen=True)
class State:
    """What the files show: the phase, finished rows, all rows, and finished tracks."""

    phase: str
    rows: int = 0
    of: int = 0
    tracks: int = 0

    @property
    def partly(self) -> bool:
        return 0 < self.rows < self.of


@dataclass(frozen=True)
class Kill:
    """A kill, and the state that it hit."""

    scenario: str
    victim: Victim
    state: State


@dataclass(frozen=True)
class Quota:
    """The number of kills of each kind that are required."""

    partly: int
    phase: int
    worker: int
    parent: int

    @classmethod
    def of(cls, kills: int) -> Quota:
        """Return the quota for a number of kills of all processes while some rows are finished, but not all."""
        tenth = max(1, kills // 10)
        return cls(kills, tenth, tenth, tenth)

    def missing(self, kills: list[Kill]) -> Counter[tuple[Victim, str]]:
        """Return the kills that are still required, by target and phase."""
        hit = Counter((kill.victim, kill.state.phase) for kill in kills)
        partly = Counter(kill.victim for kill in kills if kill.state.partly)
        wanted: dict[tuple[Victim, str], int] = {("tree", phase): self.phase - hit["tree", phase] for phase in PHASES}
        wanted["tree", "filling"] = max(wanted["tree", "filling"], self.partly - partly["tree"])
        wanted["worker", "filling"] = self.worker - partly["worker"]
        wanted["parent", "filling"] = self.parent - partly["parent"]
        return Counter({key: count for key, count in wanted.items() if count > 0})


def content(path: Path) -> dict[str, Any]:
    """Return all datasets of a cache and the attributes of its root."""
    with h5py.File(path, "r", locking=False) as file:
        found: dict[str, Any] = {f"attribute {name}": value for name, value in file.attrs.items()}
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


def assert_whole(path: Path, expected: dict[str, Any]) -> None:
    """Require that the cache opens and equals that of an uninterrupted run."""
    assert len(open_cache(path).damaged_rows()) == 0
    found = content(path)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name, strict=True)


def partial_of(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def look(out: Path, old: bytes | None) -> State:
    """Read the state of a run from its files, also while it is writing them."""
    while True:
        with suppress(FileNotFoundError):
            return _look(out, old)


def _look(out: Path, old: bytes | None) -> State:
    laid_out = partial_of(out).with_name(partial_of(out).name + ".new").exists()
    if not partial_of(out).exists():
        if laid_out:
            return State("creating")
        return State("moved" if out.exists() and out.read_bytes() != old else "starting")
    try:
        tracks = open_cache(partial_of(out), unfinished=True).tracks
    except GenrekitError:
        if partial_of(out).exists():
            raise
        raise FileNotFoundError from None
    done, rows = [track for track in tracks if track.done], sum(track.rows for track in tracks)
    phase = "creating" if laid_out or not done else "filling" if len(done) < len(tracks) else "finalizing"
    return State(phase, sum(track.rows for track in done), rows, len(done))


def scenarios(work: Path) -> Iterator[Scenario]:
    """Return a first build, one after changes, one with a new plan, and one that replaces another configuration's
    cache.
    """
    from tiny_cache import AUGMENTED, PLAIN
    from tiny_cli import SMALL
    from tiny_music import write_collection

    def music(name: str) -> Path:
        return write_collection(work / name, {"blues": 5, "jazz": 5}, duration_s=1.2, sample_rate=8_000)

    augmented = (*SMALL, "--augment")
    yield Scenario("first", music("first"), augmented, AUGMENTED)

    folder = music("changed")
    prepare(folder, AUGMENTED, out=work / "changed.h5", workers=1)
    write_collection(folder, {"metal": 4}, duration_s=1.2, sample_rate=8_000)
    (folder / "metal" / "metal-0.wav").replace(folder / "jazz" / "jazz-1.wav")
    (folder / "metal" / "metal-1.wav").replace(folder / "blues" / "blues-2.wav")
    (folder / "blues" / "blues-0.wav").unlink()
    yield Scenario("changed", folder, augmented, AUGMENTED, (work / "changed.h5").read_bytes())

    folder = music("planned again")
    for name in ("blues/blues-3.wav", "jazz/jazz-4.wav"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    yield Scenario("planned again", folder, SMALL, PLAIN)

    folder = music("overwritten")
    prepare(folder, PLAIN, out=work / "overwritten.h5", workers=1)
    old = (work / "overwritten.h5").read_bytes()
    yield Scenario("overwritten", folder, (*augmented, "--overwrite"), AUGMENTED, old)


class Campaign:
    """Kills processes until the quota is filled."""

    def __init__(self, work: Path, seed: int, say: Callable[[str], None]) -> None:
        self.work, self.draw, self.say = work, random.Random(seed), say
        self.lengths_s: dict[tuple[str, str], float] = {}
        self.kills: list[Kill] = []
        self.trials = 0

    def run(self, chosen: list[Scenario], quota: Quota) -> list[Kill]:
        """Kill processes until the quota is filled.

        Errors: RuntimeError if it is not filled after three times as many trials, AssertionError if a kill did damage.
        """
        most = 3 * (quota.partly + 2 * quota.phase + quota.worker + quota.parent) + 10
        while missing := quota.missing(self.kills):
            if self.trials == most:
                raise RuntimeError(f"after {most} trials these kills are still missing: {dict(missing)}")
            victim, phase = max(missing, key=lambda key: (missing[key], key))
            try:
                self.trial(chosen[self.trials % len(chosen)], victim, phase)
            except AssertionError as error:
                error.add_note(f"trial {self.trials}, last kill: {self.kills[-1] if self.kills else None}")
                raise
            self.trials += 1
        return self.kills

    def trial(self, scenario: Scenario, victim: Victim, phase: str) -> None:
        """Kill a run, and in a quarter of the cases also the run that resumes it. Run it to the end and compare."""
        if not scenario.expected:
            fresh = self.work / f"{scenario.name} fresh.h5"
            prepare(scenario.folder, scenario.config, out=fresh, workers=1)
            scenario.expected = content(fresh)
        out = self.work / f"trial {self.trials}" / "cache.h5"
        out.parent.mkdir()
        if scenario.old is not None:
            out.write_bytes(scenario.old)
        self._kill(scenario, out, victim, phase)
        if victim == "tree" and self.draw.random() < 1 / 4:
            self._kill(scenario, out, victim, phase)
        done = look(out, scenario.old).tracks
        result = prepare(scenario.folder, scenario.config, out=out, workers=1, overwrite=scenario.overwrites)
        assert result.reused >= done, f"{done} tracks were done, {result.reused} of them were kept"
        assert_whole(out, scenario.expected)
        left = sorted(path.name for path in out.parent.iterdir())
        beside = [f"{out.stem}.matches.npz", f"{out.stem}.origin.json"]
        assert left == [f".{out.name}.lock", out.name, *beside], f"left behind: {left}"
        shutil.rmtree(out.parent)

    def _kill(self, scenario: Scenario, out: Path, victim: Victim, phase: str) -> None:
        length_s = self.lengths_s.get((scenario.name, phase), LENGTHS_S[phase])
        after_s = self.draw.uniform(0, length_s)
        with start(scenario, out) as process:
            wait_for_lock(process, out)
            wait_for_phase(process, out, scenario.old, phase)
            time.sleep(after_s)
            done_before = self._strike(process, out, victim, scenario.old)
        state = look(out, scenario.old)
        self.lengths_s[scenario.name, phase] = length_s * (0.8 if is_before(phase, state.phase) else 1.2)
        aim = f"{scenario.name:12}  {victim:6}  {phase:10} + {after_s:4.2f} s"
        if done_before is None:
            self.say(f"{aim}  too late, nothing to kill")
        else:
            assert state.phase == "moved" or state.tracks >= done_before, "tracks that were done are no longer"
            self.kills.append(Kill(scenario.name, victim, state))
            self.say(f"{aim}  hit {state.phase:10}  {state.rows:3} of {state.of:3} rows")
        if out.exists():
            open_cache(out)
        if state.phase == "moved":
            assert_whole(out, scenario.expected)
        else:
            assert (out.read_bytes() if out.exists() else None) == scenario.old, "the old cache is not what it was"

    def _strike(self, process: subprocess.Popen[str], out: Path, victim: Victim, old: bytes | None) -> int | None:
        """Kill, and wait until every process has ended. Return the tracks that were finished before, or None if it was
        too late.
        """
        if victim == "worker":
            return self._strike_worker(process, out, old)
        if process.poll() is not None:
            assert is_complete_run(*finish(process))
            return None
        (os.killpg if victim == "tree" else os.kill)(process.pid, signal.SIGKILL)
        finish(process)
        return 0

    def _strike_worker(self, process: subprocess.Popen[str], out: Path, old: bytes | None) -> int | None:
        try:
            done = look(out, old).tracks
            os.kill(self.draw.choice(sorted(workers(process.pid))), signal.SIGKILL)
        except (LookupError, OSError):
            done = -1
        code, message = finish(process)
        if code == 0:  # it had nothing left to do
            assert is_complete_run(code, message), message
            return None
        assert code == 1, message
        assert message.startswith("genrekit: a worker process died"), message
        assert message.count("\n") == 1, message
        return done


def start(scenario: Scenario, out: Path) -> subprocess.Popen[str]:
    """Start the slow command with two workers, in a new session."""
    slow = [sys.executable, str(Path(__file__).with_name("slow_prepare.py")), str(PAUSE_S)]
    command = ["prepare", str(scenario.folder), "--out", str(out), "--workers", "2", "--json", *scenario.options]
    return subprocess.Popen(
        [*slow, *command], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def is_before(phase: str, other: str) -> bool:
    return ALL_PHASES.index(phase) < ALL_PHASES.index(other)


def wait_for_lock(process: subprocess.Popen[str], out: Path) -> None:
    """Wait until the process holds the lock, which it takes before it builds."""
    holder = out.with_name(f".{out.name}.lock.pid")
    wait_until(process, lambda: holder.exists() and holder.read_text() == str(process.pid), "the build does not start")


def wait_for_phase(process: subprocess.Popen[str], out: Path, old: bytes | None, phase: str) -> None:
    """Wait until a phase has started. Filling starts when a track is finished that was not finished before."""
    at_first: int | None = None
    while process.poll() is None:
        state = look(out, old)
        if at_first is None and state.of:
            at_first = state.tracks
        filled = state.phase != "filling" or state.tracks > (at_first or 0)
        if not is_before(state.phase, phase) and (filled or phase != "filling"):
            return
        time.sleep(0.005)


def is_complete_run(code: int, message: str) -> bool:
    """Whether a run has ended well. Two files of a scenario are cut in half, so it prints that they are skipped."""
    return code == 0 and all(line.startswith("warning: skipped ") for line in message.splitlines())


def workers(parent: int) -> list[int]:
    """The worker processes of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if above == parent and b"worker_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def table(kills: list[Kill]) -> str:
    """Return the number of kills by phase and target."""
    lines = [f"{'':20}" + "".join(f"{place:>12}" for place in ALL_PHASES) + f"{'total':>8}{'1 to N-1 rows':>16}"]
    names = list(dict.fromkeys(kill.scenario for kill in kills))
    for victim in ("tree", "worker", "parent"):
        for name in (*names, "all"):
            own = [kill for kill in kills if kill.victim == victim and name in (kill.scenario, "all")]
            counts = Counter(kill.state.phase for kill in own)
            cells = "".join(f"{counts[place]:>12}" for place in ALL_PHASES)
            lines.append(f"{victim:8}{name:12}{cells}{len(own):>8}{sum(kill.state.partly for kill in own):>16}")
    return "\n".join(lines)


def main() -> None:
    """Run the long version and print its table."""
    arguments = read_command_line(
        "Kill genrekit prepare at random instants.", 50, "kills of the whole tree with 1 to N-1 rows done"
    )
    with tempfile.TemporaryDirectory(prefix="genrekit-kills-") as folder:
        work = Path(folder)
        campaign = Campaign(work, arguments.seed, say)
        try:
            campaign.run(list(scenarios(work)), Quota.of(arguments.kills))
        finally:
            say("\n" + table(campaign.kills))
    say(f"\nseed {arguments.seed}: {len(campaign.kills)} kills in {campaign.trials} trials, no harm done")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
