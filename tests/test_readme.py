"""The README and the pages in docs/ show existing commands, the output that they print, and links that resolve."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import typer
from readme_output import (
    README,
    ROOT,
    RUN_PAGES,
    first_outputs,
    genre_of,
    labels_shown,
    predicted_genre,
    run_all,
    shown,
    skeleton,
    with_excerpts,
    with_labels,
    written,
)
from tiny_music import write_collection
from typer.main import get_command

from genrekit.cli.app import COMMANDS, app
from genrekit.studies.search_schema import read_search
from genrekit.studies.study_files import read_study

PAGES = (
    README,
    *(page for name in ("how-to", "explanation", "reference") for page in sorted(ROOT.glob(f"docs/{name}/*.md"))),
)
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
SHOWN = [item for page in RUN_PAGES for item in shown(TEXTS[page])]
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

MOST_WORDS = 700
"""Of the README, without code."""


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def without_code(text: str) -> str:
    """A page without code blocks and HTML comments."""
    return re.sub(r"^```.*?^```$|<!--.*?-->", "", text, flags=re.DOTALL | re.MULTILINE)


def commands(group: Any) -> Iterator[Any]:
    """All commands of a group, also of the groups in it."""
    for name in group.list_commands(None):
        command = group.get_command(typer.Context(group), name)
        yield from commands(command) if hasattr(command, "list_commands") else [command]


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def all_options() -> set[str]:
    group = get_command(app)
    return options(group).union(*(options(command) for command in commands(group)))


def test_the_readme_is_short() -> None:
    assert len(without_code(TEXTS[README]).split()) <= MOST_WORDS


def test_the_first_two_blocks_set_everything_up_for_the_demo_and_for_the_tests() -> None:
    demo, tests = shell_blocks(TEXTS[README])[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert "python3 -m venv .venv && .venv/bin/pip install" in demo
    assert demo.endswith(".venv/bin/genrekit demo\n")
    assert "python3 -m venv .venv && .venv/bin/pip install" in tests
    assert tests.endswith("-m pytest\n")


def test_every_command_is_shown_and_every_option_that_is_shown_exists() -> None:
    lines = [line for text in TEXTS.values() for block in shell_blocks(text) for line in block.splitlines()]
    shown_commands = [line[line.index("genrekit ") :] for line in lines if "genrekit " in line]
    shown_commands += [command for command, _ in SHOWN]
    assert {command.split()[1] for command in shown_commands} >= set(COMMANDS)
    for line in shown_commands:
        words = line.split("#")[0].split()[1:]
        command: Any = get_command(app)
        while hasattr(command, "list_commands") and not words[0].startswith("-"):  # a group may contain a group
            command = command.get_command(typer.Context(command), words.pop(0))
        existing = all_options() if hasattr(command, "list_commands") else options(command)
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= existing, line


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_option_in_the_text_exists(page: Path) -> None:
    named = {option for code in re.findall(r"`(--[^`]+)`", TEXTS[page]) for option in re.findall(r"--[a-z0-9-]+", code)}
    assert named <= all_options() | {"--help"}


def test_the_study_file_and_the_search_file_that_are_shown_can_be_read(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```toml\n(.*?)^```", TEXTS[ROOT / "docs" / "how-to" / "studies.md"], re.DOTALL | re.MULTILINE
    )
    study, search = (tmp_path / name for name in ("dropout.toml", "rate.toml"))
    for path, block in zip((study, search), blocks, strict=True):
        path.write_text(block, encoding="utf-8")
    assert [configuration.name for configuration in read_study(study).own_configurations()] == ["none", "some"]
    assert set(read_search(search).dimensions) == {"lr", "channels"}


SONG_TABLE = "file      genre  probability\nsong.mp3  jazz        76.4 %\n"
VERDICT = "so the model is wrong. This song is pop, so the model is wrong. This file is a minute of pop in stereo."


def test_the_label_of_the_song_is_that_of_its_manifest_or_folder(tmp_path: Path) -> None:
    song = tmp_path / "emotify" / "pop" / "1.mp3"
    song.parent.mkdir(parents=True)
    assert genre_of(song, {"pop", "rock"}) == "pop"
    with pytest.raises(ValueError, match=r"no manifest\.csv lists it, and its folder is not a genre"):
        genre_of(song, {"jazz"})
    (tmp_path / "emotify" / "manifest.csv").write_text("path,genre\npop/1.mp3,rock\n")
    assert genre_of(song, {"pop", "rock"}) == "rock"
    with pytest.raises(ValueError, match=r"does not list pop/2\.mp3"):
        genre_of(song.with_name("2.mp3"), {"pop"})


def test_sentences_about_the_song_follow_its_label_and_the_prediction() -> None:
    assert predicted_genre(SONG_TABLE) == "jazz"
    assert with_labels(VERDICT, "pop", "jazz") == VERDICT
    right = with_labels(VERDICT, "jazz", "jazz")
    assert right.endswith("This song is jazz, and the model is right. This file is a minute of jazz in stereo.")


def test_the_pages_say_whether_the_shown_prediction_is_right() -> None:
    texts = [TEXTS[README], TEXTS[ROOT / "docs" / "how-to" / "predict-and-export.md"]]
    (verdict, label) = [sentence for text in texts for sentence in labels_shown(" ".join(text.split()))]
    outputs = first_outputs(SHOWN)
    expected = f"This song is {label}, "
    expected += (
        "and the model is right."
        if predicted_genre(outputs["genrekit predict song.mp3"]) == label
        else ("so the model is wrong.")
    )
    assert verdict == expected


def links(text: str) -> list[str]:
    """The targets of links and pictures that lead to files of the project."""
    targets = [first or second for first, second in re.findall(r"\]\((?:<([^>]+)>|([^)\s]+))\)", without_code(text))]
    return [target for target in targets if not re.match(r"\w+:", target)]


def anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/[!_]*/**/*.md")}), ids=page_name
)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_structure_of_an_output_is_not_that_of_its_figures() -> None:
    assert skeleton("a-1 against b: +5.0 points (-15 to +25), p 1") == skeleton(
        "a-1 against b: -3.2 points (+1 to -8), p 0.2"
    )
    assert skeleton("a against b: 5 points") != skeleton("a beside b: 5 points")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the shown commands print on a small collection with GTZAN's names."""
    folder = tmp_path_factory.mktemp("readme")
    write_collection(folder / "data", dict.fromkeys(GENRES, 4), duration_s=5.0, sample_rate=22_050)
    for path in (folder / "data").rglob("*.wav"):
        genre, number = path.stem.split("-")
        path.rename(path.with_name(f"{genre}.{int(number):05d}.wav"))
    samples, rate = soundfile.read(folder / "data" / "pop" / "pop.00003.wav")
    soundfile.write(folder / "song.mp3", samples, rate, format="MP3")
    return run_all([command for command, _ in SHOWN], folder)


