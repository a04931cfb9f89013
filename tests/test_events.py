"""Server-sent events: the work behind a stream never outlives it."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.api.events import NamedEvents, event_stream
from service.generation.stages import Report, Stage, StageName

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
