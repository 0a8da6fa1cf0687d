"""Classical models as modules: statistics of the mel spectrogram, standardized, then what scikit-learn fitted.

They are stored, loaded and asked as the networks are. The sizes of their tensors follow from the front end and the
number of genres alone, so a bundle can be checked before anything is taken from it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genrekit.audio.mel_descriptors import N_STATISTICS, mel_statistics
from genrekit.config import FeatureConfig

_SMALLEST_DEVIATION = 1e-6

N_TREES = 100
MAX_LEAVES = 256

_LEAST_PROBABILITY = 1e-7
"""No genre is impossible: the logarithm of 0 would make a single fragment's loss infinite."""


class Classifier(nn.Module):
    """What all classical models share: from mel spectrograms to standardized statistics.

    Shapes: [B, n_mels, n_frames] in [0, 1] to logits [B, n_genres].
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, front_end: FeatureConfig, n_genres: int) -> None:
        super().__init__()
        self.front_end, self.n_genres = front_end, n_genres
        self.register_buffer("mean", torch.zeros(N_STATISTICS))
        self.register_buffer("deviation", torch.ones(N_STATISTICS))

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Take over mean and deviation of the training part's statistics, [N_STATISTICS] each."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(_SMALLEST_DEVIATION))

    def standardize(self, statistics: Tensor) -> Tensor:
        """Standardize statistics, [B, N_STATISTICS]."""
        return (statistics - self.mean) / self.deviation

    def decide(self, standardized: Tensor) -> Tensor:
        """Logits from standardized statistics, [B, N_STATISTICS] to [B, n_genres]."""
        raise NotImplementedError

    def forward(self, mels: Tensor) -> Tensor:
        """Logits of a batch; the statistics are computed on the CPU, and have no gradient."""
        statistics = mel_statistics(mels.detach().cpu().numpy(), self.front_end)
        return self.decide(self.standardize(torch.from_numpy(statistics).to(mels.device)))


def _fitted(values: Tensor) -> nn.Parameter:
    """A parameter that counts as one, and that no optimizer changes."""
    return nn.Parameter(values, requires_grad=False)


class Linear(Classifier):
    """A linear map: logistic regression, linear discriminant analysis or one linear support vector machine a genre."""

    def __init__(self, front_end: FeatureConfig, n_genres: int) -> None:
        super().__init__(front_end, n_genres)
        self.weight = _fitted(torch.zeros(n_genres, N_STATISTICS))
        self.bias = _fitted(torch.zeros(n_genres))

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Take over a map, [n_genres, N_STATISTICS] and [n_genres]; for two genres also the second one's alone."""
        if len(weight) == 1 and self.n_genres == 2:
            # A logit of 0 for the first genre makes the softmax the logistic function of the second one's.
            weight, bias = torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def decide(self, standardized: Tensor) -> Tensor:
        """Logits, [B, n_genres]."""
        return nn.functional.linear(standardized, self.weight, self.bias)


class Forest(Classifier):
    """Decision trees of one size: node arrays, filled up with leaves that nothing leads to.

    A fragment goes left where its feature is at most the threshold. A leaf's children are itself.
    Shapes of the arrays: [N_TREES, nodes], and `share` [N_TREES, nodes, n_genres].
    """

    feature: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, front_end: FeatureConfig, n_genres: int) -> None:
        super().__init__(front_end, n_genres)
        shape = (N_TREES, 2 * MAX_LEAVES - 1)
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int32))
        self.threshold = _fitted(torch.zeros(shape))
        self.share = _fitted(torch.full((*shape, n_genres), 1 / n_genres))

    def set_tree(
        self, number: int, feature: Tensor, threshold: Tensor, left: Tensor, right: Tensor, share: Tensor
    ) -> None:
        """Take over one tree's nodes; children below 0 mean none, as scikit-learn has it.

        Shapes: [nodes] each, thresholds float64, and shares [nodes, n_genres].
        """
        here, n_nodes = torch.arange(len(left)), len(left)
        leaf = left < 0
        self.feature[number, :n_nodes] = torch.where(leaf, 0, feature).int()
        self.left[number, :n_nodes] = torch.where(leaf, here, left).int()
        self.right[number, :n_nodes] = torch.where(leaf, here, right).int()
        self.threshold[number, :n_nodes] = round_down(threshold)
        self.share[number, :n_nodes] = share.float()

    def leads_nowhere_else(self) -> bool:
        """Whether all nodes read statistics that there are, and lead to nodes that there are."""
        limits = {N_STATISTICS: (self.feature,), self.feature.shape[1]: (self.left, self.right)}
        return all(
            bool(((values >= 0) & (values < limit)).all()) for limit, tensors in limits.items() for values in tensors
        )

    def decide(self, standardized: Tensor) -> Tensor:
        """Log-probabilities, [B, n_genres]: the mean over the trees of the shares in the leaves."""
        trees = torch.arange(N_TREES, device=standardized.device)
        node = torch.zeros(len(standardized), N_TREES, dtype=torch.int64, device=standardized.device)
        for _ in range(MAX_LEAVES):  # no path is longer
            value = standardized.gather(1, self.feature[trees, node].long())
            below = torch.where(value <= self.threshold[trees, node], self.left[trees, node], self.right[trees, node])
            if torch.equal(below, node.int()):
                break
            node = below.long()
        return self.share[trees, node].mean(dim=1).clamp_min(_LEAST_PROBABILITY).log()


def round_down(values: Tensor) -> Tensor:
    """The largest float32 that is not above each float64: whoever is a float32 is at most both or neither.

    >>> bool(round_down(torch.tensor([0.1], dtype=torch.float64)).double() <= 0.1)
    True
    """
    rounded = values.float()
    return torch.where(rounded.double() > values, torch.nextafter(rounded, torch.tensor(-torch.inf)), rounded)
