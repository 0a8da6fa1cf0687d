"""genrekit train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from genrekit.cli.display import DEFAULT_CACHE, duration, emit_json, stdout
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
from genrekit.config import TrainConfig, to_toml
from genrekit.metrics.formatting import loss_text, percent

if TYPE_CHECKING:
    from genrekit.workflows.train import TrainResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(TrainConfig)
def train(
    values: dict[str, Any],
    cache: Annotated[Path, typer.Option(help="Cache to train from.")] = DEFAULT_CACHE,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: a folder in runs/, named by time and settings.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file, or config.json of a run, with values to start from. Options override them."),
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

    The best epoch on the validation set is saved as a bundle in the folder of the run. If it is among the five best of
    its split, it is copied to best_models/. The test set is not read.
    """
    from genrekit.workflows.runs import read_config

    if config is not None:
        values = {**read_config(config), **values}
    if print_config:
        sys.stdout.write(to_toml(TrainConfig.of(values)))
        return
    from genrekit.workflows.train import train as run

    tracking_config = tracking(wandb, wandb_project)
    with terminal(quiet=quiet or as_json) as reporter:
        result = run(
            cache,
            values,
            out=out,
            resume=resume,
            best_models=best_models,
            tracking=tracking_config,
            strict=strict,
            reporter=reporter,
        )
    emit_json(result) if as_json else show(result)


def show(result: TrainResult) -> None:
    """Print the validation results and the path of the bundle."""
    console = stdout()
    figures = result.validation
    epoch, selection = f", best epoch {result.best_epoch} of {result.epochs}", "; also used to select the epoch"
    if result.monitor in (None, "last"):
        epoch, selection = f", last epoch {result.epochs}" if result.monitor else "", ""
    console.print(
        f"validation{epoch}: loss {loss_text(figures.loss)}, {percent(figures.fragment_accuracy)} of fragments, "
        f"[bold]{percent(figures.track_accuracy)} of tracks[/bold] correct ({escape(result.split)} split{selection})"
    )
    copy = f", copied to {result.kept}" if result.kept else ""
    console.print(f"bundle {result.bundle}{copy}, {duration(result.seconds)}", markup=False)
