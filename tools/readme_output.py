"""The output that the README shows: its commands are run, and what they print is put under them.

Usage: python tools/readme_output.py DATA SONG

DATA is a folder of genre folders, SONG an audio file. Each output stands in the README under a comment that names its
command. The commands run in a temporary folder in which DATA is `data` and SONG is `song.mp3`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"

WIDTH = 100

_BLOCK = re.compile(r"<!-- output of: (?P<command>[^\n]+) -->\n```text\n(?P<output>.*?)```\n", re.DOTALL)

_EPOCH = re.compile(r"\s*\d+/\d+\s")
_EPOCHS_SHOWN = 2


def shown(readme: str) -> list[tuple[str, str]]:
    """The commands whose output a README shows, in order, each with that output."""
    return [(match["command"], match["output"]) for match in _BLOCK.finditer(readme)]


def written(readme: str, outputs: list[str]) -> str:
    """The README with these outputs in the place of its own, in order."""
    rest = iter(outputs)
    return _BLOCK.sub(lambda match: f"<!-- output of: {match['command']} -->\n```text\n{next(rest)}```\n", readme)


def run_all(commands: list[str], folder: Path) -> list[str]:
    """Run commands one after the other in a folder; what each printed on both streams, without the middle epochs."""
    # Nothing of wandb is set and nobody is logged in, as at a newcomer's: runs are tracked offline.
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
    """What stays of an output without figures, sizes, genres and marks: its kinds of lines, in order."""
    kinds: list[str] = []
    for line in output.splitlines():
        if line.startswith("= "):  # what the mark of ties means, which is said where there are some
            continue
        kind = re.sub(r"^( *)=(?=[*\d])", r"\1", line)
        kind = re.sub(r"^timeline: .*| [A-Z]+$", "#", kind)  # a song's strip of genres, and what its letters mean
        kind = re.sub(r"\b(?:blues|classical|country|disco|hiphop|jazz|metal|pop|reggae|rock)\b", "#", kind)
        kind = re.sub(r"(?<=[ (])[+-](?=\d)", "", kind)  # a difference may have either sign
        kind = re.sub(r"\b(?:cel3-mel-\w+-\w+|lda-mel)", "MODEL", kind)
        kind = re.sub(r"\d[\d,.:]*(?:e-\d+)?(?: (?:GB|MB|kB|s|%|to)\b)?|  best|\*|(?<= )\.(?= |$)", "#", kind)
        kind = re.sub(r"(?:#[ ,%]*)+", "# ", " ".join(kind.split())).strip()
        if kind not in (*kinds[-1:], "#", ""):  # lines of figures alone are a table's rows, or rows that go on
            kinds.append(kind)
    return kinds


def main() -> None:
    """Write the README's outputs anew."""
    data, song = (Path(argument).resolve() for argument in sys.argv[1:3])
    readme = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "data").mkdir()
        for genre in sorted(path for path in data.iterdir() if path.is_dir()):
            (folder / "data" / genre.name).symlink_to(genre)
        (folder / "song.mp3").symlink_to(song)
        outputs = run_all([command for command, _ in shown(readme)], folder)
    README.write_text(written(readme, outputs), encoding="utf-8")


if __name__ == "__main__":
    main()
