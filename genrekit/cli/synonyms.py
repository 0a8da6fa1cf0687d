"""Names that options have in other tools, for the message about an unknown option."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

SYNONYMS: dict[str, tuple[str, ...]] = {
    "--architecture": ("--arch",),
    "--arch": ("--model",),
    "--model": ("--arch", "--models"),
    "--model-name": ("--arch",),
    "--network-arch": ("--arch",),
    "--bundle": ("--model",),
    "--checkpoint": ("--model", "--resume"),
    "--ckpt": ("--model", "--resume"),
    "--weights": ("--model",),
    "--bs": ("--batch-size",),
    "--batch": ("--batch-size",),
    "--batchsize": ("--batch-size",),
    "--train-batch-size": ("--batch-size",),
    "--num-epochs": ("--epochs",),
    "--n-epochs": ("--epochs",),
    "--max-epochs": ("--epochs",),
    "--num-train-epochs": ("--epochs",),
    "--learning-rate": ("--lr",),
    "--optimizer": ("--opt",),
    "--optim": ("--opt",),
    "--scheduler": ("--sched",),
    "--lr-scheduler": ("--sched",),
    "--lr-schedule": ("--sched",),
    "--warmup": ("--warmup-epochs",),
    "--weight-decay": ("--l2",),
    "--wd": ("--l2",),
    "--grad-clip": ("--clip-norm",),
    "--max-grad-norm": ("--clip-norm",),
    "--gradient-clip-val": ("--clip-norm",),
    "--early-stopping": ("--patience",),
    "--smoothing": ("--label-smoothing",),
    "--amp": ("--precision",),
    "--fp16": ("--precision",),
    "--bf16": ("--precision",),
    "--gpu": ("--device",),
    "--cuda": ("--device",),
    "--random-seed": ("--seed",),
    "--random-state": ("--seed",),
    "--num-workers": ("--workers",),
    "--n-jobs": ("--workers",),
    "--jobs": ("--workers",),
    "--threads": ("--workers",),
    "--output": ("--out",),
    "--output-dir": ("--out",),
    "--out-dir": ("--out",),
    "--save-dir": ("--out",),
    "--dataset": ("--cache", "--data", "--manifest"),
    "--data-dir": ("--cache", "--data", "--manifest"),
    "--data": ("--cache", "--manifest"),
    "--csv-file": ("--manifest",),
    "--annotations": ("--manifest",),
    "--sr": ("--sample-rate",),
    "--win-length": ("--n-fft",),
    "--hop": ("--hop-length", "--hop-seconds"),
    "--mels": ("--n-mels",),
    "--duration": ("--duration-s",),
    "--segment-length": ("--duration-s",),
    "--hidden-size": ("--hidden",),
    "--logger": ("--wandb",),
    "--project": ("--wandb-project",),
    "--threshold": ("--min-confidence",),
    "--force": ("--overwrite",),
}
"""The option that a name of other tools stands for; of several, those that the command has."""


def same_meaning(option: str, command: Any) -> list[str]:
    """Return the options of a command that an unknown option stands for in other tools."""
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return [name for name in SYNONYMS.get(option.replace("_", "-").lower(), ()) if name in known]


def unknown_option(option: str, command: Any) -> str | None:
    """Return the message for an unknown option whose meaning is known, or None."""
    names = same_meaning(option, command)
    own = [name for param in command.params for name in param.opts]
    if hasattr(command, "list_commands") and not get_close_matches(option, own, n=1):
        return f"no such option: {option}: the options of a command stand after its name"
    if not names:
        return None
    return f"no such option: {option}: did you mean {' or '.join(names)}?"


def forget_hidden_options(error: Any) -> None:
    """Remove options that the help page does not list from those that an error proposes."""
    proposed, context = getattr(error, "possibilities", None), getattr(error, "ctx", None)
    if proposed and context is not None:
        hidden = {name for param in context.command.params if getattr(param, "hidden", False) for name in param.opts}
        error.possibilities = [name for name in proposed if name not in hidden]


def unexpected_argument(message: str, command: Any) -> str:
    """Add to the message about an argument that a command does not take the option that it may be for."""
    paths = [name for name in ("--cache", "--out") if any(name in param.opts for param in command.params)]
    if not message.startswith("Got unexpected extra argument"):
        return message
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    joined = "join the values of one option by commas, such as 8,16"
    number = re.search(r"\(-?\d[\d. ]*\)$", message)
    if len(arguments) == 1:
        return f"{message}: {command.name} takes one {arguments[0].metavar}{f'; {joined}' if number else ''}"
    if number:
        return f"{message}: {joined}"
    if arguments or not paths:
        return message
    given = re.search(r"\((\S+\.h5)\)$", message)
    example = f"did you mean {paths[0]} {given[1]}?" if given else f"such as {paths[0]} data/cache.h5"
    return f"{message}: {command.name} takes options only, {example}"
