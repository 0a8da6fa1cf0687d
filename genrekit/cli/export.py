"""genrekit export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.completion import choice
from genrekit.cli.display import duration, emit_json, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.io.files import size_text

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to export.")],
    format: Annotated[str, typer.Option(**choice("onnx"), help="The format to write.")] = "onnx",  # noqa: A002 - the flag
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write; by default model.onnx in the bundle.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write a bundle as ONNX, from the waveform to probabilities.

    What was written is checked on the spot against the bundle.

    The file holds front end and model. It takes any number of clips, float, of any level, mono at the model's sample
    rate and as long as its fragments, and returns their probabilities. Genres and sample rate are in its metadata.

    Each clip is taken for a whole track: its own peak is its level and its own loudest value 0 dB.
    """
    from genrekit.workflows.export import export as run

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(bundle, out=out, format=format, force=force, reporter=reporter)
    if as_json:
        emit_json(result)
        return
    stdout().print(
        f"{result.out}: {result.format}, {size_text(result.size)}, clips of {result.n_samples:,} samples at "
        f"{result.sample_rate:,} Hz to probabilities of {len(result.genres)} genres; on {result.clips} clips at most "
        f"{result.largest_difference:.1g} from the bundle's, {duration(result.seconds)}",
        markup=False,
    )
