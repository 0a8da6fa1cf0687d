from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from genrekit.inference.prediction import probabilities
from genrekit.models.bundle import Bundle


def test_a_model_without_buffers_or_without_tensors_predicts() -> None:
    """Any network may be registered; the built-in ones have buffers."""
    inputs = np.zeros((2, 1, 3), np.float32)
    for model in (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2)), torch.nn.Flatten()):
        rows = probabilities(cast(Bundle, SimpleNamespace(model=model.eval())), inputs)
        assert [sum(row) for row in rows] == pytest.approx([1, 1])


def test_probabilities_are_plain_numbers() -> None:
    """A small array kept of each batch once held on to the batch's large block: 200 MB for ten hours."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(3, affine=False)).eval()
    inputs = np.log(np.array([[[1, 2, 1]], [[3, 3, 6]]], np.float32))
    rows = probabilities(cast(Bundle, SimpleNamespace(model=model)), inputs)
    assert type(rows) is list
    assert [type(row) for row in rows] == [list, list]
    np.testing.assert_allclose(rows, [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]], rtol=1e-5)
