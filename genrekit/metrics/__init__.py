"""Accuracy, calibration, confidence intervals and significance tests."""
