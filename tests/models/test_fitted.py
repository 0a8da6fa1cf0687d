"""Estimators in the style of scikit-learn as torch modules."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid

from genrekit.models import count_parameters
from genrekit.models.fitted import EstimatorModule, allocate_estimators

GENERATOR = np.random.default_rng(0)
GENRES = np.arange(60) % 3
STATISTICS = (GENERATOR.normal(size=(60, 8)) + GENRES[:, None]).astype(np.float32)


@pytest.mark.parametrize("make", [NearestCentroid, GaussianNB, LinearDiscriminantAnalysis, LogisticRegression])
def test_a_loaded_estimator_gives_the_probabilities_of_the_fitted_one(make: Any) -> None:
    fitted, loaded = (torch.nn.ModuleDict({"head": EstimatorModule(make())}) for _ in range(2))
    fitted["head"].fit(STATISTICS, GENRES)  # type: ignore[operator]
    tensors = fitted.state_dict()
    allocate_estimators(loaded, {**tensors, "head.predict_proba": torch.zeros(1), "head.__class_": torch.zeros(1)})
    assert loaded.state_dict().keys() == tensors.keys()
    loaded.load_state_dict(tensors)
    expected = make().fit(STATISTICS, GENRES).predict_proba(STATISTICS)
    for module in (fitted, loaded):
        found = module["head"](torch.from_numpy(STATISTICS)).exp()
        torch.testing.assert_close(found.numpy(), expected.astype(np.float32), atol=2e-7, rtol=1e-5)
    assert count_parameters(loaded) == count_parameters(fitted) > 0
