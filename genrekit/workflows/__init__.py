"""One module per command: each takes a configuration and returns a result."""
