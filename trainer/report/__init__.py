"""A run's report: one self-contained HTML page, made from the files that the run has left.

facts.py      what is on disk, read once
measured.py   accuracies on dev and their paired differences
cost.py       steps, hours, tokens
training.py   curves and verdicts by step (curves.py, areas.py draw; axes.py has the round numbers)
accuracy.py   selection.py   offline.py   examples.py   origin.py   a part of the page each
page.py       the page; write.py puts it into the folder
"""

from trainer.report.write import write_report

__all__ = ["write_report"]
