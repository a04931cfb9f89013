"""Training jobs: what to train, where it runs, what it leaves on disk."""
