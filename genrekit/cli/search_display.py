"""Print searches: a plan, and the results of the trials."""

from __future__ import annotations

from collections import Counter

from genrekit.cli.display import Output, are_there, duration, plain_table, stdout, styled
from genrekit.errors import counted
from genrekit.io.files import size_text
from genrekit.studies.preview import SearchPlan
from genrekit.studies.results import SearchResult
from genrekit.studies.search_schema import value_text
from genrekit.studies.search_text import objective, objective_text, trainings_text


def show_trials(console: Output, search: SearchResult) -> None:
    """Print how many trials ended how, and the finalists."""
    counts = Counter(trial.state for trial in search.trials)
    states = ", ".join(f"{counts[state]} {state}" for state in ("finished", "pruned", "failed") if counts[state])
    console.print(f"{counted(len(search.trials), 'trial')}: {states}")
    table = plain_table("finalist", objective(search), "hyperparameters", right=(objective(search),))
    for trial in search.trials:
        if trial.name in search.finalists:
            values = ", ".join(f"{name} {value_text(value)}" for name, value in trial.chosen.items())
            table.add_row(trial.name, objective_text(search, trial.value), values)
    console.print(table)
    console.print("best epochs of the best trials: optimistic; the figures below are from other seeds", style="dim")


def show_search_plan(plan: SearchPlan) -> None:
    """Print what a search would do."""
    console = stdout()
    console.print(styled((plan.title, "bold"), f": {plan.question}"))
    table = plain_table("hyperparameter", "values")
    for name, text in plan.space.items():
        table.add_row(name, text)
    console.print(table)
    console.print(f"{counted(max(plan.trials - plan.done, 0), 'trial')} to do, {are_there(plan.done)}")
    console.print(trainings_text(plan.trainings, plan.trials, plan.trial_seeds, plan.seeds))
    memory = "" if plan.memory is None else f"; a run takes up to {size_text(plan.memory)} of memory"
    took = "" if plan.seconds is None else f", at most about {duration(plan.seconds)}, one run after another"
    console.print(f"then {counted(plan.finalists, 'finalist')} x {counted(plan.seeds, 'seed')}{took}{memory}")
    show_detectable(console, plan.seeds, plan.detectable)


def show_detectable(console: Output, seeds: int, detectable: float | None, configurations: int = 0) -> None:
    """Print the smallest detectable difference, and on how many configurations the noise was measured."""
    if detectable is None:
        console.print(f"with {counted(seeds, 'seed')} and so few tracks, no difference can be detected")
        return
    points = f"{100 * detectable:.1f} points of accuracy"
    console.print(f"with {counted(seeds, 'seed')}, a true difference of {points} is detected in four of five cases")
    measured = f"measured on {counted(configurations, 'configuration')} with three finished seeds"
    console.print(f"the noise of seeds and tracks is {measured if configurations else 'a typical value'}", style="dim")
