"""The cache, its splits and its batches."""
