"""The files that an evaluation leaves in its folder, besides its lines and manifest."""

from collections.abc import Sequence

from service.text2sql.evaluation.bird import submission
from service.text2sql.evaluation.folder import RunFolder, as_json
from service.text2sql.evaluation.page import as_html
from service.text2sql.evaluation.summary import summarise
from service.text2sql.questions import Question


def write_report(folder: RunFolder, questions: Sequence[Question], metrics: Sequence[str]) -> None:
    """Of what there is so far; `questions` are all of the file."""
    if folder.path is None:
        return
    outcomes = folder.in_order()
    summary = summarise(outcomes, metrics)
    answers = {outcome.place: outcome.sql for outcome in outcomes}
    folder.write(
        {
            "summary.json": as_json(summary),
            "report.html": as_html(folder.manifest(), summary, outcomes, metrics),
            "predict_dev.json": submission(questions, answers),
        }
    )
