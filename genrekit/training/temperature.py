"""The temperature that calibrates the probabilities of a model."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from genrekit.metrics.scores import Predictions

_LIMIT = math.log(10)
"""Limit of the logarithm of a temperature. Without it, a validation set without mistakes would give 0."""

_SMALLEST = 1e-300
"""Lower limit of a probability whose logarithm is used."""


def best_temperature(predictions: Predictions) -> float:
    """Return the temperature that minimizes the negative log-likelihood of the tracks' mean probabilities.

    Only one number is fitted, so the validation set can still be used to compare models (Guo et al. 2017, On
    calibration of modern neural networks, equation 9, applied to tracks).
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        of_tracks = calibrated(predictions, math.exp(log_temperature)).of_tracks()
        return float(of_tracks.track_losses().mean())

    return math.exp(minimize_scalar(loss, bounds=(-_LIMIT, _LIMIT), method="bounded").x)


def calibrated(predictions: Predictions, temperature: float) -> Predictions:
    """Return the predictions of the same model with its logits divided by a temperature."""
    logits = torch.from_numpy(predictions.probabilities).clamp_min(_SMALLEST).log() / temperature
    loss = float(cross_entropy(logits, torch.from_numpy(predictions.truth)))
    return replace(predictions, probabilities=logits.softmax(dim=1).numpy(), loss=loss)
