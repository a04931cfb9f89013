"""Put the answer together from what the stages found. Pure."""

from typing import Any

from service.engine.base import Completions
from service.generation.ask import Asked
from service.generation.chart import chart
from service.generation.confidence import Confidence, confidence
from service.generation.context import Context
from service.generation.dialects import transpile
from service.generation.draft import Checked, Draft
from service.generation.explain import explain
from service.generation.lineage import lineage
from service.generation.repair import Mended
from service.generation.result_types import column_types
from service.generation.task import Debug, GenerateAnswer, GenerateTask, ResultRows, Usage
from service.generation.vote import Choice
from service.text2sql.schema import Schema


def answered(
    task: GenerateTask,
    context: Context,
    asked: Asked,
    mended: Mended,
    choice: Choice,
    elapsed_s: float,
) -> GenerateAnswer:
    """The answer that the chosen candidate makes."""
    chosen = mended.drafts[choice.index]
    checked = chosen.checked or Checked()
    sql, warnings = _in_dialect(chosen, task.dialect)
    result = _result(checked, task)
    tables, columns = _reads(chosen, checked, context.schema)
    completions = asked.completions
    sure = _confidence(task, choice, completions.model.name)
    return GenerateAnswer(
        status="no_sql" if chosen.sql is None else "ok",
        sql=sql,
        dialect=task.dialect,
        candidates=[d.candidate(v) for d, v in zip(mended.drafts, choice.votes, strict=True)],
        confidence=sure.value if sure else None,
        confidence_basis=sure.basis if sure else None,
        verified=False,
        tables=tables,
        columns=columns,
        explanation=explain(chosen.sql, context.schema) if chosen.sql else None,
        result=result,
        chart=_chart(result),
        clarification=None,
        repairs=mended.repairs,
        warnings=warnings,
        model=completions.model,
        template=asked.prompt.template,
        left_out=asked.prompt.left_out,
        values=list(context.values),
        prompt_sha256=asked.prompt.sha256,
        usage=_usage(completions, mended),
        latency_ms=round(elapsed_s * 1000, 1),
        debug=_debug(asked, mended) if task.debug else None,
    )


def _confidence(task: GenerateTask, choice: Choice, model: str) -> Confidence | None:
    return confidence(choice.share, task.n, model) if task.vote else None


def _in_dialect(chosen: Draft, dialect: str) -> tuple[str | None, list[str]]:
    """SQL that fails in SQLite is handed out as the model wrote it."""
    if chosen.sql is None or dialect == "sqlite" or chosen.error is not None:
        return chosen.sql, []
    transpiled = transpile(chosen.sql, dialect)
    return transpiled.sql, list(transpiled.warnings)


def _reads(chosen: Draft, checked: Checked, schema: Schema) -> tuple[list[str], list[str]]:
    """Tables and columns by lineage; where that is not to be had, what the SQL engine read."""
    if chosen.sql is None or chosen.error is not None:
        return [], []
    found = lineage(chosen.sql, schema)
    if found is None:
        return list(checked.tables), list(checked.columns)
    return list(found.tables), list(found.columns)


def _result(checked: Checked, task: GenerateTask) -> ResultRows | None:
    if not task.execute or checked.rows is None:
        return None
    rows, names = list(checked.rows), list(checked.names)
    types = column_types(names, rows, [None] * len(names))
    return ResultRows(names, types, rows, len(rows), checked.truncated, checked.elapsed_ms)


def _chart(result: ResultRows | None) -> dict[str, Any] | None:
    return chart(result.columns, result.rows, result.types) if result else None


def _usage(completions: Completions, mended: Mended) -> Usage:
    return Usage(
        completions.prompt_tokens + mended.prompt_tokens,
        completions.completion_tokens + mended.completion_tokens,
        completions.cached_tokens,
    )


def _debug(asked: Asked, mended: Mended) -> Debug:
    return Debug(asked.prompt.messages, [d.completion.text for d in mended.drafts])
