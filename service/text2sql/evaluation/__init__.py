"""How good a model's answers are: records, accuracy, intervals, comparison, report.

    outcome.py     one question's answer and verdict
    lines.py       an outcome as a JSON object and back
    choose.py      which questions of a file are asked
    accuracy.py    the share of right answers, with Wilson's interval
    sampling.py    pass@k and majority@k
    mcnemar.py     the exact test of two runs on the same questions
    paired.py      the difference of two runs, with Newcombe's interval
    comparison.py  two runs, question by question
    summary.py     all numbers of one run
    manifest.py    what a run was made with
    bird.py        the file that BIRD's evaluation takes
    page.py        the report (charts.py draws, page.css dresses)
    unchanged.py   ends a run in which model, verifier or a database changes

Those are pure. The folder of a run is written by

    outcome_file.py  lines of outcomes, added one by one
    folder.py        questions.jsonl with its manifest
    report_files.py  summary, page and submission beside them
    session.py       from a session's start to its report
    whole_file.py    all of a file or nothing

A running service and a training checkpoint are measured with the same code.
"""

from service.text2sql.evaluation.accuracy import Accuracy, accuracies
from service.text2sql.evaluation.comparison import Comparison, compare
from service.text2sql.evaluation.outcome import Outcome, Provenance, Sample, answered_right
from service.text2sql.evaluation.summary import summarise

__all__ = [
    "Accuracy",
    "Comparison",
    "Outcome",
    "Provenance",
    "Sample",
    "accuracies",
    "answered_right",
    "compare",
    "summarise",
]
