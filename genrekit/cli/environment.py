"""The tracking settings, from the environment, .env and the settings files of wandb."""

from __future__ import annotations

import configparser
import io
import os
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from genrekit.errors import UsageError, unknown_name
from genrekit.io.files import cannot
from genrekit.io.regular_files import read_small_text
from genrekit.training.tracking import Tracking, logged_in

_MODES = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "off",
    "off": "off",
    "auto": "auto",
}
"""Tracking modes by the values of WANDB_MODE: those of wandb, and the names that genrekit adds."""

_ENV_FILE = Path(".env")

_MOST_BYTES = 1 << 20
"""Most bytes of `.env` and of a settings file."""

_SETTINGS = "wandb/settings"
"""The files in which the commands of wandb store settings, in the home and in the current directory."""

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
"""Values of WANDB_DISABLED, in lower case, that switch tracking off."""


@dataclass(frozen=True)
class _Source:
    """Variables from one source, without those that a source of higher precedence sets."""

    name: str
    values: dict[str, str]

    def label(self, variable: str) -> str:
        """How a message names a variable of this source."""
        return {"": variable, _SETTINGS: _SETTINGS}.get(self.name, f"{variable} in {self.name}")


def tracking(mode: str | None, project: str | None, *, default: str = "auto") -> Tracking:
    """Return the tracking settings: the command line overrides the environment, which overrides .env and wandb's files.

    Errors: UsageError for an invalid value, or a project without tracking; GenrekitError if a file cannot be read.
    """
    sources = list(_sources())
    _correct(os.environ)
    mode, reason = (mode, "by --wandb") if mode is not None else _mode(sources, default)
    if mode == "off" and project is not None:
        raise UsageError(
            f"--wandb-project has no effect, because tracking is off {reason}: add --wandb online or --wandb offline"
        )
    base_url = _base_url(sources)
    directory = _value(sources, "WANDB_DIR")
    return Tracking(
        mode=mode,
        project=project or _value(sources, "WANDB_PROJECT") or "genrekit",
        key=_value(sources, "WANDB_API_KEY"),
        entity=_value(sources, "WANDB_ENTITY"),
        base_url=base_url,
        directory=None if directory is None else Path(directory).expanduser(),
        login=None if mode in ("off", "offline") else _login(base_url),
        reason=reason,
    )


def _sources() -> Iterator[_Source]:
    """The environment, .env, and the settings of `wandb init` and `wandb login`; an empty value counts as not set."""
    seen = set(os.environ)
    yield _Source("", {key: value for key, value in os.environ.items() if value})
    for name, values in ((".env", _dotenv()), (_SETTINGS, _wandb_settings())):
        yield _Source(name, {key: value for key, value in values.items() if value and key not in seen})
        seen |= {key for key, value in values.items() if value}


def _dotenv() -> dict[str, str | None]:
    """The variables in .env. A folder of this name is a virtual environment."""
    try:
        return dotenv_values(stream=io.StringIO(read_small_text(_ENV_FILE, limit=_MOST_BYTES)))
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise cannot("read", _ENV_FILE, error) from error


def _wandb_settings() -> dict[str, str]:
    """The settings that wandb has stored for the user and for this folder; the latter override the former."""
    files = [Path(".wandb" if os.path.isdir(".wandb") else "wandb") / "settings"]  # noqa: PTH112 - it raises nothing
    with suppress(RuntimeError):  # there is no home directory
        config = os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb"
        files.insert(0, Path(config).expanduser() / "settings")
    parser = configparser.ConfigParser(interpolation=None)
    for file in files:
        with suppress(configparser.Error, OSError, ValueError):  # wandb ignores a broken file, too
            parser.read_string(read_small_text(file, limit=_MOST_BYTES))
    stored = parser["default"] if parser.has_section("default") else {}
    return {f"WANDB_{name.upper()}": value for name, value in stored.items()}


def _mode(sources: list[_Source], default: str) -> tuple[str, str]:
    """The mode, and which variable sets it."""
    for source in sources:
        if source.values.get("WANDB_DISABLED", "").lower() in _TRUE:
            return "off", f"by {source.label('WANDB_DISABLED')}"
        if value := source.values.get("WANDB_MODE"):
            if value not in _MODES:
                raise unknown_name(source.label("WANDB_MODE"), value, _MODES)
            return _MODES[value], f"by {source.label('WANDB_MODE')}"
    return default, "by default"


def _base_url(sources: list[_Source]) -> str | None:
    url = _value(sources, "WANDB_BASE_URL")
    if url is not None:
        with suppress(ValueError):
            parts = urlsplit(url)
            if parts.scheme in ("http", "https") and parts.netloc:
                return url
        raise UsageError(f"WANDB_BASE_URL must be a URL such as https://wandb.example.com, got {url!r}")
    return None


def _value(sources: list[_Source], name: str) -> str | None:
    return next((source.values[name] for source in sources if name in source.values), None)


def _login(base_url: str | None) -> bool:
    """Whether wandb finds credentials without a key in the settings."""
    if os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return logged_in(base_url)


def _correct(environment: MutableMapping[str, str]) -> None:
    """Change variables that wandb also reads and would refuse, and make wandb quiet.

    >>> variables = {"WANDB_MODE": "off", "WANDB_BASE_URL": ""}
    >>> _correct(variables)
    >>> variables
    {'WANDB_MODE': 'disabled', 'WANDB_SILENT': 'true'}
    """
    mode = environment.get("WANDB_MODE")
    if mode == "off":
        environment["WANDB_MODE"] = "disabled"
    elif mode is not None and (mode == "auto" or mode not in _MODES):
        del environment["WANDB_MODE"]
    if environment.get("WANDB_BASE_URL") == "":
        del environment["WANDB_BASE_URL"]
    environment.setdefault("WANDB_SILENT", "true")
