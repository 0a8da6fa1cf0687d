"""The command line: help pages, and errors as one line and an exit code."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from tiny_cli import COMMAND_LINES, SMALL, STOPS, CommandLine, find_command
from tiny_music import write_collection

from genrekit import __version__
from genrekit.cli.app import COMMANDS
from genrekit.workflows.reporter import Reporter


def test_help_names_every_command(genrekit: CommandLine) -> None:
    outcome = genrekit("--help")
    assert outcome.code == 0
    assert all(name in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_page_of_a_command_has_its_summary(genrekit: CommandLine, name: str) -> None:
    outcome = genrekit(name, "--help")
    assert outcome.code == 0
    assert COMMANDS[name].split(",")[0] in " ".join(outcome.out.split())


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_every_command_has_json_and_quiet(genrekit: CommandLine, line: tuple[str, ...]) -> None:
    outcome = genrekit(*line, "--help")
    assert outcome.code == 0
    assert "--json" in outcome.out
    assert "--quiet" in outcome.out


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_a_help_page_breaks_no_word_at_80_columns(
    genrekit: CommandLine, line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = set(genrekit(*line, "--help").out.split())
    for param in find_command(*line).params:
        if getattr(param, "hidden", False):
            continue
        text = Text.from_markup(f"{getattr(param, 'help', None) or ''} {param.metavar or ''}").plain
        flags = [name for name in (*param.opts, *param.secondary_opts) if name.startswith("--")]
        assert {*text.split(), *flags} <= shown, param.name


@pytest.mark.parametrize("width", ["80", "140"])
@pytest.mark.parametrize("line", [(), ("study",), ("manifest",), *COMMAND_LINES], ids=" ".join)
def test_a_help_page_shows_no_type_of_python(
    genrekit: CommandLine, line: tuple[str, ...], width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert not re.findall(r"<[a-z].*", genrekit(*line, "--help").out)


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (("train",), ["--cache FILE", "--out FOLDER", "--lr NUMBER", "--wandb-project TEXT", "--print-config Print"]),
        (("predict",), ["* FILE|FOLDER|- Audio files", "--model FOLDER", "--workers NUMBER", "--engine-config FILE"]),
        (("study", "run"), ["--seeds NUMBER", "--reports FOLDER", "--dry-run Train"]),
    ],
)
def test_a_help_page_says_what_kind_of_value_an_option_takes(
    genrekit: CommandLine, line: tuple[str, ...], rows: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    shown = " ".join(genrekit(*line, "--help").out.split())
    assert [row for row in rows if row not in shown] == []


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_a_help_page_lists_the_names_that_an_option_takes(line: tuple[str, ...]) -> None:
    for param in find_command(*line).params:
        names = set(completed(param))
        assert names <= set(re.findall(r"[\w-]+", f"{param.metavar} {param.help}")), param.name


def completed(param: Any) -> list[str]:
    """The names that the shell completes, if completion is a list of choices."""
    complete = getattr(param, "_custom_shell_complete", None)
    if complete is None or param.param_type_name != "option" or param.name in ("recipe", "arch_options"):
        return []
    return [item.value for item in complete(None, param, "")]


@pytest.mark.parametrize("words", [(), ("study",)], ids=["genrekit", "genrekit study"])
def test_without_a_command_only_the_help_page_is_printed(genrekit: CommandLine, words: tuple[str, ...]) -> None:
    outcome = genrekit(*words)
    assert outcome.code == 2
    assert genrekit(*words, "--help").out.strip() in outcome.out + outcome.err
    assert "genrekit: " not in outcome.err


def test_version(genrekit: CommandLine) -> None:
    assert genrekit("--version").out == f"genrekit {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("prepair",), "unknown command 'prepair': did you mean prepare?", id="command"),
        pytest.param(("train", "--archh", "cel"), "No such option: --archh", id="option"),
        pytest.param(("train", "--arch", "cell3"), "unknown arch 'cell3': did you mean cel3", id="architecture"),
        pytest.param(("train", "--opt", "sdg"), "unknown opt 'sdg': did you mean sgd?", id="optimizer"),
        pytest.param(
            ("train", "--sched", "cosin"),
            "did you mean cosine? (choices: none, plateau, cosine, onecycle)",
            id="schedule",
        ),
        pytest.param(("train", "--split", "artists"), "did you mean artist?", id="split"),
        pytest.param(("train", "--wandb", "ofline"), "did you mean offline", id="tracking"),
        pytest.param(
            ("train", "--epochs", "0"), "epochs: input should be greater than or equal to 1, got '0'", id="epochs"
        ),
        pytest.param(
            ("train", "--epochs", "many"),
            "epochs: input should be a valid integer, unable to parse string as an integer, got 'many'",
            id="word",
        ),
        pytest.param(("train", "--lr", "nan"), "lr: ", id="nan"),
        pytest.param(("train", "--hidden", "12,x"), "got 'x'", id="widths"),
        pytest.param(
            ("train", "--arch", "mlp", "--channels", "8"), "channels must be none for mlp", id="contradiction"
        ),
        pytest.param(("train", "--device", "gpu"), "unknown device 'gpu'", id="device"),
        pytest.param(("predict", "song.mp3", "--device", "cude"), "did you mean cuda?", id="device of predict"),
        pytest.param(("evaluate", "best_models", "--device", "cude"), "did you mean cuda?", id="device of evaluate"),
        pytest.param(
            ("prepare", "--fragments", "some"), "fragments must be all, first or a number from 1", id="fragments"
        ),
        pytest.param(
            ("prepare", "--augment", "--augmentations", "noize"), "unknown augmentations 'noize': did you", id="kind"
        ),
        pytest.param(("prepare", "--normalization", "peek"), "did you mean peak?", id="normalization"),
        pytest.param(
            ("prepare", "--hop-length", "4096"), "hop_length must be at most n_fft (2048), got 4096", id="hop"
        ),
        pytest.param(("prepare", "--noise", "50,30"), "noise must be two rising numbers", id="range"),
        pytest.param(("prepare", "--workers", "0"), "workers", id="workers"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    here: Path, genrekit: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    outcome = genrekit(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_with_json_an_error_is_an_object_too(genrekit: CommandLine, tmp_path: Path) -> None:
    outcome = genrekit("info", tmp_path / "absent", "--json")
    assert outcome.code == 1
    assert outcome.json["code"] == 1
    assert f"genrekit: {outcome.json['error']}\n" == outcome.err


def test_a_bug_keeps_its_traceback(here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("genrekit.workflows.compare.compare", broken)
    with pytest.raises(ZeroDivisionError):
        genrekit("compare")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS], ids=errno.errorcode.get)
def test_an_error_of_the_operating_system_is_one_line(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "runs/x/history.csv")

    monkeypatch.setattr("genrekit.workflows.compare.compare", refused)
    outcome = genrekit("compare")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"runs/x/history.csv: {os.strerror(number)}" in outcome.err


def test_an_interrupt_exits_with_130(here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genrekit.workflows.compare.compare", interrupted)
    outcome = genrekit("compare")
    assert (outcome.code, outcome.err) == (130, "genrekit: interrupted\n")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "genrekit", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "message"),
    STOPS,
    ids=["INT", "TERM", "USR1"],
)
def test_an_interrupted_prepare_resumes(
    tmp_path: Path, genrekit: CommandLine, number: int, code: int, message: str
) -> None:
    data = write_collection(tmp_path / "data", {"blues": 20, "jazz": 20}, duration_s=3.0, sample_rate=8_000)
    process = start(tmp_path, "prepare", *SMALL, "--augment", "--workers", "1")
    partial = data / "cache.h5.partial"
    while not partial.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == f"genrekit: {message}"
    assert "Traceback" not in err
    assert not (data / "cache.h5").exists()
    outcome = genrekit("prepare", data, "--out", data / "cache.h5", *SMALL, "--augment", "--workers", "1", "--json")
    assert outcome.json["tracks"] == 40


def test_a_dropped_interrupt_is_raised_at_the_next_progress(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python drops an exception that is raised in a destructor."""

    class Leaves:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def lossy(*_: object, reporter: Reporter, **__: object) -> None:
        Leaves()
        reporter.tracks_done(1, 2)

    monkeypatch.setattr("genrekit.workflows.prepare.prepare", lossy)
    outcome = genrekit("prepare")
    assert (outcome.code, outcome.err) == (143, "genrekit: terminated\n")


@pytest.mark.slow
def test_a_closed_pipe_is_not_a_traceback(here: Path) -> None:
    command = f"{sys.executable} -m genrekit info data/cache.h5 | true"
    done = subprocess.run(["bash", "-c", command], check=False, cwd=here, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr


def test_output_has_colours_only_on_a_terminal(here: Path, genrekit: CommandLine) -> None:
    assert "\x1b" not in genrekit("compare").out
