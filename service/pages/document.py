"""One HTML page: no other file, no other host, nothing hostile gets through.

Every text of unknown origin is escaped, and a content security policy that knows the hashes of the
page's own style and script lets nothing else run, should an escape ever be missed.
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from pathlib import Path

from service.pages.texts import visible

_HERE = Path(__file__).parent


def safe(value: object) -> str:
    """HTML of any value's text; nothing for None."""
    return "" if value is None else escape(visible(str(value)))


def document(title: str, lead: str, body: str, css: str = "") -> bytes:
    """UTF-8; readable without the script, which only filters the table.

    `title` is text; `lead` and `body` are HTML, `css` comes after the common style.
    """
    style = (_HERE / "page.css").read_text(encoding="utf-8") + css
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{safe(title)}</title><style>{style}</style></head>\n"
        f"<body><header><h1>{safe(title)}</h1>{lead}</header>\n"
        f"<main>{body}</main><script>{script}</script></body></html>\n"
    )
    return page.encode(errors="backslashreplace")


def numbers(named: Mapping[str, object]) -> str:
    """A row of boxes, a name and a number each."""
    boxes = (f"<div><dt>{safe(k)}</dt><dd>{safe(v)}</dd></div>" for k, v in named.items())
    return f'<dl class="numbers">{"".join(boxes)}</dl>'


def _policy(css: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(css)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
