"""A training that is killed and resumed ends as if nobody had killed it; `train_kills.py` says so at length."""

import os
from pathlib import Path

import pytest
from train_kills import Campaign, table

pytestmark = [pytest.mark.stress, pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills groups of processes")]


def test_killed_at_random_instants_a_training_ends_bit_for_bit_as_a_whole_one(tmp_path: Path) -> None:
    kills = Campaign(tmp_path, 1, lambda _line: None).run(2)
    assert len(kills) >= 2, table(kills)
