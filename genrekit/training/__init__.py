"""Fitting models."""
