"""Server-sent events: the work behind a stream never outlives it."""

import asyncio
import json

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.api.events import NamedEvents, event_stream
from service.api.mailbox import SINGLE, Mailbox
from service.generation.stages import Piece, Report, Stage, StageName

LONG_S = 3600  # no test ends by this running out
STAGES: tuple[StageName, ...] = ("schema", "generating", "checking")


@pytest.mark.parametrize("sent", [0, 1, 2])
def test_the_work_ends_when_the_caller_is_gone_while_a_message_is_sent(sent: int) -> None:
    async def main() -> list[str]:
        gone, ended = asyncio.Event(), []
        messages: list[Message] = []

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if len(messages) == sent:
                gone.set()
                await asyncio.sleep(LONG_S)
            messages.append(message)

        async def work(report: Report) -> bytes:
            for stage in STAGES:
                report(Stage(stage, ""))
            try:
                await asyncio.sleep(LONG_S)
            finally:
                ended.append("work")
            return b""

        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        stream = await event_stream(Request(scope, receive), work, NamedEvents())
        await stream(scope, receive, send)
        return list(ended)  # as of now: the loop cancels at its end what is left

    assert asyncio.run(main()) == ["work"]


def test_a_reader_that_falls_behind_loses_nothing_and_gets_larger_pieces() -> None:
    words, candidates = [f"w{n} " for n in range(20_000)], 8
    reported = asyncio.Event()
    frames: list[bytes] = []

    async def receive() -> Message:
        await asyncio.sleep(LONG_S)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await reported.wait()  # reads nothing before the work has said all
        frames.append(message.get("body", b""))

    async def work(report: Report) -> bytes:
        for stage in STAGES:
            report(Stage(stage, ""))
        for word in words:
            for index in range(candidates):
                report(Piece(index, word))
        report(Stage("executing", ""))
        report(Piece(0, "after"))
        reported.set()
        return b"{}"

    async def main() -> None:
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        stream = await event_stream(Request(scope, receive), work, NamedEvents())
        await stream(scope, receive, send)

    asyncio.run(main())
    events = [line for frame in b"".join(frames).split(b"\n\n") if (line := frame)]
    told = [(e.split(b"\n")[0], json.loads(e.split(b"data: ")[1])) for e in events]
    texts = [data for name, data in told if name == b"event: text"]
    assert len(texts) <= SINGLE + candidates + 1
    for index in range(candidates):
        said = "".join(text["text"] for text in texts if text["index"] == index)
        assert said == "".join(words) + ("after" if index == 0 else "")
    assert [name for name, _ in told[-3:]] == [b"event: stage", b"event: text", b"event: done"]


def test_a_reader_that_keeps_up_gets_each_piece_as_it_came() -> None:
    async def main() -> list[Piece | Stage | None]:
        box = Mailbox()
        read = []
        for word in ("a", "b", "c"):
            box.put(Piece(0, word))
            read.append(await box.get())
        box.end()
        return [*read, await box.get()]

    assert asyncio.run(main()) == [Piece(0, "a"), Piece(0, "b"), Piece(0, "c"), None]
