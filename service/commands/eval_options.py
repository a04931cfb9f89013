"""The options of `verisql eval`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.errors import InvalidRequest
from service.text2sql.evaluation.choose import Placed, of_databases, stratified
from service.text2sql.questions import Question

File = Annotated[
    Path | None, typer.Argument(help="Questions in BIRD's or Spider's format; default: demo.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many.")]
SampleSize = Annotated[
    int | None, typer.Option(min=1, help="Only so many, drawn from each difficulty by its share.")
]
SampleSeed = Annotated[int, typer.Option(min=0, help="Another one draws other questions.")]
Databases = Annotated[
    list[str] | None, typer.Option("--database", help="Only about this db_id; repeatable.")
]
Count = Annotated[int | None, typer.Option("--n", min=1, help="Candidates for each question.")]
Temperature = Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of the model's sampling.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Longest answer.")]
Vote = Annotated[bool | None, typer.Option("--vote/--no-vote", help="By execution, if n > 1.")]
Repair = Annotated[int | None, typer.Option(min=0, max=5, help="Tries to mend SQL that fails.")]
Template = Annotated[str | None, typer.Option(help="Of the prompt.")]
Values = Annotated[
    bool | None, typer.Option("--values/--no-values", help="Values of the database in the prompt.")
]
Clarify = Annotated[
    bool | None, typer.Option("--clarify/--no-clarify", help="May ask back, which is no answer.")
]
Verified = Annotated[
    bool | None,
    typer.Option("--verified/--no-verified", help="Verified queries may answer; default no."),
]
Model = Annotated[str | None, typer.Option(help="Among those that the service has.")]
Concurrency = Annotated[int, typer.Option(min=1, max=64, help="Questions at a time.")]
Deadline = Annotated[
    float, typer.Option("--deadline-s", min=0.1, help="Of a call, tries while it is busy included.")
]
Output = Annotated[
    Path | None, typer.Option(help="Folder for every answer and the report; goes on where it was.")
]


def chosen(
    questions: Sequence[Question],
    databases: Sequence[str],
    limit: int | None,
    sample: int | None,
    sample_seed: int,
) -> list[Placed]:
    """The questions to ask; raises InvalidRequest."""
    if limit is not None and sample is not None:
        raise InvalidRequest(f"--limit {limit} and --sample {sample}: only one may be given")
    placed = of_databases(questions, databases)
    return placed[:limit] if sample is None else stratified(placed, sample, sample_seed)
