"""Keyword arguments of the Python API that replace values of a configuration."""

from __future__ import annotations

from genrekit.config import Augmentation, FeatureConfig, PrepareConfig


def with_keywords(
    config: PrepareConfig,
    *,
    features: FeatureConfig | None = None,
    augment: bool | Augmentation | None = None,
    **values: object,
) -> PrepareConfig:
    """Return a configuration with the given values; None keeps the configuration's own.

    An `Augmentation` is switched on unless it says `augment=False` itself.
    Errors: UsageError for an invalid value.

    >>> config = with_keywords(PrepareConfig(), features=FeatureConfig(n_mels=96), augment=True, store="mel")
    >>> config.front_end.n_mels, config.augmentation.augment, config.store
    (96, True, 'mel')
    """
    given = {name: value for name, value in values.items() if value is not None}
    if features is not None:
        given["front_end"] = features.model_dump()
    if isinstance(augment, Augmentation):
        given["augmentation"] = {"augment": True, **augment.model_dump(exclude_unset=True)}
    elif augment is not None:
        given["augmentation"] = {**config.augmentation.model_dump(), "augment": augment}
    return PrepareConfig.of({**config.model_dump(), **given}) if given else config
