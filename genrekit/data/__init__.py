"""The data: tracks, splits, the cache and batches."""
