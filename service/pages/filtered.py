"""A long table with a form above it that hides the rows which do not fit (page.js)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.pages.document import safe


@dataclass(frozen=True, slots=True)
class Choice:
    """A menu of the form: shows the rows whose cell of that column has the chosen text."""

    label: str
    everything: str
    """The entry that hides nothing."""
    column: int
    names: Iterable[str]


def filtered(
    caption: str, words: str, choices: Sequence[Choice], columns: Sequence[str], rows: Iterable[str]
) -> str:
    """The form and the table; `rows` are HTML, made with `row`. One such table fits on a page."""
    heads = "".join(f'<th scope="col">{safe(name)}</th>' for name in columns)
    return (
        f'<form hidden><label>{safe(words)}<input name="words" type="search"></label>'
        f"{''.join(map(_menu, choices))}"
        '<output id="shown" class="soft"></output></form>'
        f'<table id="found"><caption>{safe(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def row(cells: Sequence[str], classes: Mapping[int, str] | None = None) -> str:
    """One row from cells of HTML; `classes` by column."""
    known = classes or {}
    tags = (f'<td class="{known[n]}">' if n in known else "<td>" for n in range(len(cells)))
    filled = "".join(f"{tag}{cell}</td>" for tag, cell in zip(tags, cells, strict=True))
    return f"<tr>{filled}</tr>\n"


def _menu(choice: Choice) -> str:
    listed = "".join(f"<option>{safe(name)}</option>" for name in choice.names)
    return (
        f'<label>{safe(choice.label)}<select data-column="{choice.column}">'
        f'<option value="">{safe(choice.everything)}</option>{listed}</select></label>'
    )
