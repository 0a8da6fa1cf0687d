"""The version of genrekit: the build reads it from here, and so does every module."""

__version__ = "0.1.0"
