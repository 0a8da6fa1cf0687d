"""Files: atomic writes, locks, tensors and Markdown."""
