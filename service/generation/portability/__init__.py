"""What SQLite does in its own way, found in a query's tree: the warnings of dialects.py."""
