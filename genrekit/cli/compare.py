"""genrekit compare."""

from __future__ import annotations

import shlex
import sys
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from genrekit.cli.completion import choice
from genrekit.cli.display import DEFAULT_CACHE, emit_json, plain_table, stdout, terminal
from genrekit.cli.environment import tracking
from genrekit.cli.options import (
    BestModelsOption,
    DeviceOption,
    JsonFlag,
    QuietFlag,
    StrictFlag,
    StudyWandbOption,
    WandbProjectOption,
)
from genrekit.cli.search_display import show_search_plan
from genrekit.cli.studies import show_list, show_plan, show_study
from genrekit.errors import UsageError, unknown_name
from genrekit.metrics.formatting import percent, percent_bounds
from genrekit.metrics.intervals import Interval
from genrekit.workflows.compare import CompareResult, RankedRun

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_NOT_REPEATED = frozenset({"--report-only", "--json", "--quiet", "-q"})
"""What a command that repeats a study's runs has no use for."""


_PLAN, _TRAINING = "Plan of a study", "Training of its runs"
"""Headings of the help page."""


def study_names(incomplete: str) -> list[str]:
    """List how the beginning of a study's name may go on; with nothing typed, the shell lists files instead."""
    from genrekit.studies.schema import shipped_studies

    return [name for name in shipped_studies() if incomplete and name.startswith(incomplete)]


