"""From a training job's checkpoint to the live model.

checkpoint.py  a job's checkpoint as something that can be served, and where it comes from
dev_sample.py  questions of dev, asked of the new model and of the live one
promoter.py    register, try, switch; and what is told of it
"""
