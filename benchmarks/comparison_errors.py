"""How often comparisons are wrong: simulated studies in which the truth is known.

Usage: python benchmarks/comparison_errors.py [--rows NAME,...] [--studies N]

A study has the 197 validation tracks of GTZAN's fault-filtered split with their artists. How hard a track is depends on
its artist and on itself; a seed is lucky on all tracks, and on some artists; the rest is a coin. First come studies of
configurations that are the same: how often is a difference found between two (and how often by resampling artists
alone, the usual way: with the means over seeds, and with one seed each), and in how many studies are one or more of six
claims decided, or one or more of the best left out? 5 % are allowed; a row is missed where a binomial test at the level
of 1 % says that it is more. Then come studies with a true difference: how often is it found, and how often is the truth
outside the interval?
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binomtest

from genrekit.data.splits.gtzan import index
from genrekit.metrics.comparison import Sample, difference, indistinguishable
from genrekit.studies.verdicts import MARGINS, ComparisonResult, judge

Floats = npt.NDArray[np.float64]

SEED = 20_261_125
RESAMPLES = 1_000
TRACK_SD, LUCK_SD = 1.5, 0.3
"""Logits: of artists and of tracks, each; and of a seed's luck on an artist."""


@dataclass(frozen=True)
class Scene:
    """Configurations with so many seeds each and the same accuracy; the first may be better by `gain`.

    `seed_sd` is a seed's luck on all tracks and `own_sd` what artists and tracks are to one configuration alone, in
    logits.
    """

    seeds: tuple[int, ...]
    accuracy: float = 0.55
    seed_sd: float = 0.15
    own_sd: float = 0.0
    gain: float = 0.0

    def study(self, generator: np.random.Generator) -> list[Sample]:
        """Draw tracks, seeds and answers."""
        names, artist = tracks()
        hard = TRACK_SD * both(generator, artist)
        samples = []
        for place, seeds in enumerate(self.seeds):
            level = self._level(self.accuracy + (self.gain if place == 0 else 0.0))
            logits = level + hard + self.own_sd * both(generator, artist)
            lucky = self.seed_sd * generator.standard_normal((seeds, 1))
            lucky = lucky + LUCK_SD * generator.standard_normal((seeds, artist.max() + 1))[:, artist]
            right = generator.random((seeds, len(artist))) < expit(logits + lucky)
            samples.append(Sample(right.astype(float), names))
        return samples

    def _level(self, accuracy: float) -> float:
        return level_of(accuracy, np.sqrt(2 * TRACK_SD**2 + 2 * self.own_sd**2 + self.seed_sd**2 + LUCK_SD**2))


@dataclass(frozen=True)
class Row:
    """A line of the table: what is counted in studies of a scene; more than 5 % is a miss where `bar` says so."""

    name: str
    what: str
    scene: Scene
    count: Callable[[list[Sample], float], Sequence[bool]]
    bar: bool = True

    def line(self, studies: int, place: int) -> tuple[str, bool]:
        """The row as it is printed, and whether it is met."""
        generator = np.random.default_rng((SEED, place))
        counts, deviations = [], []
        for _ in range(studies):
            samples = self.scene.study(generator)
            counts.append(self.count(samples, self.scene.gain))
            deviations.append(samples[0].seed_means.var(ddof=1))
        totals = np.sum(counts, axis=0)
        met = not self.bar or binomtest(int(totals[0]), studies, 0.05, "greater").pvalue >= 0.01
        figures = "".join(f"{100 * total / studies:>9.1f}" for total in totals)
        verdict = ("met" if met else "missed") if self.bar else ""
        return f"{self.name:<16} {self.what:<60} {np.sqrt(np.mean(deviations)):.3f}{figures:<27}  {verdict}", met


@cache
def tracks() -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Names of the validation tracks' artists, and their numbers; a track without one is its own."""
    entries = [(name, entry) for name, entry in sorted(index().items()) if entry.subset == "validation"]
    names = tuple(" and ".join(entry.artists) or name for name, entry in entries)
    return names, np.unique(names, return_inverse=True)[1]


def both(generator: np.random.Generator, artist: npt.NDArray[np.int64]) -> Floats:
    """A draw for each track plus one for its artist."""
    return generator.standard_normal(artist.max() + 1)[artist] + generator.standard_normal(len(artist))


@cache
def level_of(accuracy: float, sd: float) -> float:
    """The mean logit at which the mean share of right answers is as given."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def excess(level: float) -> float:
        return float(weights @ expit(level + sd * nodes) / weights.sum()) - accuracy

    return float(brentq(excess, -20, 20))


def false_alarms(samples: list[Sample], _: float) -> Sequence[bool]:
    """A difference is found: by genrekit, by resampling artists, and by resampling artists with one seed each."""
    first, second = samples
    found = difference(first, second).p
    assert found is not None
    apart = first.values.mean(axis=0) - second.values.mean(axis=0)
    return found < 0.05, resampled(apart), resampled(first.values[0] - second.values[0])


def resampled(apart: Floats) -> bool:
    """Whether the bootstrap's interval of a mean over tracks, by whole artists, is on one side of zero."""
    _, artist = tracks()
    means = draws() @ np.bincount(artist, apart) / (draws() @ np.bincount(artist))
    low, high = np.quantile(means, [0.025, 0.975])
    return bool(low > 0 or high < 0)


