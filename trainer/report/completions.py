"""A question with what was written for it, as HTML that no text can break."""

from service.pages.document import safe
from service.pages.texts import cut
from service.text2sql.questions import Question

_LONGEST = 1500


def example(db_id: str, told: str, asked: Question | None, before: str, after: str) -> str:
    """Two columns of HTML under a question; hint and gold are shown where they are known."""
    hint = f"<p class='soft'>{short(asked.evidence)}</p>" if asked and asked.evidence else ""
    gold = f"<p class='soft'>gold</p><code>{short(asked.gold_sql)}</code>" if asked else ""
    return (
        f"<details open class='example'><summary>{short(told)} <span class='soft'>"
        f"{safe(db_id)}</span></summary>{hint}{gold}<div class='pair'>{before}{after}</div>"
        "</details>"
    )


def completion(text: str, status: str, message: object, count: int = 1) -> str:
    """One completion as it was generated, its verdict above it."""
    times = f" ({count} times)" if count > 1 else ""
    why = f": {short(str(message))}" if message else ""
    return f"<p class='soft'>{safe(status)}{times}{why}</p><code>{short(text)}</code>"


def short(text: str) -> str:
    """Any text, safe and of bounded length."""
    return safe(cut(text, _LONGEST))
