"""Send verify items in a few large messages, as a trainer would, and take the answers apart."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson

Item = dict[str, Any]
_AT_ONCE = 2


def verify_all(url: str, items: Sequence[Item], *, messages: int = 8) -> list[dict[str, Any]]:
    """The answer to every item, in order; raises httpx.HTTPStatusError for an HTTP error."""
    size = -(-len(items) // messages)
    parts = [items[i : i + size] for i in range(0, len(items), size)]
    with (
        httpx.Client(base_url=url, timeout=None) as http,
        ThreadPoolExecutor(_AT_ONCE) as threads,
    ):
        return [answer for part in threads.map(lambda p: _send(http, p), parts) for answer in part]


def scores(items: Sequence[Item], answers: Sequence[dict[str, Any]]) -> list[list[float]]:
    """bird_ex of each prediction of each item; raises ValueError for an item that was refused."""
    found = []
    for item, answer in zip(items, answers, strict=True):
        if "error" in answer:
            raise ValueError(f"{item['db_id']}: {answer['error']}")
        found.append([verdict["metrics"]["bird_ex"] for verdict in answer["verdicts"]])
    return found


def _send(http: httpx.Client, items: Sequence[Item]) -> list[dict[str, Any]]:
    answer = http.post(
        "/verify/batch",
        content=orjson.dumps({"items": items}),
        headers={"content-type": "application/json"},
    )
    answer.raise_for_status()
    results: list[dict[str, Any]] = orjson.loads(answer.content)["results"]
    return results
