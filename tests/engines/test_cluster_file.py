"""The options of engines, and the file that describes a cluster."""

import sys
from pathlib import Path

import pytest

from genrekit.config import EngineConfig
from genrekit.engines.cluster_file import read_cluster_file
from genrekit.engines.dask_engine import open_dask
from genrekit.errors import GenrekitError, UsageError

TOML = """
cluster = "SLURMCluster"
workers = 4
options = { queue = "cpu", cores = 8, memory = "16GB", walltime = "04:00:00" }
"""
YAML = """
cluster: SLURMCluster
workers: 4
options: {queue: cpu, cores: 8, memory: 16GB, walltime: "04:00:00"}
"""


def test_toml_and_yaml_describe_the_same_cluster(tmp_path: Path) -> None:
    (tmp_path / "slurm.toml").write_text(TOML)
    (tmp_path / "slurm.yaml").write_text(YAML)
    cluster = read_cluster_file(tmp_path / "slurm.toml")
    assert cluster == read_cluster_file(tmp_path / "slurm.yaml")
    assert (cluster.module, cluster.workers, cluster.options["memory"]) == ("dask_jobqueue", 4, "16GB")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "cluster = ", "cannot read .*a.toml"),
        ("a.yaml", "cluster: [", "cannot read .*a.yaml"),
        ("a.yaml", "- SLURMCluster\n", "must have keys and values"),
        (
            "a.toml",
            'workers = 1\ncluster = "SLURMCluser"',
            "a.toml: unknown cluster 'SLURMCluser': did you mean SLURM",
        ),
        ("a.toml", 'cluster = "LocalCluster"', "workers or adapt must be given"),
        ("a.toml", 'cluster = "LocalCluster"\nworkers = 2\nadapt = { maximum = 3 }', "and not both"),
        ("a.toml", 'cluster = "LocalCluster"\nworker = 2', "unknown key 'worker': did you mean workers"),
        ("a.toml", 'cluster = "LocalCluster"\nworkers = 0', "workers: input should be greater than or equal to 1"),
    ],
)
def test_a_faulty_file_is_refused_with_its_path(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(GenrekitError, match=message):
        read_cluster_file(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match=r"cannot read .*none\.yaml: No such file"):
        read_cluster_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scheduler": "tcp://a:1"}, "--scheduler has no effect without --engine dask"),
        ({"engine_config": "a.toml"}, "--engine-config has no effect without --engine dask"),
        ({"engine": "dask"}, "--engine dask needs --scheduler tcp://HOST:PORT or --engine-config FILE"),
        ({"engine": "dask", "scheduler": "tcp://a:1", "engine_config": "a.toml"}, "cannot be used together"),
        ({"engine": "dask", "scheduler": "a:1"}, "must be an address such as tcp://HOST:8786, got 'a:1'"),
        ({"engine": "dusk"}, "unknown engine 'dusk': did you mean dask"),
    ],
)
def test_options_that_contradict_each_other_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EngineConfig.of(values)


def test_without_dask_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(GenrekitError, match=r"needs distributed, .*: pip install 'genrekit\[cluster\]'"),
        open_dask(EngineConfig(engine="dask", scheduler="tcp://127.0.0.1:1")),
    ):
        pass
