"""Music genre classification that is fast, pleasant and honest."""

__version__ = "0.1.0"
