"""Bundles small enough for a test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tiny_training import FRONT_END, tiny_model
from torch import nn

from genrekit.config import TrainConfig
from genrekit.models import count_parameters
from genrekit.models.bundle_metadata import BundleMetadata

INTERVAL = {"value": 0.5, "low": 0.25, "high": 0.75}


def describe(config: TrainConfig, **values: Any) -> BundleMetadata:
    """Return the metadata of a bundle of a tiny model, with some other values."""
    return BundleMetadata.of(
        {
            "genrekit_version": "0.1.0",
            "versions": {"python": "3.11", "torch": "2.11"},
            "created": "2024-05-06T07:08:09+00:00",
            "train": config.model_dump(),
            "prepare": {"front_end": FRONT_END.model_dump()},
            "genres": ("blues", "rock"),
            "split": "artist",
            "split_seed": 3,
            "training": {"blues/a": "d1", "rock/ü": "d2"},
            "validation": {"blues/c": "d3"},
            "epochs": 5,
            "best_epoch": 4,
            "validation_figures": {"loss": 1 / 3, "fragment_accuracy": INTERVAL, "track_accuracy": INTERVAL},
            "parameters": count_parameters(tiny_model(config)),
            **values,
        }
    )


def lived_in(config: TrainConfig) -> nn.Module:
    """Return a model whose parameters, buffers and statistics differ from those of a new model."""
    model, generator = tiny_model(config), torch.Generator().manual_seed(7)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        else:
            tensor.fill_(9)
    return model.eval()


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the metadata of a bundle."""
    path = folder / "model.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
