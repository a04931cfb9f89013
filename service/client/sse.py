"""Server-sent events as the service writes them: bytes in, events out."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is None where it has none of its own."""

    name: str
    data: str
    id: str | None


async def events(chunks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The complete events of a stream; comments are left out."""
    fields: dict[str, str] = {}
    async for line in _lines(chunks):
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields.get("event", "message"), fields["data"], fields.get("id"))
            fields = {}
        else:
            fields = {}


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    # Only these ends: JSON text may hold others that str.splitlines knows.
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode()
