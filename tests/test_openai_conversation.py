"""What a conversation asks, by a table."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import TooLarge
from service.protocols.openai_conversation import ChatMessage, read_conversation

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "conversations.yaml").read_text())
ROLES: dict[str, Any] = {"u": "user", "a": "assistant", "s": "system", "d": "developer"}


def _messages(said: list[dict[str, str]]) -> list[ChatMessage]:
    pairs = [pair for one in said for pair in one.items()]
    return [ChatMessage(role=ROLES[role], content=text) for role, text in pairs]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_a_conversation_is_read(case: dict[str, Any]) -> None:
    found = read_conversation(_messages(case["said"]))
    assert found.question == case["question"]
    assert found.evidence == case.get("evidence", "")
    assert [[turn.question, turn.sql] for turn in found.history] == case.get("history", [])
    assert found.replies == case.get("replies", False)


def test_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "How"}, "many?"]
    assert read_conversation([ChatMessage(role="user", content=parts)]).question == "How\nmany?"


def test_the_latest_turns_are_kept() -> None:
    turns = [{"u": f"q{n}", "a": f"SELECT {n}"} for n in range(30)]
    history = read_conversation(_messages([*turns, {"u": "?"}])).history
    assert [turn.question for turn in history] == [f"q{n}" for n in range(10, 30)]


def test_a_message_that_is_a_book_is_refused() -> None:
    with pytest.raises(TooLarge) as caught:
        read_conversation(_messages([{"u": "x" * 100_001}]))
    assert caught.value.param == "messages.0.content"
