"""The cache: one HDF5 file with the fragments of all tracks."""
