"""Synthetic music for the demo."""
