"""The base of all JSON that comes in: an unknown field is refused, the nearest one named."""

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class StrictModel(BaseModel):
    """Frozen, and without room for a misspelt field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _know_every_field(cls, value: Any) -> Any:
        given = value if isinstance(value, dict) else {}
        broken = [name for name, text in _texts(given) if not is_unicode(text)]
        if broken:
            raise ValueError(f"{broken[0]!a} holds half of a surrogate pair, which no text may")
        unknown = [name for name in given if name not in cls.model_fields]
        if unknown:
            name = str(unknown[0])[:100]
            near = difflib.get_close_matches(name, cls.model_fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(cls.model_fields)}"
            raise PydanticCustomError(
                "unknown_field", "unknown field '{name}'; {hint}", {"name": name, "hint": hint}
            )
        return value


def _texts(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text by the name of its field, the names themselves first."""
    yield from ((name, name) for name in given)
    for name, value in given.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            yield from _texts(value)


def is_unicode(text: str) -> bool:
    """False for a text with half of a surrogate pair, which JSON may bring and UTF-8 has not."""
    return text.isascii() or text.encode(errors="ignore") == text.encode(errors="surrogatepass")
