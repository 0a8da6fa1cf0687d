"""Splits: which tracks train, validate and test."""
