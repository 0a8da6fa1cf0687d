"""Every option that names something to write: foreign files, links, special files and directories stay as they are."""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from permissions import closed
from tiny_cli import RATES, SMALL, CommandLine

FOREIGN = b"my only copy\n"
MLP = ("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--wandb", "off")

FILES = {
    "prepare --out": ("prepare", *SMALL, "--workers", "1", "--out"),
    "prepare --overwrite": ("prepare", *SMALL, "--workers", "1", "--overwrite", "--out"),
    "compare --csv": ("compare", "--csv"),
    "compare --latex": ("compare", "--latex"),
    "evaluate --report": ("evaluate", "runs/mlp/best", "--report"),
    "export --out": ("export", "runs/mlp/best", "--out"),
    "manifest --out": ("manifest", "folders", "split", "--out"),
}
"""Options that name one file."""

FORCED = {
    "export --force": ("export", "runs/mlp/best", "--force", "--out"),
    "manifest --overwrite": ("manifest", "folders", "split", "--overwrite", "--out"),
}
"""Options that allow to replace any file."""

FOLDERS = {
    "train --out": (*MLP, "--out"),
    "train --best-models": (*MLP, "--best-models"),
    "study --reports": ("study", "run", "rates.toml", "--wandb", "off", "--reports"),
    "study --runs": ("study", "run", "rates.toml", "--wandb", "off", "--runs"),
    "evaluate --out": ("evaluate", "runs/mlp/best", "--out"),
    "info --plot": ("info", "data/cache.h5", "--plot"),
    "predict --tags-out": ("predict", "data/jazz/jazz-0.wav", "--write-tags", "--tags-out"),
    "demo": ("demo",),
}
"""Options that name a folder."""


@pytest.fixture
def place(here: Path) -> Path:
    (here / "rates.toml").write_text(RATES, encoding="utf-8")
    for subset in ("train", "validation", "test"):
        for genre in ("blues", "jazz"):
            (here / "split" / subset / genre).mkdir(parents=True)
            shutil.copy(here / "data" / genre / f"{genre}-0.wav", here / "split" / subset / genre)
    return here


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except OSError:
        pytest.skip("devices cannot be made here")


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


SPECIAL: dict[str, Callable[[Path], None]] = {"named pipe": os.mkfifo, "device": device, "socket": bound_socket}


