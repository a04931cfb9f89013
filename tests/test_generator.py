"""From question to SQL with a real sandbox, a real database and a model server that we control."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.engine.base import Engine, EngineStatus, Sampling
from service.engine.client import patience
from service.engine.off import OffEngine
from service.engine.remote import RemoteEngine
from service.engine.server import LocalEngine
from service.errors import (
    DatabaseUnusable,
    EngineOff,
    EngineUnavailable,
    InvalidRequest,
    TooLarge,
    UnknownDatabase,
    VeriSQLError,
)
from service.generation.context import Contexts
from service.generation.generator import Defaults, Generator
from service.generation.task import GenerateAnswer, GenerateTask
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.prompt import Template
from service.text2sql.schema import SchemaCache
from tests.fixtures_engine import EngineDouble

TOO_LONG = '{"error": {"message": "This model\'s maximum context length is 4096 tokens."}}'
LIMITS = Limits(query_timeout_s=0.5)


class NoneVerified:
    """As before any feedback."""

    async def verified(self, *_: object) -> None:
        """Nothing."""


@asynccontextmanager
async def remote(double: EngineDouble) -> Any:
    """A RemoteEngine on the double, ready."""
    engine = RemoteEngine(
        double.url,
        api_key=None,
        preferred="double",
        waits=patience(10),
        say=lambda line: None,
        probe_s=0.02,
    )
    await engine.start()
    await reach(engine, "ready")
    try:
        yield engine
    finally:
        await engine.close()


async def reach(engine: Engine, status: EngineStatus) -> None:
    async with asyncio.timeout(20):
        while engine.state.status != status:
            await asyncio.sleep(0.01)


async def generate(registry: DatabaseRegistry, engine: Engine, **task: Any) -> GenerateAnswer:
    async with Executor(workers=1, limits=LIMITS) as executor:
        contexts = Contexts(executor, registry, SchemaCache(), None)
        defaults = Defaults(Template.parse("ddl"), values=False, context_tokens=4096)
        generator = Generator(executor, contexts, engine, NoneVerified(), defaults)
        given = {"question": "How many customers?", "db_id": "shop"} | task
        return await generator.generate(GenerateTask(**given))


def answer(registry: DatabaseRegistry, double: EngineDouble, **task: Any) -> GenerateAnswer:
    async def run() -> GenerateAnswer:
        async with remote(double) as engine:
            return await generate(registry, engine, **task)

    return asyncio.run(run())


def test_a_question_becomes_sql_with_tables_and_usage(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.text = "```sql\nSELECT count(*) FROM customer WHERE city = 'Rome'\n```"
    given = answer(registry, engine_double)
    assert given.sql == "SELECT count(*) FROM customer WHERE city = 'Rome'"
    assert (given.status, given.tables, given.columns) == ("ok", ["customer"], ["customer.city"])
    assert given.candidates[0].valid
    assert given.model.name == "double"
    assert given.usage.prompt_tokens == 7
    assert given.result is None


def test_the_query_is_run_when_asked_for(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.text = "SELECT name FROM customer ORDER BY id"
    result = answer(registry, engine_double, execute=True, max_rows=2).result
    assert result
    assert (result.columns, result.rows) == (["name"], [["Ada"], ["Bob"]])
    assert (result.row_count, result.truncated) == (2, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT x FROM customer", "no such column: x"),
        ("SELEC 1", "no SQL"),
        ("```sql\nSELEC 1\n```", "syntax error"),
        ("```sql\nDROP TABLE customer\n```", "not authorized"),
        ("```sql\nSELECT 1; SELECT 2\n```", "one statement"),
    ],
)
def test_bad_sql_is_an_answer_that_says_why(
    registry: DatabaseRegistry, engine_double: EngineDouble, text: str, words: str
) -> None:
    engine_double.text = text
    given = answer(registry, engine_double, execute=True)
    assert not given.candidates[0].valid
    assert words in (given.candidates[0].error or "")
    assert given.result is None


def test_an_answer_without_sql_has_its_own_status(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.text = "I cannot say."
    given = answer(registry, engine_double)
    assert (given.status, given.sql) == ("no_sql", None)
    assert "I cannot say." in (given.candidates[0].error or "")


def test_a_query_that_runs_too_long_is_not_valid(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.text = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    candidate = answer(registry, engine_double, execute=True).candidates[0]
    assert not candidate.valid
    assert candidate.error


def test_an_answer_cut_at_its_limit_says_so(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.text, engine_double.finish_reason = "SELECT name FROM", "length"
    assert "cut at max_tokens" in (answer(registry, engine_double).candidates[0].error or "")


def test_sampling_options_reach_the_model(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    answer(registry, engine_double, temperature=0.8, seed=4, max_tokens=33)
    asked = engine_double.requests[-1]
    assert (asked["temperature"], asked["seed"], asked["max_tokens"]) == (0.8, 4, 33)


def test_examples_go_first_when_the_context_is_too_short(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    def fault_with_examples(body: dict[str, Any]) -> tuple[int, str] | None:
        return (400, TOO_LONG) if "'Paris'" in json.dumps(body) else None

    engine_double.fault_for = fault_with_examples
    given = answer(registry, engine_double)
    assert given.status == "ok"
    assert "'Paris'" not in json.dumps(engine_double.requests[-1])


def test_what_never_fits_is_refused(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.fault_for = lambda body: (400, TOO_LONG) if body["max_tokens"] > 9 else None
    with pytest.raises(TooLarge, match="do not fit into the model") as caught:
        answer(registry, engine_double)
    assert caught.value.param == "db_id"


def test_what_the_server_finds_too_long_is_refused_with_the_real_context(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    engine_double.fault_for = lambda body: (400, TOO_LONG) if body["max_tokens"] > 9 else None
    long = "word " * 620  # fits into the context by our count, not into a smaller part of it
    with pytest.raises(TooLarge, match="do not fit") as caught:
        answer(registry, engine_double, question=long)
    assert "4096 tokens (VERISQL_MAX_MODEL_LEN)" in caught.value.message
    assert "maximum context length is 4096" in caught.value.message
    assert "are allowed" not in caught.value.message


def test_an_unknown_database_is_refused_before_the_model_is_asked(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    with pytest.raises(UnknownDatabase):
        answer(registry, engine_double, db_id="nope")
    assert all(body["max_tokens"] < 9 for body in engine_double.requests)


def test_a_database_without_tables_is_refused(
    make_database: Callable[[str, str], Path], engine_double: EngineDouble
) -> None:
    path = make_database("bare", "CREATE TABLE t (a); DROP TABLE t;")
    with pytest.raises(DatabaseUnusable, match="no tables"):
        answer(DatabaseRegistry.scan([path.parents[1]]), engine_double, db_id="bare")


def test_a_request_cannot_switch_on_the_values_that_the_server_keeps_to_itself(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    with pytest.raises(InvalidRequest, match="VERISQL_VALUES=false") as caught:
        answer(registry, engine_double, values=True)
    assert caught.value.param == "values"
    assert answer(registry, engine_double, values=False).values == []


def test_without_an_engine_generation_is_refused(registry: DatabaseRegistry) -> None:
    with pytest.raises(EngineOff, match="VERISQL_ENGINE"):
        asyncio.run(generate(registry, OffEngine()))


def test_a_remote_server_that_goes_away_and_comes_back(
    registry: DatabaseRegistry, engine_double: EngineDouble
) -> None:
    async def run() -> None:
        async with remote(engine_double) as engine:
            engine_double.fault = (503, "restarting")
            await reach(engine, "failed")
            with pytest.raises(EngineUnavailable, match="restarting"):
                await generate(registry, engine)
            engine_double.fault = None
            await reach(engine, "ready")
            assert (await generate(registry, engine)).status == "ok"

    asyncio.run(run())


def test_a_remote_server_that_is_not_there_says_so() -> None:
    async def run() -> VeriSQLError:
        engine = RemoteEngine(
            "http://127.0.0.1:9",
            api_key=None,
            preferred="x",
            waits=patience(1),
            say=lambda line: None,
        )
        await engine.start()
        try:
            while engine.state.status == "starting":
                await asyncio.sleep(0.01)
            with pytest.raises(EngineUnavailable) as caught:
                await engine.complete([], Sampling(max_tokens=1))
            return caught.value
        finally:
            await engine.close()

    assert "cannot be reached" in asyncio.run(asyncio.wait_for(run(), 20)).message


@pytest.mark.engine
def test_the_real_model_answers_about_a_real_database(
    registry: DatabaseRegistry, real_engine: tuple[asyncio.Runner, LocalEngine]
) -> None:
    runner, engine = real_engine
    given = runner.run(generate(registry, engine, max_tokens=64))
    assert given.model.name == "smollm2-135m-instruct"
    assert given.usage.completion_tokens > 0
    assert given.usage.prompt_tokens > 100
    assert len(given.prompt_sha256) == 64
