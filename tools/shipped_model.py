"""Make the model that comes with genrekit from a finished run: add the class `other`, and complete the model card.

Usage: python tools/shipped_model.py RUN CACHE

CACHE has the training and validation tracks of GTZAN, rebuilt from pictures of mel spectrograms. The run is made by
`genrekit train --recipe pretrained --split fault-filtered` on it. espeak-ng must be installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from other_audio import write_training_audio
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from genrekit._types import FloatArray
from genrekit.config import PrepareConfig
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.feature_cache import original_features
from genrekit.data.genre_names import OTHER
from genrekit.data.loader import FragmentSource
from genrekit.data.splits.groups import indexed_clusters
from genrekit.data.splits.store import split_tracks
from genrekit.errors import GenrekitError
from genrekit.inference.streaming import Recording
from genrekit.metrics.scores import Predictions, score
from genrekit.models import build_model, count_parameters
from genrekit.models.bundle import Bundle, load_bundle, save_bundle
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.card import model_card
from genrekit.models.classical import Head, Linear
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.seen_audio import read_seen_audio
from genrekit.training.batch_prediction import predict_batches
from genrekit.training.classical import LOGREG_C, Subset
from genrekit.training.temperature import best_temperature
from genrekit.workflows.predict import SHIPPED
from genrekit.workflows.train_fit import fragment_subset
from genrekit.workflows.train_output import validation_figures

Values = npt.NDArray[np.float64]

OTHER_WEIGHT = 3.0
"""How much a fragment of `other` counts, because there are few."""

_NO_LICENCE = "- The model has no licence yet: it also depends on the music. Add one before you publish the model.\n"

_EVERY_INPUT = ", and assigns one of them to every input, including speech and noise."

_REJECTS = """.
  Sounds that are not music may still get a genre: `other` was tested on few kinds, and on synthetic speech only."""

_NOTES = """
## About this model

This model comes with genrekit. `genrekit predict song.mp3` uses it if there is no model in `best_models/`.

- **Training audio.** The tracks have the names of GTZAN. Their audio was rebuilt from published pictures of mel
  spectrograms: timbre, rhythm and pitch range are preserved, phase and fine detail are lost. On original recordings,
  the figures above may not hold.
- **The class `other`.** It rejects sounds that are not music, and is never written as a tag. It was trained on 105
  synthetic files, which do not count as tracks above: noise, hum, tones, and English and German speech from espeak-ng.
  The weights of the genres did not change. No recorded speech was used. Some electronic music is rejected.
- **Music.** GTZAN was collected around 2000 and has few artists in each genre. The model knows its ten genres only.
- **What it is not for.** It is a start to try genrekit, not a product. Do not use it to pay, rank, filter or describe
  artists. Train a model on your own genres for anything that matters.
- **Licences.** The classifier in this folder has the licence of genrekit (MIT). The features are computed by
  MSD_musicnn, copyright Music Technology Group, Universitat Pompeu Fabra, ISC licence, see
  `genrekit/models/musicnn.LICENSE.md`. No audio is included.
