"""Files: atomic writes, locks, tensors, JSON and Markdown."""
