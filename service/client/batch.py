"""The items of one call: which are still to be asked for, and what has become of the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.client.options import Options
from service.client.wire import Result, bad_answer, encode, items_body

_PASSING = frozenset({"no_free_worker", "unavailable"})


@dataclass(slots=True)
class _Open:
    """An item that has no final result yet."""

    body: bytes
    tries: int = 0
    report: Result | None = None
    """So far, with verdicts that are to be asked for again."""
    asked: Sequence[int] = ()
    """The places of those verdicts."""


class Batch:
    """Says what to send, takes what comes back; each item ends once, as a report or an error."""

    def __init__(self, items: Sequence[Mapping[str, Any]], options: Options) -> None:
        self._items = items
        self._options = options
        self._open: dict[int, _Open] = {}
        self._ended: set[int] = set()

    def chunks(self) -> Iterator[list[int]]:
        """Places of items that fit into one request together; an item over the limit goes alone."""
        chunk: list[int] = []
        room = self._options.bytes_per_request
        for place, item in enumerate(self._items):
            body = encode(item)
            if chunk and (len(body) > room or len(chunk) >= self._options.items_per_request):
                yield chunk
                chunk, room = [], self._options.bytes_per_request
            self._open[place] = _Open(body)
            chunk.append(place)
            room -= len(body) + 1
        if chunk:
            yield chunk

    def item_body(self, place: int) -> bytes:
        """The request for one item."""
        return self._open[place].body

    def body(self, places: Sequence[int]) -> bytes:
        """The request for several."""
        return items_body(self._open[place].body for place in places)

    def still_open(self, places: Sequence[int]) -> list[int]:
        """Those without a final result."""
        return [place for place in places if place not in self._ended]

    def unanswered(self) -> list[int]:
        """All without a final result, those never asked for too."""
        return self.still_open(range(len(self._items)))

    def tries(self, places: Sequence[int]) -> int:
        """How often the most stubborn of them has been answered."""
        return max(self._open[place].tries for place in places)

    def take(self, place: int, answer: Result) -> Result | None:
        """The item's final result; None where it is to be asked for again.

        Only verdicts that are `retryable` are asked for again, and replace the earlier ones. Raises
        ServiceError `bad_answer`.
        """
        item = self._open[place]
        item.tries += 1
        if "error" in answer:
            result, again = item.report or answer, answer["error"].get("code") in _PASSING
        elif item.report and _judge(item.report) != _judge(answer):
            # Another verifier or another file now: verdicts of both are no report. All anew.
            if item.tries >= self._options.item_tries:
                return self.end(place, item.report)
            item.report, item.body = None, encode(self._items[place])
            return None
        else:
            result = item.report = _merged(item, answer, self._items[place])
            item.asked = [n for n, v in enumerate(result["verdicts"]) if v.get("retryable")]
            again = bool(item.asked)
        if not again or item.tries >= self._options.item_tries:
            return self.end(place, result)
        if item.report:
            predictions = self._items[place]["predictions"]
            part = {"predictions": [predictions[n] for n in item.asked]}
            item.body = encode({**self._items[place], **part})
        return None

    def end(self, place: int, result: Result) -> Result:
        """No more is to be asked about that item."""
        item = self._open.pop(place, None)
        self._ended.add(place)
        return item.report if item and item.report else result


def _judge(answer: Result) -> tuple[Any, Any]:
    """Which verifier judged on which database."""
    return answer.get("verifier_version"), answer.get("database_sha256")


def _merged(item: _Open, answer: Result, fields: Mapping[str, Any]) -> Result:
    """The whole report, the new verdicts in the places of those that were asked for again."""
    verdicts = answer.get("verdicts")
    places = item.asked if item.report else range(len(fields["predictions"]))
    if not isinstance(verdicts, list) or len(verdicts) != len(places):
        raise bad_answer(str(answer).encode())
    if item.report is None:
        return answer
    whole = list(item.report["verdicts"])
    for n, verdict in zip(places, verdicts, strict=True):
        whole[n] = verdict
    return answer | {"verdicts": whole}
