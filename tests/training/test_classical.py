"""Classical models: the modules answer as scikit-learn does, from the training part alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from registered import CLASSICAL
from tiny_training import FRONT_END

from genrekit.audio.mel_descriptors import N_STATISTICS
from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.models import build_model
from genrekit.models.classical import Classifier, round_down
from genrekit.training.classical import Subset, fit_classical, forest, lda, logreg, svm
from genrekit.training.loop import FitResult

ESTIMATORS = {"logreg": logreg, "lda": lda, "svm": svm, "forest": forest}

GENRES = ("blues", "jazz", "rock")


def part(n_genres: int, seed: int, n_fragments: int = 48) -> Subset:
    """Fragments whose genres differ in the mean; statistics of very different size."""
    generator = np.random.default_rng(seed)
    genre = np.arange(n_fragments) % n_genres
    centres = np.random.default_rng(9).standard_normal((n_genres, N_STATISTICS))
    values = 0.2 * centres[genre] + generator.standard_normal((n_fragments, N_STATISTICS))
    sizes = np.geomspace(0.01, 100, N_STATISTICS)
    return Subset((values * sizes + 3).astype(np.float32), genre, np.arange(n_fragments) // (2 * n_genres) * 10 + genre)


def fitted(
    arch: str, n_genres: int = 3, validation: Subset | None = None, seed: int = 0
) -> tuple[Classifier, FitResult]:
    config = TrainConfig.of({"arch": arch, "seed": seed})
    model = build_model(config, FRONT_END, n_genres)
    assert isinstance(model, Classifier)
    result = fit_classical(model, part(n_genres, 0), validation or part(n_genres, 1), config, GENRES[:n_genres])
    return model, result


def standardized(training: Subset, asked: Subset) -> np.ndarray:
    mean, deviation = training.statistics.astype(float).mean(0), training.statistics.astype(float).std(0)
    return ((torch.from_numpy(asked.statistics) - torch.tensor(mean).float()) / torch.tensor(deviation).float()).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("n_genres", [2, 3])
@pytest.mark.parametrize("arch", CLASSICAL)
def test_a_model_answers_as_scikit_learn_does(arch: str, n_genres: int) -> None:
    _, result = fitted(arch, n_genres)
    training, validation = part(n_genres, 0), part(n_genres, 1)
    estimator = ESTIMATORS[arch](TrainConfig.of({"arch": arch}))
    estimator.fit(standardized(training, training), training.genre)
    asked = standardized(training, validation)
    found = result.predictions.probabilities
    if arch == "svm":
        distance = estimator.decision_function(asked)
        ratios = np.log(found) - np.log(found[:, :1])
        expected = distance[:, None] * [0, 1] if n_genres == 2 else distance - distance[:, :1]
        np.testing.assert_allclose(ratios, expected, atol=1e-5)
    else:
        np.testing.assert_allclose(found, estimator.predict_proba(asked), atol=1e-5)
    assert result.predictions.fragment_accuracy > 0.5


@pytest.mark.parametrize("arch", CLASSICAL)
def test_the_validation_part_changes_nothing_about_the_model(arch: str) -> None:
    other = part(3, 1)
    scrambled = replace(other, statistics=other.statistics[::-1] * 7 - 2, genre=other.genre[::-1].copy())
    (one, _), (two, _) = fitted(arch), fitted(arch, validation=scrambled)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


def test_the_seed_decides_a_forest() -> None:
    one, again, other = (fitted("forest", seed=seed)[0].state_dict()["feature"] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_seed_beyond_32_bits_is_taken() -> None:
    fitted("forest", seed=2**62)


@pytest.mark.parametrize("arch", CLASSICAL)
def test_the_history_is_one_epoch_with_both_parts_figures(arch: str) -> None:
    _, result = fitted(arch)
    (epoch,) = result.history
    assert (epoch.epoch, result.best_epoch) == (1, 1)
    assert epoch.train_accuracy == 1.0
    assert epoch.validation_loss == result.predictions.loss >= epoch.train_loss >= 0
    assert epoch.validation_track_accuracy == result.predictions.track_accuracy == result.right[0].mean()
    assert result.loss.shape == result.right.shape == (1, len(result.predictions.per_track()[0]))
    assert result.training["best"] == result.training["last"]
    assert result.training["last"].loss == epoch.train_loss
    assert result.dead_channels is None


def test_a_genre_without_training_fragments_is_named() -> None:
    config = TrainConfig.of({"arch": "lda"})
    with pytest.raises(GenrekitError, match="lda needs training tracks of every genre, rock has none"):
        fit_classical(build_model(config, FRONT_END, 3), part(2, 0), part(2, 1), config, GENRES)  # type: ignore[arg-type]


def test_rounding_down_keeps_every_comparison_with_a_float32() -> None:
    exact = np.random.default_rng(0).standard_normal(1_000)
    near = exact.astype(np.float32)
    for values in (near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))):
        rounded = round_down(torch.from_numpy(exact)).numpy()
        assert np.array_equal(values <= rounded, values.astype(np.float64) <= exact)
