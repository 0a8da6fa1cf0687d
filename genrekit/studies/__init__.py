"""Studies: sets of trainings that differ in declared respects, and the claims about them, as TOML files."""
