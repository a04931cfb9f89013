"""The training process: python -m trainer --run-dir DIR."""
