"""Splits of a collection into training, validation and test set."""