@app.command()
def compare(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY|FILE.toml|RUN_DIR]...",
            help="A study by its name or file; or runs, and folders of runs, to rank. [dim]\\[default: runs][/dim]",
            show_default=False,
            autocompletion=study_names,
        ),
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Search hyperparameters in the space of a file, and repeat the best configurations.",
            show_default=False,
        ),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Say what each study asks, its runs and what they take; run nothing.")
    ] = False,
    cache: Annotated[Path, typer.Option(help="The cache that a study trains from.")] = DEFAULT_CACHE,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Seeds of each configuration; by default as the study says.",
            show_default=False,
            rich_help_panel=_PLAN,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Cross-validation: folds, each of which validates once; 0 for none, by default as the study says.",
            show_default=False,
            rich_help_panel=_PLAN,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of each run; with fewer than it says, a claim is not tested.",
            show_default=False,
            rich_help_panel=_PLAN,
        ),
    ] = None,
    fragments: Annotated[
        str | None,
        typer.Option(
            **choice("all", "first"),
            help="Fragments of each track; by default as the study says.",
            show_default=False,
            rich_help_panel=_PLAN,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            **choice("auto", "track", "artist", "fault-filtered", "manifest"),
            help="The split of all runs; by default as the study says, else auto.",
            show_default=False,
            rich_help_panel=_PLAN,
        ),
    ] = None,
    split_seed: Annotated[
        int | None, typer.Option(help="Seed of the split.", show_default=False, rich_help_panel=_PLAN)
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Runs side by side; each has its part of the cores.", rich_help_panel=_TRAINING)
    ] = 1,
    device: DeviceOption = "auto",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would run, and the smallest difference it could find.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    amend: Annotated[
        bool,
        typer.Option(
            "--amend", help="Accept a study file that has changed; its report will say so.", rich_help_panel=_PLAN
        ),
    ] = False,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Train this arm alone, with * those of like names; may be repeated. The others are judged by the runs "
            "there are.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only", help="Train nothing: judge a study by the runs there are.", rich_help_panel=_TRAINING
        ),
    ] = False,
    runs: Annotated[Path, typer.Option(help="Where a study's runs are, and go.")] = Path("runs"),
    reports: Annotated[Path, typer.Option(help="Where a study's report goes.")] = Path("reports"),
    best_models: BestModelsOption = Path("best_models"),
    wandb: StudyWandbOption = None,
    wandb_project: WandbProjectOption = None,
    strict: StrictFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Rank the runs there are, or run a study and judge its claims.

    Alone it ranks finished runs by validation track accuracy, then loss; runs of different splits are ranked apart.
    With a study it trains what is missing, several seeds of each configuration, says which differences are more than
    luck, and writes a report. With --search it tries configurations, gives up those that fall behind, repeats the best
    with several seeds, and reports these as a study's. The test part is not read.
    """
    if search is not None and what:
        raise UsageError(f"a search is compared with nothing else, got {what[0]} beside {search}")
    study = str(search) if search is not None else _study(what or [])
    named = search or (what[0] if what else None)
    if arms and report_only:
        raise UsageError("--report-only trains no arms: leave it, or --arms, out")
    of_study = {
        "--seeds": seeds,
        "--folds": folds,
        "--epochs": epochs,
        "--fragments": fragments,
        "--split": split,
        "--split-seed": split_seed,
        "--arms": arms or None,
        "--dry-run": dry_run or None,
        "--amend": amend or None,
        "--report-only": report_only or None,
    }
    given = [option for option, value in of_study.items() if value is not None]
    # What takes seconds to import comes behind what is refused at once, and is imported where it is needed.
    if list_them:
        _require_alone(named, given)
        from genrekit.studies.costs import list_studies

        listed = list_studies(cache, runs=runs)
        emit_json(listed) if as_json else show_list(listed, str(cache))
        return
    if study is None:
        _require_no_plan(given)
        from genrekit.studies.results import StudyResult
        from genrekit.workflows.compare import compare as rank

        with terminal(quiet=quiet or as_json) as reporter:
            ranking = rank(what or [runs], reporter=reporter)
        # The command prints the same keys for runs and for a study.
        emit_json(StudyResult(**vars(ranking))) if as_json else show(ranking)
        return
    from genrekit.studies.costs import plan_search, plan_study
    from genrekit.studies.plan import StudyOptions
    from genrekit.studies.runner import run_study
    from genrekit.studies.search_runner import run_search

    trained = tuple(arms) if arms else () if report_only else None
    options = StudyOptions(seeds, folds, epochs, fragments, split, split_seed, workers, device, amend, trained)
    if dry_run and search is not None:
        searched = plan_search(search, cache, options, reports=reports)
        emit_json(searched) if as_json else show_search_plan(searched)
        return
    if dry_run:
        planned = plan_study(study, cache, options, runs=runs)
        emit_json(planned) if as_json else show_plan(planned)
        return
    tracked = tracking(wandb, wandb_project, default="off")
    with terminal(quiet=quiet or as_json) as reporter:
        run_it = run_study if search is None else run_search
        result = run_it(
            study,
            cache,
            options,
            runs=runs,
            reports=reports,
            best_models=best_models,
            tracking=tracked,
            strict=strict,
            command=shlex.join(["genrekit", *(word for word in sys.argv[1:] if word not in _NOT_REPEATED)]),
            reporter=reporter,
        )
    emit_json(result) if as_json else show_study(result)
    if result.skipped:
        raise typer.Exit(1)


def _require_alone(named: str | Path | None, given: list[str]) -> None:
    """Refuse what --list does not take."""
    if named:
        raise UsageError(f"--list shows all studies: leave {named} out")
    if given:
        raise UsageError(f"--list shows all studies as they are declared: leave {given[0]} out, or plan one: --dry-run")


def _require_no_plan(given: list[str]) -> None:
    """Refuse what runs that are ranked do not take."""
    if given:
        raise UsageError(f"{given[0]} is for a study: name one, or leave it out")


def _study(what: list[str]) -> str | None:
    """The study that is asked for, or None where runs are."""
    from genrekit.studies.schema import shipped_studies

    names = shipped_studies()
    asked = [word for word in what if word in names or word.endswith(".toml")]
    if len(asked) == len(what) == 1:
        return asked[0]
    if asked:
        raise UsageError(f"{asked[0]} is a study: compare one study at a time, or folders of runs, got {len(what)}")
    for word in what:
        if not Path(word).exists() and get_close_matches(word, names):
            raise unknown_name("study or folder of runs", word, names)
    return None


def show(result: CompareResult) -> None:
    """Print the ranking of each split."""
    console = stdout()
    for group, runs in groupby(result.runs, key=lambda run: run.group):
        table = plain_table(
            "",
            "run",
            "seeds",
            "tracks",
            "95 % interval",
            "loss",
            "weights",
            right=("", "tracks", "loss", "weights"),
            title=f"validation, {escape(group)}",
        )
        for place, run in enumerate(runs, 1):
            mark = ("=" if run.tied else "") + ("*" if run.kept else "")
            table.add_row(f"{mark}{place}", escape(run.name), _seeds(run.seeds), *_figures(run))
        console.print(table)
    console.print("* has a run among the five best of its split, the ones that best_models/ keeps", style="dim")
    if any(run.tied for run in result.runs):
        console.print("= cannot be told from the first by these runs and tracks", style="dim")


def _seeds(seeds: tuple[int, ...]) -> str:
    """Which seed, or how many.

    >>> _seeds((3,)), _seeds((0, 1, 2))
    ('3', '0, 1, 2')
    """
    return ", ".join(map(str, seeds)) if len(seeds) <= 3 else f"{len(seeds)} seeds"


def _figures(run: RankedRun) -> tuple[str, str, str, str]:
    accuracy = run.track_accuracy
    mean, low, high = accuracy["mean"] or 0.0, accuracy["low"], accuracy["high"]
    between = "" if low is None or high is None else percent_bounds(Interval(mean, low, high), digits=1)
    return percent(mean), between, f"{run.loss:.3f}", f"{run.parameters:,}"
