"""HTML pages, figures and tables."""
