"""Where tasks run: on this machine, or on the workers of a dask cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from genrekit.config.base import Config, Option

_ADDRESS = re.compile(r"[a-z]+://[^/\s]+:\d+")


class EngineConfig(Config):
    """Where tasks run: on this machine, or on a dask cluster.

    A cluster is either that of a scheduler which runs already, or one that `engine_config` describes.
    """

    engine: Annotated[Literal["local", "dask"], Option("Cluster")] = Field(
        "local", description="Where tasks run: on this machine, or on the workers of a dask cluster."
    )
    scheduler: Annotated[str | None, Option("Cluster")] = Field(
        None, description="Address of a running dask scheduler, such as tcp://HOST:8786. Needs --engine dask."
    )
    engine_config: Annotated[Path | None, Option("Cluster")] = Field(
        None, description="TOML or YAML file that describes the dask cluster to start. Needs --engine dask."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        named = [name for name in ("scheduler", "engine_config") if getattr(self, name) is not None]
        flags = [f"--{name.replace('_', '-')}" for name in named]
        if self.engine == "local" and named:
            raise ValueError(f"{flags[0]} has no effect without --engine dask: add --engine dask")
        if self.engine == "dask" and not named:
            raise ValueError("--engine dask needs --scheduler tcp://HOST:PORT or --engine-config FILE")
        if len(named) == 2:
            raise ValueError("--scheduler and --engine-config cannot be used together: choose one")
        if self.scheduler is not None and not _ADDRESS.fullmatch(self.scheduler):
            raise ValueError(f"--scheduler must be an address such as tcp://HOST:8786, got {self.scheduler!r}")
        return self

    @property
    def local(self) -> bool:
        """Whether tasks run on this machine, without dask."""
        return self.engine == "local"


def _read_resources(value: object) -> object:
    """Read the text "GPU=1,MEMORY=2e9". Other values are returned unchanged."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",")]
    try:
        return {name.strip(): float(amount) for name, _, amount in pairs}
    except ValueError:
        raise ValueError(f"--resources must be NAME=NUMBER, such as GPU=1, got {value!r}") from None


class TrainingEngineConfig(EngineConfig):
    """Where a study or a search trains its runs, and what a run needs of a worker."""

    resources: Annotated[
        dict[Annotated[str, Field(min_length=1)], Annotated[float, Field(gt=0)]] | None,
        BeforeValidator(_read_resources),
        Option("Cluster"),
    ] = Field(
        None,
        description="Resources that a run needs of a dask worker, such as GPU=1: as many runs at a time as the workers "
        "have of them. Default: one run per thread. Needs --engine dask.",
    )

    @model_validator(mode="after")
    def _resources_of_workers(self) -> Self:
        if self.resources is not None and self.local:
            raise ValueError("--resources has no effect without --engine dask: add --engine dask")
        return self

    @property
    def needed(self) -> dict[str, float]:
        """The resources that a run needs; none by default."""
        return self.resources or {}
