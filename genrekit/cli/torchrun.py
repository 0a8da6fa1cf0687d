"""The environment variables of torchrun, which starts one process per rank."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from genrekit.cli.signals import check
from genrekit.errors import GenrekitError, UsageError

if TYPE_CHECKING:
    from genrekit.training.ranks import Ranks


def rank_and_size() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks: (0, 1) if torchrun did not start it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def require_command_for_ranks(command: str | None) -> None:
    """Refuse commands other than `train`, which would all do the same work at once.

    Errors: UsageError.
    """
    _, size = rank_and_size()
    if size > 1 and command not in ("train", None):
        raise UsageError(f"torchrun is for genrekit train: run genrekit {command} without it")


@contextmanager
def ranks_of_torchrun(device: str) -> Iterator[Ranks]:
    """Connect with the other processes of torchrun inside the block. Without torchrun, there is one rank.

    With CUDA devices, each process uses the one of its local rank.
    Errors: GenrekitError if the others do not answer or end.
    """
    from genrekit.training.ranks import ALONE, joined

    rank, size = rank_and_size()
    if size == 1:
        yield ALONE
        return
    import torch

    cuda = device in ("auto", "cuda") and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        with joined(rank, size, "nccl" if cuda else "gloo") as ranks:
            yield ranks
    except GenrekitError:
        check()  # the others may have ended because of the same signal
        raise
