"""If prepare is killed, no finished work is lost and no file is damaged. `kills.py` has the details."""

import sys
from pathlib import Path

import pytest
from kills import Campaign, Quota, scenarios, table

pytestmark = [pytest.mark.stress, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]


def test_after_a_kill_at_any_time_the_next_prepare_has_the_result_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """One kill of all processes in each phase and one more, one of a worker, and one of the parent alone."""
    campaign = Campaign(tmp_path, 0, lambda _line: None)
    changed = next(scenario for scenario in scenarios(tmp_path) if scenario.name == "changed")
    kills = campaign.run([changed], Quota(partly=2, phase=1, worker=1, parent=1))
    assert len(kills) >= 6, table(kills)
