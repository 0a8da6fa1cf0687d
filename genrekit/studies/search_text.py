"""What a search tried, as words and cells of tables, whatever they are written in."""

from __future__ import annotations

from typing import Any

from genrekit.metrics.formatting import percent
from genrekit.studies.optuna_trials import Trial
from genrekit.studies.results import SearchResult
from genrekit.studies.search_schema import value_text
from genrekit.studies.text import NONE, Cells

NOTE = (
    "The arms are the finalists of a search. They were chosen on the same validation tracks that they are judged by, "
    "so their figures favour them; they are ranked by seeds that had no part in the choice."
)

CAPTIONS = {
    "trials": "Trials in the order in which they were drawn, and the best objective so far. The objective of a trial "
    "is that of its best epoch, and the luckiest trial's is optimistic: what to expect of its configuration is said by "
    "the finalists' figures above.",
    "importances": "Share of the objective's variance over finished trials that each hyperparameter explains (fANOVA, "
    "Hutter, Hoos and Leyton-Brown 2014). With few trials it is a hint.",
    "slices": "The objective of each finished trial beside each value that it chose, finalists in orange.",
}
"""What the pictures show, in the order in which they come."""

CITATIONS = (
    "Bergstra, J., et al. (2011). Algorithms for hyper-parameter optimization. Advances in Neural Information "
    "Processing Systems 24, 2546-2554.",
    "Hutter, F., Hoos, H. and Leyton-Brown, K. (2014). An efficient approach for assessing hyperparameter importance. "
    "Proceedings of Machine Learning Research 32(1), 754-762.",
)

_SHOWN_IN_FULL = 100


def paragraphs(search: SearchResult) -> list[str]:
    """How the search went, and what its figures are worth."""
    counts = {state: sum(trial.state == state for trial in search.trials) for state in ("finished", "pruned", "failed")}
    sampler = {
        "tpe": "tree-structured Parzen estimators (Bergstra et al. 2011)",
        "random": "uniform draws",
    }[search.sampler]
    pruner = (
        "A trial is given up where its best figure so far is behind the median of finished trials at the same epoch."
        if search.pruner == "median"
        else "No trial is given up early."
    )
    each = "" if search.trial_seeds == 1 else f", the mean of {search.trial_seeds} trainings"
    return [
        f"{len(search.trials)} of {search.declared} trials: {counts['finished']} finished, {counts['pruned']} pruned, "
        f"{counts['failed']} failed. They were drawn by {sampler}. {pruner}",
        f"The objective is {objective(search)} on validation at the best epoch{each}; the best epoch, and the best of "
        "so many trials, are chosen on the same tracks, so it is optimistic. The finalists are the best configurations "
        f"by it ({', '.join(search.finalists)}); they were trained anew with other seeds, which alone rank them.",
    ]


def objective(search: SearchResult) -> str:
    """The objective's name."""
    return "the loss" if search.objective == "loss" else "track accuracy"


def space(search: SearchResult) -> Cells:
    """What could be chosen, and how much it mattered."""
    rows = []
    for name, text in search.space.items():
        share = search.importances.get(name)
        rows.append((name, text, NONE if share is None else f"{100 * share:.0f} %"))
    return Cells(("hyperparameter", "searched", "importance"), tuple(rows), frozenset({2}))


def trials(search: SearchResult) -> Cells:
    """The trials, the best first; of very many only the first ones."""
    ordered = in_order(search)[:_SHOWN_IN_FULL]
    return Cells(
        ("trial", "objective", "state", *search.space),
        tuple(
            (trial.name, figure(search, trial.value), state(trial, search), *map(_chosen, _values(search, trial)))
            for trial in ordered
        ),
        frozenset({1}),
    )


def in_order(search: SearchResult) -> list[Trial]:
    """Finished trials from the best to the worst, and behind them the others."""
    sign = 1 if search.objective == "loss" else -1
    return sorted(search.trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0), trial.number))


def state(trial: Trial, search: SearchResult) -> str:
    """What became of a trial."""
    if trial.state == "pruned":
        return f"pruned after epoch {len(trial.curve)}"
    if trial.problem:
        return f"failed: {trial.problem}"
    return "finalist" if trial.name in search.finalists else trial.state


def figure(search: SearchResult, value: float | None) -> str:
    """An objective: a share in per cent, or a loss in nats."""
    if value is None:
        return NONE
    return f"{value:.3f}" if search.objective == "loss" else percent(value)


def alt(search: SearchResult, name: str) -> str:
    """What a picture says to those who do not see it."""
    best = next((trial for trial in in_order(search) if trial.value is not None), None)
    what = {"trials": "Objective of", "importances": "Importances of hyperparameters over", "slices": "Slices of"}
    text = f"{what[name]} {len(search.trials)} trials."
    return text if best is None else f"{text} The best is {best.name} with {figure(search, best.value)}."


def _values(search: SearchResult, trial: Trial) -> list[Any]:
    return [trial.chosen.get(name) for name in search.space]


def _chosen(value: Any) -> str:
    return NONE if value is None else value_text(value)
