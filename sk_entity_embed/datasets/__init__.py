"""Data sets: a table of classic books that ships with the package, and readers."""
