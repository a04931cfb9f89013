"""Whether a completion keeps the form of its extract mode, to the letter."""

from service.text2sql.completion.bare import bare_query, json_query
from service.text2sql.completion.blocks import SQL_LABELS, fences, has_tag, last_tag
from service.text2sql.completion.chat import own_turn
from service.text2sql.completion.extract import AUTO_TAGS, clean
from service.text2sql.completion.thinking import split_thinking
from service.text2sql.types import Extract


def keeps_format(completion: str, mode: Extract) -> bool:
    """True if the answer has exactly one such block or tag, closed, filled, and nothing after it.

    Thinking may stand before it if it was closed, and so may other text; the marks of a chat
    template are no fault of the model. Tags are in small letters, fences labelled. `none` asks for
    SQL alone: any text that is not blank. `auto` takes one tag, or one fence, or a query or JSON
    object with nothing around it.
    """
    if mode == "none":
        return bool(completion.strip())
    parts = split_thinking(own_turn(completion))
    text = "" if parts.cut_off else "\n".join(parts.answers)
    match mode:
        case "sql_fence":
            return _one_fence(text)
        case "answer_tag":
            return _one_tag(text, "answer")
        case "solution_tag":
            return _one_tag(text, "solution")
        case "auto":
            return _one_of_any(text)


def _one_tag(text: str, name: str) -> bool:
    tag = last_tag(text, name)
    if tag is None or not tag.closed or not tag.body.strip():
        return False
    whole = text[tag.start : tag.end]
    exact = whole.startswith(f"<{name}>") and whole.endswith(f"</{name}>")
    return exact and not has_tag(text[: tag.start], name) and not text[tag.end :].strip()


def _one_fence(text: str) -> bool:
    blocks = fences(text)
    labelled = [block for block in blocks if block.label in SQL_LABELS]
    if len(labelled) != 1 or labelled[0] != blocks[-1]:
        return False
    only = labelled[0]
    return only.closed and bool(only.body.strip()) and not text[only.end :].strip()


def _one_of_any(text: str) -> bool:
    tagged = [name for name in AUTO_TAGS if has_tag(text, name)]
    if tagged:
        return len(tagged) == 1 and _one_tag(text, tagged[0])
    return _one_fence(text) or _is_bare(clean(text) or "")


def _is_bare(text: str) -> bool:
    if text.startswith("{"):
        return text.endswith("}") and json_query(text) is not None
    return bool(text) and clean(bare_query(text)) == text
