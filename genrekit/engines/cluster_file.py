"""Read the file of `--engine-config`: which dask cluster to start, and with how many workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from genrekit.config import Config
from genrekit.errors import UsageError, missing_extra
from genrekit.io.files import cannot, read_toml

ClusterName = Literal[
    "LocalCluster",
    "SLURMCluster",
    "PBSCluster",
    "SGECluster",
    "LSFCluster",
    "HTCondorCluster",
    "OARCluster",
    "KubeCluster",
]

MODULES: dict[ClusterName, str] = {
    "LocalCluster": "distributed",
    "KubeCluster": "dask_kubernetes.operator",
}
"""The modules of clusters; the others are in dask_jobqueue."""


class ClusterFile(Config):
    """The cluster to start: its class, the keywords of the class, and the number of workers."""

    cluster: ClusterName = Field(description="Class of the cluster, from dask, dask-jobqueue or dask-kubernetes.")
    workers: int | None = Field(None, ge=1, description="Number of workers to start.")
    adapt: dict[str, int] | None = Field(
        None, description="Keywords of the cluster's adapt(), such as minimum and maximum, instead of workers."
    )
    wait_s: float = Field(600.0, gt=0, description="Seconds to wait for the first worker.")
    options: dict[str, Any] = Field(default_factory=dict, description="Keywords of the class, such as queue or cores.")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.workers is None) == (self.adapt is None):
            raise ValueError("workers or adapt must be given, and not both: set workers = 4, for example")
        return self

    @property
    def module(self) -> str:
        """The module that has the class."""
        return MODULES.get(self.cluster, "dask_jobqueue")


def read_cluster_file(path: Path) -> ClusterFile:
    """Read a TOML or YAML file that describes a cluster.

    Errors: GenrekitError with the path if the file cannot be read; UsageError if a key is unknown or invalid.
    """
    values = _read_yaml(path) if path.suffix.lower() in (".yaml", ".yml") else read_toml(path)
    if not isinstance(values, dict):
        raise UsageError(f"{path} must have keys and values, such as cluster: SLURMCluster")
    try:
        return ClusterFile.of(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _read_yaml(path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise missing_extra(f"reading {path}", "cluster", ["pyyaml"]) from None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise cannot("read", path, error) from error
