"""A script for torchrun: each rank in turn computes for longer than the host of a rank may be unreachable."""

import time

import torch

from genrekit.cli.torchrun import rank_and_size
from genrekit.training import ranks

if __name__ == "__main__":
    ranks.REACHABLE_S = 6
    with ranks.joined(*rank_and_size(), "gloo") as both:
        for late in range(2):
            if both.rank == late:
                time.sleep(1.4 * ranks.REACHABLE_S)
            values = torch.ones(1 << 24)  # more than the buffers of a connection have room for
            assert both.stack(values).sum(0).unique().tolist() == [2.0]
            if both.rank == late:
                time.sleep(1.4 * ranks.REACHABLE_S)
            assert len(both.from_first(bytes(1 << 26) if both.is_first else None) or b"") == 1 << 26
