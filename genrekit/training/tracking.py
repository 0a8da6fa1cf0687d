"""Track runs in Weights & Biases. This is the only module that imports wandb. Its failures never stop a run."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genrekit.errors import GenrekitError, unknown_name
from genrekit.io.printable import printable
from genrekit.metrics.epochs import Epoch

MODES = ("auto", "online", "offline", "off")

KEY, NO_KEY, NOT_ONLINE, NOT_OFFLINE = "key found", "no key found", "online failed", "offline failed"
"""Why `auto` became online or offline, and why another mode than the wanted one is used."""

_INIT_TIMEOUT_S, _FINISH_TIMEOUT_S = 20, 60
"""How long to wait for the server before and after a run. What is not uploaded by then stays on disk."""

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Tracking:
    """How runs are tracked in Weights & Biases. The key is never printed.

    `mode` is auto, online, offline or off; auto is online if a key is found, else offline. `reason` is where the mode
    comes from. `key`, `entity` and `base_url` (the server) are by default what wandb itself uses. `directory` is where
    wandb keeps its files, by default the run's folder. `login` says whether wandb has stored credentials; by default
    wandb looks for them.
    """

    mode: str = "off"
    project: str = "genrekit"
    key: str | None = field(default=None, repr=False)
    entity: str | None = None
    base_url: str | None = None
    directory: Path | None = None
    login: bool | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_name("tracking mode", self.mode, MODES)

    @property
    def has_credentials(self) -> bool:
        """Whether there is a key or a stored login."""
        return self.key is not None or (logged_in(self.base_url) if self.login is None else self.login)


NO_TRACKING = Tracking()


class Tracker:
    """Receives the figures of a run; this base class discards them."""

    mode = "off"

    def __init__(self, reason: str = "") -> None:
        self.reason = reason

    def log_epoch(self, epoch: Epoch) -> None:
        """Log the figures of an epoch."""

    def finish(
        self,
        *,
        summary: dict[str, Any],
        truth: Sequence[int],
        predicted: Sequence[int],
        genres: Sequence[str],
        history: Sequence[Epoch],
        bundle: Path,
    ) -> None:
        """End the run: log the confusion matrix of the best epoch, the curves and the bundle."""

    def abandon(self) -> None:
        """End the run as failed."""


class WandbTracker(Tracker):
    """Logs to a run of Weights & Biases. After its first failure it warns once and logs nothing more."""

    def __init__(self, run: Any, mode: str, reason: str, key: str | None, warn: Warn) -> None:
        super().__init__(reason)
        self._run, self.mode, self._key, self._warn = run, mode, key, warn

    def log_epoch(self, epoch: Epoch) -> None:
        """Log the epoch's losses, accuracies and rate, and norms of gradients if they were measured."""
        figures: dict[str, Any] = {
            "train/loss": epoch.train_loss,
            "train/accuracy": epoch.train_accuracy,
            "validation/loss": epoch.validation_loss,
            "validation/fragment_accuracy": epoch.validation_fragment_accuracy,
            "validation/track_accuracy": epoch.validation_track_accuracy,
            "lr": epoch.lr,
            "epoch": epoch.epoch,
        }
        if epoch.gradient_mean is not None:
            figures |= {"train/gradient_mean": epoch.gradient_mean, "train/gradient_max": epoch.gradient_max}
        self._guarded(lambda: self._run.log(figures, step=epoch.epoch))

    def finish(
        self,
        *,
        summary: dict[str, Any],
        truth: Sequence[int],
        predicted: Sequence[int],
        genres: Sequence[str],
        history: Sequence[Epoch],
        bundle: Path,
    ) -> None:
        """Log the confusion matrix, the learning curves and the summary, online also the bundle, and end the run."""
        import wandb

        epochs = [epoch.epoch for epoch in history]

        def log() -> None:
            confusion = wandb.plot.confusion_matrix(
                y_true=list(truth),
                preds=list(predicted),
                class_names=list(map(printable, genres)),
                title="validation, best epoch",
            )
            curves = {
                "loss": {"train": "train_loss", "validation": "validation_loss"},
                "accuracy": {"train": "train_accuracy", "validation, tracks": "validation_track_accuracy"},
            }
            charts = {
                f"learning_curves/{name}": wandb.plot.line_series(
                    xs=epochs,
                    ys=[[getattr(epoch, attribute) for epoch in history] for attribute in lines.values()],
                    keys=list(lines),
                    title=name,
                    xname="epoch",
                )
                for name, lines in curves.items()
            }
            self._run.log({"validation/confusion": confusion, **charts})
            self._run.summary.update(summary)
            if self.mode == "online":
                artifact = wandb.Artifact(f"bundle-{self._run.id}", type="model", metadata=summary)
                artifact.add_dir(str(bundle))
                self._run.log_artifact(artifact)
            self._end(exit_code=0)

        self._guarded(log)

    def abandon(self) -> None:
        """End the run as failed."""
        self._guarded(lambda: self._end(exit_code=1))

    def _end(self, exit_code: int) -> None:
        import wandb

        self._run.finish(exit_code=exit_code)
        self._run = None
        if wandb.run is None:  # otherwise a run of the caller still needs wandb's service process
            wandb.teardown()

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._run is None:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - tracking must not stop a run
            self._run = None
            self._warn(f"tracking stopped, training continues: {_scrubbed(error, self._key)}")


