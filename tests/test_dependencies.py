"""Every runtime dependency that the package declares can be imported, and is within its bounds."""

import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def runtime_dependencies() -> list[str]:
    """Names of the distributions that a plain installation brings."""
    requirements = [Requirement(line) for line in distribution("genrekit").requires or []]
    return [item.name for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""})]


def modules_of(name: str) -> list[str]:
    """The public top-level modules of a distribution."""
    wanted = canonicalize_name(name)
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if wanted in map(canonicalize_name, owners) and module.isidentifier() and not module.startswith("_")
    )


def test_the_metadata_names_the_libraries_that_the_product_is_built_on() -> None:
    named = {"typer", "rich", "torch", "torchaudio", "librosa", "h5py", "wandb", "numpy", "scikit-learn"}
    assert named <= set(runtime_dependencies())


def test_every_runtime_dependency_can_be_imported() -> None:
    modules = {name: modules_of(name) for name in runtime_dependencies()}
    assert [name for name, found in modules.items() if not found] == []
    script = f"import {', '.join(module for found in modules.values() for module in found)}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def test_an_installed_dependency_is_within_its_bounds() -> None:
    for line in distribution("genrekit").requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            installed = distribution(requirement.name).version
            assert requirement.specifier.contains(installed, prereleases=True), f"{line}: {installed} is installed"
