"""What `verisql verify FILE` says at its end."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from service.commands.prediction_file import PredictionFile
from service.commands.results_file import Line
from service.text2sql.evaluation import Accuracy, answered_right

_NAMED = 20  # ids that are listed


def show_summary(lines: Sequence[Line], metrics: Sequence[str], file: PredictionFile) -> None:
    """Counts by status, the mean reward, accuracy per metric; masked and failed ones apart."""
    verdicts = [line["verdict"] for line in lines if "verdict" in line]
    failed = Counter(line["error"]["code"] for line in lines if "error" in line)
    judged = [verdict for verdict in verdicts if not verdict["masked"]]
    masked = Counter(verdict["status"] for verdict in verdicts if verdict["masked"])
    out = Console()
    _counts(out, "status", Counter(verdict["status"] for verdict in judged))
    _counts(out, "masked", masked)
    _counts(out, "failed", failed)
    if judged:
        mean = sum(verdict["reward"] for verdict in judged) / len(judged)
        out.print(f"mean reward {mean:.4f} over {len(judged)} judged predictions")
        table = Table("metric", "right", "judged", "share", "95 % interval", "mean")
        for metric in metrics:
            values = [verdict["metrics"][metric] for verdict in judged]
            right = sum(answered_right(v["status"], metric, v["metrics"][metric]) for v in judged)
            share = Accuracy(metric, right, len(judged))
            between = "{:.1%} to {:.1%}".format(*share.interval)
            average = f"{sum(values) / len(values):.4f}"
            table.add_row(
                metric, str(right), str(len(judged)), f"{share.share or 0:.1%}", between, average
            )
        out.print(table)
    _ids(out, "questions without a prediction, left out", file.unanswered)
    _ids(out, "predictions for questions that the gold file does not have", file.unknown)


def _counts(out: Console, name: str, counts: Counter[str]) -> None:
    if counts:
        table = Table(name, "predictions")
        for label, count in counts.most_common():
            table.add_row(label, str(count))
        out.print(table)


def _ids(out: Console, what: str, ids: Sequence[str]) -> None:
    if ids:
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        line = f"{len(ids)} {what}: {', '.join(ids[:_NAMED])}{more}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)
