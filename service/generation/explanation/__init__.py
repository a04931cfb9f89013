"""SQL's clauses in words, one family of constructs a file; `explain.py` puts them together."""
