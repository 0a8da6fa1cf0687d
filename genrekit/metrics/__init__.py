"""Accuracy, calibration, confidence intervals and tests."""
