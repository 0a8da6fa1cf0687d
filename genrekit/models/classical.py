"""Classical models as torch modules: features, standardized, then parameters that scikit-learn has fitted.

The features are mel statistics, or those of a pretrained network. The models are saved, loaded and called like
networks. The sizes of their tensors depend only on the features and the number of genres, so that a bundle is checked
before its tensors are used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genrekit.audio.mel_descriptors import N_STATISTICS, mel_statistics
from genrekit.config import FeatureConfig, TrainConfig
from genrekit.errors import GenrekitError
from genrekit.models.feature_extractor import FeatureExtractor

_SMALLEST_DEVIATION = 1e-6

LIMIT = 3.0
"""Standardized features of networks are clipped to this: their distributions have long tails."""

N_TREES = 100
MAX_LEAVES = 256

MIN_PROBABILITY = 1e-7
"""Lower limit of a probability. The logarithm of 0 would make the loss infinite."""


class Classifier(nn.Module):
    """Base class of models that are fitted once: from features of fragments, standardized, to logits.

    A subclass implements `decide`, and makes its tensors in `allocate`.
    Shapes: mel spectrograms [B, n_mels, n_frames] in [0, 1], or with an `extractor` waveforms [B, n_samples], to logits
    [B, n_genres].
    """

    mean: Tensor
    deviation: Tensor
    temperature: Tensor | None

    def __init__(self, front_end: FeatureConfig, n_genres: int) -> None:
        super().__init__()
        self.front_end, self.n_genres = front_end, n_genres
        self.extractor: FeatureExtractor | None = None
        self.register_buffer("temperature", None)
        self.allocate(N_STATISTICS)

    def use_extractor(self, extractor: FeatureExtractor) -> None:
        """Use the features of a pretrained network instead of mel statistics. The model must not be fitted yet."""
        self.extractor = extractor
        self.allocate(extractor.dimension)

    def calibrate_later(self) -> None:
        """Add a temperature, by which logits are divided; 1 until it is fitted (Guo et al. 2017)."""
        self.register_buffer("temperature", torch.ones(1))

    def allocate(self, n_features: int) -> None:
        """Make the tensors for a number of features."""
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))

    @property
    def n_features(self) -> int:
        """Number of features per fragment."""
        return len(self.mean)

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the mean and deviation of the training set's features, [n_features] each."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(_SMALLEST_DEVIATION))

    def standardize(self, features: Tensor) -> Tensor:
        """Standardize features, [B, n_features]. Those of a network are also clipped."""
        standardized = (features - self.mean) / self.deviation
        return standardized if self.extractor is None else standardized.clamp(-LIMIT, LIMIT)

    def decide(self, standardized: Tensor) -> Tensor:
        """Compute logits from standardized features, [B, n_features] to [B, n_genres]."""
        raise NotImplementedError

    def logits(self, features: Tensor) -> Tensor:
        """Compute logits from features, [B, n_features] to [B, n_genres]."""
        decided = self.decide(self.standardize(features))
        return decided if self.temperature is None else decided / self.temperature

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits of a batch. The features are computed on the CPU and have no gradient."""
        values = inputs.detach().cpu().numpy()
        if self.extractor is None:
            features = mel_statistics(values, self.front_end)
        else:
            features = self.extractor.compute(values, self.front_end.sample_rate)
        return self.logits(torch.from_numpy(features).to(inputs.device))

    def exportable(self) -> nn.Module:
        """Return the same computation as a module that `torch.onnx.export` accepts.

        Errors: GenrekitError if the features or the model cannot be exported.
        """
        if self.extractor is None:
            raise GenrekitError("the descriptors of classical models cannot be computed in ONNX: export a network")
        return nn.Sequential(self.extractor.module(self.front_end.sample_rate), Head(self))


