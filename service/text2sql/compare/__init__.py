"""Decide whether a prediction's rows are the gold's rows, while they stream in.

Standard library only: the sandbox worker imports this package. `metrics.py` is the table of all
metrics; each family of them has a file.
"""