def assert_refused(genrekit: CommandLine, arguments: tuple[str, ...], target: Path, text: str, code: int = 1) -> None:
    outcome = genrekit(*arguments, target.name, "--quiet")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.count("\n") == 1, outcome.err
    assert target.name in outcome.err
    assert text in outcome.err


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("option", [*FILES, *FORCED])
def test_a_special_file_is_never_replaced(place: Path, genrekit: CommandLine, option: str, kind: str) -> None:
    SPECIAL[kind](target := place / "target")
    before = target.lstat()
    assert_refused(genrekit, {**FILES, **FORCED}[option], target, f"it is a {kind}; name a file")
    assert (target.lstat().st_ino, target.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("option", FILES)
def test_a_file_that_genrekit_did_not_write_stays(place: Path, genrekit: CommandLine, option: str) -> None:
    (target := place / "target").write_bytes(FOREIGN)
    assert_refused(genrekit, FILES[option], target, "")
    assert target.read_bytes() == FOREIGN


@pytest.mark.parametrize("option", FILES)
def test_a_link_to_a_file_that_genrekit_did_not_write_stays(place: Path, genrekit: CommandLine, option: str) -> None:
    (place / "mine").write_bytes(FOREIGN)
    (target := place / "target").symlink_to("mine")
    assert_refused(genrekit, FILES[option], target, "")
    assert target.is_symlink()
    assert (place / "mine").read_bytes() == FOREIGN


@pytest.mark.parametrize("option", [*FILES, *FORCED])
@pytest.mark.parametrize("leads_to", ["gone/deep", "target"])
def test_a_link_that_leads_nowhere_is_refused(place: Path, genrekit: CommandLine, option: str, leads_to: str) -> None:
    (target := place / "target").symlink_to(leads_to)
    assert_refused(genrekit, {**FILES, **FORCED}[option], target, "remove the link")
    assert target.is_symlink()
    assert not (place / "gone").exists()


@pytest.mark.parametrize("option", [*FILES, *FORCED])
def test_a_directory_is_not_replaced(place: Path, genrekit: CommandLine, option: str) -> None:
    (place / "target").mkdir()
    code = 1 if option.startswith(("compare", "evaluate")) else 2
    assert_refused(genrekit, {**FILES, **FORCED}[option], place / "target", "is a directory", code)
    assert not list((place / "target").iterdir())


@pytest.mark.parametrize("option", ["compare --csv", "compare --latex", "evaluate --report", *FORCED])
def test_what_genrekit_wrote_is_replaced_also_through_a_link(place: Path, genrekit: CommandLine, option: str) -> None:
    arguments = {**FILES, **FORCED}[option]
    assert genrekit(*arguments, "target", "--quiet").code == 0
    (place / "shelf").mkdir()
    os.replace("target", "shelf/target")
    Path("target").symlink_to("shelf/target")
    before = Path("shelf/target").stat().st_ino
    assert genrekit(*arguments, "target", "--quiet").code == 0
    assert Path("target").is_symlink()
    assert Path("shelf/target").stat().st_ino != before
    assert [path.name for path in Path("shelf").iterdir()] == ["target"]


@pytest.mark.parametrize("option", [*FILES, *FORCED])
def test_the_extension_of_another_format_is_refused(place: Path, genrekit: CommandLine, option: str) -> None:
    usual = {"prepare": ".h5", "export": ".onnx", "manifest": ".csv", "evaluate": ".html"}
    suffix = usual.get(option.partition(" ")[0]) or {"--csv": ".csv", "--latex": ".tex"}[option.partition(" ")[2]]
    expected = f"not PDF: name it target{suffix}"
    assert_refused(genrekit, {**FILES, **FORCED}[option], place / "target.PDF", expected, code=2)
    assert not (place / "target.PDF").exists()


def test_an_empty_file_is_replaced(place: Path, genrekit: CommandLine) -> None:
    Path("target").touch()
    assert genrekit("compare", "--csv", "target", "--quiet").code == 0
    assert Path("target").read_text().startswith("split,place,run")


def test_a_read_only_ranking_is_not_replaced(place: Path, genrekit: CommandLine) -> None:
    assert genrekit("compare", "--csv", "target", "--quiet").code == 0
    Path("target").chmod(0o444)
    assert_refused(genrekit, FILES["compare --csv"], place / "target", "Permission denied; check its permissions")


@pytest.mark.parametrize("option", FILES)
def test_a_read_only_folder_is_one_line(place: Path, genrekit: CommandLine, option: str) -> None:
    (place / "closed").mkdir()
    with closed(place / "closed", 0o555):
        outcome = genrekit(*FILES[option], "closed/target", "--quiet")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "closed/target" in outcome.err
    assert "Permission denied" in outcome.err


def test_a_cache_behind_a_link_is_brought_up_to_date_where_it_is(place: Path, genrekit: CommandLine) -> None:
    prepare = FILES["prepare --out"]
    (place / "disk").mkdir()
    assert genrekit(*prepare, "disk/real.h5", "--quiet").code == 0
    Path("link.h5").symlink_to("disk/real.h5")
    shutil.rmtree(place / "data" / "metal")
    assert genrekit(*prepare, "link.h5", "--quiet").code == 0
    assert Path("link.h5").is_symlink()
    assert genrekit("info", "disk/real.h5", "--json").json["facts"]["tracks"] == 20


@pytest.mark.parametrize("stream", ["-", "/dev/stdout"])
@pytest.mark.parametrize(("option", "start"), [("--csv", "split,place,run,"), ("--latex", "% track accuracy on")])
def test_a_ranking_is_printed_to_stdout_on_request(
    place: Path, genrekit: CommandLine, option: str, start: str, stream: str
) -> None:
    outcome = genrekit("compare", option, stream, "--quiet")
    assert outcome.code == 0
    assert outcome.out.startswith(start)
    assert not Path("-").exists()
    assert genrekit("compare", option, stream, "--json").code == 2


@pytest.mark.parametrize("option", [*sorted(FILES.keys() - {"compare --csv", "compare --latex"}), *FORCED])
@pytest.mark.parametrize("stream", ["-", "/dev/stdout", "/dev/fd/1"])
def test_other_outputs_do_not_go_to_a_stream(place: Path, genrekit: CommandLine, option: str, stream: str) -> None:
    outcome = genrekit(*{**FILES, **FORCED}[option], stream, "--quiet")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "name a file" in outcome.err
    assert not Path("-").exists()


@pytest.mark.parametrize("option", FOLDERS)
@pytest.mark.parametrize("kind", ["file", "named pipe", "link"])
def test_a_folder_option_replaces_nothing(place: Path, genrekit: CommandLine, option: str, kind: str) -> None:
    target = place / "target"
    if kind == "file":
        target.write_bytes(FOREIGN)
    elif kind == "link":
        target.symlink_to("gone")
    else:
        os.mkfifo(target)
    before = target.lstat()
    outcome = genrekit(*FOLDERS[option], "target", "--quiet")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1, outcome.err
    assert "target" in outcome.err
    assert (target.lstat().st_ino, target.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not (place / "gone").exists()


def foreign_files(folder: Path, *names: str) -> dict[Path, bytes]:
    """Write files of the user, and return their content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FOREIGN)
    return {folder / name: FOREIGN for name in names}


@pytest.mark.parametrize(
    ("option", "folder", "name"),
    [
        ("evaluate --out", "target", "result.json"),
        ("evaluate --out", "target", "models.csv"),
        ("evaluate --out", "target", "01-best/genres.csv"),
        ("info --plot", "target", "01-blues.png"),
        ("info --plot", "target", "02-jazz-original.wav"),
        ("train --out", "target", "notes.txt"),
        ("study --reports", "target/rates", "report.md"),
        ("demo", "target", "demo.json"),
    ],
)
def test_files_that_genrekit_did_not_write_stay_in_a_folder(
    place: Path, genrekit: CommandLine, option: str, folder: str, name: str
) -> None:
    before = foreign_files(place / folder, name)
    outcome = genrekit(*FOLDERS[option], "target", "--quiet")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "target" in outcome.err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("option", ["evaluate --out", "info --plot"])
def test_a_folder_that_genrekit_wrote_is_updated_beside_other_files(
    place: Path, genrekit: CommandLine, option: str
) -> None:
    before = foreign_files(place / "target", "notes.txt")
    assert [genrekit(*FOLDERS[option], "target", "--quiet").code for _ in range(2)] == [0, 0]
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_is_not_replaced_by_the_tables_of_an_evaluation(place: Path, genrekit: CommandLine) -> None:
    before = Path("runs/mlp/result.json").read_bytes()
    assert genrekit("evaluate", "runs/mlp/best", "--out", "runs/mlp").code == 1
    assert Path("runs/mlp/result.json").read_bytes() == before


def test_a_report_of_a_study_keeps_the_files_of_the_user(place: Path, genrekit: CommandLine) -> None:
    study = ("study", "run", "rates.toml", "--wandb", "off", "--quiet")
    assert genrekit(*study).code == 0
    mine = foreign_files(place / "reports" / "rates", "notes.md", "experiments/mine.json")
    assert genrekit(*study).code == 0
    assert {path: path.read_bytes() for path in mine} == mine


@pytest.mark.parametrize("name", [".lock", ".lock.pid"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "named pipe"])
def test_a_lock_is_not_written_through_a_link(place: Path, genrekit: CommandLine, name: str, kind: str) -> None:
    (place / "mine").write_bytes(FOREIGN)
    lock = place / "best_models" / name
    lock.unlink(missing_ok=True)
    if kind == "named pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(place / ("mine" if kind == "link" else "gone"))
    outcome = genrekit(*MLP, "--out", "runs/new", "--quiet")
    assert outcome.code == 0
    assert ("best_models/.lock is not a lock file; remove it" in outcome.err) == (name == ".lock")
    assert (place / "mine").read_bytes() == FOREIGN
    assert not (place / "gone").exists()
    assert Path("runs/new/result.json").is_file()


def test_best_models_loses_nothing_that_genrekit_did_not_put_there(place: Path, genrekit: CommandLine) -> None:
    """Copies, links, a copy with a file of the user and an edited card all stay, however good later models are."""
    first, second = sorted(path for path in Path("best_models").iterdir() if path.is_dir())
    foreign_files(first, "notes.txt")
    (second / "README.md").write_text("My words about this model.")
    for number in range(6):
        shutil.copytree("runs/mlp/best", f"best_models/mine-{number}")
    Path("best_models/linked").symlink_to(place / "runs" / "cel" / "best")
    files = (path for path in Path("best_models").rglob("[!.]*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    for seed in range(1, 8):
        assert genrekit(*MLP, "--seed", seed, "--out", f"runs/{seed}", "--quiet").code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert Path("best_models/linked").is_symlink()
    copies = [path for path in Path("best_models").glob("mlp-*") if path not in (first, second)]
    assert len(copies) == 5


@pytest.mark.parametrize("leads_to", ["elsewhere", "gone"])
def test_a_bundle_that_is_a_link_does_not_fail_a_training(place: Path, genrekit: CommandLine, leads_to: str) -> None:
    (name,) = (path.name for path in Path("best_models").glob("cel-*"))
    shutil.move(f"best_models/{name}", "elsewhere")
    Path("best_models", name).symlink_to(place / leads_to)
    before = {path.name: path.read_bytes() for path in Path("elsewhere").iterdir()}
    again = ("--arch", "cel", "--channels", "4,8", "--epochs", "2", "--wandb", "off", "--out", "runs/again")
    outcome = genrekit("train", *again, "--json", "--quiet")
    assert outcome.json["kept"] == f"best_models/{name}-2"
    assert Path("best_models", name).is_symlink()
    assert {path.name: path.read_bytes() for path in Path("elsewhere").iterdir()} == before


def test_a_demo_keeps_what_was_added_to_its_folder(place: Path) -> None:
    from genrekit.workflows.demo import _reset_folder

    _reset_folder(place / "demo", 0)
    mine = foreign_files(place / "demo", "audio/jazz/mine.wav", "runs/mine/config.json", "best_models/mine/model.json")
    foreign_files(place / "demo", "runs/cel/config.json", "audio/jazz/demo-jazz-001.wav", "cache.h5")
    _reset_folder(place / "demo", 1)
    assert {path: path.read_bytes() for path in (place / "demo").rglob("*") if path.is_file()} == {
        **mine,
        place / "demo" / "demo.json": (place / "demo" / "demo.json").read_bytes(),
    }
