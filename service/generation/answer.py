"""Put the answer together from what the stages found. Pure."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from service.engine.base import Completions, EngineModel
from service.generation.ask import Asked, sampling_of
from service.generation.chart import chart
from service.generation.confidence import Confidence, confidence
from service.generation.context import Context
from service.generation.dialects import transpile
from service.generation.doubting.doubt import Doubt
from service.generation.draft import Checked
from service.generation.explain import explain
from service.generation.lineage import lineage
from service.generation.repair import Mended
from service.generation.result_types import column_types
from service.generation.task import (
    Candidate,
    Debug,
    GenerateAnswer,
    GenerateTask,
    ResultRows,
    Usage,
)
from service.generation.vote import Choice
from service.text2sql.budget import LeftOut
from service.text2sql.schema import Schema


class VerifiedQuery(Protocol):
    """A query that people have confirmed."""

    @property
    def id(self) -> str:
        """By which it can be withdrawn."""

    @property
    def sql(self) -> str:
        """Of SQLite."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The question, what it is about, and the model that is live."""

    task: GenerateTask
    context: Context
    model: EngineModel


def answered(asking: Asking, asked: Asked, mended: Mended, choice: Choice) -> GenerateAnswer:
    """The answer that the chosen candidate makes."""
    task, chosen = asking.task, mended.drafts[choice.index]
    sure = _confidence(task, choice, asked.completions.model)
    checked = chosen.checked or Checked()
    answer = replace(
        unanswered(asking),
        candidates=[d.candidate(v) for d, v in zip(mended.drafts, choice.votes, strict=True)],
        confidence=sure.value if sure else None,
        confidence_basis=sure.basis if sure else None,
        repairs=mended.repairs,
        model=asked.completions.model,
        template=asked.prompt.template,
        left_out=asked.prompt.left_out,
        prompt_sha256=asked.prompt.sha256,
        usage=_usage(asked.completions, mended),
        debug=_debug(asked, mended) if task.debug else None,
    )
    if chosen.sql is None:
        return answer
    if chosen.error is not None:
        # It is handed out as the model wrote it: nothing is known of what does not compile.
        same = task.dialect == "sqlite"
        return replace(
            answer,
            status="ok",
            sql=chosen.sql if same else None,
            sqlite_sql=chosen.sql,
            warnings=[] if same else ["not carried over: the query does not run in SQLite"],
        )
    return _with_query(answer, asking, chosen.sql, checked)


def from_verified(asking: Asking, known: VerifiedQuery, checked: Checked) -> GenerateAnswer:
    """The answer that people have confirmed earlier; the model was not asked."""
    answer = replace(
        unanswered(asking),
        verified=True,
        verified_query_id=known.id,
        candidates=[Candidate(known.sql, valid=True, error=None, votes=0)],
    )
    return _with_query(answer, asking, known.sql, checked)


def asked_back(asking: Asking, found: Doubt) -> GenerateAnswer:
    """The answer that is a question, or that there is none; the model was not asked."""
    return replace(unanswered(asking), status=found.status, clarification=found.text)


def unanswered(asking: Asking) -> GenerateAnswer:
    """An answer in which nothing has been found yet."""
    return GenerateAnswer(
        status="no_sql",
        sql=None,
        dialect=asking.task.dialect,
        sqlite_sql=None,
        candidates=[],
        confidence=None,
        confidence_basis=None,
        verified=False,
        verified_query_id=None,
        tables=[],
        columns=[],
        explanation=None,
        result=None,
        chart=None,
        clarification=None,
        repairs=[],
        warnings=[],
        model=asking.model,
        database_sha256=asking.context.sha256,
        template="",
        left_out=LeftOut(),
        values=list(asking.context.values),
        prompt_sha256="",
        usage=Usage(),
        latency_ms=0.0,
    )


def _with_query(
    answer: GenerateAnswer, asking: Asking, sql: str, checked: Checked
) -> GenerateAnswer:
    """What is to be said of a query that the SQL engine accepts."""
    task, schema = asking.task, asking.context.schema
    translated, warnings = _in_dialect(sql, task.dialect, schema)
    tables, columns = _reads(sql, checked, schema)
    result = _result(checked, task)
    return replace(
        answer,
        status="ok",
        sql=translated,
        sqlite_sql=sql,
        warnings=warnings,
        tables=tables,
        columns=columns,
        explanation=explain(sql, schema),
        result=result,
        chart=chart(result.columns, _values(result.rows), result.types) if result else None,
    )


def _confidence(task: GenerateTask, choice: Choice, model: EngineModel) -> Confidence | None:
    if not task.vote:
        return None
    return confidence(choice.share, sampling_of(task), model.served_name)


def _in_dialect(sql: str, dialect: str, schema: Schema) -> tuple[str | None, list[str]]:
    translated = transpile(sql, dialect, schema)
    return translated.sql, list(translated.warnings)


def _reads(sql: str, checked: Checked, schema: Schema) -> tuple[list[str], list[str]]:
    """Tables and columns by lineage; where that is not to be had, what the SQL engine read."""
    found = lineage(sql, schema)
    if found is None:
        return list(checked.tables), list(checked.columns)
    return list(found.tables), list(found.columns)


def _result(checked: Checked, task: GenerateTask) -> ResultRows | None:
    if not task.execute or checked.rows is None:
        return None
    rows, names = list(checked.rows), list(checked.names)
    types = column_types(names, _values(rows))
    return ResultRows(names, types, rows, len(rows), checked.truncated, checked.elapsed_ms)


def _values(rows: list[list[Any]]) -> list[list[Any]]:
    """The rows with a blob where the sandbox sent its hexadecimal digits."""
    return [[b"" if isinstance(value, dict) else value for value in row] for row in rows]


def _usage(completions: Completions, mended: Mended) -> Usage:
    every = [completions, *mended.answers]
    cached = [answer.cached_tokens for answer in every if answer.cached_tokens is not None]
    return Usage(
        sum(answer.prompt_tokens for answer in every),
        sum(answer.completion_tokens for answer in every),
        sum(cached) if cached else None,
    )


def _debug(asked: Asked, mended: Mended) -> Debug:
    completions = [choice.text for choice in asked.completions.choices]
    return Debug(asked.prompt.messages, completions, mended.exchanges)
