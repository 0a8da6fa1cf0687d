"""No command opens a network connection, and none starts a program except Python and what it names."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from system_calls import commands, traced

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

PROGRAMS = {Path(sys.executable).name, "uname", "ldconfig"}
"""Python itself, also for worker processes, and what libraries run when they are imported: h5py `uname -p`, and torch
with CUDA `ldconfig -p`.
"""

WANDB = {"wandb-core"}
"""The service of wandb, which is part of its package and runs only if runs are tracked."""


def test_no_command_uses_the_network_or_starts_other_programs(here: Path) -> None:
    (here / "data").rename("audio")
    for file in (here / "audio").glob("cache*"):
        file.rename(here / file.name)
    found = {}
    for name, arguments in commands(here):
        try:
            calls = traced(arguments, here)
        except RuntimeError as error:
            pytest.skip(str(error))
        assert calls.code == 0, (name, calls)
        allowed = PROGRAMS | (WANDB if "offline" in name else set())
        found[name] = (calls.outside, {program for program in calls.programs if program not in allowed})
    assert found == {name: (0, set()) for name in found}
