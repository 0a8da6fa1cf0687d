"""Tracking in Weights & Biases: the only door to wandb, and whatever fails there never stops a training."""

from __future__ import annotations

import netrc
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from genrekit.errors import GenrekitError, unknown_name
from genrekit.records import Epoch

MODES = ("auto", "online", "offline", "off")

_HOST = "api.wandb.ai"

_INIT_TIMEOUT_S, _FINISH_TIMEOUT_S = 20, 60
"""How long to wait for the server before and after a training; what is not uploaded by then stays on disk."""

Warn = Callable[[str], None]


class Tracker:
    """Hears of a training's figures; this one keeps nothing."""

    mode = "off"

    def log_epoch(self, epoch: Epoch) -> None:
        """An epoch has ended."""

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
        """The training has ended: keep the best epoch's validation confusion, curves and bundle."""

    def abandon(self) -> None:
        """The training was interrupted."""


class WandbTracker(Tracker):
    """Keeps a training as a run of Weights & Biases; after its first failure it only warns once and does nothing."""

    def __init__(self, run: Any, mode: str, key: str | None, warn: Warn) -> None:
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
                y_true=list(truth), preds=list(predicted), class_names=list(genres), title="validation, best epoch"
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
        if wandb.run is None:  # else a run of the caller's own still needs wandb's service process
            wandb.teardown()

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._run is None:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a tracker does, the training goes on
            self._run = None
            self._warn(f"tracking stopped, the training goes on: {_scrubbed(error, self._key)}")


def open_tracker(
    mode: str,
    *,
    project: str,
    run_name: str,
    config: dict[str, Any],
    folder: Path,
    key: str | None,
    on_warning: Warn,
) -> Tracker:
    """Begin tracking; `auto` is online where a key is known (given, or from `wandb login`), else offline.

    Files go to a folder `wandb` below `folder`. Where tracking cannot begin online it goes on offline, and where that
    fails it is off, each with a warning; the key is in no message.
    An offline run reaches for no network; `wandb sync` uploads it later.
    Errors: UsageError for an unknown mode, GenrekitError for `online` where no key is known.
    """
    require_mode(mode)
    known = key is not None or logged_in()
    if mode == "online" and not known:
        raise GenrekitError("tracking online needs a wandb key: set WANDB_API_KEY, run `wandb login`, or track offline")
    if mode == "auto":
        mode = "online" if known else "offline"
    attempts = {"online": ("online", "offline"), "offline": ("offline",), "off": ()}[mode]
    for attempt in attempts:
        try:
            run = _init(attempt, folder, key, {"project": project, "name": run_name, "config": config})
        except Exception as error:  # noqa: BLE001 - whatever a tracker does, the training goes on
            on_warning(f"tracking {attempt} is not possible: {_scrubbed(error, key)}")
            continue
        return WandbTracker(run, attempt, key, on_warning)
    return Tracker()


def require_mode(mode: str) -> None:
    """Refuse an unknown mode.

    Errors: UsageError with the close match.
    """
    if mode not in MODES:
        raise unknown_name("tracking mode", mode, MODES)


def logged_in(path: Path | None = None) -> bool:
    """Whether `wandb login` has stored a key in a netrc file, by default the user's."""
    with suppress(OSError, RuntimeError, netrc.NetrcParseError):
        return netrc.netrc(path or Path.home() / ".netrc").authenticators(_HOST) is not None
    return False


def _init(mode: Any, folder: Path, key: str | None, names: dict[str, Any]) -> Any:
    import wandb

    (folder / "wandb").mkdir(parents=True, exist_ok=True)
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
    )
    # Told only at init, wandb prints at login and reports its own use over the network even from offline runs.
    wandb.setup(settings=quiet)
    settings = quiet.model_copy(update={"api_key": key}) if mode == "online" else quiet
    return wandb.init(**names, dir=folder, settings=settings, reinit="create_new")


def _scrubbed(error: Exception, key: str | None) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(key, "...") if key else text