"""


def shipped_card(metadata: BundleMetadata) -> str:
    """Return the model card: the usual one, with notes instead of the missing licence."""
    card = model_card(metadata)
    assert _NO_LICENCE in card
    assert _EVERY_INPUT in card
    card = card.replace(_NO_LICENCE, "").replace(_EVERY_INPUT, _REJECTS)
    return card.replace("\n## Input\n", f"{_NOTES}\n## Input\n")


def ship(run: Path, cache: Cache, folder: Path = SHIPPED) -> None:
    """Write the bundle of a run with the class `other`, and its card.

    Errors: GenrekitError if the run has no bundle, the cache is not its cache, or there is no espeak-ng.
    """
    bundle = load_bundle(run / "best")
    trained = bundle.model
    assert isinstance(trained, Linear)
    assert trained.extractor is not None
    features = original_features(cache, trained.extractor)
    training, validation = (
        subset(cache, features, ids) for ids in (bundle.metadata.training, bundle.metadata.validation)
    )
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_training_audio(Path(scratch))
        other = features_of(paths, trained.extractor, bundle.metadata.prepare)
    model = with_other(bundle, trained, training.statistics, other)
    assert model.temperature is not None
    model.temperature.fill_(best_temperature(predict_batches(Head(model), validation.batches(), torch.device("cpu"))))
    predictions = predict_batches(Head(model), validation.batches(), torch.device("cpu"))
    metadata = completed(bundle.metadata, model, predictions, cache)
    save_bundle(folder, model, metadata, read_seen_audio(run / "best"))
    (folder / "README.md").write_text(shipped_card(metadata), encoding="utf-8")


def subset(cache: Cache, features: FloatArray, track_ids: Iterable[str]) -> Subset:
    """Select the fragments of some tracks from the features of all original fragments."""
    return fragment_subset(cache, FragmentSource(cache, "waveform", list(track_ids)), features)


def features_of(paths: Iterable[Path], extractor: FeatureExtractor, config: PrepareConfig) -> FloatArray:
    """Compute the features of the fragments of audio files, as `predict` does: float32 [F, n_features]."""
    rate = config.front_end.sample_rate
    return np.concatenate(
        [
            extractor.compute(fragments, rate)
            for path in paths
            for _, fragments in Recording(path, rate).fragments(config, "waveform").batches
        ]
    )


def with_other(bundle: Bundle, trained: Linear, music: FloatArray, other: FloatArray) -> Linear:
    """Return a model with the class `other` after the genres, whose logits are those of the trained model.

    Shapes: features of music and of `other`, [F, n_features] each.
    """
    metadata = bundle.metadata
    model = build_model(metadata.train, metadata.prepare.front_end, len(metadata.genres) + 1, trained.extractor)
    assert isinstance(model, Linear)
    standardized = trained.standardize(torch.from_numpy(np.concatenate([music, other])))
    genres = logsumexp(trained.decide(standardized).double().numpy(), axis=1)
    is_other = np.arange(len(standardized)) >= len(music)
    weight, bias = other_map(standardized.double().numpy(), genres, is_other, metadata.train.c or LOGREG_C)
    model.set_statistics(trained.mean, trained.deviation)
    model.set_map(
        torch.cat([trained.weight, torch.from_numpy(weight).float()[None]]),
        torch.cat([trained.bias, torch.tensor([bias])]),
    )
    return model


def other_map(inputs: Values, genres: Values, is_other: npt.NDArray[np.bool_], c: float) -> tuple[Values, float]:
    """Fit the logit of `other` by logistic regression with a squared penalty; the genres' logits are fixed.

    `genres` is the logarithm of the sum of their exponentials. Shapes: [F, n_features], [F] and [F] to [n_features].
    """
    sign, importance = np.where(is_other, 1, -1), np.where(is_other, OTHER_WEIGHT, 1)

    def loss(values: Values) -> tuple[float, Values]:
        weight, bias = values[:-1], values[-1]
        margin = sign * (inputs @ weight + bias - genres)
        slope = -importance * sign * expit(-margin)
        gradient = np.append(inputs.T @ slope + weight / c, slope.sum())
        return float(importance @ np.logaddexp(0, -margin) + weight @ weight / (2 * c)), gradient

    fitted = minimize(loss, np.zeros(inputs.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    if not fitted.success:
        raise GenrekitError(f"the class {OTHER} was not fitted: {fitted.message}")
    return fitted.x[:-1], float(fitted.x[-1])


def completed(metadata: BundleMetadata, model: Linear, predictions: Predictions, cache: Cache) -> BundleMetadata:
    """Return the metadata of a run with the figures of the model with `other`, and without paths of the computer."""
    scores = score(predictions, indexed_clusters(split_tracks(cache)))
    changes = {
        "genres": (*metadata.genres, OTHER),
        "validation_figures": validation_figures(predictions.loss, scores),
        "parameters": count_parameters(model),
        "confidence_threshold": predictions.confidence_threshold,
        "history": (),
        "cache": None,
        "collection": None,
    }
    return BundleMetadata.of({**metadata.model_dump(), **changes})


def main() -> None:
    """Ship the run named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run of the recipe pretrained")
    parser.add_argument("cache", type=Path, help="the cache that it was trained from")
    given = parser.parse_args()
    try:
        ship(given.run, open_cache(given.cache))
    except GenrekitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
