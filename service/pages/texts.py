"""Texts of unknown origin, fit to be shown."""

_LONGEST = 400  # characters of an evidence line


def visible(text: str) -> str:
    """The text with escapes for what does not show, moves the cursor, or turns the writing round.

    New lines and tabs stay. Halves of surrogate pairs, which no encoding can carry, are escaped.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def one_line(text: str) -> str:
    """The visible text on one line of bounded length."""
    return cut(visible(" ".join(text.split())), _LONGEST)


def cut(text: str, longest: int) -> str:
    """The text, its end given up for an ellipsis where it is longer than so many characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
