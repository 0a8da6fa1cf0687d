"""The pretrained network of a bundle: it comes with genrekit, lies in the bundle, or is named by the user."""

from __future__ import annotations

from pathlib import Path

from genrekit.config.features import MUSICNN, is_network_file, is_onnx
from genrekit.errors import BundleError, UsageError
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.musicnn import MusicnnExtractor
from genrekit.models.network_file import NetworkFile

CARRIED = "features.onnx"
"""The network in a bundle that carries it."""


def bundle_extractor(folder: Path, metadata: BundleMetadata, network: Path | None) -> FeatureExtractor | None:
    """Return the extractor of a bundle's features; None if its model computes them itself.

    A network in a file is the one that the bundle carries, or `network`, or for ONNX the file that was trained with, if
    it is still there. Only `network` may be TorchScript, because reading that can run code. Its digest must be the
    bundle's before it is read as a network.
    Errors: BundleError if the network is missing or another one, UsageError if the bundle needs none.
    """
    features = metadata.train.features
    if not is_network_file(features):
        if network is not None:
            raise UsageError(f"{folder} needs no network for its features: leave out network")
        if features != MUSICNN:
            return None
        extractor: FeatureExtractor = MusicnnExtractor()
    else:
        rate, window = metadata.train.features_rate, metadata.train.features_window
        assert rate is not None  # checked by the configuration
        extractor = NetworkFile(network or _own_network(folder, metadata), rate, window)
    expected = None if metadata.network is None else metadata.network.digest
    if extractor.digest != expected:
        where = f"the network {network or extractor.name}"
        raise BundleError(
            f"{folder} was trained with another network than {where} (digest {expected}, got {extractor.digest}): "
            + ("use the version of genrekit that wrote it" if features == MUSICNN else "name it with --network")
        )
    return extractor


def _own_network(folder: Path, metadata: BundleMetadata) -> Path:
    """The network that a bundle carries, or the ONNX file that it was trained with."""
    carried, trained_with = folder / CARRIED, Path(metadata.train.features)
    if metadata.network is not None and metadata.network.carried:
        if not carried.is_file():
            raise BundleError(f"{folder} is damaged: {CARRIED} is missing")
        return carried
    if is_onnx(metadata.train.features) and trained_with.is_file():
        return trained_with
    reason = "which can run code" if not is_onnx(metadata.train.features) else "which is not there"
    raise BundleError(f"{folder} needs the network {trained_with}, {reason}: name it with --network")
