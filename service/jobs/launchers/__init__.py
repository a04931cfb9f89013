"""Places where a training job can run."""
