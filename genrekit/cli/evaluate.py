"""genrekit evaluate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.display import DEFAULT_CACHE, emit_json
from genrekit.cli.evaluate_display import show
from genrekit.cli.options import DeviceOption, JsonFlag, QuietFlag
from genrekit.cli.progress import terminal
from genrekit.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def evaluate(
    models: Annotated[
        Path, typer.Argument(metavar="MODELS", help="A bundle, or a folder of bundles such as best_models/.")
    ],
    cache: Annotated[
        Path | None,
        typer.Option(help=f"Cache whose test set is used. [dim]\\[default: {DEFAULT_CACHE}][/dim]", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of genre folders, or a manifest, to use instead of a cache. Tracks that a model was trained "
            "or validated on are left out."
        ),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Print the metrics, genres and confusion matrix of every model.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for tables (CSV, Markdown) and figures (PNG).")] = None,
    report: Annotated[
        Path | None, typer.Option(help="HTML file for a report, with audio of the worst mistakes.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Score models on the test set, or on a labelled folder.

    This is the only command that reads the test set, and it counts how often. Models are listed in the order of their
    validation accuracy, because selecting a model by its test accuracy would make that accuracy too optimistic.
    """
    if cache is not None and data is not None:
        raise UsageError("--cache and --data cannot be used together: choose one")
    from genrekit.cli.recipe import commands_for
    from genrekit.workflows.evaluate import evaluate as run

    cache = cache or DEFAULT_CACHE if data is None else None
    source = f"--cache={shlex.quote(str(cache))}" if data is None else f"--data={shlex.quote(str(data))}"
    last = f"genrekit evaluate {shlex.quote(str(models))} {source}"
    with terminal(quiet=quiet or as_json) as reporter:
        result = run(
            models,
            cache,
            data=data,
            device=device,
            out=out,
            report=report,
            recipe=lambda metadata: [*commands_for(metadata), last],
            reporter=reporter,
        )
    emit_json(result) if as_json else show(result, details=details)
