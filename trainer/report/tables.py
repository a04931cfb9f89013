"""Small tables that stay readable on a phone: there each cell says what it is."""

from collections.abc import Collection, Iterable, Sequence

from service.pages.document import safe


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Collection[int] = (),
    style: str = "shares",
) -> str:
    """Every cell is text and escaped; the first names its row, those in `numbers` stand right."""
    heads = "".join(
        f'<th scope="col"{" class=n" if n in numbers else ""}>{safe(name)}</th>'
        for n, name in enumerate(columns)
    )
    body = "".join(f"<tr>{_row(columns, row, numbers)}</tr>" for row in rows)
    return f'<table class="{style}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """A table of two columns without a head: name and value."""
    body = "".join(
        f'<tr><th scope="row">{safe(name)}</th><td>{safe(value)}</td></tr>' for name, value in rows
    )
    return f'<table class="made"><tbody>{body}</tbody></table>'


def _row(columns: Sequence[str], row: Sequence[object], numbers: Collection[int]) -> str:
    first, *others = row
    cells = "".join(
        f'<td{" class=n" if n in numbers else ""} data-name="{safe(columns[n])}">{safe(cell)}</td>'
        for n, cell in enumerate(others, 1)
    )
    return f'<th scope="row">{safe(first)}</th>{cells}'
