"""Which questions of a dataset are unfit for training or evaluation, and why."""
