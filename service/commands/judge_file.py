"""Judge all predictions of a file with a running service, a progress bar beside it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.client import Result, VerifyClient
from service.commands.prediction_file import Group, Prediction, PredictionFile
from service.commands.results_file import Line, ResultsFile, settled

_PER_ITEM = 128  # predictions; the server's VERISQL_MAX_PREDICTIONS is 1024 by default


def judge_file(
    client: VerifyClient, file: PredictionFile, fields: dict[str, Any], output: Path | None
) -> list[Line]:
    """A line for each prediction; those that an earlier run has left in `output` first.

    `fields` go into every request, as in POST /verify. Raises InvalidRequest, ServiceError.
    """
    requests = {p.id: _hash(group, p, fields) for group in file.groups for p in group.predictions}
    with ResultsFile(output, requests) as results, _progress() as bar:
        lines = list(results.judged.values())
        parts = list(_parts(file.groups, results.judged))
        task = bar.add_task("judging", total=len(requests), completed=len(lines), right=0)
        right = sum(line["verdict"]["status"] == "match" for line in lines)
        items = [_item(part) | fields for part in parts]
        for place, result in client.verify_stream(items):
            new = list(_lines(parts[place], result, requests))
            for line in new:
                results.add(line)
            right += sum(settled(line) and line["verdict"]["status"] == "match" for line in new)
            lines += new
            bar.update(task, advance=len(new), right=right)
    return lines


def _parts(groups: Sequence[Group], judged: Mapping[str, Line]) -> Iterator[Group]:
    """What is still to be judged, in pieces that a server takes."""
    for group in groups:
        left = [prediction for prediction in group.predictions if prediction.id not in judged]
        for start in range(0, len(left), _PER_ITEM):
            yield Group(group.db_id, group.gold_sql, left[start : start + _PER_ITEM])


def _item(group: Group) -> dict[str, Any]:
    texts = [prediction.text for prediction in group.predictions]
    return {"db_id": group.db_id, "gold_sql": list(group.gold_sql), "predictions": texts}


def _lines(group: Group, result: Result, requests: Mapping[str, str]) -> Iterator[Line]:
    for place, prediction in enumerate(group.predictions):
        line = {"id": prediction.id, "db_id": group.db_id, "request": requests[prediction.id]}
        if "error" in result:
            yield line | {"error": result["error"]}
        else:
            yield line | {"verdict": result["verdicts"][place]}


def _hash(group: Group, prediction: Prediction, fields: dict[str, Any]) -> str:
    """Of all that is asked about one prediction."""
    asked = [group.db_id, group.gold_sql, prediction.text, fields]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _progress() -> Progress:
    right = TextColumn("{task.fields[right]} right")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), right)
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
