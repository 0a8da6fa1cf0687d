"""Progress of the runs of a study: a live table on a terminal, lines in a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from genrekit.cli.display import are_there, duration, plain_table, styled
from genrekit.errors import counted
from genrekit.metrics.formatting import percent
from genrekit.workflows.reporter import RunProgress, RunState

_STYLES: dict[RunState, str] = {
    "running": "bold",
    "failed": "red",
    "waiting": "",
    "pruned": "yellow",
    "finished": "green",
    "finished before": "dim",
}
_STATES = list(_STYLES)
"""In the order of the table."""

_ENDED = ("finished", "pruned", "failed")


def run_table(runs: Sequence[RunProgress], height: int) -> Table:
    """A table of the runs, unfinished ones first, with as many rows as fit a terminal of this height."""
    counts = Counter(run.state for run in runs)
    title = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
    table = plain_table("run", "state", "epoch", "accuracy", "left", title=title, right=("epoch", "accuracy", "left"))
    order = sorted(runs, key=lambda run: _STATES.index(run.state))
    for run in order[: max(3, height - 4)]:
        table.add_row(
            run.name,
            styled((run.state, _STYLES[run.state])),
            f"{run.epoch}/{run.epochs}" if run.epoch or run.state == "running" else "",
            "" if run.accuracy is None else percent(run.accuracy),
            "" if not run.seconds_left else duration(run.seconds_left),
        )
    return table


class RunLines:
    """Lines for a pipe: first how many runs there are, then one line for each run that ends."""

    def __init__(self) -> None:
        self._started = False
        self._printed: set[str] = set()

    def new(self, runs: Sequence[RunProgress]) -> list[str]:
        """Return the lines that were not returned before."""
        lines = []
        to_do = [run for run in runs if run.state != "finished before"]
        if not self._started:
            self._started = True
            lines.append(f"{counted(len(to_do), 'run')} to do, {are_there(len(runs) - len(to_do))}")
        done = sum(run.state in _ENDED for run in to_do)
        for run in to_do:
            if run.state in _ENDED and run.name not in self._printed:
                self._printed.add(run.name)
                last = "" if run.accuracy is None else f", accuracy {percent(run.accuracy)}"
                lines.append(f"{done}/{len(to_do)}  {run.name} {run.state}{last}")
        return lines
