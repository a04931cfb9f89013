"""Sample groups as GRPO sends them from the real default model, with the service's own prompt.

    python -m bench.large_databases DATABASES
    python -m bench.sample_groups DATABASES --home HOME --temperature 1.0 --seed 7

Starts the service with its local engine, asks the engine's OpenAI-compatible endpoint for 16
completions a question, and appends one line a question to `bench/data/grpo_groups.jsonl`, so an
interrupted run goes on where it stopped. Then prints how diverse and how right the groups are.
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.large_databases import DATA, QUESTIONS, build
from bench.service_process import Running, service
from service.models.registry import ServedModel, resolve_model
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import Database
from service.text2sql.prompt import Prompt, build_prompt
from service.text2sql.questions import Question, read_questions
from service.text2sql.schema import read_schema

GROUPS = DATA / "grpo_groups.jsonl"
GROUP_SIZE = 16
_ENGINE = re.compile(r"engine ready: \S+ answers on (http://\S+)")
_AT_ONCE = 4


def main() -> None:
    """Sample what is missing, then describe the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("databases", type=Path)
    parser.add_argument("--home", type=Path, help="where the model weights are kept")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct")
    parser.add_argument("--temperature", type=float, default=1.0)
    # vLLM 0.32 on a CPU ended on seeded requests at 0.7 ("CPU Generator does not use offset").
    parser.add_argument("--seed", type=int, help="of each request; default: none but the engine's")
    parser.add_argument("--minutes", type=float, default=25.0, help="stop asking after")
    parser.add_argument("--out", type=Path, default=GROUPS)
    given = parser.parse_args()
    questions = [q for q in in_turn(read_questions(QUESTIONS)) if not _has(given, q)]
    if questions:
        home = given.home or Path("~/.verisql").expanduser()
        model = resolve_model(given.model, home / "models", print)
        with service(home=home, engine="local", model=given.model, workers=1) as running:
            asyncio.run(_sample(running, model, questions, given))
    print(f"{len(given.out.read_text().splitlines())} groups in {given.out}")


def in_turn(questions: Sequence[Question]) -> list[Question]:
    """One question of each database, then the next: a run that is cut short covers all of them."""
    places: Counter[str] = Counter()
    keyed = []
    for question in questions:
        keyed.append((places[question.db_id], question))
        places[question.db_id] += 1
    return [question for _, question in sorted(keyed, key=lambda pair: pair[0])]


def _has(given: argparse.Namespace, question: Question) -> bool:
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    done = {(row["question_id"], row["temperature"]) for row in map(json.loads, lines)}
    return (question.question_id, given.temperature) in done


async def _sample(
    running: Running, model: ServedModel, questions: Sequence[Question], given: argparse.Namespace
) -> None:
    engine_url = _engine_url(running.lines)
    prompts = await _prompts(questions, given.databases)
    end = time.monotonic() + 60 * given.minutes
    places = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(base_url=engine_url, timeout=900) as http:

        async def one(question: Question, prompt: Prompt) -> None:
            async with places:
                if time.monotonic() > end:
                    return
                start = time.monotonic()
                row = await _ask(http, model, question, prompt, given)
                with given.out.open("a") as out:
                    out.write(json.dumps(row) + "\n")
                distinct = len(set(row["completions"]))
                took = time.monotonic() - start
                print(f"{question.question_id}: {distinct} distinct, {took:.0f} s", flush=True)

        await asyncio.gather(*map(one, questions, prompts))


def _engine_url(lines: Sequence[str]) -> str:
    """The engine's own address, from what the service said."""
    return next(found[1] for line in lines if (found := _ENGINE.search(line)))


async def _prompts(questions: Sequence[Question], databases: Path) -> list[Prompt]:
    schemas = {}
    async with Executor(workers=1, limits=Limits()) as executor:
        for db_id in {question.db_id for question in questions}:
            path = build(databases, db_id)
            schemas[db_id] = await read_schema(executor, Database(db_id, path))
    return [build_prompt(schemas[q.db_id], q.question, q.evidence) for q in questions]


async def _ask(
    http: httpx.AsyncClient,
    model: ServedModel,
    question: Question,
    prompt: Prompt,
    given: argparse.Namespace,
) -> dict[str, Any]:
    body = {
        "model": model.name,
        "messages": prompt.messages,
        "n": GROUP_SIZE,
        "temperature": given.temperature,
        "max_tokens": 256,
    } | ({} if given.seed is None else {"seed": given.seed})
    answer = await http.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    return {
        "question_id": question.question_id,
        "db_id": question.db_id,
        "gold_sql": question.gold_sql,
        "completions": [choice["message"]["content"] for choice in answer.json()["choices"]],
        "model": model.name,
        "model_revision": model.revision,
        "temperature": given.temperature,
        "seed": given.seed,
        "prompt_sha256": prompt.sha256,
    }


if __name__ == "__main__":
    main()
