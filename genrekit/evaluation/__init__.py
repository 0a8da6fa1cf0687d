"""Figures, intervals and pictures."""
