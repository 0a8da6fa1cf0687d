"""A run that is killed and resumed ends like an uninterrupted one. `train_kills.py` has the details."""

import os
from pathlib import Path

import pytest
from train_kills import Campaign, table

pytestmark = [pytest.mark.stress, pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills groups of processes")]


def test_a_run_that_is_killed_and_resumed_ends_with_the_same_bits_as_an_uninterrupted_one(tmp_path: Path) -> None:
    kills = Campaign(tmp_path, 1, lambda _line: None).run(2)
    assert len(kills) >= 2, table(kills)
