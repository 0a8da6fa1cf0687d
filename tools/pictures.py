"""Make the pictures of the README and the docs: commands on a terminal as SVG, screenshots of a report as PNG.

Usage: python tools/pictures.py [DATA SONGS]

DATA is a folder of genre folders, SONGS a folder of audio files; by default both are the demo's music. Three models are
trained on DATA. `evaluate` and `predict` then run in a temporary folder in which DATA is `data` and SONGS is `songs`.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from browser import MISSING, find_chromium, headless, open_page
from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from genrekit import prepare, train
from genrekit.audio.encode import write_wav
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.demo.synthesizer import synthesize_track, write_collection
from genrekit.workflows import demo

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"

COLUMNS = 112

COMMANDS = {
    "evaluate": "genrekit evaluate best_models/ --report report.html",
    "predict": "genrekit predict songs/",
}
"""The command that each picture shows, by the name of the picture."""

PNG_BYTES = 300_000
"""Maximum size of a screenshot."""

_MODELS = {**demo.MODELS, "lda": TrainConfig.of({"arch": "lda"})}

_SONGS = {
    "classical.wav": ("classical",),
    "medley.wav": ("metal", "jazz", "disco"),
    "metal.wav": ("metal",),
    "reggae.wav": ("reggae",),
}
_SONG_S, _SONG_SEED = 60.0, 1  # not the collection's seed, so no model was trained on them

_LAST_VISIBLE = "#model-1 .matrix"
_MARGIN_PX = 24

_PAPER, _INK = (24, 26, 30), (228, 230, 232)
_RED, _GREEN, _YELLOW, _BLUE = (229, 99, 99), (120, 200, 110), (226, 184, 86), (98, 160, 234)
_MAGENTA, _CYAN = (199, 130, 220), (86, 190, 200)
_COLOURS = TerminalTheme(_PAPER, _INK, [_PAPER, _RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN, _INK])

_DRAWING = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px "DejaVu Sans Mono", ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
}}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's default template loads a font from the network and cuts off the descenders of the last line."""


def on_terminal(command: str, folder: Path) -> str:
    """Run a command on a terminal and return its stdout with its colours.

    Raises RuntimeError with the command's stderr if it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    terminal, command_end = pty.openpty()
    fcntl.ioctl(command_end, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=command_end,
            stderr=errors,
        )
        os.close(command_end)
        printed = _read_all(terminal)
        if process.wait():
            errors.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{errors.read()}")
    return printed.decode().replace("\r\n", "\n")


def _read_all(terminal: int) -> bytes:
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # on Linux: the command has closed its end
            piece = b""
        if not piece:
            os.close(terminal)
            return b"".join(pieces)
        pieces.append(piece)


def drawn(command: str, printed: str) -> str:
    """Draw a terminal with a command and its output as SVG."""
    console = Console(
        record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    console.print(Text(f"$ {command}", style="bold"))
    for line in AnsiDecoder().decode(printed.rstrip("\n")):
        console.print(line, overflow="fold")
    return console.export_svg(title="", theme=_COLOURS, code_format=_DRAWING, unique_id="terminal")


def photograph(browser: Browser, report: Path, picture: Path, *, width: int, dark: bool) -> None:
    """Write a screenshot of a report as PNG, from its top to the first confusion matrix.

    Raises RuntimeError if the picture has more than `PNG_BYTES`.
    """
    page = open_page(browser, report, width=width, dark=dark)
    matrix = page.locator(_LAST_VISIBLE).bounding_box()
    assert matrix is not None, "the report has no confusion matrix"
    page.set_viewport_size({"width": width, "height": round(matrix["y"] + matrix["height"]) + _MARGIN_PX})
    page.screenshot(path=picture)
    page.context.close()
    if picture.stat().st_size > PNG_BYTES:
        raise RuntimeError(f"{picture} must have at most {PNG_BYTES} bytes, has {picture.stat().st_size}")


def _synthesize(folder: Path) -> None:
    """Write the demo's collection and some songs of one minute; one song contains several genres."""
    write_collection(
        folder / "data",
        tracks_per_genre=demo.TRACKS_PER_GENRE,
        duration_s=demo.DURATION_S,
        sample_rate=demo.SAMPLE_RATE,
        seed=0,
    )
    for name, genres in _SONGS.items():
        parts = [synthesize_track(genre, 0, _SONG_SEED, demo.SAMPLE_RATE, _SONG_S / len(genres)) for genre in genres]
        write_wav(folder / "songs" / name, np.concatenate(parts), demo.SAMPLE_RATE)


def _link(folder: Path, data: Path, songs: Path) -> None:
    (folder / "data").mkdir()
    for genre in sorted(path for path in data.iterdir() if path.is_dir()):
        (folder / "data" / genre.name).symlink_to(genre)
    (folder / "songs").symlink_to(songs)


def _train(folder: Path) -> None:
    """Make the cache and the models at the paths that the commands read."""
    cache = folder / "data" / "cache.h5"
    prepare(folder / "data", PrepareConfig(front_end=demo.FRONT_END), out=cache)
    for name, config in _MODELS.items():
        train(cache, config.model_dump(), out=folder / "runs" / name, best_models=folder / "best_models")


def main() -> None:
    """Make all pictures."""
    executable = find_chromium()
    if executable is None:
        sys.exit(MISSING)
    if len(sys.argv) not in (1, 3):
        sys.exit(__doc__)
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if sys.argv[1:]:
            _link(folder, *(Path(argument).resolve() for argument in sys.argv[1:]))
        else:
            _synthesize(folder)
        _train(folder)
        for name, command in COMMANDS.items():
            picture = drawn(command, on_terminal(command, folder))
            (PICTURES / f"{name}.svg").write_text(picture, encoding="utf-8")
        with headless(executable) as browser:
            photograph(browser, folder / "report.html", PICTURES / "report.png", width=1_100, dark=False)
            photograph(browser, folder / "report.html", PICTURES / "report-phone.png", width=390, dark=True)


if __name__ == "__main__":
    main()
