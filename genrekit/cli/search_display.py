"""What a person sees of a search."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.markup import escape

from genrekit.cli.display import are_there, duration, plain_table, stdout
from genrekit.errors import counted
from genrekit.io.files import size_text
from genrekit.studies.costs import SearchPlan
from genrekit.studies.results import SearchResult
from genrekit.studies.search_schema import value_text
from genrekit.studies.search_text import figure, objective


def show_trials(console: Console, search: SearchResult) -> None:
    """Print how the trials went, and how those did that are repeated."""
    counts = Counter(trial.state for trial in search.trials)
    states = ", ".join(f"{counts[state]} {state}" for state in ("finished", "pruned", "failed") if counts[state])
    console.print(f"{counted(len(search.trials), 'trial')}: {states}")
    table = plain_table("finalist", objective(search), "chosen", right=(objective(search),))
    for trial in search.trials:
        if trial.name in search.finalists:
            chosen = ", ".join(f"{name} {value_text(value)}" for name, value in trial.chosen.items())
            table.add_row(trial.name, figure(search, trial.value), escape(chosen))
    console.print(table)
    console.print("the best epochs of the best trials: optimistic; what follows are seeds of their own", style="dim")


def show_search_plan(plan: SearchPlan) -> None:
    """Print what a search would do."""
    console = stdout()
    console.print(f"[bold]{escape(plan.title)}[/bold]: {escape(plan.question)}")
    table = plain_table("hyperparameter", "searched")
    for name, text in plan.space.items():
        table.add_row(name, escape(text))
    console.print(table)
    console.print(f"{counted(max(plan.trials - plan.done, 0), 'trial')} to do, {are_there(plan.done)}")
    memory = "" if plan.memory is None else f"; a run takes up to {size_text(plan.memory)} of memory"
    took = "" if plan.seconds is None else f", about {duration(plan.seconds)} at most, one run after another"
    console.print(f"then {counted(plan.finalists, 'finalist')} x {counted(plan.seeds, 'seed')}{took}{memory}")
    show_detectable(console, plan.seeds, plan.detectable)


def show_detectable(console: Console, seeds: int, detectable: float | None, arms: int = 0) -> None:
    """Print the smallest true difference that some seeds find, and on how many arms the noise was measured for it."""
    if detectable is None:
        console.print(f"with {counted(seeds, 'seed')} and so few tracks no difference can be told from luck")
    else:
        points = f"{100 * detectable:.1f} points of accuracy"
        console.print(f"with {counted(seeds, 'seed')} a true difference of {points} is found four times in five")
        measured = f"measured on {counted(arms, 'arm')} with three finished seeds"
        whence = measured if arms else "the usual one"
        console.print(f"the noise of seeds and tracks in this is {whence}", style="dim")
