import builtins
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from genrekit.errors import GenrekitError, UsageError
from genrekit.metrics.epochs import Epoch
from genrekit.training import tracking
from genrekit.training.tracking import Tracker, Tracking, logged_in, open_tracker

KEY = "0123456789abcdef0123456789abcdef01234567"
"""Of a key's form, and nobody's."""

HISTORY = [
    Epoch(1, 0.01, 2.25, 0.125, 2.0, 0.25, 0.5, 1.0),
    Epoch(2, 0.005, 1.5, 0.5, 1.75, 0.375, 0.625, 1.0, gradient_mean=0.5, gradient_max=0.75),
]


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a home directory without a login, to which wandb may write logs; after the test, wandb's service process has
    ended.
    """
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # no server listens there
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def start(
    mode: str, folder: Path, key: str | None = None, warnings: list[str] | None = None, **settings: Any
) -> Tracker:
    return open_tracker(
        Tracking(mode, "genres", key, **settings),
        run_name="cel-mel",
        config={"arch": "cel", "lr": 0.01},
        folder=folder,
        on_warning=([] if warnings is None else warnings).append,
    )


def track(tracker: Tracker, bundle: Path = Path("no bundle")) -> None:
    """Track a whole run, in whose second epoch one blues track is predicted as rock."""
    for epoch in HISTORY:
        tracker.log_epoch(epoch)
    tracker.finish(
        summary={"best_epoch": 2},
        truth=[0, 0, 1],
        predicted=[0, 1, 1],
        genres=["blues", "rock"],
        history=HISTORY,
        bundle=bundle,
    )


def records(path: Path) -> Iterator[Any]:
    """Read a run file: a 7-byte header, then LevelDB's log of records, cut into blocks of 32 KiB."""
    record = import_module("wandb.proto.wandb_internal_pb2").Record  # its stubs name no messages

    data = path.read_bytes()
    position, parts = 7, b""
    while position + 7 <= len(data):
        left = 32_768 - position % 32_768
        if left < 7:  # too short for a header: padding
            position += left
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            yield record.FromString(parts)
            parts = b""


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the history of a run."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(path)
        if record.HasField("history")
    ]


def table(folder: Path, chart: str) -> dict[str, Any]:
    """Return the table of a chart; the run file has its path."""
    (path,) = (row[f"{chart}_table/path"] for row in logged(folder) if f"{chart}_table/path" in row)
    (run,) = folder.glob("wandb/offline-run-*")
    content: dict[str, Any] = json.loads((run / "files" / path).read_text())
    return content