@pytest.mark.docs
def test_the_output_that_is_shown_has_the_structure_that_the_commands_print(outputs: list[str]) -> None:
    for (command, output), now in zip(SHOWN, outputs, strict=True):
        assert skeleton(output) == skeleton(now), command


def test_only_the_pages_whose_commands_run_show_whole_outputs() -> None:
    assert [page for page in PAGES if shown(TEXTS[page]) and page not in RUN_PAGES] == []
    assert all(shown(TEXTS[page]) for page in RUN_PAGES)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_excerpts_are_lines_of_the_whole_outputs(page: Path) -> None:
    assert with_excerpts(TEXTS[page], first_outputs(SHOWN)) == TEXTS[page]


def test_an_excerpt_has_the_first_or_the_last_lines_of_the_first_output() -> None:
    page = "".join(
        f"<!-- {which} of the output of: genrekit info -->\n```text\n```\n"
        for which in ("first line", "last line", "first 2 lines", "last 2 lines")
    )
    first = first_outputs([("genrekit info", "a\nb\nc\n"), ("genrekit info", "other\n")])
    blocks = re.findall(r"```text\n(.*?)```\n", with_excerpts(page, first), re.DOTALL)
    assert blocks == ["a\n", "c\n", "a\nb\n", "b\nc\n"]


@pytest.mark.parametrize("page", RUN_PAGES, ids=page_name)
def test_written_outputs_are_read_back(page: Path) -> None:
    outputs = [f"{number}\n" for number, _ in enumerate(shown(TEXTS[page]))]
    assert [output for _, output in shown(written(TEXTS[page], outputs))] == outputs


def test_the_readme_shows_the_five_commands_of_the_main_job_in_order() -> None:
    main_job = [
        "genrekit prepare --augment",
        "genrekit train --arch cel3 --opt sgd --sched cosine",
        "genrekit compare",
        "genrekit evaluate best_models/",
        "genrekit predict song.mp3",
    ]
    lines = "".join(shell_blocks(TEXTS[README])).splitlines()
    assert [line for line in lines if line in main_job] == main_job
    assert list(dict.fromkeys(command for command, _ in SHOWN if command in main_job)) == main_job


def test_ci_reads_its_command_from_the_readme() -> None:
    """The awk program of .ci/run prints the first shell block."""
    script = (ROOT / ".ci" / "run").read_text()
    (program,) = re.findall(r"awk '([^']+)' README\.md", script)
    printed = subprocess.run(["awk", program, "README.md"], check=True, cwd=ROOT, capture_output=True, text=True)
    assert printed.stdout == shell_blocks(TEXTS[README])[0]
