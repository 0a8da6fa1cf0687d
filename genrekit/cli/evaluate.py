"""genrekit evaluate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.display import DEFAULT_CACHE, emit_json
from genrekit.cli.evaluate_display import show
from genrekit.cli.options import DeviceOption, JsonFlag, NetworkOption, QuietFlag
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
        typer.Option(
            metavar="FILE",
            help=f"Cache whose test set is used. [dim]\\[default: {DEFAULT_CACHE}][/dim]",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Folder of genre folders, or a manifest, to use instead of a cache. Tracks that a model was trained "
            "or validated on are left out.",
        ),
    ] = None,
    genre_aliases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Other names of the genres in --data: TOML with lines alias = "genre", or CSV alias,genre.',
        ),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Print the metrics, genres and confusion matrix of every model.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for tables (CSV, Markdown, LaTeX) and figures (PNG, PDF, SVG)."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTML file for a report, with audio of the worst mistakes.")
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of audio outside the genres of the models, or signals for synthetic noise and tones. Measures "
            "how well the models' confidence separates it from the test tracks.",
        ),
    ] = None,
    network: NetworkOption = None,
    device: DeviceOption = "auto",
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Score models on the test set, or on a labelled folder.

    This is the only command that reads the test set. It prints how many times it has done so. Models are listed in
    the order of their validation accuracy: selecting a model by its test accuracy would make that accuracy too high.
    """
    _require_one_source(cache, data, genre_aliases)
    if as_json and details:
        raise UsageError("--details has no effect with --json, which has all figures: leave it out")
    from genrekit.cli.recipe import commands_for
    from genrekit.workflows.evaluate import evaluate as run

    cache = cache or DEFAULT_CACHE if data is None else None
    options = {"cache": cache, "data": data, "genre-aliases": genre_aliases, "network": network}
    given = {name: value for name, value in options.items() if value is not None}
    source = " ".join(f"--{name}={shlex.quote(str(value))}" for name, value in given.items())
    with terminal(quiet=quiet or as_json, decodes=True) as reporter:
        result = run(
            models,
            cache,
            data=data,
            genre_aliases=genre_aliases,
            unknown=unknown,
            network=network,
            device=device,
            out=out,
            report=report,
            recipe=lambda path, metadata: commands_for(metadata, path, source),
            reporter=reporter,
        )
    emit_json(result) if as_json else show(result, details=details)


def _require_one_source(cache: Path | None, data: Path | None, genre_aliases: Path | None) -> None:
    if cache is not None and data is not None:
        raise UsageError("--cache and --data cannot be used together: choose one")
    if genre_aliases is not None and data is None:
        raise UsageError("--genre-aliases renames the genres of a labelled folder: it needs --data")
