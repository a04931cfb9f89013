"""Run untrusted SQL in worker processes that can be killed."""
