"""Models of other packages that are fitted once: torch modules, and estimators in the style of scikit-learn.

A bundle has only tensors, and loading it runs no code. So what an estimator has learned is stored as tensors: the
numbers and arrays in its public attributes whose names end with an underscore, as scikit-learn names them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genrekit._types import FloatArray
from genrekit.config import Estimator, FeatureConfig, FittedModule
from genrekit.errors import GenrekitError, UsageError
from genrekit.models.classical import MIN_PROBABILITY, Classifier

_CHECKED = 64
"""Number of fragments whose probabilities are compared before and after storing an estimator."""


def as_classifier(
    model: nn.Module | Estimator | FittedModule, arch: str, features: FeatureConfig, n_genres: int
) -> Classifier:
    """Return the model of a builder as a module that reads mel spectrograms.

    Errors: UsageError if it cannot be fitted.
    """
    if isinstance(model, Classifier):
        return model
    wanted = "forward" if isinstance(model, nn.Module) else "predict_proba"
    if missing := [name for name in ("fit", wanted) if not callable(getattr(model, name, None))]:
        raise UsageError(f"{arch} is fitted once, but its {type(model).__name__} has no method {missing[0]}")
    head = model if isinstance(model, nn.Module) else EstimatorModule(model)  # type: ignore[arg-type] # see above
    return OutsideClassifier(head, features, n_genres)


class OutsideClassifier(Classifier):
    """Mel statistics, standardized, then a module with a method `fit`."""

    def __init__(self, head: nn.Module, front_end: FeatureConfig, n_genres: int) -> None:
        super().__init__(front_end, n_genres)
        self.head = head
        self.register_load_state_dict_post_hook(_check_head)  # type: ignore[no-untyped-call]

    def fit(self, statistics: FloatArray, genres: Any) -> None:
        """Fit the module to standardized statistics, float32 [F, N_STATISTICS], and genre indices [F]."""
        self.head.fit(statistics, genres)  # type: ignore[operator] # as_classifier has checked that it has this method

    def exportable(self) -> nn.Module:
        """Return a module that `torch.onnx.export` accepts.

        Errors: GenrekitError for an estimator, whose code is outside torch.
        """
        if isinstance(self.head, EstimatorModule):
            raise GenrekitError("an estimator outside torch cannot be exported: export a network")
        return super().exportable()

    def decide(self, standardized: Tensor) -> Tensor:
        """Compute logits, [B, n_genres]."""
        logits = self.head(standardized)
        expected, got = [len(standardized), self.n_genres], list(getattr(logits, "shape", ()))
        if not isinstance(logits, Tensor) or got != expected:
            raise UsageError(f"{type(self.head).__name__} must return logits of shape {expected}, got {got}")
        return logits


def _check_head(model: nn.Module, _: object) -> None:
    """Refuse tensors with which the module computes no logits.

    Errors: ValueError.
    """
    assert isinstance(model, OutsideClassifier)
    try:
        model.decide(torch.zeros_like(model.mean)[None])
    except Exception as error:
        raise ValueError(f"its tensors do not fit together ({' '.join(str(error).split())})") from error


class EstimatorModule(nn.Module):
    """An estimator as a torch module. Its attributes are tensors with the same names.

    Shapes: [B, N_STATISTICS] to log-probabilities [B, n_genres].
    """

    def __init__(self, estimator: Estimator) -> None:
        super().__init__()
        self._estimator = estimator

    def fit(self, statistics: FloatArray, genres: Any) -> None:
        """Fit the estimator, and check that its tensors give the same probabilities.

        Errors: GenrekitError if it has learned something that is not a number or an array.
        """
        untrained = copy.deepcopy(self._estimator)
        self._estimator.fit(statistics, genres)
        expected = self._estimator.predict_proba(statistics[:_CHECKED])
        self.allocate({name: torch.from_numpy(values) for name, values in self._learned().items()})
        self._estimator = untrained
        try:
            self._restore()
            same = np.allclose(self._estimator.predict_proba(statistics[:_CHECKED]), expected)
        except (AttributeError, TypeError, ValueError):
            same = False
        if not same:
            raise GenrekitError(
                f"{type(untrained).__name__} cannot be saved, because it has learned more than numbers and arrays in "
                "attributes such as centroids_: write it as a torch module"
            )

    def _learned(self) -> dict[str, Any]:
        arrays = {name: np.array(value) for name, value in vars(self._estimator).items() if _is_learned(name)}
        return {name: values for name, values in arrays.items() if values.dtype.kind in "fiub"}

    def allocate(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the module the tensors of a fitted estimator."""
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                setattr(self, name, nn.Parameter(tensor.detach().clone(), requires_grad=False))
            else:
                self.register_buffer(name, tensor.detach().clone())

    def _restore(self) -> None:
        """Set the attributes of the estimator from the tensors."""
        for name, tensor in self.state_dict().items():
            values = tensor.numpy()
            setattr(self._estimator, name, values if values.ndim else values.item())

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._restore()

    def forward(self, statistics: Tensor) -> Tensor:
        """Compute log-probabilities."""
        probabilities = np.asarray(self._estimator.predict_proba(statistics.detach().cpu().numpy()), np.float32)
        return torch.from_numpy(probabilities).to(statistics.device).clamp_min(MIN_PROBABILITY).log()


def allocate_estimators(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give the estimators in a model the tensors of a bundle, whose shapes are known only when a model is fitted."""
    for prefix, module in model.named_modules():
        if isinstance(module, EstimatorModule):
            start = f"{prefix}."
            names = [name for name in tensors if name.startswith(start) and _is_learned(name.removeprefix(start))]
            module.allocate({name.removeprefix(start): tensors[name] for name in names})


def _is_learned(name: str) -> bool:
    return name.isidentifier() and name.endswith("_") and not name.startswith("_")
