import os
import subprocess
import sys

import pytest

from genrekit.cli.threads import limit_spinning


def test_waiting_threads_sleep_soon() -> None:
    environment: dict[str, str] = {}
    limit_spinning(environment)
    assert environment == {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_variables_of_the_user_are_not_changed(name: str) -> None:
    environment = {name: "ACTIVE"}
    limit_spinning(environment)
    assert environment == {name: "ACTIVE"}


def test_the_command_line_sets_it_before_torch_is_imported_and_importing_genrekit_does_not() -> None:
    script = """
import os, sys
import genrekit, genrekit.cli.app
before = "GOMP_SPINCOUNT" in os.environ
genrekit.cli.app.run(["--version"])
print(before, "torch" in sys.modules, os.environ["GOMP_SPINCOUNT"])
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False 1000"
