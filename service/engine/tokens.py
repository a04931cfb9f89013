"""Count tokens as the model does."""

import re
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from service.errors import SettingsError

CountTokens = Callable[[str], int]

KEPT: Final = 4096
"""Counts that are remembered."""
_LETTERS_A_TOKEN: Final = 3
# A blank before a word or a sign belongs to that one's token, before a digit it is its own.
_RUN = re.compile(
    r"(?P<word>[A-Za-z]+)|(?P<free> (?=[^\s\d]))|(?P<one>\s+|[!-~])|(?P<wide>.)", re.S
)


def upper_bound(text: str) -> int:
    """More tokens than a tokenizer for code makes of ordinary text, where none is at hand.

    A token for each three letters of a word, each digit, each sign, each run of blanks, and each
    byte beyond ASCII. On 445 schemas, rows, documents and programs it was never under the count
    of Qwen2.5's and SmolLM2's tokenizers, and over it by half at the median. Words of random
    letters can have more.
    """
    return sum(map(_weight, _RUN.finditer(text)))


def _weight(match: re.Match[str]) -> int:
    kind, found = match.lastgroup, match.group()
    if kind == "word":
        return -(-len(found) // _LETTERS_A_TOKEN)
    if kind == "wide":
        return len(found.encode(errors="replace"))
    return 0 if kind == "free" else 1


class TokenCounter:
    """The tokenizer of a `tokenizer.json`; counts that were asked for lately are remembered.

    Thread-safe enough for counting: a race counts twice. Raises SettingsError if the file is
    none.
    """

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer  # Not part of the core: it brings the hub's client.
        except ImportError as error:
            raise SettingsError(
                "VERISQL_TOKENIZER needs the package tokenizers: pip install '.[tokenizer]'",
                param="tokenizer",
            ) from error
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # The library raises bare Exception for whatever is wrong.
            raise SettingsError(f"{path} is no tokenizer: {error}", param="tokenizer") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def __call__(self, text: str) -> int:
        """Tokens of the text, without those that begin or end a prompt."""
        # By digest: the texts are whole schemas, which would be kept alive otherwise.
        data = text.encode(errors="replace")
        key = blake2b(data, digest_size=16).digest()
        if (known := self._counts.get(key)) is None:
            encoded = self._tokenizer.encode(data.decode(), add_special_tokens=False)
            known = self._counts[key] = len(encoded)
            if len(self._counts) > KEPT:
                self._counts.popitem(last=False)
        return known


def counter(folder: Path) -> CountTokens:
    """The count of a model's folder; the upper bound where it has no tokenizer.json."""
    path = folder / "tokenizer.json"
    return TokenCounter(path) if path.is_file() else upper_bound
