"""The report of a search: its paragraphs, captions, references and tables."""

from __future__ import annotations

from genrekit.errors import counted
from genrekit.metrics.formatting import loss_text, percent
from genrekit.studies.formatting import NONE
from genrekit.studies.optuna_trials import Trial
from genrekit.studies.result_cells import Cells
from genrekit.studies.results import SearchResult
from genrekit.studies.search_schema import value_text

NOTE = (
    "The configurations are the finalists of a search. They were selected on the validation tracks that they are "
    "evaluated on, so their figures are optimistic. The ranking uses runs with other seeds than the search."
)

CAPTIONS = {
    "trials": "Trials in the order in which they were drawn, and the best objective so far. The objective of a "
    "trial is that of its best epoch. The best trial is partly lucky; the figures of the finalists above show what to "
    "expect.",
    "importances": "Share of the objective's variance over finished trials that each hyperparameter explains (fANOVA, "
    "Hutter, Hoos and Leyton-Brown 2014). With few trials it is not reliable.",
    "slices": "The objective of each finished trial against each of its values; finalists are orange.",
}
"""The captions of the pictures, in the order of the report."""

REFERENCES = (
    "Bergstra, J., et al. (2011). Algorithms for hyper-parameter optimization. Advances in Neural Information "
    "Processing Systems 24, 2546-2554.",
    "Hutter, F., Hoos, H. and Leyton-Brown, K. (2014). An efficient approach for assessing hyperparameter importance. "
    "Proceedings of Machine Learning Research 32(1), 754-762.",
)

_MAX_TRIALS_SHOWN = 100

_SAMPLERS = {"tpe": "tree-structured Parzen estimators (Bergstra et al. 2011)", "random": "uniform sampling"}


def paragraphs(search: SearchResult) -> list[str]:
    """Return two paragraphs: the numbers of trials and how they were drawn, and the bias of the objective."""
    counts = {state: sum(trial.state == state for trial in search.trials) for state in ("finished", "pruned", "failed")}
    pruner = (
        "A trial is stopped if its best objective so far is worse than the median of finished trials at that epoch."
        if search.pruner == "median"
        else "No trial is stopped early."
    )
    mean = "" if search.trial_seeds == 1 else f", the mean of {search.trial_seeds} runs"
    return [
        f"{len(search.trials)} of {search.declared} trials: {counts['finished']} finished, {counts['pruned']} pruned, "
        f"{counts['failed']} failed. They were drawn by {_SAMPLERS[search.sampler]}. {pruner}",
        f"The objective is {objective(search)} on the validation set at the best epoch{mean}. The best epoch and the "
        f"best trials are selected on the same tracks, so it is optimistic. The finalists are the best configurations "
        f"({', '.join(search.finalists)}). They were trained again with other seeds, and only these runs are ranked.",
    ]


def trainings_text(trainings: int, trials: int, trial_seeds: int, seeds: int) -> str:
    """Return a sentence with the number of training runs of a search.

    >>> trainings_text(65, 40, 1, 5)
    '65 training runs in total: 40 for trials, some of which may be stopped early, and 25 for finalists, 5 seeds each'
    """
    of_trials = trials * trial_seeds
    return (
        f"{counted(trainings, 'training run')} in total: {of_trials} for trials, some of which may be stopped early, "
        f"and {trainings - of_trials} for finalists, {counted(seeds, 'seed')} each"
    )


def objective(search: SearchResult) -> str:
    """Return the name of the objective."""
    return "the loss" if search.objective == "loss" else "track accuracy"


def space_table(search: SearchResult) -> Cells:
    """Return the search space, with the importance of each hyperparameter."""
    rows = []
    for name, text in search.space.items():
        share = search.importances.get(name)
        rows.append((name, text, NONE if share is None else f"{100 * share:.0f} %"))
    return Cells(("hyperparameter", "values", "importance"), tuple(rows), frozenset({2}))


def trials_table(search: SearchResult) -> Cells:
    """Return the trials, the best first; at most the first hundred."""
    ordered = in_order(search)[:_MAX_TRIALS_SHOWN]
    return Cells(
        ("trial", "objective", "state", *search.space),
        tuple(
            (trial.name, objective_text(search, trial.value), state(trial, search), *_values(search, trial))
            for trial in ordered
        ),
        frozenset({1}),
    )


def in_order(search: SearchResult) -> list[Trial]:
    """Return the finished trials from the best to the worst, followed by the others."""
    sign = 1 if search.objective == "loss" else -1
    return sorted(search.trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0), trial.number))


def state(trial: Trial, search: SearchResult) -> str:
    """Return how a trial ended."""
    if trial.state == "pruned":
        return f"pruned after epoch {len(trial.curve)}"
    if trial.problem:
        return f"failed: {trial.problem}"
    return "finalist" if trial.name in search.finalists else trial.state


def objective_text(search: SearchResult, value: float | None) -> str:
    """Format an objective: a share in per cent, or a loss in nats."""
    if value is None:
        return NONE
    return loss_text(value) if search.objective == "loss" else percent(value)


def alt_text(search: SearchResult, picture: str) -> str:
    """Return the alternative text of a picture, for screen readers."""
    best = next((trial for trial in in_order(search) if trial.value is not None), None)
    kinds = {"trials": "Objective of", "importances": "Importances of hyperparameters over", "slices": "Slices of"}
    text = f"{kinds[picture]} {len(search.trials)} trials."
    return text if best is None else f"{text} The best is {best.name} with {objective_text(search, best.value)}."


def _values(search: SearchResult, trial: Trial) -> list[str]:
    values = [trial.chosen.get(name) for name in search.space]
    return [NONE if value is None else value_text(value) for value in values]
