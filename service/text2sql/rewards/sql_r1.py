"""The format and the length bonus of SQL-R1, in linear time."""

from dataclasses import dataclass

from service.text2sql.completion.chat import own_turn

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
LIMIT_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class Response:
    """A response in the format of SQL-R1: the texts whose lengths it measures."""

    thought: str
    answer: str
    sql: str


def read_response(completion: str) -> Response | None:
    """The parts of a response, or None if it does not keep SQL-R1's format.

    Each of <think>, </think>, <answer>, </answer> exactly once, in this order, and a closed ```sql
    block that is not blank inside the answer; the last such block counts. What stands between and
    after the tags does not matter.

    Source: IDEA-FinAI/SQL-R1@9d7f923 verl/utils/reward_score/synsql.py:11-116. Unlike there, a
    completion without a header of the assistant's turn is read too (there it is a ValueError).
    """
    text = _after_header(own_turn(completion))
    places = [text.find(tag) for tag in _TAGS]
    if any(text.count(tag) != 1 for tag in _TAGS) or places != sorted(places):
        return None
    thought = text[places[0] + len(_TAGS[0]) : places[1]].strip()
    answer = text[places[2] + len(_TAGS[2]) : places[3]].strip()
    sql = _last_block(answer)
    return Response(thought, answer, sql) if sql else None


def length_bonus(response: Response) -> float:
    """0.5 * min(1, (thought + answer) / 2048) + sql / answer, lengths in characters; 0..1.5.

    The SQL's length is counted with each run of white space as one character, as SQL-R1 does; the
    SQL that runs keeps its lines, without which a `--` would eat the rest of the query.

    Source: IDEA-FinAI/SQL-R1@9d7f923 verl/utils/reward_score/synsql.py:118-224; arXiv 2504.08600,
    the length reward.
    """
    written = len(response.thought) + len(response.answer)
    share = len(" ".join(response.sql.split())) / len(response.answer)
    return min(written, LIMIT_LENGTH) / LIMIT_LENGTH * 0.5 + share


def _after_header(text: str) -> str:
    """Without the prompt of a base model, "User: ... Assistant:", where there is one."""
    head, header, rest = text.partition("Assistant:")
    return rest if header and ("User:" in head or not head.strip()) else text


def _last_block(answer: str) -> str:
    sql, position = "", 0
    while (start := answer.find("```sql", position)) >= 0:
        end = answer.find("```", start + 6)
        if end < 0:
            break
        sql, position = answer[start + 6 : end].strip(), end + 3
    return sql
