"""The area under the ROC curve is that of scikit-learn, and its interval contains it."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from genrekit.metrics.unknown import auroc


def test_the_area_is_that_of_scikit_learn_also_with_ties() -> None:
    generator = np.random.default_rng(0)
    known, unknown = (generator.integers(low, low + 8, 40) / 16 for low in (4, 1))
    truth = np.repeat([1, 0], 40)
    figure = auroc(known, unknown, list(range(40)))
    assert figure.value == pytest.approx(roc_auc_score(truth, np.concatenate([known, unknown])))
    assert 0.5 < figure.low < figure.value < figure.high < 1


def test_perfect_separation_has_an_interval_that_is_not_a_point() -> None:
    figure = auroc(np.full(20, 0.9), np.full(10, 0.2), list(range(20)))
    assert figure.value == figure.high == 1
    assert figure.low == pytest.approx(0.72, abs=0.01)  # the Wilson interval of 10 of 10


def test_few_artists_have_no_interval() -> None:
    figure = auroc(np.linspace(0, 1, 20), np.full(10, 0.2), [index % 2 for index in range(20)])
    assert (figure.low, figure.high) == (0, 1)


def test_the_interval_is_wider_if_tracks_share_artists() -> None:
    known, unknown = np.repeat(np.linspace(0, 1, 8), 5), np.linspace(0, 0.9, 30)
    alone, grouped = (auroc(known, unknown, list(np.arange(40) // size)) for size in (1, 5))
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > alone.high - alone.low
