"""Tell what a model thought from what it answered."""

from dataclasses import dataclass

from service.text2sql.completion.marks import Marks

_THINKING = Marks(
    r"<(?P<close>/?)(?:think|thinking|thoughts?|reasoning|seed:think)[ \t]{0,4}>"
    r"|\[(?P<close2>/?)THINK\]|\u25c1(?P<close3>/?)think\u25b7"
    r"|<\|channel>thought|(?P<close4><channel\|>)"
)


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parts:
    """A model's turn: its thoughts, and the answers before, between and behind them, in order."""

    thoughts: list[str]
    answers: list[str]
    cut_off: bool
    """The turn ends inside a thought."""


def split_thinking(turn: str) -> Parts:
    """The parts of a turn of the model.

    A block that is closed without having been opened was opened by the chat template: all before
    it is thought. A block that is never closed was cut off: all after it is thought.
    """
    thoughts: list[Span] = []
    answers: list[Span] = []
    start, thinks = 0, False
    for mark in _THINKING.outside_quotes(turn):
        closes = any(mark[f"close{n}"] for n in ("", 2, 3, 4))
        if not closes and thinks:
            continue
        if closes and not thinks:
            thoughts, answers = [(0, mark.start())], []
        else:
            (thoughts if thinks else answers).append((start, mark.start()))
        start, thinks = mark.end(), not closes
    (thoughts if thinks else answers).append((start, len(turn)))
    return Parts(_texts(turn, thoughts), _texts(turn, answers), thinks)


def _texts(turn: str, spans: list[Span]) -> list[str]:
    return [turn[start:end] for start, end in spans]