@pytest.mark.slow
def test_an_offline_run_has_the_figures_of_each_epoch_the_configuration_and_the_summary(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = start("offline", tmp_path)
    track(tracker)
    assert tracker.mode == "offline"
    assert capfd.readouterr() == ("", "")

    rows = [row for row in logged(tmp_path) if "train/loss" in row]
    for row, epoch in zip(rows, HISTORY, strict=True):
        assert row["epoch"] == epoch.epoch
        assert row["lr"] == epoch.lr
        assert row["train/loss"] == epoch.train_loss
        assert row["train/accuracy"] == epoch.train_accuracy
        assert row["validation/loss"] == epoch.validation_loss
        assert row["validation/fragment_accuracy"] == epoch.validation_fragment_accuracy
        assert row["validation/track_accuracy"] == epoch.validation_track_accuracy
        assert row.get("train/gradient_mean") == epoch.gradient_mean
        assert row.get("train/gradient_max") == epoch.gradient_max

    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    kept = list(records(path))
    (run,) = (record.run for record in kept if record.HasField("run"))
    assert (run.project, run.display_name) == ("genres", "cel-mel")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config.items() >= {"arch": "cel", "lr": 0.01}.items()
    summary = {item.key: item.value_json for record in kept for item in record.summary.update}
    assert summary["best_epoch"] == "2"
    assert [record.exit.exit_code for record in kept if record.HasField("exit")] == [0]


def test_an_offline_run_has_the_confusion_matrix_and_the_learning_curves(tmp_path: Path) -> None:
    track(start("offline", tmp_path))
    cells = table(tmp_path, "validation/confusion")
    assert cells["columns"] == ["Actual", "Predicted", "nPredictions"]
    assert cells["data"] == [["blues", "blues", 1], ["blues", "rock", 1], ["rock", "blues", 0], ["rock", "rock", 1]]
    losses = table(tmp_path, "learning_curves/loss")["data"]
    assert sorted(losses) == [[1, "train", 2.25], [1, "validation", 2.0], [2, "train", 1.5], [2, "validation", 1.75]]
    accuracies = table(tmp_path, "learning_curves/accuracy")["data"]
    assert [2, "validation, tracks", 0.625] in accuracies


def test_an_abandoned_run_is_marked_as_failed(tmp_path: Path) -> None:
    start("offline", tmp_path).abandon()
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert [record.exit.exit_code for record in records(path) if record.HasField("exit")] == [1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed in /proc")
def test_the_service_process_of_wandb_ends_with_the_run(tmp_path: Path) -> None:
    tracker = start("offline", tmp_path)
    assert services()
    track(tracker)
    assert not services()


def services() -> list[str]:
    """Return the processes of wandb that this process has started and that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            found += [name] if int(parent) == os.getpid() and state != "Z" and name.startswith("wandb") else []
    return found


def test_an_offline_run_contacts_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, wandb sends usage data to its server, at the latest when the process ends."""
    script = (
        "import sys; from pathlib import Path; from genrekit.metrics.epochs import Epoch\n"
        "from genrekit.training.tracking import Tracking, open_tracker\n"
        "tracker = open_tracker(Tracking('offline'), run_name='r', config={}, folder=Path(sys.argv[1]),\n"
        "                       on_warning=print)\n"
        "tracker.log_epoch(Epoch(1, 0.1, 2.0, 0.1, 2.0, 0.1, 0.1, 1.0)); tracker.abandon()\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
        )
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (done.stdout, done.stderr) == ("", "")


def test_auto_is_offline_without_a_key(tmp_path: Path) -> None:
    tracker = start("auto", tmp_path)
    tracker.abandon()
    assert tracker.mode == "offline"


def test_with_an_unreachable_server_the_run_is_offline_and_one_warning_does_not_show_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "_INIT_TIMEOUT_S", 1)
    warnings: list[str] = []
    tracker = start("auto", tmp_path, KEY, warnings)
    track(tracker)
    assert tracker.mode == "offline"
    assert len(warnings) == 1
    assert "\n" not in warnings[0]
    assert [row["epoch"] for row in logged(tmp_path) if "train/loss" in row] == [1, 2]
    kept = [path for folder in (tmp_path, Path.home()) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
    assert KEY not in "".join([*warnings, *capfd.readouterr()])


def test_the_key_is_removed_from_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(mode: str, *_: object) -> object:
        raise RuntimeError(f"cannot start {mode} with {KEY}\nand more")

    monkeypatch.setattr(tracking, "_init", fail)
    warnings: list[str] = []
    assert start("auto", tmp_path, KEY, warnings).mode == "off"
    assert ["online" in warning for warning in warnings] == [True, False]
    assert not [warning for warning in warnings if KEY in warning or "\n" in warning]


def test_a_failure_of_tracking_is_one_warning_and_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def log(self, *_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracking, "_init", lambda *_: Full())
    warnings: list[str] = []
    track(start("offline", tmp_path, None, warnings))
    assert len(warnings) == 1
    assert "No space left" in warnings[0]


class Recorded:
    """A run that keeps what is logged."""

    id = "abcd"

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses, self.summary = refuses, dict[str, Any]()
        self.artifacts: list[Any] = []
        self.ended: list[int] = []

    def log(self, *_: object, **__: object) -> None:
        pass

    def log_artifact(self, artifact: Any) -> None:
        if self.refuses:
            raise ConnectionError("the server is gone")
        self.artifacts.append(artifact)

    def finish(self, exit_code: int) -> None:
        self.ended.append(exit_code)


def bundle_in(folder: Path) -> Path:
    bundle = folder / "best"
    bundle.mkdir()
    for name in ("model.json", "model.safetensors"):
        (bundle / name).write_text(name)
    return bundle


@pytest.mark.parametrize(("mode", "kept"), [("online", 1), ("offline", 0)])
def test_the_bundle_of_an_online_run_is_saved_as_an_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, kept: int
) -> None:
    recorded, warnings = Recorded(), list[str]()
    monkeypatch.setattr(tracking, "_init", lambda *_: recorded)
    track(start(mode, tmp_path, KEY, warnings), bundle_in(tmp_path))
    assert (warnings, recorded.ended) == ([], [0])
    assert len(recorded.artifacts) == kept
    for artifact in recorded.artifacts:
        assert (artifact.name, artifact.type) == ("bundle-abcd", "model")
        assert sorted(artifact.manifest.entries) == ["model.json", "model.safetensors"]


def test_an_artifact_that_cannot_be_saved_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, warnings = Recorded(refuses=True), list[str]()
    monkeypatch.setattr(tracking, "_init", lambda *_: recorded)
    track(start("online", tmp_path, KEY, warnings), bundle_in(tmp_path))
    assert warnings == ["tracking stopped, training continues: the server is gone"]


def test_off_imports_no_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_wandb(name: str, *rest: Any, **options: Any) -> Any:
        assert name.partition(".")[0] != "wandb"
        return real(name, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", no_wandb)
        tracker = start("off", tmp_path, KEY)
        track(tracker)
    assert tracker.mode == "off"
    assert not list(tmp_path.iterdir())


def test_online_without_a_key_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match="WANDB_API_KEY"):
        start("online", tmp_path)


def test_an_unknown_mode_is_refused_with_its_close_match(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean offline"):
        start("ofline", tmp_path)


def test_the_mode_of_tracking_and_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(mode: str, **settings: Any) -> tuple[str, str]:
        tracker = start(mode, tmp_path, **settings)
        return tracker.mode, tracker.reason

    monkeypatch.setattr(tracking, "_init", lambda *_: Recorded())
    assert given("auto") == ("offline", "no key found")
    assert given("auto", key=KEY) == ("online", "key found")
    assert given("auto", login=True) == ("online", "key found")
    assert given("offline", key=KEY, reason="by --wandb") == ("offline", "by --wandb")
    assert given("off", reason="by WANDB_MODE") == ("off", "by WANDB_MODE")
    monkeypatch.setattr(tracking, "_init", lambda mode, *_: Recorded() if mode == "offline" else 1 / 0)
    assert given("online", key=KEY, reason="by --wandb") == ("offline", "online failed")
    monkeypatch.setattr(tracking, "_init", lambda *_: 1 / 0)
    assert given("auto") == ("off", "offline failed")


def test_files_are_written_to_the_configured_directory(tmp_path: Path) -> None:
    start("offline", tmp_path / "run", directory=tmp_path / "elsewhere").abandon()
    assert list((tmp_path / "elsewhere").glob("wandb/offline-run-*/run-*.wandb"))
    assert not (tmp_path / "run").exists()


def test_the_entity_is_the_configured_one(tmp_path: Path) -> None:
    start("offline", tmp_path, entity="band").abandon()
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    (run,) = (record.run for record in records(path) if record.HasField("run"))
    assert run.entity == "band"


def test_an_online_run_connects_to_the_configured_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_INIT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        start("online", tmp_path, KEY, base_url=f"http://127.0.0.1:{server.getsockname()[1]}").abandon()
        server.setblocking(False)
        server.accept()[0].close()


def test_a_directory_that_cannot_be_created_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    warnings: list[str] = []
    track(start("offline", tmp_path, None, warnings, directory=tmp_path / "file"))
    assert [str(tmp_path / "file") in warning for warning in warnings] == [True]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(f"machine api.wandb.ai login user password {KEY}", True, id="wandb"),
        pytest.param("machine example.org login user password secret", False, id="another"),
        pytest.param("machine", False, id="damaged"),
        pytest.param(None, False, id="missing"),
    ],
)
def test_a_stored_login_must_be_for_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], content: str | None, found: bool
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if content is not None:
        (tmp_path / "netrc").write_text(content)
    assert logged_in() is found
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("machine", "base_url", "found"),
    [
        pytest.param("wandb.example.com", "https://wandb.example.com", True, id="own server"),
        pytest.param("wandb.example.com:8080", "http://wandb.example.com:8080", True, id="port"),
        pytest.param("wandb.example.com", None, False, id="own server, not asked for"),
        pytest.param("api.wandb.ai", "https://wandb.example.com", False, id="public server, not asked for"),
    ],
)
def test_a_login_must_be_for_the_server_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, base_url: str | None, found: bool
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text(f"machine {machine} login user password {KEY}")
    assert logged_in(base_url) is found


def test_a_login_of_the_installed_wandb_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its public server has been renamed."""
    wandb = import_module("wandb")
    wbauth = import_module("wandb.sdk.lib.wbauth")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not logged_in()
    wbauth.write_netrc_auth(host=wandb.Settings.model_fields["base_url"].default, api_key=KEY)
    assert logged_in()


def test_wandb_is_asked_whether_a_key_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may keep it elsewhere or under another host."""
    keys = {"https://wandb.example.com": KEY}
    monkeypatch.setattr("wandb.sdk.lib.wbauth.read_netrc_auth", lambda *, host: keys.get(host))
    assert logged_in("https://wandb.example.com")
    assert not logged_in("https://other.example.com")


def test_a_netrc_file_in_the_home_directory_is_read_by_default() -> None:
    assert not logged_in()
    Path.home().joinpath("_netrc").write_text(f"machine api.wandb.ai login user password {KEY}")
    assert logged_in()
    Path.home().joinpath(".netrc").write_text("machine example.org login user password secret")
    assert not logged_in()


def test_the_default_entry_of_netrc_is_not_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("default login anonymous password me@example.org")
    assert not logged_in()
