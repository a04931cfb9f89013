"""HTTP: parse, call the core once, answer."""
