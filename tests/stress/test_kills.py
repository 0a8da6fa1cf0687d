"""A prepare that is killed loses nothing and harms nothing; `kills.py` says so at length."""

import sys
from pathlib import Path

import pytest
from kills import Campaign, Quota, scenarios, table

pytestmark = [pytest.mark.stress, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]


def test_killed_at_any_instant_the_next_prepare_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    """One kill in each phase and one more, of the tree; one of a worker and one of the parent alone."""
    campaign = Campaign(tmp_path, 0, lambda _line: None)
    changed = next(scenario for scenario in scenarios(tmp_path) if scenario.name == "changed")
    kills = campaign.run([changed], Quota(partly=2, phase=1, worker=1, parent=1))
    assert len(kills) >= 6, table(kills)