@cache
def draws() -> npt.NDArray[np.float64]:
    """How often each artist comes in each resample."""
    n = tracks()[1].max() + 1
    return np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)


def found(samples: list[Sample], gain: float) -> Sequence[bool]:
    """The true difference is found, and lies outside the interval."""
    first, second = samples
    apart = difference(first, second)
    assert apart.low is not None
    assert apart.high is not None
    return apart.low > 0, not apart.low <= gain <= apart.high


def family(samples: list[Sample], _: float) -> Sequence[bool]:
    """One or more of six hypotheses are decided: on all pairs of four, or on the pairs of twelve."""
    pairs = list(combinations(samples, 2)) if len(samples) == 4 else list(zip(samples[::2], samples[1::2], strict=True))
    judgements = judge([[ComparisonResult(difference(*pair), MARGINS["accuracy"])] for pair in pairs])
    return (any(judgement.verdict in ("upheld", "refuted") for judgement in judgements),)


def left_out(samples: list[Sample], _: float) -> Sequence[bool]:
    """One or more of the best are not in the set of those that cannot be told from the best."""
    return (len(indistinguishable({str(place): sample for place, sample in enumerate(samples)})) < len(samples),)


def _power(seeds: int, own_sd: float, what: str) -> list[Row]:
    return [
        Row(
            f"power-{seeds}-{100 * gain:.0f}{'-own' if own_sd else ''}",
            f"+{gain}, {seeds} seeds, {what}",
            Scene((seeds, seeds), own_sd=own_sd, gain=gain),
            found,
            bar=False,
        )
        for gain in (0.03, 0.05, 0.08)
    ]


ROWS = [
    Row("low", "two of accuracy 0.3, 5 seeds", Scene((5, 5), accuracy=0.3), false_alarms),
    Row("middle", "two of accuracy 0.55, 5 seeds", Scene((5, 5)), false_alarms),
    Row("high", "two of accuracy 0.85, 5 seeds", Scene((5, 5), accuracy=0.85), false_alarms),
    Row("unequal", "two of accuracy 0.55, 3 and 5 seeds", Scene((3, 5)), false_alarms),
    Row("three", "two of accuracy 0.55, 3 seeds", Scene((3, 3)), false_alarms),
    Row("steady", "two of accuracy 0.55, 5 seeds without luck of their own", Scene((5, 5), seed_sd=0.0), false_alarms),
    Row("moody", "two of accuracy 0.55, 5 seeds with much luck", Scene((5, 5), seed_sd=0.4), false_alarms),
    Row("moody-three", "two of accuracy 0.55, 3 seeds with much luck", Scene((3, 3), seed_sd=0.4), false_alarms),
    Row("own", "two unlike ones, as good on average, 5 seeds", Scene((5, 5), own_sd=0.5), false_alarms),
    Row("own-three", "two unlike ones, as good on average, 3 seeds", Scene((3, 3), own_sd=0.5), false_alarms),
    Row("claims", "six claims on four, 5 seeds", Scene((5,) * 4), family),
    Row("claims-unequal", "six claims on four, 3 and 5 seeds", Scene((3, 5, 3, 5)), family),
    Row("claims-apart", "six claims on twelve, 3 seeds with much luck", Scene((3,) * 12, seed_sd=0.4), family),
    Row("claims-own", "the same, of unlike ones", Scene((3,) * 12, seed_sd=0.4, own_sd=0.7), family),
    Row("best", "the best of four, 5 seeds", Scene((5,) * 4), left_out),
    Row("best-unequal", "the best of four, 3 and 5 seeds", Scene((3, 5, 3, 5)), left_out),
    Row("best-moody", "the best of four, 3 seeds with much luck", Scene((3,) * 4, seed_sd=0.4), left_out),
    Row("best-of-twelve", "the best of twelve, 3 seeds", Scene((3,) * 12), left_out),
    *_power(5, 0.0, "alike but for it"),
    *_power(5, 0.5, "unlike ones"),
    *_power(3, 0.0, "alike but for it"),
    *_power(3, 0.5, "unlike ones"),
]


def main() -> None:
    """Read the command line, and print the table as it grows; exit code 1 where a row is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", default=",".join(row.name for row in ROWS), help="names of rows (default: %(default)s)"
    )
    parser.add_argument("--studies", type=int, default=2_000, help="studies a row (default: %(default)s)")
    options = parser.parse_args()
    wanted = options.rows.split(",")
    if unknown := set(wanted) - {row.name for row in ROWS}:
        parser.error(f"no rows {', '.join(sorted(unknown))}")
    print(f"{'':<77} sd of % of studies: wrong, by artists alone, with one seed; or found, outside")
    print(f"{'row':<16} {'what':<60}  runs", flush=True)
    met = True
    for place, row in enumerate(ROWS):
        if row.name in wanted:
            line, fine = row.line(options.studies, place)
            print(line, flush=True)
            met &= fine
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
