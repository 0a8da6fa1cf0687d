"""genrekit train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from genrekit.cli.display import DEFAULT_CACHE, duration, emit_json, stdout, terminal
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
from genrekit.config import TrainConfig, to_toml
from genrekit.metrics.formatting import percent
from genrekit.workflows.train import TrainResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(TrainConfig)
def train(
    values: dict[str, Any],
    cache: Annotated[Path, typer.Option(help="The cache to train from.")] = DEFAULT_CACHE,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/ and a name from time and settings.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Values from a TOML file or a run's config.json; options on the command line win."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the whole configuration as TOML, and train nothing.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    best_models: BestModelsOption = Path("best_models"),
    wandb: WandbOption = None,
    wandb_project: WandbProjectOption = None,
    strict: StrictFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Train one model from the cache.

    Reads the training and validation parts only. The best epoch becomes a bundle in the run's folder, and in
    best_models/ if it is among the five best of its split.
    """
    from genrekit.workflows.runs import read_config

    if config is not None:
        values = {**read_config(config), **values}
    if print_config:
        sys.stdout.write(to_toml(TrainConfig.of(values)))
        return
    from genrekit.workflows.train import train as run

    tracked = tracking(wandb, wandb_project)
    with terminal(quiet=quiet or as_json) as reporter:
        result = run(
            cache,
            values,
            out=out,
            resume=resume,
            best_models=best_models,
            tracking=tracked,
            strict=strict,
            reporter=reporter,
        )
    emit_json(result) if as_json else show(result)


def show(result: TrainResult) -> None:
    """Print the validation figures and where the bundle is."""
    console = stdout()
    figures = result.validation
    which, chosen = f", best epoch {result.best_epoch} of {result.epochs}", "; chosen on these tracks"
    if result.monitor in (None, "last"):
        which, chosen = f", last epoch {result.epochs}" if result.monitor else "", ""
    console.print(
        f"validation{which}: loss {figures.loss:.3f}, {percent(figures.fragment_accuracy)} of fragments, "
        f"[bold]{percent(figures.track_accuracy)} of tracks[/bold] ({escape(result.split)} split{chosen})"
    )
    kept = f", kept as {result.kept}" if result.kept else ""
    console.print(f"bundle {result.bundle}{kept}, {duration(result.seconds)}", markup=False)
