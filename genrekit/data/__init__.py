"""Data: tracks, splits, the cache, batches and datasets."""
