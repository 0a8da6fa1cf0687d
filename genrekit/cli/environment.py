"""What comes from the environment and from .env: the tracker's key, project and mode."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values


@dataclass(frozen=True)
class TrackerSettings:
    """The tracker's settings; the key is kept out of every text."""

    mode: str
    project: str
    key: str | None = field(repr=False)


def tracker_settings(mode: str | None, project: str | None) -> TrackerSettings:
    """Join what was asked with the environment and .env, in this order of precedence."""
    found = {**dotenv_values(Path(".env")), **os.environ}
    environment_mode = {"disabled": "off"}.get(found.get("WANDB_MODE") or "", found.get("WANDB_MODE"))
    return TrackerSettings(
        mode=mode or environment_mode or "auto",
        project=project or found.get("WANDB_PROJECT") or "genrekit",
        key=found.get("WANDB_API_KEY") or None,
    )
