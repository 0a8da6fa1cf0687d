"""The errors and the confidence set of a comparison agree with statsmodels and arch, as far as they are comparable."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from genrekit.metrics.comparison import Sample, difference, indistinguishable

pytest.importorskip("statsmodels", reason="statsmodels is not installed")
pytest.importorskip("arch", reason="arch is not installed")

from arch.bootstrap import MCS
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_cluster_2groups

pytestmark = pytest.mark.slow  # both libraries take seconds to import

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def crossed(seed: int, seeds: int, artists: int, tracks_each: int) -> tuple[Floats, Ints]:
    """Values [seeds, tracks] with effects of seeds, artists, both together and tracks; and the artist of each track."""
    generator = np.random.default_rng(seed)
    artist = np.repeat(np.arange(artists), tracks_each)
    values = 0.3 * generator.standard_normal((seeds, 1)) + 0.5 * generator.standard_normal(artists)[artist]
    values = values + 0.5 * generator.standard_normal((seeds, artists))[:, artist]
    return values + generator.standard_normal((seeds, len(artist))), artist


def sample(values: Floats, artist: Ints) -> Sample:
    return Sample(values, tuple(f"artist {number}" for number in artist))


def zeros(like: Floats, artist: Ints) -> Sample:
    """A configuration that is the same for all seeds and tracks, so that it adds nothing to the error."""
    return sample(np.zeros_like(like), artist)


def variance(values: Floats, group: Ints) -> float:
    """Variance of the mean with errors that are clustered in one way, without the correction for few clusters."""
    fit = OLS(values.ravel(), np.ones(values.size)).fit()
    return float(cov_cluster(fit, group.ravel(), use_correction=False)[0, 0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("seeds", "artists", "tracks_each"), [(3, 12, 1), (4, 20, 3), (10, 40, 2)])
def test_the_squared_error_is_made_of_cluster_robust_variances(
    seed: int, seeds: int, artists: int, tracks_each: int
) -> None:
    """Seeds plus artists less both, each corrected by G / (G - 1) for its G clusters.

    The third term differs by definition from that of Cameron, Gelbach and Miller: genrekit takes it from the residuals
    of the two-way analysis of variance. Their raw scores also contain the effects of seeds and artists.
    """
    values, artist = crossed(seed, seeds, artists, tracks_each)
    by_seed, by_artist = np.broadcast_arrays(np.arange(seeds)[:, None], artist)
    residuals = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    few_seeds, few_artists = seeds / (seeds - 1), artists / (artists - 1)
    over_seeds = variance(values, by_seed) * few_seeds
    over_artists = variance(values, by_artist) * few_artists
    over_both = variance(residuals, by_seed * artists + by_artist) * few_seeds * few_artists
    expected = max(over_seeds + over_artists - over_both, over_seeds, over_artists)
    error = difference(sample(values, artist), zeros(values, artist)).error
    assert error == pytest.approx(math.sqrt(expected), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_with_many_seeds_and_artists_the_error_is_that_of_two_way_clustering(seed: int) -> None:
    """The definitions differ by terms of the order of one over the numbers of seeds and artists."""
    seeds, artists = 60, 80
    values, artist = crossed(seed, seeds, artists, 2)
    by_seed, by_artist = np.broadcast_arrays(np.arange(seeds)[:, None], artist)
    fit = OLS(values.ravel(), np.ones(values.size)).fit()
    expected = math.sqrt(cov_cluster_2groups(fit, np.stack([by_seed.ravel(), by_artist.ravel()], axis=1))[0][0, 0])
    error = difference(sample(values, artist), zeros(values, artist)).error
    assert error == pytest.approx(expected, rel=2 / min(seeds, artists))


def test_a_difference_has_the_cluster_robust_error_of_a_regression_on_both_configurations() -> None:
    """Configurations share tracks but not seeds; without an effect of both together, nothing is subtracted."""
    seeds, artists = 4, 25
    generator = np.random.default_rng(0)
    artist = np.repeat(np.arange(artists), 2)
    first, second = (
        0.3 * generator.standard_normal((seeds, 1)) + generator.standard_normal(len(artist)) for _ in range(2)
    )
    design = np.kron(np.eye(2), np.ones((first.size, 1)))
    fit = OLS(np.concatenate([first.ravel(), second.ravel()]), design).fit()
    contrast = np.array([1.0, -1.0])
    runs = np.repeat(np.arange(2 * seeds), len(artist))
    tracks = np.tile(artist, 2 * seeds)
    over_runs, over_artists = (
        float(contrast @ cov_cluster(fit, group, use_correction=False) @ contrast) for group in (runs, tracks)
    )
    expected = over_runs * seeds / (seeds - 1) + over_artists * artists / (artists - 1)
    result = difference(sample(first, artist), sample(second, artist))
    assert result.effect == pytest.approx(contrast @ fit.params)
    assert result.error == pytest.approx(math.sqrt(expected), rel=1e-9)


NEAR = 0.02
"""Distance from 0.05 within which p values of the two may differ: one draws normal numbers, the other resamples."""


def test_without_noise_of_seeds_the_confidence_set_is_that_of_arch() -> None:
    """The set of Hansen, Lunde and Nason with the range statistic; arch knows no seeds, so all seeds are the same."""
    tracks, compared, sizes = 300, 0, set()
    for seed in range(12):
        generator = np.random.default_rng(seed)
        means = np.array([0.0, 0.0, 0.1, 0.2, 0.4]) * generator.uniform(0.2, 1.5)
        losses = means + generator.standard_normal((tracks, 1)) + 0.7 * generator.standard_normal((tracks, 5))
        reference = MCS(losses, size=0.05, reps=2_000, block_size=1, method="R", bootstrap="moving block", seed=seed)
        reference.compute()
        p_values = reference.pvalues["Pvalue"]
        kept = indistinguishable(
            {str(model): sample(np.tile(-losses[:, model], (3, 1)), np.arange(tracks)) for model in range(5)}
        )
        if (np.abs(p_values - 0.05) > NEAR).all():
            assert {int(model) for model in kept} == set(reference.included)
            compared += 1
            sizes.add(len(kept))
    assert compared >= 8
    assert len(sizes) >= 3
