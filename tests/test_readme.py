"""What the README shows is what the commands do."""

import re
import subprocess
from typing import Any

import pytest
import soundfile
from readme_output import README, run_all, shown, skeleton, written
from tiny_music import write_collection
from typer.main import get_command

from genrekit.cli.app import COMMANDS, app

TEXT = README.read_text(encoding="utf-8")
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_the_first_two_blocks_set_everything_up_for_the_demo_and_for_the_tests() -> None:
    demo, tests = shell_blocks()[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert "python3 -m venv .venv && .venv/bin/pip install" in demo
    assert demo.endswith(".venv/bin/genrekit demo\n")
    assert "python3 -m venv .venv && .venv/bin/pip install" in tests
    assert tests.endswith("-m pytest\n")


def test_every_command_is_shown_and_every_option_that_is_shown_exists() -> None:
    lines = [line for block in shell_blocks() for line in block.splitlines()]
    commands = [line[line.index("genrekit ") :] for line in lines if "genrekit " in line]
    commands += [command for command, _ in shown(TEXT)]
    assert {command.split()[1] for command in commands} >= set(COMMANDS)
    group = get_command(app)
    for command in commands:
        words = command.split("#")[0].split()[1:]
        if words[0] == "--help":
            continue
        shown_command: Any = group
        while hasattr(shown_command, "list_commands"):  # `genrekit study run` is a command of a group in a group
            shown_command = shown_command.get_command(None, words.pop(0))
        options = {option for parameter in shown_command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, command


def test_files_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (README.parent / target).exists(), target


def test_the_structure_of_an_output_is_not_that_of_its_figures() -> None:
    assert skeleton("a-1 against b: +5.0 points (-15 to +25), p 1") == skeleton(
        "a-1 against b: -3.2 points (+1 to -8), p 0.2"
    )
    assert skeleton("a against b: 5 points") != skeleton("a beside b: 5 points")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the README's commands print, as they stand, on a small collection with GTZAN's names."""
    folder = tmp_path_factory.mktemp("readme")
    write_collection(folder / "data", dict.fromkeys(GENRES, 4), duration_s=5.0, sample_rate=22_050)
    for path in (folder / "data").rglob("*.wav"):
        genre, number = path.stem.split("-")
        path.rename(path.with_name(f"{genre}.{int(number):05d}.wav"))
    samples, rate = soundfile.read(folder / "data" / "pop" / "pop.00003.wav")
    soundfile.write(folder / "song.mp3", samples, rate, format="MP3")
    return run_all([command for command, _ in shown(TEXT)], folder)


@pytest.mark.docs
def test_the_output_that_is_shown_has_the_structure_that_the_commands_print(outputs: list[str]) -> None:
    for (command, output), now in zip(shown(TEXT), outputs, strict=True):
        assert skeleton(output) == skeleton(now), command


def test_written_outputs_are_read_back() -> None:
    outputs = [f"{number}\n" for number, _ in enumerate(shown(TEXT))]
    assert [output for _, output in shown(written(TEXT, outputs))] == outputs


def test_the_four_commands_of_the_main_job_are_among_them() -> None:
    assert [command for command, _ in shown(TEXT)][:1] == ["genrekit prepare --augment"]
    for command in ("genrekit train --arch cel3 --opt sgd --sched cosine", "genrekit compare"):
        assert command in [there for there, _ in shown(TEXT)]
    assert "genrekit evaluate best_models/" in [command for command, _ in shown(TEXT)]


def test_ci_reads_its_command_from_the_readme() -> None:
    """The awk program of .ci/run finds the block that this test finds."""
    script = (README.parent / ".ci" / "run").read_text()
    (program,) = re.findall(r"awk '([^']+)' README\.md", script)
    found = subprocess.run(["awk", program, "README.md"], check=True, cwd=README.parent, capture_output=True, text=True)
    assert found.stdout == shell_blocks()[0]
