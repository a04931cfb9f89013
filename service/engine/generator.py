"""From a question to SQL: schema, prompt, model, extraction, a look by the SQL engine."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from service.engine.base import Completion, Engine, EngineModel
from service.errors import DatabaseUnusable, TooLarge
from service.sandbox.executor import Executor
from service.text2sql.completion import extract_sql
from service.text2sql.databases import Database, DatabaseRegistry
from service.text2sql.prompt import DEFAULT, Prompt, build_prompt
from service.text2sql.schema import Schema, SchemaCache

_SHOWN_ANSWER = 200  # characters of an answer without SQL that are repeated to the caller


@dataclass(frozen=True, slots=True)
class GenerateTask:
    """One question; `temperature` 0..2, 0 is greedy; `max_rows` bounds the result if executed."""

    question: str
    db_id: str
    evidence: str = ""
    temperature: float = 0.0
    seed: int | None = None
    max_tokens: int = 512
    execute: bool = False
    max_rows: int = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer of the model; `valid` if the SQL engine compiles it (and ran it, if asked to)."""

    sql: str | None
    valid: bool
    error: str | None
    votes: int


@dataclass(frozen=True, slots=True)
class ResultRows:
    """The rows of the chosen query; `row_count` counts those here, more exist if `truncated`."""

    columns: list[str]
    rows: list[list[Any]]
    row_count: int
    truncated: bool
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the model read and wrote."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class GenerateAnswer:
    """The answer to one GenerateTask; names as in docs/api.md."""

    status: Literal["ok", "no_sql"]
    sql: str | None
    dialect: Literal["sqlite"]
    candidates: list[Candidate]
    tables: list[str]
    columns: list[str]
    result: ResultRows | None
    chart: None
    clarification: None
    model: EngineModel
    prompt_sha256: str
    usage: Usage
    latency_ms: float


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the SQL engine made of the query."""

    error: str | None = None
    tables: Sequence[str] = ()
    columns: Sequence[str] = ()
    result: ResultRows | None = None


class Generator:
    """Answers questions with one completion each."""

    def __init__(
        self,
        executor: Executor,
        registry: DatabaseRegistry,
        engine: Engine,
        schemas: SchemaCache,
    ) -> None:
        self._executor = executor
        self._registry = registry
        self._engine = engine
        self._schemas = schemas

    async def generate(self, task: GenerateTask) -> GenerateAnswer:
        """Turn the question into SQL.

        Raises UnknownDatabase, DatabaseUnusable, TooLarge when schema and question are over the
        model's context, EngineOff, EngineUnavailable, EngineTimeout, NoFreeWorker. SQL that does
        not compile is no error: the candidate says so.
        """
        began = time.perf_counter()
        database = self._registry.get(task.db_id)
        prompt, completion = await self._ask(await self._schema(database), task)
        sql = extract_sql(completion.text, "auto")
        checked = await self._check(database, sql, task) if sql else _without_sql(completion)
        return GenerateAnswer(
            status="ok" if sql else "no_sql",
            sql=sql,
            dialect="sqlite",
            candidates=[_candidate(sql, checked, completion)],
            tables=list(checked.tables),
            columns=list(checked.columns),
            result=checked.result,
            chart=None,
            clarification=None,
            model=self._engine.model or EngineModel(""),
            prompt_sha256=prompt.sha256,
            usage=Usage(completion.prompt_tokens, completion.completion_tokens),
            latency_ms=round((time.perf_counter() - began) * 1000, 1),
        )

    async def _schema(self, database: Database) -> Schema:
        sha256 = await self._registry.sha256_async(database.db_id)
        schema = await self._schemas.get(self._executor, database, sha256)
        if not schema.tables:
            raise DatabaseUnusable(f"database {database.db_id!r} has no tables", param="db_id")
        return schema

    async def _ask(self, schema: Schema, task: GenerateTask) -> tuple[Prompt, Completion]:
        """Ask with example values, and without them where they are too much for the context."""
        *longer, shortest = DEFAULT.shorter()
        for template in longer:
            prompt = build_prompt(schema, task.question, task.evidence, template=template)
            with suppress(TooLarge):
                return prompt, await self._complete(prompt, task)
        prompt = build_prompt(schema, task.question, task.evidence, template=shortest)
        try:
            return prompt, await self._complete(prompt, task)
        except TooLarge as error:
            raise TooLarge(
                f"the schema of {task.db_id!r}, the question and max_tokens={task.max_tokens} do "
                f"not fit into the model's context, even without example values: {error.message}",
                param="db_id",
            ) from error

    async def _complete(self, prompt: Prompt, task: GenerateTask) -> Completion:
        return await self._engine.complete(
            prompt.messages,
            temperature=task.temperature,
            max_tokens=task.max_tokens,
            seed=task.seed,
        )

    async def _check(self, database: Database, sql: str, task: GenerateTask) -> _Checked:
        described = await self._executor.describe(database.path, sql)
        if described.status != "ok":
            return _Checked(error=described.message or described.status)
        if not task.execute:
            return _Checked(None, described.tables, described.columns)
        ran = await self._executor.query(
            database.path,
            sql,
            timeout_s=self._executor.limits.query_timeout_s,
            max_rows=task.max_rows,
        )
        if ran.status != "ok":
            error = ran.message or ran.status
            return _Checked(error, described.tables, described.columns)
        result = ResultRows(ran.columns, ran.rows, len(ran.rows), ran.truncated, ran.elapsed_ms)
        return _Checked(None, described.tables, described.columns, result)


def _without_sql(completion: Completion) -> _Checked:
    return _Checked(f"no SQL in the model's answer: {completion.text[:_SHOWN_ANSWER]!r}")


def _candidate(sql: str | None, checked: _Checked, completion: Completion) -> Candidate:
    error = checked.error
    if error and completion.finish_reason == "length":
        error += f" (the answer was cut at max_tokens={completion.completion_tokens})"
    return Candidate(sql, valid=error is None, error=error, votes=1 if sql else 0)
