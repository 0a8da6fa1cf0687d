"""Write the output that the README and the documentation show, by running the commands that it belongs to.

Usage: python tools/readme_output.py DATA SONG

DATA is a folder of genre folders, SONG an audio file. A block of output follows a comment that names its command:

    <!-- output of: genrekit compare -->                         the whole output
    <!-- first 4 lines of the output of: genrekit compare -->    an excerpt

The commands of whole outputs run in a temporary folder, in the order of `RUN_PAGES` and of each page. DATA is `data`
there, SONG is `song.mp3`. An excerpt runs nothing: its lines are those of the first whole output of the same command.

The genre of SONG is read from the `manifest.csv` of its collection, or is the name of its folder. Sentences about
`song.mp3` are written from it: "This song is pop, so the model is wrong." and "This file is a minute of pop".
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]

README = ROOT / "README.md"

RUN_PAGES = tuple(
    ROOT / "docs" / "how-to" / f"{name}.md"
    for name in ("own-music", "train", "evaluate", "predict-and-export", "inspect")
)
"""The pages with whole outputs, in the order in which their commands run."""

WIDTH = 100

_TEXT = r"```text\n(?P<output>.*?)```\n"
_WHOLE = re.compile(rf"<!-- output of: (?P<command>[^\n]+) -->\n{_TEXT}", re.DOTALL)
_EXCERPT = re.compile(
    rf"<!-- (?P<end>first|last)(?: (?P<count>\d+))? lines? of the output of: (?P<command>[^\n]+) -->\n{_TEXT}",
    re.DOTALL,
)

_EPOCH = re.compile(r"\s*\d+/\d+\s")
_EPOCHS_SHOWN = 2


def shown(page: str) -> list[tuple[str, str]]:
    """The commands whose whole output a page shows, in order, each with that output."""
    return [(match["command"], match["output"]) for match in _WHOLE.finditer(page)]


def written(page: str, outputs: list[str]) -> str:
    """The page with these whole outputs, in order, instead of those that it has."""
    remaining = iter(outputs)
    return _WHOLE.sub(lambda match: _with_output(match, next(remaining)), page)


def with_excerpts(page: str, outputs: Mapping[str, str]) -> str:
    """The page with its excerpts taken from these whole outputs by command.

    Errors: KeyError for a command without an output.
    """
    return _EXCERPT.sub(lambda match: _with_output(match, _excerpt(match, outputs[match["command"]])), page)


def first_outputs(shown_outputs: list[tuple[str, str]]) -> dict[str, str]:
    """The first output of each command."""
    return dict(reversed(shown_outputs))


def _with_output(match: re.Match[str], output: str) -> str:
    head, _, _ = match[0].partition("```text\n")
    return f"{head}```text\n{output}```\n"


def _excerpt(match: re.Match[str], output: str) -> str:
    count, lines = int(match["count"] or 1), output.splitlines(keepends=True)
    return "".join(lines[:count] if match["end"] == "first" else lines[-count:])


def run_all(commands: list[str], folder: Path) -> list[str]:
    """Run commands one after the other in a folder.

    Returns what each printed on both streams, without the middle epochs.
    Errors: RuntimeError for a command that fails.
    """
    # No variable of wandb is set and nobody is logged in, so runs are tracked offline.
    environment = {name: value for name, value in os.environ.items() if name != "NETRC" and "WANDB_" not in name}
    environment |= {"COLUMNS": str(WIDTH), "HOME": str(folder), "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    outputs = []
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command],
            check=False,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        outputs.append(_without_middle_epochs(done.stdout))
    return outputs


def _without_middle_epochs(output: str) -> str:
    lines = [line.rstrip() for line in output.splitlines()]
    epochs = [number for number, line in enumerate(lines) if _EPOCH.match(line)]
    middle = set(epochs[_EPOCHS_SHOWN:-_EPOCHS_SHOWN])
    kept = ["    ..." if number == min(middle, default=-1) else line for number, line in enumerate(lines)]
    return "".join(f"{line}\n" for number, line in enumerate(kept) if number not in middle or line == "    ...")


def skeleton(output: str) -> list[str]:
    """The kinds of lines of an output, in order: figures, sizes, genres and marks are removed."""
    kinds: list[str] = []
    for line in output.splitlines():
        if line.startswith("= "):  # the legend of ties is printed only if there are ties
            continue
        kind = re.sub(r"^( *)=(?=[*\d])", r"\1", line)
        kind = re.sub(r"^timeline: .*| [A-Z]+$", "#", kind)  # a song's timeline, and the legend of its letters
        kind = re.sub(r"\b(?:blues|classical|country|disco|hiphop|jazz|metal|pop|reggae|rock)\b", "#", kind)
        kind = re.sub(r"(?<=[ (])[+-](?=\d)", "", kind)  # a difference may have either sign
        kind = re.sub(r"\b(?:cel3-mel-\w+-\w+|lda-mel)", "MODEL", kind)
        kind = re.sub(r"\d[\d,.:]*(?:e[+-]\d+)?(?: (?:GB|MB|kB|s|%|to)\b)?|  best|\*|(?<= )\.(?= |$)", "#", kind)
        kind = re.sub(r"(?:#[ ,%]*)+", "# ", " ".join(kind.split())).strip()
        if kind not in (*kinds[-1:], "#", ""):  # lines of figures alone are rows of a table
            kinds.append(kind)
    return kinds


_VERDICT = re.compile(r"This song is [^.,]+, (?:so|and) the model is (?:right|wrong)\.")
_LABEL = re.compile(r"(?<=This file is a minute of )\w+")


def genre_of(song: Path, genres: set[str]) -> str:
    """Read the genre of a song from the manifest.csv of its collection, or else from the name of its folder.

    Errors: ValueError if neither names a genre.
    """
    for folder in song.parents:
        if (folder / "manifest.csv").is_file():
            with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
                labels = {row["path"]: row["genre"] for row in csv.DictReader(file)}
            path = song.relative_to(folder).as_posix()
            if path not in labels:
                raise ValueError(f"{folder / 'manifest.csv'} does not list {path}")
            return labels[path]
    if song.parent.name not in genres:
        raise ValueError(f"the genre of {song} is unknown: no manifest.csv lists it, and its folder is not a genre")
    return song.parent.name


def predicted_genre(output: str) -> str:
    """Read the genre of song.mp3 from the output of predict."""
    (genre,) = re.findall(r"^song\.mp3 +(\S+)", output, re.MULTILINE)
    return str(genre)


def with_labels(text: str, genre: str, predicted: str) -> str:
    """Return a page whose sentences about the genre of song.mp3 are true."""
    verdict = "and the model is right" if genre == predicted else "so the model is wrong"
    return _LABEL.sub(genre, _VERDICT.sub(f"This song is {genre}, {verdict}.", text))


def labels_shown(text: str) -> list[str]:
    """Return the sentences of a page that state a genre of song.mp3."""
    return [match[0] for pattern in (_VERDICT, _LABEL) for match in pattern.finditer(text)]


def rewrite(outputs: list[str], genre: str) -> None:
    """Write the whole outputs of all pages, in the order in which their commands ran, and the README's excerpts.

    `genre` is the label of song.mp3.
    """
    remaining = iter(outputs)
    texts = {page: page.read_text(encoding="utf-8") for page in RUN_PAGES}
    for page, text in texts.items():
        texts[page] = written(text, [next(remaining) for _ in shown(text)])
    first = first_outputs([item for text in texts.values() for item in shown(text)])
    texts[README] = README.read_text(encoding="utf-8")
    predicted = predicted_genre(first["genrekit predict song.mp3"])
    for page, text in texts.items():
        page.write_text(with_labels(with_excerpts(text, first), genre, predicted), encoding="utf-8")


def main() -> None:
    """Run the commands and write their output into the pages."""
    data, song = (Path(argument).resolve() for argument in sys.argv[1:3])
    genre = genre_of(song, {path.name for path in data.iterdir() if path.is_dir()})
    commands = [command for page in RUN_PAGES for command, _ in shown(page.read_text(encoding="utf-8"))]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "data").mkdir()
        for path in sorted(path for path in data.iterdir() if path.is_dir()):
            (folder / "data" / path.name).symlink_to(path)
        (folder / "song.mp3").symlink_to(song)
        outputs = run_all(commands, folder)
    rewrite(outputs, genre)


if __name__ == "__main__":
    main()
