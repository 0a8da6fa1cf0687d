"""genrekit train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genrekit.cli.completion import complete_recipe
from genrekit.cli.display import (
    DEFAULT_CACHE,
    duration,
    emit_json,
    emit_text,
    named_cache,
    plain_table,
    shell_command,
    stdout,
    styled,
)
from genrekit.cli.environment import tracking
from genrekit.cli.options import (
    BestModelsOption,
    JsonFlag,
    QuietFlag,
    StrictFlag,
    WandbOption,
    WandbProjectOption,
    takes,
)
from genrekit.cli.progress import terminal
from genrekit.cli.torchrun import ranks_of_torchrun
from genrekit.config import TrainConfig, to_toml
from genrekit.errors import UsageError
from genrekit.metrics.formatting import loss_text, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from genrekit.training.tracking import Tracking
    from genrekit.workflows.recipes import Recipe
    from genrekit.workflows.reporter import Reporter
    from genrekit.workflows.train import TrainResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(TrainConfig)
def train(
    values: dict[str, Any],
    cache: Annotated[Path, typer.Option(metavar="FILE", help="Cache to train from.")] = DEFAULT_CACHE,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of the run. Default: a folder in runs/, named by time and settings."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recipe to start from, such as pretrained. Options and --config override it.",
            autocompletion=complete_recipe,
        ),
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list-recipes", help="List the recipes with their accuracy and training time, and exit.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML file, or config.json of a run, with values to start from. Options override them."
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the complete configuration as TOML instead of training.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the interrupted run in --out.")] = False,
    best_models: BestModelsOption = Path("best_models"),
    wandb: WandbOption = None,
    wandb_project: WandbProjectOption = None,
    strict: StrictFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Train one model from the cache.

    The last epoch, or the best one with --patience or --monitor, is saved as a bundle in the folder of the run. If it
    is among the five best of its split, it is copied to best_models/. The test set is not read.
    """
    if list_recipes:
        list_all_recipes(as_json=as_json)
        return
    if recipe is not None and resume:
        raise UsageError("--resume continues a run with its own settings: leave out --recipe")
    values = with_file(config, values)
    if print_config:
        emit_text(complete_toml(recipe, values))
        return
    from genrekit.workflows.train import train as run

    tracked = tracking_of(out if resume else None, wandb, wandb_project)
    device = str(values.get("device") or TrainConfig.model_fields["device"].default)
    with terminal(quiet=quiet or as_json) as reporter, ranks_of_torchrun(device) as ranks:
        note_unused_seed(values, reporter)
        result = run(
            cache,
            values,
            recipe=recipe,
            out=out,
            resume=resume,
            best_models=best_models,
            tracking=tracked,
            strict=strict,
            reporter=reporter,
            ranks=ranks,
        )
    if not ranks.is_first:
        return
    if as_json:
        emit_json(result)
        return
    show(result)
    for step in next_steps(result, cache):
        reporter.note(f"next, {step}")


def with_file(config: Path | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration file, overridden by those of the command line."""
    from genrekit.workflows.runs import read_config

    return values if config is None else {**read_config(config), **values}


def complete_toml(recipe: str | None, values: dict[str, Any]) -> str:
    """Return the whole configuration as TOML: the recipe and the defaults, overridden by `values`."""
    from genrekit.workflows.recipes import with_recipe

    return to_toml(TrainConfig.of(with_recipe(recipe, values)))


def tracking_of(resumed: Path | None, wandb: str | None, project: str | None) -> Tracking:
    """Return how a run is tracked: by the options and the environment, or as before if it is resumed."""
    from genrekit.workflows.runs import tracking_mode

    started = None if resumed is None else tracking_mode(resumed)
    tracked = tracking(wandb or (None if started == "auto" else started), project)
    if wandb is None and started not in (None, "auto"):
        return replace(tracked, reason="as when the run was started")
    return tracked


def note_unused_seed(values: dict[str, Any], reporter: Reporter) -> None:
    """Print a note if --split-seed has no effect."""
    if "split_seed" in values and values.get("split") == "fault-filtered" and str(values.get("folds", 0)) == "0":
        reporter.note("--split-seed: no effect, because the fault-filtered split is a published list")


def next_steps(result: TrainResult, cache: Path) -> Iterator[str]:
    """Yield the commands that rank the run and, unless it has diverged, test and use its model."""
    parent, bundle = result.run.parent, str(result.bundle)
    yield "compare runs: " + shell_command("compare", *([] if parent == Path("runs") else [str(parent)]))
    if result.diverged:
        return
    yield "test the model: " + shell_command("evaluate", bundle, **named_cache(cache))
    yield "use the model: " + shell_command("predict", "SONG", model=bundle)


def list_all_recipes(*, as_json: bool) -> None:
    """Print the recipes as a table or as JSON."""
    from genrekit.workflows.recipes import all_recipes

    recipes = all_recipes()
    if as_json:
        emit_json({"recipes": [one.model_dump() for one in recipes]})
    else:
        show_recipes(recipes)


def show_recipes(recipes: Sequence[Recipe]) -> None:
    """Print the accuracy and the training time of each recipe, and what they were measured on."""
    console = stdout()
    columns = ("tracks", "fragments", "training", "first training")
    table = plain_table("recipe", *columns, "model", right=("tracks", "fragments"))
    for recipe in recipes:
        measured = recipe.measured
        fragments, first = measured.fragment_accuracy, measured.first_seconds
        note = f" ({measured.note})" if measured.note else ""
        table.add_row(
            recipe.name,
            percent(measured.track_accuracy),
            "" if fragments is None else percent(fragments),
            duration(measured.seconds),
            "" if first is None else duration(first),
            f"{recipe.title}{note}",
        )
    console.print(table)
    for data in sorted({recipe.measured.data for recipe in recipes}):
        console.print(f"tracks, fragments: accuracy on the validation set of {data}")
    for machine in sorted({recipe.measured.machine for recipe in recipes}):
        console.print(
            f"training: CPU time on {machine}. The first training on a cache also computes features, which are "
            "stored beside the cache"
        )


def show(result: TrainResult) -> None:
    """Print the validation results and the path of the bundle."""
    console = stdout()
    figures = result.validation
    epoch, selection = f", best epoch {result.best_epoch} of {result.epochs}", "; also used to select the epoch"
    if result.monitor in (None, "last"):
        epoch, selection = f", last epoch {result.epochs}" if result.monitor else "", ""
    console.print(
        styled(
            f"validation{epoch}: loss {loss_text(figures.loss)}, {percent(figures.fragment_accuracy)} of fragments, ",
            (f"{percent(figures.track_accuracy)} of tracks", "bold"),
            f" correct ({result.split} split{selection})",
        )
    )
    copy = f", copied to {result.kept}" if result.kept else ""
    console.print(f"bundle {result.bundle}{copy}, {duration(result.seconds)}")
