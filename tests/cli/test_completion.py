"""Shell completion of commands, options and names, and its installation from any command."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shellingham  # type: ignore[import-untyped]
from tiny_cli import COMMAND_LINES, CommandLine, Outcome, find_command

from genrekit.cli.app import COMMANDS
from genrekit.studies.study_files import shipped_studies

SHELLS = {
    "bash": ".bash_completions/genrekit.sh",
    "zsh": ".zfunc/_genrekit",
    "fish": ".config/fish/completions/genrekit.fish",
}
"""Where the script of each shell is installed, below the home directory."""

Complete = Callable[..., list[str]]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setattr(shellingham, "detect_shell", lambda: (name, f"/bin/{name}"))
    return name


@pytest.fixture
def complete(genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Requests completions of the last word as a shell does."""
    monkeypatch.setenv("COLUMNS", "40")

    def answer(*words: str, shell: str = "bash") -> list[str]:
        line = ["genrekit", *words]
        monkeypatch.setenv("_GENREKIT_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", "\n".join(line))
        monkeypatch.setenv("COMP_CWORD", str(len(line) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(line))
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        outcome = genrekit()
        assert (outcome.code, outcome.err) == (0, "")
        return list(offered(outcome.out, shell))

    return answer


def offered(text: str, shell: str) -> Iterator[str]:
    """The completions in an output, without their help texts, each of which must be one line."""
    if shell == "zsh":
        text = text.strip().removeprefix("_files").removeprefix("_arguments '*: :((").removesuffix("))'")
    for line in filter(None, text.splitlines()):
        parts = {"bash": r"([^ ]+)", "zsh": r'"([^"]+)"(?::".*")?', "fish": r"([^ \t]+)(?:\t.*)?"}
        match = re.fullmatch(parts[shell], line)
        assert match, line
        yield match[1]


def options(line: tuple[str, ...]) -> list[Any]:
    return [param for param in find_command(*line).params if param.param_type_name == "option"]


def test_commands_are_completed(complete: Complete, shell: str) -> None:
    assert complete("", shell=shell) == list(COMMANDS)
    assert complete("pre", shell=shell) == ["prepare", "predict"]
    assert complete("--", shell=shell) == ["--version", "--install-completion", "--show-completion", "--help"]


def test_commands_of_a_group_are_completed(complete: Complete, shell: str) -> None:
    assert complete("study", "", shell=shell) == ["list", "run", "report"]
    assert complete("study", "r", shell=shell) == ["run", "report"]
    assert complete("study", "--", shell=shell) == ["--help"]


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_every_option_of_a_command_is_completed(complete: Complete, shell: str, line: tuple[str, ...]) -> None:
    listed = [option for option in options(line) if not option.hidden]
    names = {flag for option in listed for flag in (*option.opts, *option.secondary_opts)}
    assert set(complete(*line, "--", shell=shell)) == {flag for flag in names if flag.startswith("--")} | {"--help"}


def named_values() -> Iterator[Any]:
    """Each option whose help page lists the names that it takes."""
    for line in COMMAND_LINES:
        for option in options(line):
            listed = re.search(r"Choices: (.+?)\.(?: |$)", option.help or "")
            names = listed[1].split(", ") if listed else (option.metavar or "").split("|")
            values = [value for value in names if re.fullmatch(r"[a-z][\w-]*", value)]
            if values:
                yield pytest.param(line, option.opts[0], values, id=" ".join([*line, option.opts[0]]))


NAMED_VALUES = [*named_values()]


@pytest.mark.parametrize(("line", "option", "values"), NAMED_VALUES)
def test_values_that_are_names_are_completed(
    complete: Complete, line: tuple[str, ...], option: str, values: list[str]
) -> None:
    assert complete(*line, option, "") == values
    first = values[0][:2]
    assert complete(*line, option, first) == [value for value in values if value.startswith(first)]


@pytest.mark.parametrize("option", ["--arch", "--opt", "--sched", "--device", "--wandb", "--split"])
def test_the_choices_of_train_are_among_them(option: str) -> None:
    assert (("train",), option) in [parameters.values[:2] for parameters in NAMED_VALUES]


def test_values_are_completed_in_every_shell(complete: Complete, shell: str) -> None:
    assert complete("train", "--epochs", "3", "--arch", "cel", shell=shell) == ["cel", "cel2", "cel3"]


def test_the_last_item_of_a_list_is_completed(complete: Complete) -> None:
    assert complete("prepare", "--augmentations", "noise,ti") == ["noise,time_stretch"]
    assert "noise,noise" not in complete("prepare", "--augmentations", "noise,")


def test_bash_splits_a_word_at_the_equals_sign(complete: Complete) -> None:
    assert complete("train", "--arch", "=", "cel") == ["cel", "cel2", "cel3"]
    assert complete("train", "--device", "=") == ["auto", "cpu", "cuda", "mps"]
    assert complete("train", "--device", "=", "cpu", "--ar") == ["--arch", "--arch-option"]


@pytest.mark.parametrize("verb", ["run", "report"])
def test_the_name_of_a_study_is_completed(complete: Complete, verb: str) -> None:
    assert complete("study", verb, "") == shipped_studies()
    assert complete("study", verb, "opt") == [name for name in shipped_studies() if name.startswith("opt")]
    assert complete("study", verb, "dropout.") == []  # the shell completes files


@pytest.mark.parametrize(
    "words", [("train", "--cache", "da"), ("evaluate", ""), ("info", "ca"), ("compare", "")], ids=" ".join
)
def test_the_shell_completes_paths(complete: Complete, shell: str, words: tuple[str, ...]) -> None:
    assert complete(*words, shell=shell) == []


@pytest.mark.parametrize(
    "words",
    [("trian", ""), ("trian", "--ar"), ("train", "--arhc", "c"), ("--x", ""), ("study", "rnu", "")],
)
def test_errors_are_not_printed_during_completion(complete: Complete, words: tuple[str, ...]) -> None:
    complete(*words)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("before", [(), ("study",), *COMMAND_LINES], ids=" ".join)
def test_completion_is_installed_from_any_command(
    genrekit: CommandLine, home: Path, shell: str, before: tuple[str, ...]
) -> None:
    outcome = genrekit(*before, "--install-completion")
    assert (outcome.code, outcome.err) == (0, "")
    script = (home / SHELLS[shell]).read_text(encoding="utf-8").strip()
    assert f"_GENREKIT_COMPLETE=complete_{shell}" in script
    shown = genrekit(*before, "--show-completion")
    assert (shown.code, shown.out.strip(), shown.err) == (0, script, "")


@pytest.mark.parametrize("line", [("study",), *COMMAND_LINES], ids=" ".join)
def test_the_help_page_of_a_command_has_no_completion_options(genrekit: CommandLine, line: tuple[str, ...]) -> None:
    assert "completion" not in genrekit(*line, "--help").out
    assert "--install-completion" in genrekit("--help").out


def fails(outcome: Outcome) -> str:
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    return outcome.err


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_an_unknown_shell_is_one_line(genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    def undetected() -> None:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr(shellingham, "detect_shell", lambda: ("tcsh", "/bin/tcsh"))
    assert "completion does not support tcsh: run this in bash, zsh" in fails(genrekit("train", option))
    monkeypatch.setattr(shellingham, "detect_shell", undetected)
    assert "cannot detect your shell: run this in bash, zsh" in fails(genrekit(option))


def test_a_home_that_cannot_be_written_is_one_line(
    genrekit: CommandLine, shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "file"
    home.touch()
    monkeypatch.setenv("HOME", str(home))
    assert str(home) in fails(genrekit("train", "--install-completion"))


def test_no_home_is_one_line(genrekit: CommandLine, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert "set HOME" in fails(genrekit("--install-completion"))


REAL = {
    "bash": "genrekit train --install-completion >&2; . ~/.bash_completions/genrekit.sh;"
    "COMP_WORDS=(genrekit train --arch cel) COMP_CWORD=3; _genrekit_completion genrekit;"
    'printf "%s\\n" "${COMPREPLY[@]}"',
    "fish": "genrekit train --install-completion >&2; . ~/.config/fish/completions/genrekit.fish;"
    'complete -C "genrekit train --arch cel"',
}
"""A script for each shell that installs completion, loads it, and prints what it completes."""


@pytest.mark.parametrize("name", REAL)
def test_a_real_shell_installs_loads_and_completes(name: str, tmp_path: Path) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"there is no {name} here")
    called = tmp_path / "genrekit"
    called.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genrekit "$@"\n', encoding="utf-8")
    called.chmod(0o755)
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [program, *(["--norc"] if name == "bash" else ["--no-config"]), "-c", REAL[name]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["cel", "cel2", "cel3"], done.stderr
    assert (tmp_path / SHELLS[name]).is_file()
