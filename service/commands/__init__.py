"""Commands of `verisql` that have a file of their own."""
