"""Every shell and Python block in the documentation runs, or has a comment that says why it is not run.

The comment stands on the line above the block: `<!-- not run: it needs conda -->`.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest
import soundfile
from published_layouts import write_published
from readme_output import RUN_PAGES, shown
from tiny_music import write_collection

from genrekit import PrepareConfig, prepare, train

ROOT = Path(__file__).parents[1]

NOT_RUN = ROOT / "docs" / "results"
"""Blocks in this folder are not run: studies train for hours. tests/test_results.py computes their findings again."""

PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/[!_]*/**/*.md")})

GENRES = ("blues", "disco", "jazz", "metal")
SMALL = {"front_end": {"sample_rate": 8_000, "duration_s": 1.0, "n_fft": 512, "hop_length": 128, "n_mels": 64}}
BUNDLE = "cel3-mel-sgd-cosine-0.500"
"""The bundle that the pages name."""

WITHOUT_CACHE = ("README.md", "docs/how-to/own-music.md")
"""The pages that prepare a cache before they use it."""

SHOWN = {
    command.removesuffix(" --quiet") for page in RUN_PAGES for command, _ in shown(page.read_text(encoding="utf-8"))
}
"""The commands whose output the pages show."""

PUBLISHED = ("docs/how-to/get-data.md",)
"""The pages that prepare published collections."""

INTERRUPTED = ("docs/how-to/train.md",)
"""The pages that resume the run."""

BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A code block of a page; `reason` says why it is not run."""

    language: str
    code: str
    reason: str | None


def runs_already(block: Block) -> bool:
    """Whether tests/test_readme.py runs all commands of a block, because a page shows their output."""
    return set(block.code.splitlines()) <= SHOWN


def blocks(text: str) -> list[Block]:
    """The blocks of a page that a reader would run."""
    every = [Block(match["language"], match["code"], match["reason"]) for match in BLOCK.finditer(text)]
    return [block for block in every if block.language in ("sh", "bash", "console", "python")]


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def to_run(page: Path) -> list[Block]:
    listed = [] if NOT_RUN in page.parents else blocks(page.read_text(encoding="utf-8"))
    return [block for block in listed if block.reason is None and not runs_already(block)]


def test_a_block_below_a_comment_has_its_reason() -> None:
    text = "<!-- not run: slow -->\n```sh\na\n```\n\n```text\nb\n```\n\n```python\nc\n```\n"
    assert blocks(text) == [Block("sh", "a\n", "slow"), Block("python", "c\n", None)]


def shrunk(study: str) -> str:
    """A study or search file with one epoch, few seeds and few trials."""
    study = re.sub(r"^epochs = \d+$", "epochs = 1", study, flags=re.MULTILINE)
    study = re.sub(r"^trials = \d+$", "trials = 2\nseeds = 1", study, flags=re.MULTILINE)
    return study.replace("\n[base]", "\nseeds = 1\n\n[base]", 1) if "[[hypotheses]]" in study else study


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: music, a small cache, a finished run, a bundle, a manifest and study files."""
    folder = tmp_path_factory.mktemp("reader")
    write_collection(folder / "data", dict.fromkeys(GENRES, 10), duration_s=1.0, sample_rate=22_050)
    prepare(folder / "data", PrepareConfig.of(SMALL), out=folder / "data" / "cache.h5", workers=1)
    train(
        folder / "data" / "cache.h5",
        {"arch": "cel3", "epochs": 1},
        out=folder / "runs" / "NAME",
        best_models=folder / "best_models",
    )
    (kept,) = (folder / "best_models").glob("cel3-*")
    shutil.copytree(kept, folder / "best_models" / BUNDLE)

    tracks = sorted((folder / "data").rglob("*.wav"))
    rows = [f"data/{path.relative_to(folder / 'data')},{path.parent.name},artist of {path.stem}" for path in tracks]
    (folder / "tracks.csv").write_text("\n".join(["path,genre,artist", *rows, ""]), encoding="utf-8")

    write_collection(folder / "more", dict.fromkeys(GENRES, 11), duration_s=1.0, sample_rate=22_050)
    new = [folder / "more" / genre / f"{genre}-10.wav" for genre in GENRES]
    (folder / "music").mkdir()
    for path in new:
        (folder / "other_music" / path.parent.name).mkdir(parents=True)
        shutil.copy(path, folder / "other_music" / path.parent.name)
        samples, rate = soundfile.read(path)
        soundfile.write(folder / "music" / f"{path.stem}.mp3", samples, rate, format="MP3")
    shutil.copy(folder / "music" / "jazz-10.mp3", folder / "song.mp3")
    shutil.rmtree(folder / "more")

    studies = re.findall(
        r"^```toml\n(.*?)^```", (ROOT / "docs/how-to/studies.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    for name, text in zip(("dropout", "rate"), studies, strict=True):
        (folder / f"{name}.toml").write_text(shrunk(text), encoding="utf-8")
    return folder


def run(block: Block, folder: Path) -> None:
    """Run a block as a reader would, in bash or in Python."""
    environment = {name: value for name, value in os.environ.items() if "WANDB_" not in name}
    environment |= {"HOME": str(folder), "WANDB_MODE": "disabled", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    named = re.match(r"# (\w+\.py)\n", block.code)  # a later block imports this file
    script = folder / (named[1] if named else f"block.{block.language}")
    script.write_text(block.code, encoding="utf-8")
    program = [sys.executable] if block.language == "python" else ["bash", "-euo", "pipefail"]
    done = subprocess.run(
        [*program, script.name], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.docs
@pytest.mark.parametrize("page", [page for page in PAGES if to_run(page)], ids=page_name)
def test_the_blocks_of_a_page_run_in_order(page: Path, home: Path, tmp_path: Path) -> None:
    folders = {block.language: tmp_path / block.language for block in to_run(page)}
    for folder in folders.values():  # Python starts where the shell started
        shutil.copytree(home, folder)
        if page_name(page) in WITHOUT_CACHE:
            shutil.rmtree(folder / "best_models")
            shutil.rmtree(folder / "runs")
            for path in (folder / "data").glob("cache.*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if page_name(page) in PUBLISHED:
            write_published(folder)
        if page_name(page) in INTERRUPTED:
            (folder / "runs" / "NAME" / "result.json").unlink()
    for block in to_run(page):
        run(block, folders[block.language])


def rows_of_tables(name: str) -> set[str]:
    """The code in the first columns of a page's tables."""
    text = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    return {
        code for cell in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for code in re.findall(r"`([^`]+)`", cell)
    }


@pytest.mark.docs
def test_the_page_of_formats_lists_what_is_in_a_cache(home: Path) -> None:
    names: list[str] = []
    with h5py.File(home / "data" / "cache.h5") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        attributes = set(file.attrs)
    text = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([^`\n]+)`", text))
    assert set(names) <= listed
    assert attributes <= listed


@pytest.mark.docs
def test_the_page_of_formats_lists_the_files_of_a_run_and_of_a_bundle(home: Path) -> None:
    run_folder = home / "runs" / "NAME"
    paths = [*run_folder.iterdir(), *(run_folder / "best").iterdir()]
    names = {path.name + "/" * path.is_dir() for path in paths if not path.name.startswith(".")}
    assert names <= rows_of_tables("formats.md")
