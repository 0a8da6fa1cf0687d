"""One verb a file: a configuration in, a record out."""
