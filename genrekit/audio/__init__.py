"""Audio: from files to tensors."""
