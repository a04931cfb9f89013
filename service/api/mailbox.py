"""What work reports to a reader of any speed: bounded, and nothing is lost.

A reader that falls behind gets the text that waits in larger pieces. So beside some events there is
never more to hold than the text of the answer itself, which the generator holds too.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from service.generation.stages import Piece, Stage

SINGLE = 256
"""Events that may wait before text is joined."""


@dataclass(slots=True)
class _Text:
    """Pieces of one candidate that will be read as one."""

    index: int
    parts: list[str]


class Mailbox:
    """For one reader. At most SINGLE events wait, the stages, and after each a text a candidate."""

    def __init__(self) -> None:
        self._waiting: deque[Stage | _Text] = deque()
        self._growing: dict[int, _Text] = {}
        self._ended = False
        self._news = asyncio.Event()

    def put(self, event: Stage | Piece) -> None:
        """Take an event; each candidate's text and the stages keep their order."""
        if isinstance(event, Stage):
            self._growing.clear()
            self._waiting.append(event)
        elif event.index in self._growing:
            self._growing[event.index].parts.append(event.text)
        else:
            text = _Text(event.index, [event.text])
            self._waiting.append(text)
            if len(self._waiting) > SINGLE:
                self._growing[event.index] = text
        self._news.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._news.set()

    async def get(self) -> Stage | Piece | None:
        """The next event, waited for; None at the end."""
        while not self._waiting:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._waiting.popleft()
        if isinstance(event, Stage):
            return event
        if self._growing.get(event.index) is event:
            del self._growing[event.index]
        return Piece(event.index, "".join(event.parts))
