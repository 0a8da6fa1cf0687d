"""The house: imports point down, and each outside library has one door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "genrekit"

FLOORS = [
    "_types",
    "_version",
    "errors",
    "config",
    "io",
    "engines",
    "audio",
    "demo",
    "data",
    "metrics",
    "models",
    "training",
    "inference",
    "reports",
    "workflows",
    "studies",
    "cli",
]
"""From the bottom up: a module imports only from its own floor or from those before it."""

DOORS = {
    "filelock": {"io/files.py"},
    "distributed": {"engines/dask_engine.py", "engines/live_tasks.py"},
    "yaml": {"engines/cluster_file.py"},
    "h5py": {"data/cache/reader.py", "data/cache/storage.py", "data/cache/writer.py"},
    "wandb": {"training/tracking.py"},
    "optuna": {"studies/optuna_trials.py"},
    "sqlalchemy": {"studies/optuna_trials.py"},
    "typer": {"cli"},
    "rich": {"cli"},
    "dotenv": {"cli"},
    "torchaudio": {"models/torchaudio_import.py"},
    "librosa": {"audio/librosa_import.py"},
    "numba": {"audio/librosa_import.py"},
    "soundfile": {"audio"},
    "soxr": {"audio"},
    "matplotlib": {"reports/plots.py", "reports/svg.py"},
    "jinja2": {"reports/page.py"},
    "markupsafe": {"reports"},
    "sklearn": {"training/classical.py"},
    "safetensors": {"models/bundle.py", "io/tensors.py"},
    "av": {"audio/fallback_decoders.py"},
    "mutagen": {"audio/tags.py"},
    "onnx": {"inference/onnx_export.py", "models/onnx_session.py"},
    "onnxruntime": {"models/onnx_session.py"},
}
"""The files or folders through which each library comes in."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            if node.module == "genrekit":  # a module of the package, never a name of the API above them all
                yield from (f"genrekit.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def floor(name: str) -> int | None:
    return FLOORS.index(name) if name in FLOORS else None


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    own = floor(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    for name in imported(path):
        parts = name.split(".")
        if own is not None and parts[0] == "genrekit" and len(parts) > 1:
            theirs = floor(parts[1])
            assert theirs is not None, f"{path}: {name} has no floor"
            assert theirs <= own, f"{path} imports {name}, which stands above it"


def test_only_the_commands_for_studies_and_searches_import_studies() -> None:
    importers = {path.stem for path in modules() if any(name.startswith("genrekit.studies") for name in imported(path))}
    commands = {path.stem for path in (PACKAGE / "cli").glob("*.py") if path.stem.startswith(("study", "search"))}
    assert importers - {path.stem for path in (PACKAGE / "studies").glob("*.py")} - {"__init__"} <= commands


def dotted(path: Path) -> str:
    """The name of a module below the package: data/cache/rows.py is data.cache.rows."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def own_imports(path: Path) -> set[str]:
    """The modules of the package that a module imports anywhere, also in functions and for type checking."""
    names = {dotted(module) for module in modules()}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("genrekit"):
            parent = (node.module or "").removeprefix("genrekit").removeprefix(".")
            for alias in node.names:
                submodule = f"{parent}.{alias.name}".removeprefix(".")
                found.add(submodule if submodule in names else parent)
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("genrekit.") for alias in node.names if alias.name.startswith("genrekit.")
            }
    return found - {dotted(path)}


def test_no_module_imports_itself_through_others() -> None:
    waiting = {
        dotted(path): own_imports(path) for path in modules() if path.parent != PACKAGE or path.stem != "__init__"
    }
    while free := {name for name, needed in waiting.items() if not needed & waiting.keys()}:
        waiting = {name: needed for name, needed in waiting.items() if name not in free}
    assert not waiting, f"these modules import each other: {sorted(waiting)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_imports_from_the_root_of_the_package(path: Path) -> None:
    assert "" not in own_imports(path), f"{path} imports from genrekit itself"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_libraries_come_in_by_their_door(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    for name in imported(path):
        library = name.split(".")[0]
        if library in DOORS:
            assert any(place == door or place.startswith(f"{door}/") for door in DOORS[library]), f"{place}: {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_command_line_prints_and_reads_the_environment(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "cli"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"), path
        assert not (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "argv")), path
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("sys", "stdout"), path


PRINTERS = {"cli/display.py", "cli/streams.py"}
"""The modules that write to stdout and stderr. The first escapes names; the second handles errors of the streams."""

RAW = {("sys", "stdout"), ("sys", "stderr"), ("typer", "echo"), ("typer", "secho"), ("os", "write"), ("csv", "writer")}

RAW_NAMES = {"print", "Console", "Text", "from_markup", "from_ansi", "DictWriter"}
"""What prints or stores text without escaping it."""


ALLOWED = {
    "cli/main.py": {"sys.stderr"},  # it prints a constant, because nothing else is imported yet
    "cli/signals.py": {"sys.stdout", "sys.stderr"},  # it only flushes them
    "io/csv_table.py": {"csv.writer"},  # it quotes cells
    "audio/decoder_messages.py": {"os.write"},  # it escapes the lines of decoders
    "workflows/live_progress.py": {"sys.stderr"},  # it prints counts, not names
}
"""Raw outputs outside the printers, by module."""


def raw_outputs(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in RAW:
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in RAW_NAMES and not (isinstance(node.func, ast.Attribute) and name == "print"):
                yield name
            if any(word.arg == "markup" and getattr(word.value, "value", True) for word in node.keywords):
                yield "markup"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_all_output_passes_the_gate_that_escapes_names(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    if place not in PRINTERS:
        assert set(raw_outputs(path)) <= ALLOWED.get(place, set()), place
    if place.startswith("cli/") and place not in {*PRINTERS, "cli/timeline.py", "cli/options.py"}:
        assert not {"rich.text", "rich.markup"} & set(imported(path)), place


def test_the_check_of_outputs_sees_raw_ones(tmp_path: Path) -> None:
    path = tmp_path / "raw.py"
    path.write_text("print(1)\nsys.stdout.write(x)\ncsv.writer(f)\nText(x)\nconsole.print(x, markup=True)\n")
    assert set(raw_outputs(path)) == {"print", "sys.stdout", "csv.writer", "Text", "markup"}


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        pytest.param(
            "import genrekit", ["torch", "torchaudio", "librosa", "numba", "wandb", "pydantic", "typer"], id="import"
        ),
        pytest.param(
            "from genrekit.cli.app import run; run(['--help'])",
            ["torch", "torchaudio", "librosa", "numba", "wandb", "pydantic"],
            id="help",
        ),
        pytest.param(
            "from genrekit.cli.app import run; run(['study', 'run', '--help']); run(['compare', '--help'])",
            ["torch", "torchaudio", "librosa", "numba", "wandb", "optuna"],
            id="help of study and compare",
        ),
        pytest.param(
            "from genrekit.cli.app import COMMANDS, run; [run([name, '--help']) for name in COMMANDS]",
            ["torch", "torchaudio", "librosa", "numba", "wandb", "optuna", "sklearn", "matplotlib"],
            id="help of every command",
        ),
        pytest.param(
            "import genrekit.workflows.prepare",
            ["torch", "torchaudio", "librosa", "numba", "wandb", "sklearn", "matplotlib", "scipy"],
            id="prepare",
        ),
        pytest.param(
            "import genrekit.workflows.train, genrekit.workflows.predict",
            ["sklearn", "torchaudio", "librosa", "numba", "mutagen", "onnx"],
            id="train",
        ),
        pytest.param(
            "import genrekit.workflows.evaluate, genrekit.workflows.export, genrekit.workflows.info",
            ["sklearn", "torchaudio", "librosa", "numba", "mutagen", "onnx", "matplotlib"],
            id="evaluate, export and info",
        ),
        pytest.param(
            "import genrekit.data.cache.rows",
            ["torch", "torchaudio", "h5py", "librosa", "numba", "sklearn"],
            id="worker",
        ),
    ],
)
def test_heavy_libraries_are_imported_only_where_they_are_used(arguments: str, absent: list[str]) -> None:
    script = (
        f"{arguments}\nimport sys\nassert not set({absent!r}) & set(sys.modules), set({absent!r}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
