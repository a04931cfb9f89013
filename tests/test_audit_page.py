"""The page and the Markdown: whole, of one file, and safe whatever stands in a dataset."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from service.audit.kinds import KINDS
from service.audit.markdown import as_markdown
from service.audit.page import as_html
from service.audit.report import Report, as_dict, as_json
from service.pages.bars import Bar, bars
from tests.fixtures_audit import Row, run, subject
from tests.html_page import HOSTILE, Page


@pytest.fixture
def report(shop: Path) -> Report:
    rows: list[Row] = []
    for text in HOSTILE:
        rows.append(
            {"db_id": "shop", "question": text, "SQL": f"SELECT '{text}' FROM", "question_id": text}
        )
        rows.append({"db_id": text, "question": text, "SQL": text})
    rows.append({"db_id": "shop", "question": "all well", "SQL": "SELECT count(*) FROM orders"})
    return as_dict(run(subject(rows, shop.parents[1], '<script>"name"</script>.json')))


def test_no_text_of_a_dataset_becomes_markup(report: Report) -> None:
    page = Page(as_html(report))
    names = [tag for tag, _ in page.tags]
    assert (names.count("script"), names.count("style"), names.count("h1")) == (1, 1, 1)
    assert "img" not in names
    attributes = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "href", "style", "action"}


def test_the_policy_admits_the_pages_own_script_and_style_alone(report: Report) -> None:
    page = Page(as_html(report))
    [policy] = [a["content"] or "" for _, a in page.tags if a.get("http-equiv")]
    assert "default-src 'none'" in policy
    for name in ("script", "style"):
        [content] = page.within[name]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_the_page_shows_every_finding_and_what_hides_is_shown_as_escapes(report: Report) -> None:
    text = as_html(report).decode()
    assert text.count('<td class="kind">') == len(report["findings"])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\\u202e" in text
    assert not {"\u202e", "\x00", "\x1b"} & set(text)
    assert {"kinds-t", "databases-t", "times-t"} <= set(re.findall(r'<title id="([^"]+)"', text))


def test_the_markdown_keeps_its_tables_and_holds_no_markup(report: Report) -> None:
    lines = as_markdown(report).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", row)) for row in rows}
    assert cells == {6}
    kinds = re.compile("|".join(f"`{name}`" for name in KINDS))
    assert not [line for line in lines if re.search(r"(?<!\\)[<`]", kinds.sub("", line))]


def test_the_json_is_utf_8_whatever_the_texts_hold(report: Report) -> None:
    again = json.loads(as_json(report).decode())
    assert again["questions"] == 2 * len(HOSTILE) + 1
    assert again["kept"] == 1


def test_a_dataset_without_a_fault_is_said_to_have_none(shop: Path) -> None:
    rows: list[Row] = [{"db_id": "shop", "question": "a", "SQL": "SELECT count(*) FROM orders"}]
    report = as_dict(run(subject(rows, shop.parents[1])))
    assert (report["kept"], report["dropped"], report["summary"]) == (1, 0, [])
    assert "None." in as_markdown(report)
    assert b"<p>None.</p>" in as_html(report)
    assert b"<table" not in as_html(report)


def test_bars_are_in_proportion_and_written_out() -> None:
    svg = bars("x", "Things", [Bar("a", 10, 5), Bar("b & c", 5, 0), Bar("none", 0, 0)])
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height="18"', svg)]
    assert widths == [210.0, 210.0, 210.0]
    assert re.findall(r">(\d+)</text>", svg) == ["10", "5", "0"]
    assert "b &amp; c" in svg
