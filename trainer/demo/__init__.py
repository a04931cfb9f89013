"""`python -m trainer.demo`: the recipe on the 135M model, sized for two cores and hours.

__main__.py  what to do, in order      data.py    which questions train and which measure
preset.py    the settings              runs.py    one run for each seed, gone on with if stopped
table.py     what came of it
"""
