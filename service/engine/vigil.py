"""Tell a model server that hangs from one that is busy."""

import time
from dataclasses import dataclass

from service.engine.base import EngineModel
from service.engine.client import EngineClient
from service.errors import VeriSQLError

_COUNTERS = ("vllm:generation_tokens_total", "vllm:prompt_tokens_total")


@dataclass(frozen=True, slots=True)
class Vigilance:
    """When to doubt a server, seconds."""

    look_s: float = 2.0
    """Between two looks."""
    silence_s: float = 30.0
    """Without a token while requests wait: then it is asked for a completion of its own."""
    idle_s: float = 60.0
    """The same without requests."""
    probe_s: float = 30.0
    """Longest completion of that kind."""
    strikes: int = 2
    """Such completions in a row without an answer, and without any other sign of life."""


class Vigil:
    """Watches one server through the eyes of its client.

    A sign of life is a piece of any stream, a finished completion, or a move of vLLM's own token
    counters. A server that shows one is never doubted, however long a single request takes.
    """

    def __init__(self, client: EngineClient, model: EngineModel, limits: Vigilance) -> None:
        self._client = client
        self._model = model
        self._limits = limits
        self._seen = client.moved
        self._since = time.monotonic()
        self._strikes = 0

    async def look(self, *, healthy: bool) -> bool:
        """False once the server is to be given up; `healthy` is what it says of itself."""
        if self._moved():
            self._alive()
        elif not healthy or self._overdue():
            await self._ask(await self._counters() if healthy else None)
        return self._strikes < self._limits.strikes

    async def _ask(self, before: list[str] | None) -> None:
        """Ask for one token; `before` are the server's counters, if it can be asked for them."""
        try:
            await self._client.probe(self._model, self._limits.probe_s)
        except VeriSQLError:
            idle = before is None or await self._counters() in (None, before)
            if idle and not self._moved():
                self._strikes += 1
                return
        self._alive()

    async def _counters(self) -> list[str] | None:
        text = await self._client.metrics()
        return (text and [line for line in text.splitlines() if line.startswith(_COUNTERS)]) or None

    def _moved(self) -> bool:
        return self._client.moved != self._seen

    def _overdue(self) -> bool:
        waiting = self._client.outstanding > 0
        bound_s = self._limits.silence_s if waiting else self._limits.idle_s
        return time.monotonic() - self._since > bound_s

    def _alive(self) -> None:
        self._strikes = 0
        self._seen = self._client.moved
        self._since = time.monotonic()
