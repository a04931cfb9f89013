"""The stage `evaluate`: greedy, one generation, on questions that are never trained on.

dev.py       the questions
prompts.py   their prompts, as in serving
subject.py   what is measured: model, template, decoding
outcomes.py  from a completion and its verdict to an outcome
ask.py       a batch of questions: prompts, completions, verdicts
loaded.py    the model of a policy, in memory only while it is asked
measure.py   one policy on all questions, into a folder as `verisql eval` writes it
points.py    which checkpoints are measured
numbers.py   accuracies, intervals and differences, and the best point
status.py    how far it is
stage.py     all points, the best of them, what the run says of it
"""
