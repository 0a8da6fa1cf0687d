"""Classical models predict as scikit-learn does, and use the training set only."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from registered import CLASSICAL
from tiny_training import FRONT_END

from genrekit.audio.mel_descriptors import N_STATISTICS
from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.metrics.scores import Predictions
from genrekit.models import build_model
from genrekit.models.classical import Classifier, round_down
from genrekit.training.classical import Subset, fit_classical, forest, lda, logreg, svm
from genrekit.training.loop import FitResult
from genrekit.training.temperature import best_temperature

ESTIMATORS = {"logreg": logreg, "lda": lda, "svm": svm, "forest": forest}

GENRES = ("blues", "jazz", "rock")


def part(n_genres: int, seed: int, n_fragments: int = 48) -> Subset:
    """Return fragments whose genres differ in the mean; the scales of the statistics differ widely."""
    generator = np.random.default_rng(seed)
    genre = np.arange(n_fragments) % n_genres
    centres = np.random.default_rng(9).standard_normal((n_genres, N_STATISTICS))
    values = 0.2 * centres[genre] + generator.standard_normal((n_fragments, N_STATISTICS))
    sizes = np.geomspace(0.01, 100, N_STATISTICS)
    return Subset((values * sizes + 3).astype(np.float32), genre, np.arange(n_fragments) // (2 * n_genres) * 10 + genre)


def fitted(
    arch: str, n_genres: int = 3, validation: Subset | None = None, seed: int = 0, *, calibrate: bool = False
) -> tuple[Classifier, FitResult]:
    config = TrainConfig.of({"arch": arch, "seed": seed, "calibrate": calibrate})
    model = build_model(config, FRONT_END, n_genres)
    assert isinstance(model, Classifier)
    result = fit_classical(model, part(n_genres, 0), validation or part(n_genres, 1), config, GENRES[:n_genres])
    return model, result


def standardized(training: Subset, inputs: Subset) -> np.ndarray:
    mean, deviation = training.statistics.astype(float).mean(0), training.statistics.astype(float).std(0)
    return (
        (torch.from_numpy(inputs.statistics) - torch.tensor(mean).float()) / torch.tensor(deviation).float()
    ).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("n_genres", [2, 3])
@pytest.mark.parametrize("arch", CLASSICAL)
def test_a_model_predicts_as_scikit_learn_does(arch: str, n_genres: int) -> None:
    _, result = fitted(arch, n_genres)
    training, validation = part(n_genres, 0), part(n_genres, 1)
    estimator = ESTIMATORS[arch](TrainConfig.of({"arch": arch}))
    estimator.fit(standardized(training, training), training.genre)
    inputs = standardized(training, validation)
    found = result.predictions.probabilities
    if arch == "svm":
        distance = estimator.decision_function(inputs)
        ratios = np.log(found) - np.log(found[:, :1])
        expected = distance[:, None] * [0, 1] if n_genres == 2 else distance - distance[:, :1]
        np.testing.assert_allclose(ratios, expected, atol=1e-5)
    else:
        np.testing.assert_allclose(found, estimator.predict_proba(inputs), atol=1e-5)
    assert result.predictions.fragment_accuracy > 0.5


@pytest.mark.parametrize("arch", CLASSICAL)
def test_the_validation_set_does_not_influence_the_model(arch: str) -> None:
    other = part(3, 1)
    scrambled = replace(other, statistics=other.statistics[::-1] * 7 - 2, genre=other.genre[::-1].copy())
    (one, _), (two, _) = fitted(arch), fitted(arch, validation=scrambled)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


def test_a_forest_depends_on_the_seed() -> None:
    one, again, other = (fitted("forest", seed=seed)[0].state_dict()["feature"] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_seed_beyond_32_bits_is_accepted() -> None:
    fitted("forest", seed=2**62)


@pytest.mark.parametrize("arch", CLASSICAL)
def test_the_history_is_one_epoch_with_the_figures_of_both_sets(arch: str) -> None:
    _, result = fitted(arch)
    (epoch,) = result.history
    assert (epoch.epoch, result.best_epoch) == (1, 1)
    assert epoch.train_accuracy == 1.0
    assert epoch.validation_loss == result.predictions.loss >= epoch.train_loss >= 0
    assert epoch.validation_track_accuracy == result.predictions.track_accuracy == result.right[0].mean()
    assert result.loss.shape == result.right.shape == (1, len(result.predictions.per_track()[0]))
    assert result.training["best"] == result.training["last"]
    assert result.training["last"].loss == epoch.train_loss
    for predicted in result.predicted.values():
        np.testing.assert_array_equal(predicted == result.predictions.per_track()[1], result.right[0])
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


def overconfident(tracks: int = 200, factor: float = 4.0) -> Predictions:
    """Predictions of one fragment per track whose logits are `factor` times too large."""
    generator = np.random.default_rng(0)
    logits = torch.from_numpy(generator.normal(0, 1.5, (tracks, 4)))
    true = logits.softmax(dim=1).numpy()
    truth = np.array([generator.choice(4, p=row) for row in true])
    return Predictions((factor * logits).softmax(dim=1).numpy(), truth, np.arange(tracks), 0.0)


def test_the_temperature_undoes_logits_that_are_too_large() -> None:
    assert best_temperature(overconfident()) == pytest.approx(4.0, rel=0.25)
    assert best_temperature(overconfident(factor=0.25)) == pytest.approx(0.25, rel=0.25)


def test_the_temperature_fits_the_mean_probabilities_of_tracks() -> None:
    """Means over fragments are less certain than the fragments, so they need another temperature."""
    generator = np.random.default_rng(0)
    truth = np.repeat(generator.integers(0, 4, 200), 6)
    logits = torch.from_numpy(generator.normal(0, 2, (1_200, 4)) + 2 * np.eye(4)[truth])
    answers = Predictions(logits.softmax(dim=1).numpy(), truth, np.arange(1_200) // 6, 0.0)

    def track_loss(temperature: float) -> float:
        probabilities = (logits / temperature).softmax(dim=1).numpy()
        of_tracks = Predictions(probabilities, answers.truth, answers.track, 0.0).of_tracks()
        return float(of_tracks.track_losses().mean())

    best = best_temperature(answers)
    assert track_loss(best) < min(track_loss(best * 1.1), track_loss(best / 1.1))


def test_a_calibrated_model_has_a_lower_validation_loss_and_the_same_predictions() -> None:
    (plain, before), (calibrated, after) = (fitted("lda", calibrate=calibrate) for calibrate in (False, True))
    assert plain.temperature is None
    assert calibrated.temperature is not None
    losses = [result.predictions.of_tracks().track_losses().mean() for result in (after, before)]
    assert losses[0] < losses[1]
    np.testing.assert_array_equal(after.predictions.predicted, before.predictions.predicted)


def test_c_is_the_inverse_strength_of_the_penalty() -> None:
    assert logreg(TrainConfig.of({"arch": "logreg"})).C == 0.003
    assert logreg(TrainConfig.of({"arch": "logreg", "c": 2.0})).C == 2.0
    assert svm(TrainConfig.of({"arch": "svm", "c": 2.0})).C == 2.0


@pytest.mark.parametrize("arch", CLASSICAL)
def test_one_fragment_for_each_genre_is_fitted_or_one_error(arch: str) -> None:
    config = TrainConfig.of({"arch": arch})
    model = build_model(config, FRONT_END, 3)
    assert isinstance(model, Classifier)
    training = part(3, 0, n_fragments=3)
    if arch == "lda":
        with pytest.raises(GenrekitError, match=r"lda needs more training fragments than genres \(3\), got 3: use all"):
            fit_classical(model, training, part(3, 1), config, GENRES)
    else:
        assert len(fit_classical(model, training, part(3, 1), config, GENRES).history) == 1
