"""The batch files of docs/how-to/cluster.md, run by bash with the variables that Slurm sets."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_cache import assert_equal_content
from tiny_music import write_collection
from tiny_workflow import STUDY, two_genres

from genrekit.workflows.prepare import prepare
from genrekit.workflows.runs import read_history

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")

pytestmark = [pytest.mark.slow, pytest.mark.docs]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with the batch files, music, and programs: genrekit, and a scontrol that records its arguments."""
    for name in ("prepare", "merge", "study", "report"):
        script = re.search(rf"`{name}\.sbatch`.*?```bash\n(.*?)```", PAGE, re.DOTALL)
        assert script is not None
        (tmp_path / f"{name}.sbatch").write_text(script[1])
    write_collection(tmp_path / "data", {"blues": 20, "jazz": 20}, duration_s=20.0, sample_rate=8_000)
    (tmp_path / "bin").mkdir()
    for name, line in (
        ("genrekit", f'exec {sys.executable} -m genrekit "$@"'),
        ("scontrol", f'echo "$@" >> {tmp_path}/told.txt'),
    ):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{line}\n")
        program.chmod(0o755)
    return tmp_path


def start(job: Path, name: str, shard: int = 1, of: int = 2) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PATH": f"{job / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(shard),
        "SLURM_ARRAY_TASK_COUNT": str(of),
        "SLURM_CPUS_PER_TASK": "1",
    }
    return subprocess.Popen(
        ["bash", str(job / f"{name}.sbatch")], cwd=job, env=environment, stderr=subprocess.PIPE, text=True
    )


def exit_code(process: subprocess.Popen[str]) -> int:
    """Wait for the end of a job."""
    process.communicate(timeout=600)
    return process.returncode


def warn_of_time_limit(process: "subprocess.Popen[str]", job: Path) -> None:
    """Send the signal that Slurm sends before a job's time is over: the job ends, and asks to be queued again."""
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, (job / "told.txt").read_text()) == (138, "requeue 77_1\n")
    assert "genrekit: stopped by SIGUSR1: run the same command again to resume" in err


def test_a_job_near_its_time_limit_requeues_itself_and_resumes(job: Path) -> None:
    process = start(job, "prepare", 1)
    while not list((job / "data").glob("cache.shards/.*.partial")):
        assert process.poll() is None
        time.sleep(0.01)
    warn_of_time_limit(process, job)
    for shard in (2, 1):
        assert exit_code(start(job, "prepare", shard)) == 0
    assert exit_code(start(job, "merge")) == 0
    prepare(job / "data", out=job / "whole.h5", workers=1)
    assert_equal_content(job / "data" / "cache.h5", job / "whole.h5")


def test_a_job_of_a_study_near_its_time_limit_requeues_itself_and_resumes(job: Path) -> None:
    two_genres(job / "small").rename(job / "data" / "cache.h5")
    text = STUDY.replace("[base]", "seeds = 1\n[base]").replace("epochs = 2", "epochs = 400")
    (job / "dropout.toml").write_text(text, encoding="utf-8")
    process = start(job, "study", 1)
    history = job / "runs" / "dropout-slow-seed0" / "history.csv"
    while not history.exists():
        assert process.poll() is None
        time.sleep(0.01)
    warn_of_time_limit(process, job)
    before = read_history(history)
    assert 1 <= len(before) < 400
    for shard in (2, 1):
        assert exit_code(start(job, "study", shard)) == 0
    assert read_history(history)[: len(before)] == before
    assert len(read_history(history)) == 400
    assert exit_code(start(job, "report")) == 0
    assert "fast is better" in (job / "reports" / "dropout" / "report.md").read_text(encoding="utf-8")
