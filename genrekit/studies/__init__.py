"""Studies and searches: configurations trained over several seeds, and hypotheses about them, in TOML files."""
