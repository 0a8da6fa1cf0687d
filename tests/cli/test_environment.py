"""Tracking settings: options override the environment, which overrides .env, which overrides the files of wandb."""

import os
from pathlib import Path
from typing import Any

import pytest
from tiny_cli import CommandLine

from genrekit.cli.environment import tracking
from genrekit.cli.progress import tracking_line

KEY = "0123456789abcdef0123456789abcdef01234567"
"""A key of the right form that belongs to no account."""

SMALL_CEL = ("train", "--arch", "cel", "--channels", "4,8", "--epochs", "1", "--out", "runs/one")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a current directory without settings of wandb."""
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")  # the command line sets it
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    return folder


@pytest.mark.parametrize("command", [("train",), ("study", "run", "leak"), ("search", "rates.toml")])
def test_a_project_without_tracking_is_wrong_usage(command: tuple[str, ...], genrekit: CommandLine) -> None:
    outcome = genrekit(*command, "--wandb", "off", "--wandb-project", "mine")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "genrekit: --wandb-project has no effect, because tracking is off by --wandb: "
        "add --wandb online or --wandb offline\n"
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def store_settings(folder: Path, **values: str) -> None:
    write(folder / "settings", "\n".join(["[default]", *(f"{name} = {value}" for name, value in values.items())]))


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("online", "online"),
        ("run", "online"),
        ("shared", "online"),
        ("offline", "offline"),
        ("dryrun", "offline"),
        ("disabled", "off"),
        ("off", "off"),
        ("auto", "auto"),
    ],
)
def test_wandb_mode_is_respected(monkeypatch: pytest.MonkeyPatch, value: str, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", value)
    settings = tracking(None, None, default="off")
    assert (settings.mode, settings.reason) == (mode, "by WANDB_MODE")


@pytest.mark.parametrize(
    ("value", "mode"), [("true", "off"), ("1", "off"), ("TRUE", "off"), ("false", "auto"), ("0", "auto"), ("", "auto")]
)
def test_wandb_disabled_is_respected(monkeypatch: pytest.MonkeyPatch, value: str, mode: str) -> None:
    monkeypatch.setenv("WANDB_DISABLED", value)
    assert tracking(None, None).mode == mode


def test_the_default_is_the_one_of_the_command() -> None:
    assert [tracking(None, None).mode, tracking(None, None, default="off").mode] == ["auto", "off"]


def test_the_command_line_wins_over_the_environment_and_that_over_the_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(mode: str | None = None, project: str | None = None) -> tuple[str, str, str]:
        settings = tracking(mode, project)
        return settings.mode, settings.reason, settings.project

    store_settings(home / ".config" / "wandb", mode="disabled", project="of-home")
    assert chosen() == ("off", "by wandb/settings", "of-home")
    store_settings(Path("wandb"), mode="offline", project="of-folder")
    assert chosen() == ("offline", "by wandb/settings", "of-folder")
    write(Path(".env"), "WANDB_MODE=disabled\nWANDB_PROJECT=of-dotenv\n")
    assert chosen() == ("off", "by WANDB_MODE in .env", "of-dotenv")
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    monkeypatch.setenv("WANDB_PROJECT", "of-environment")
    assert chosen() == ("offline", "by WANDB_MODE", "of-environment")
    assert chosen("offline", "given") == ("offline", "by --wandb", "given")
    assert chosen("off") == ("off", "by --wandb", "of-environment")


@pytest.mark.parametrize(
    ("environment", "dotenv", "mode"),
    [
        pytest.param({"WANDB_MODE": "offline"}, "WANDB_DISABLED=true", "offline", id="mode wins over .env"),
        pytest.param({"WANDB_DISABLED": "true", "WANDB_MODE": "offline"}, "", "off", id="disabled wins over mode"),
        pytest.param({"WANDB_DISABLED": "false"}, "WANDB_DISABLED=true", "auto", id="not disabled wins over .env"),
        pytest.param({"WANDB_MODE": ""}, "WANDB_MODE=offline", "auto", id="an empty value hides .env"),
        pytest.param({}, "WANDB_MODE=", "auto", id="an empty value is none"),
    ],
)
def test_sources_have_an_order_of_precedence(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], dotenv: str, mode: str
) -> None:
    write(Path(".env"), dotenv)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracking(None, None).mode == mode


@pytest.mark.parametrize("where", ["environment", "dotenv", "settings"])
def test_account_server_and_directory_are_read_everywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    values = {"entity": "band", "base_url": "https://wandb.example.com", "api_key": KEY}
    if where == "settings":
        store_settings(home / ".config" / "wandb", **values)
    variables = {f"WANDB_{name.upper()}": value for name, value in {**values, "dir": "~/elsewhere"}.items()}
    if where == "dotenv":
        write(Path(".env"), "\n".join(f"{name}={value}" for name, value in variables.items()))
    for name, value in variables.items() if where == "environment" else ():
        monkeypatch.setenv(name, value)
    settings = tracking(None, None)
    assert (settings.entity, settings.base_url, settings.key) == ("band", "https://wandb.example.com", KEY)
    assert settings.directory == (None if where == "settings" else home / "elsewhere")
    assert KEY not in repr(settings)


@pytest.mark.parametrize("where", ["home", "NETRC", "token"])
def test_a_stored_login_is_found(home: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    assert not tracking(None, None).has_credentials
    login = f"machine api.wandb.ai login user password {KEY}"
    if where == "home":
        write(home / ".netrc", login)
    elif where == "NETRC":
        write(home / "logins", login)
        monkeypatch.setenv("NETRC", "~/logins")
    else:
        monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "token")
    assert tracking(None, None).has_credentials


def test_a_login_is_for_the_server_that_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".netrc", f"machine wandb.example.com login user password {KEY}")
    assert not tracking(None, None).has_credentials
    write(Path(".env"), "WANDB_BASE_URL=https://wandb.example.com\n")
    assert tracking(None, None).has_credentials


def test_the_settings_of_wandb_may_be_elsewhere_or_broken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".config" / "wandb" / "settings", "mode = offline")  # no section
    write(Path("wandb/settings"), "[default]\nmode = 50%\n")
    assert tracking("off", None).mode == "off"
    store_settings(home / "config", mode="offline")
    Path("wandb/settings").unlink()
    monkeypatch.setenv("WANDB_CONFIG_DIR", "~/config")
    assert tracking(None, None).mode == "offline"


def test_values_that_wandb_refuses_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "auto", "nonsense"):
        monkeypatch.setenv("WANDB_MODE", value)
        monkeypatch.setenv("WANDB_BASE_URL", "")
        tracking("offline", None)
        assert not {"WANDB_MODE", "WANDB_BASE_URL"} & set(os.environ)
    monkeypatch.setenv("WANDB_MODE", "off")
    tracking("offline", None)
    assert os.environ["WANDB_MODE"] == "disabled"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("WANDB_MODE", "ofline", "unknown WANDB_MODE 'ofline': did you mean offline"),
        ("WANDB_BASE_URL", "wandb.example.com", "WANDB_BASE_URL must be a URL such as https://wandb.example.com, got"),
        ("WANDB_BASE_URL", "http://[", "WANDB_BASE_URL must be a URL"),
    ],
)
@pytest.mark.parametrize("where", ["environment", "dotenv"])
def test_a_wrong_value_is_one_line(
    here: Path,
    genrekit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    variable: str,
    value: str,
    message: str,
) -> None:
    if where == "environment":
        monkeypatch.setenv(variable, value)
    else:
        Path(".env").write_text(f"{variable}={value}\n")
        message = message.replace("WANDB_MODE", "WANDB_MODE in .env")
    outcome = genrekit(*SMALL_CEL)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert not Path("runs/one").exists()


def test_an_env_file_that_is_not_text_is_one_line(here: Path, genrekit: CommandLine) -> None:
    Path(".env").write_bytes(b"WANDB_MODE=\xff\xfe")
    outcome = genrekit(*SMALL_CEL)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "cannot read .env: " in outcome.err


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("online", "key found"),
        ("online", "by WANDB_MODE in .env"),
        ("offline", "no key found"),
        ("offline", "by WANDB_MODE in .env"),
        ("offline", "by wandb/settings"),
        ("offline", "online failed"),
        ("off", "by WANDB_DISABLED in .env"),
    ],
)
def test_the_line_about_tracking_fits_and_says_how_to_change_it(mode: str, reason: str) -> None:
    line = tracking_line(mode, reason)
    assert len(line) <= 100
    assert mode in line
    assert reason in line
    assert {"online": "--wandb off ", "offline": "upload", "off": "--wandb online"}[mode] in line


@pytest.mark.parametrize(
    ("environment", "options", "line", "kept"),
    [
        pytest.param({}, (), tracking_line("offline", "no key found"), "runs/one", id="no key"),
        pytest.param({}, ("--wandb", "off"), tracking_line("off", "by --wandb"), None, id="off"),
        pytest.param({"WANDB_DISABLED": "1"}, (), tracking_line("off", "by WANDB_DISABLED"), None, id="disabled"),
        pytest.param(
            {"WANDB_MODE": "off", "WANDB_DIR": "logs"},
            ("--wandb", "offline"),
            tracking_line("offline", "by --wandb"),
            "logs",
            id="directory",
        ),
        pytest.param(
            {"WANDB_MODE": "dryrun", "WANDB_BASE_URL": ""},
            (),
            tracking_line("offline", "by WANDB_MODE"),
            "runs/one",
            id="dryrun",
        ),
    ],
)
def test_train_prints_how_the_run_is_tracked_and_how_to_change_it(
    here: Path,
    genrekit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    options: tuple[str, ...],
    line: str,
    kept: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    outcome = genrekit(*SMALL_CEL, *options)
    assert outcome.code == 0
    assert [printed for printed in outcome.err.splitlines() if printed.startswith("tracking")] == [line]
    assert "warning" not in outcome.err
    kept_in = {path.parents[2].as_posix() for path in Path().rglob("offline-run-*/*.wandb")}
    assert kept_in == (set() if kept is None else {kept})


@pytest.mark.parametrize(
    ("environment", "options", "mode"),
    [
        pytest.param({"WANDB_API_KEY": KEY}, (), "off", id="a key alone"),
        pytest.param({"WANDB_MODE": "offline"}, (), "offline", id="environment"),
        pytest.param({"WANDB_MODE": "offline"}, ("--wandb", "off"), "off", id="command line"),
    ],
)
def test_runs_of_a_study_are_tracked_only_on_request(
    here: Path,
    genrekit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    options: tuple[str, ...],
    mode: str,
) -> None:
    given: list[str] = []

    def noted(*_: object, tracking: Any, **__: object) -> None:
        given.append(tracking.mode)
        raise KeyboardInterrupt

    monkeypatch.setattr("genrekit.studies.runner.run_study", noted)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert genrekit("study", "run", "mlp", *options).code == 130
    assert given == [mode]


def test_wandb_prints_nothing_about_its_own_settings(
    here: Path, home: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_settings(home / ".config" / "wandb", mode="offline")
    monkeypatch.delenv("WANDB_SILENT")
    assert genrekit(*SMALL_CEL, "--quiet").err == ""
    assert list(Path("runs/one").glob("wandb/offline-run-*"))
