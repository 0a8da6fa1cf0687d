"""genrekit export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.completion import choice
from genrekit.cli.display import duration, emit_json, stdout
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.cli.progress import terminal
from genrekit.io.files import size_text

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle to export.")],
    format: Annotated[str, typer.Option(**choice("onnx", help="Format to export to."))] = "onnx",  # noqa: A002 - the flag
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write. Default: model.onnx in the bundle.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Export a model to ONNX, from waveforms to probabilities.

    The file contains the feature computation and the model. Its input is a batch of clips, and its output their
    probabilities. Clips are mono, float32, at the model's sample rate and as long as its fragments. The genres and the
    sample rate are in the file's metadata.

    Each clip counts as a whole track: it is normalized on its own, and 0 dB is its own loudest value.

    Before the file is written, its probabilities are compared with those of the bundle.
    """
    from genrekit.workflows.export import export as run

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(bundle, out=out, format=format, force=force, reporter=reporter)
    if as_json:
        emit_json(result)
        return
    stdout().print(
        f"{result.out}: {result.format}, {size_text(result.size)}. Input: clips of {result.n_samples:,} samples at "
        f"{result.sample_rate:,} Hz. Output: probabilities of {len(result.genres)} genres. Checked with {result.clips} "
        f"clips: largest difference {result.largest_difference:.1g}, {duration(result.seconds)}",
    )
