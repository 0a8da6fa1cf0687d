"""Train a few small models in the ranks that torchrun starts, for test_ranks.py.

    torchrun --nproc-per-node 2 train_in_ranks.py FOLDER

The first rank writes FOLDER/NAME.safetensors, the weights of each model, and FOLDER/histories.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_training import TinyData, tiny_config, tiny_model

from genrekit.metrics.epochs import Epoch
from genrekit.training.loop import FitResult, fit
from genrekit.training.ranks import ALONE, Ranks, joined

RUNS: dict[str, dict[str, Any]] = {
    "plain": {"opt": "sgd", "sched": "cosine", "l2": 1e-3, "clip_norm": 0.5, "log_gradients": True},
    "augmented": {"mixup": 0.4, "noise_std": 0.1, "spec_freq_mask": 4, "spec_time_mask": 4, "dropout": 0.3, "ema": 0.5},
    "members": {"members": 2, "dropout": 0.3, "label_smoothing": 0.1, "class_weights": "balanced", "batch_size": 3},
    "perceptron": {"arch": "mlp2", "dropout": 0.5, "opt": "sgd", "sched": "plateau"},
    "small last batch": {"batch_size": 7},
}
"""The configurations. Eight fragments in batches of seven leave a share of nothing to one rank. The perceptron has SGD,
because biases before a batch norm have no gradient but noise, which Adam scales up."""

DATA: dict[str, dict[str, Any]] = {
    "small last batch": {"n_fragments": 8, "batch_size": 7},
    "members": {"batch_size": 3},
}


def train(name: str, ranks: Ranks = ALONE, **options: Any) -> tuple[dict[str, torch.Tensor], FitResult]:
    """Train one of the models; return its weights and its result."""
    config = tiny_config(seed=3, lr=0.01, **RUNS[name])
    torch.manual_seed(0)
    model = tiny_model(config)
    if ranks.rank:  # the ranks must start with the weights of the first
        with torch.no_grad():
            for weight in model.parameters():
                weight.zero_()
    data = TinyData(**DATA.get(name, {}))
    result = fit(model, data, config, device=torch.device("cpu"), ranks=ranks, **options)
    return model.state_dict(), result


def figures(result: FitResult) -> list[dict[str, float]]:
    """Return the figures of each epoch that the tests compare."""
    return [
        {key: value for key, value in vars(epoch).items() if key != "seconds" and value is not None}
        for epoch in result.history
    ]


def stop_after_two(epoch: Epoch, _best: bool) -> None:
    """Interrupt a training."""
    if epoch.epoch == 2:
        raise KeyboardInterrupt


def main(folder: Path) -> None:
    """Train all models, and resume the training in FOLDER/resume.safetensors."""
    histories = {}
    with joined(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "gloo") as ranks:
        for name in RUNS:
            weights, result = train(name, ranks)
            histories[name] = figures(result)
            if ranks.is_first:
                save_file(weights, folder / f"{name}.safetensors")
        weights, _ = train("augmented", ranks, checkpoint=folder / "resume.safetensors", resume=True)
        if ranks.is_first:
            save_file(weights, folder / "resumed.safetensors")
            (folder / "histories.json").write_text(json.dumps(histories))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
