"""An ensemble: networks that are trained together, and predict together as one model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Networks of one architecture that differ in their initial weights. Their probabilities are averaged.

    Shapes: a batch of B fragments to logits [B, n_genres]. In training, each network has its own logits, in the order
    of the networks: [networks * B, n_genres]. With targets that are repeated as often, each is trained as if alone.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits of each network in training; otherwise the logarithms of the mean probabilities."""
        logits = torch.stack([network(inputs) for network in self.networks])
        if self.training:
            return logits.flatten(0, 1)
        return logits.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(self.networks))


def repeat_for(logits: Tensor, targets: Tensor) -> Tensor:
    """Repeat the targets of a batch for the networks of an ensemble; those of a single network are unchanged.

    >>> repeat_for(torch.zeros(6, 10), torch.tensor([7, 8])).tolist()
    [7, 8, 7, 8, 7, 8]
    """
    return targets.repeat(len(logits) // len(targets))