def open_tracker(
    tracking: Tracking, *, run_name: str, config: dict[str, Any], folder: Path, on_warning: Warn
) -> Tracker:
    """Start tracking a run.

    wandb keeps its files in a folder `wandb` below `folder`, or below the directory that `tracking` names. If tracking
    cannot start online, it starts offline, and if that fails, it is off, each with a warning. Offline, nothing is sent;
    `wandb sync` uploads the run later.
    Errors: GenrekitError for `online` if no key is found.
    """
    mode, reason = tracking.mode, tracking.reason
    if mode == "online" and not tracking.has_credentials:
        raise GenrekitError(
            "tracking online needs a key: run wandb login, set WANDB_API_KEY, or choose offline or off for --wandb"
        )
    if mode == "auto":
        mode, reason = ("online", KEY) if tracking.has_credentials else ("offline", NO_KEY)
    attempts = {"online": ("online", "offline"), "offline": ("offline",), "off": ()}[mode]
    for attempt in attempts:
        try:
            run = _init(attempt, tracking, folder, {"name": printable(run_name), "config": config})
        except Exception as error:  # noqa: BLE001 - tracking must not stop a run
            on_warning(f"tracking {attempt} is not possible: {_scrubbed(error, tracking.key)}")
            reason = NOT_ONLINE if attempt == "online" else NOT_OFFLINE
            continue
        return WandbTracker(run, attempt, reason, tracking.key, on_warning)
    return Tracker(reason)


def logged_in(base_url: str | None = None) -> bool:
    """Return whether wandb finds a key that `wandb login` stored for a server, by default its public one.

    wandb reads its files itself, so a login is found wherever the installed version keeps it. The server is not
    contacted. A file or a key that wandb refuses does not count as a login.
    """
    import wandb
    from wandb.sdk.lib.wbauth import read_netrc_auth

    server = base_url or str(wandb.Settings.model_fields["base_url"].default)
    # Any error: a file of the user or an address is wrong, of which wandb raises many types.
    with redirect_stderr(io.StringIO()), suppress(Exception):
        return read_netrc_auth(host=server) is not None
    return False


def _init(mode: Any, tracking: Tracking, folder: Path, names: dict[str, Any]) -> Any:
    import wandb

    directory = tracking.directory or folder
    (directory / "wandb").mkdir(parents=True, exist_ok=True)
    server = {} if tracking.base_url is None else {"base_url": tracking.base_url}
    quiet = wandb.Settings(
        mode=mode,
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        init_timeout=_INIT_TIMEOUT_S,
        finish_timeout=_FINISH_TIMEOUT_S,
        x_disable_stats=True,
        x_disable_machine_info=True,
        **server,
    )
    # With settings only at init, wandb prints at login, and sends usage statistics even from offline runs.
    wandb.setup(settings=quiet)
    settings = quiet.model_copy(update={"api_key": tracking.key}) if mode == "online" else quiet
    return wandb.init(
        **names,
        project=tracking.project,
        entity=tracking.entity,
        dir=directory,
        settings=settings,
        reinit="create_new",
    )


def _scrubbed(error: Exception, key: str | None) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(key, "...") if key else text
