"""From a model and an audio file to predictions."""
