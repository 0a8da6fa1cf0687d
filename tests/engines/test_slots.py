"""How many tasks a cluster can run at once, and which resources its workers have."""

from typing import Any, cast

import pytest

from genrekit.engines.dask_engine import DaskEngine
from genrekit.errors import GenrekitError


class Client:
    """Stands in for dask's client, with some workers."""

    status = "running"

    def __init__(self, *workers: tuple[int, dict[str, float]]) -> None:
        self._workers = {
            f"tcp://{number}": {"nthreads": threads, "resources": resources}
            for number, (threads, resources) in enumerate(workers)
        }

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1  # all of them
        return {"workers": self._workers}


def engine(*workers: tuple[int, dict[str, float]], most: int = 0) -> DaskEngine:
    return DaskEngine(cast(Any, Client(*workers)), "tcp://here:1", 60.0, most)


@pytest.mark.parametrize(
    ("workers", "most", "needed", "expected"),
    [
        pytest.param([(4, {}), (2, {})], 0, {}, 6, id="threads"),
        pytest.param([(4, {"GPU": 2}), (2, {})], 0, {"GPU": 1}, 2, id="one worker has it"),
        pytest.param([(4, {"GPU": 1, "MEM": 9}), (1, {"GPU": 4, "MEM": 8})], 0, {"GPU": 1, "MEM": 4}, 2, id="two"),
        pytest.param([(4, {"GPU": 3})], 0, {"GPU": 0.5}, 4, id="no more than threads"),
        pytest.param([(2, {})], 8, {}, 16, id="a cluster that grows"),
        pytest.param([], 8, {}, 8, id="a cluster that has not started"),
        pytest.param([], 0, {}, 0, id="nobody"),
    ],
)
def test_slots_are_counted_by_threads_and_resources(
    workers: list[tuple[int, dict[str, float]]], most: int, needed: dict[str, float], expected: int
) -> None:
    assert engine(*workers, most=most).slots(needed) == expected


def test_resources_that_no_worker_has_are_named_with_a_command() -> None:
    needed = {"GPU": 1.0, "MEM": 2e9}
    engine((1, {"GPU": 2, "MEM": 4e9})).require_resources(needed)
    engine((1, {})).require_resources({})
    with pytest.raises(GenrekitError, match=r"tcp://here:1 has the resources GPU=1,MEM=2e\+09: start one with dask"):
        engine((4, {"GPU": 1}), (4, {"MEM": 4e9})).require_resources(needed)