class Head(nn.Module):
    """A classical model whose input is the features instead of fragments.

    Shapes: [B, n_features] to logits [B, n_genres].
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        """Compute the logits of a batch."""
        return self.model.logits(features)


def _fitted(values: Tensor) -> nn.Parameter:
    """Make a parameter that is counted but not trained by gradient."""
    return nn.Parameter(values, requires_grad=False)


class Linear(Classifier):
    """A linear map: logistic regression, linear discriminant analysis or linear support vector machines."""

    def allocate(self, n_features: int) -> None:
        """Make the tensors for a number of features."""
        super().allocate(n_features)
        self.weight = _fitted(torch.zeros(self.n_genres, n_features))
        self.bias = _fitted(torch.zeros(self.n_genres))

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the map, [n_genres, n_features] and [n_genres]. For two genres, the row of the second is enough."""
        if len(weight) == 1 and self.n_genres == 2:
            # With a logit of 0 for the first genre, the softmax is the logistic function of the second logit.
            weight, bias = torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def decide(self, standardized: Tensor) -> Tensor:
        """Compute logits, [B, n_genres]."""
        return nn.functional.linear(standardized, self.weight, self.bias)


class Forest(Classifier):
    """Decision trees as node arrays of equal size, padded with unreachable leaves.

    A fragment goes left if its feature is at most the threshold. A leaf is its own child.
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
        self.register_load_state_dict_post_hook(_check_nodes)  # type: ignore[no-untyped-call]

    def exportable(self) -> nn.Module:
        """Refuse to be exported: the number of steps through a tree depends on the input."""
        raise GenrekitError("a forest cannot be exported: export logreg, lda, svm or a network")

    def set_tree(
        self, number: int, feature: Tensor, threshold: Tensor, left: Tensor, right: Tensor, share: Tensor
    ) -> None:
        """Set the nodes of one tree. As in scikit-learn, a negative child means that the node is a leaf.

        Shapes: [nodes] each, thresholds float64, and shares [nodes, n_genres].
        """
        index, n_nodes = torch.arange(len(left)), len(left)
        leaf = left < 0
        self.feature[number, :n_nodes] = torch.where(leaf, 0, feature).int()
        self.left[number, :n_nodes] = torch.where(leaf, index, left).int()
        self.right[number, :n_nodes] = torch.where(leaf, index, right).int()
        self.threshold[number, :n_nodes] = round_down(threshold)
        self.share[number, :n_nodes] = share.float()

    def has_valid_nodes(self) -> bool:
        """Return whether the features and children of all nodes exist."""
        limits = {self.n_features: (self.feature,), self.feature.shape[1]: (self.left, self.right)}
        return all(
            bool(((values >= 0) & (values < limit)).all()) for limit, tensors in limits.items() for values in tensors
        )

    def decide(self, standardized: Tensor) -> Tensor:
        """Compute log-probabilities, [B, n_genres]: the mean over the trees of the shares in the leaves."""
        trees = torch.arange(N_TREES, device=standardized.device)
        node = torch.zeros(len(standardized), N_TREES, dtype=torch.int64, device=standardized.device)
        for _ in range(MAX_LEAVES):  # no path is longer than that
            value = standardized.gather(1, self.feature[trees, node].long())
            below = torch.where(value <= self.threshold[trees, node], self.left[trees, node], self.right[trees, node])
            if torch.equal(below, node.int()):
                break
            node = below.long()
        return self.share[trees, node].mean(dim=1).clamp_min(MIN_PROBABILITY).log()


def _check_nodes(forest: nn.Module, _: object) -> None:
    """Refuse tensors that would read outside the arrays.

    Errors: ValueError.
    """
    if isinstance(forest, Forest) and not forest.has_valid_nodes():
        raise ValueError("its trees refer to nodes or statistics that do not exist")


def build_linear(_: TrainConfig, features: FeatureConfig, n_genres: int) -> Linear:
    """Build `logreg`, `lda` or `svm`."""
    return Linear(features, n_genres)


def build_forest(_: TrainConfig, features: FeatureConfig, n_genres: int) -> Forest:
    """Build `forest`."""
    return Forest(features, n_genres)


def round_down(values: Tensor) -> Tensor:
    """Round float64 down to float32, so that every float32 compares with the result as with the original.

    >>> bool(round_down(torch.tensor([0.1], dtype=torch.float64)).double() <= 0.1)
    True
    """
    rounded = values.float()
    return torch.where(rounded.double() > values, torch.nextafter(rounded, torch.tensor(-torch.inf)), rounded)
