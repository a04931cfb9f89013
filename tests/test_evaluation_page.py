"""An evaluation's page: whole, of one file, and safe whatever questions and answers hold."""

import base64
import hashlib
import re
from collections.abc import Sequence

import pytest

from service.text2sql.evaluation import Outcome, Provenance, Sample, summarise
from service.text2sql.evaluation.charts import Curve, ShareBar, curves, share_bars
from service.text2sql.evaluation.manifest import Plan, manifest
from service.text2sql.evaluation.page import as_html
from service.text2sql.questions import Question
from tests.fixtures_eval import outcome
from tests.html_page import HOSTILE, Page

METRICS = ["bird_ex", "strict"]


def _page(outcomes: Sequence[Outcome], asked: int | None = None) -> bytes:
    plan = Plan(
        HOSTILE[0], "a" * 64, len(outcomes), tuple(range(asked or len(outcomes))),
        settings={"metrics": METRICS, "template": HOSTILE[2]},
    )  # fmt: skip
    session = {"started_at": "s", "ended_at": "e", "seconds": 1.0, "asked": 1}
    made = manifest(plan, outcomes, [session], {"service": {"version": "1"}, "machine": {}})
    return as_html(made, summarise(outcomes, METRICS), outcomes, METRICS)


def _hostile() -> list[Outcome]:
    return [
        Outcome(
            place=n,
            question=Question(text, text, text, text, text, text),
            sql=text,
            status=text,
            metrics={"bird_ex": n % 2, "strict": 0.0},
            masked=n % 5 == 0,
            message=text,
            samples=(Sample(text, text, {"bird_ex": 1.0}, error=text, votes=2),) * 2,
            voted=True,
            latency_ms=n * 1000.0,
            provenance=Provenance({"name": text}, text, text, text, text),
        )
        for n, text in enumerate(HOSTILE)
    ]


def test_no_text_of_a_run_becomes_markup() -> None:
    page = Page(_page(_hostile()))
    names = [tag for tag, _ in page.tags]
    assert (names.count("script"), names.count("style"), names.count("h1")) == (1, 1, 1)
    assert "img" not in names
    attributes = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "href", "style", "action"}


def test_the_policy_admits_the_pages_own_script_and_style_alone() -> None:
    page = Page(_page(_hostile()))
    [policy] = [a["content"] or "" for _, a in page.tags if a.get("http-equiv")]
    assert "default-src 'none'" in policy
    for name in ("script", "style"):
        [content] = page.within[name]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_what_hides_is_shown_as_escapes_and_every_row_is_there() -> None:
    text = _page(_hostile()).decode()
    assert text.count('<td class="kind">') == len(HOSTILE)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\\u202e" in text
    assert not {"\u202e", "\x00", "\x1b"} & set(text)


def test_a_page_shows_shares_intervals_samples_and_what_was_left_out() -> None:
    samples = tuple(Sample("s", s, {"bird_ex": float(s == "match")}, votes=1) for s in
                    ("match", "mismatch"))  # fmt: skip
    outcomes = [
        outcome(0, 1.0, samples=samples, voted=True),
        outcome(1, 0.0, difficulty="hard", samples=samples, voted=True),
        outcome(2, masked=True, message="no such table: x"),
    ]
    text = _page(outcomes, asked=9).decode()
    assert "1 of 2" in text
    assert "simple: 100.0% (20.7% to 100.0%, 1 of 1)" in text
    assert "pass@k 50.0% at 1, 100.0% at 2; majority@k 50.0% at 1, 50.0% at 2" in text
    assert "1 question left out" in text
    assert "no such table: x" in text
    assert "Unfinished: 3 of 9 questions" in text


@pytest.mark.parametrize("outcomes", [[], [outcome(0, masked=True)]], ids=["none", "masked"])
def test_a_run_without_a_judged_question_says_so(outcomes: list[Outcome]) -> None:
    text = _page(outcomes, asked=1).decode()
    assert "No question could be judged" in text
    assert "nan" not in text.lower().replace("font-variant-numeric", "")


def test_a_share_bar_reaches_as_far_as_its_share_and_whiskers_as_its_interval() -> None:
    rows = [ShareBar("a & b", 0.5, (0.25, 0.75), "1 of 2"), ShareBar("none", None, None, "0 of 0")]
    svg = share_bars("x", "Shares", rows)
    assert re.findall(r'width="([\d.]+)" height="18" class="bar"', svg) == ["165.0"]
    assert "M282.5 13.0H447.5" in svg
    assert "a &amp; b" in svg
    assert "nothing judged" in svg


def test_curves_have_a_mark_at_each_point_and_labels_apart() -> None:
    svg = curves("c", "t", [Curve("up", [(1, 0.5), (2, 1.0)], "first"),
                            Curve("flat", [(1, 0.5), (2, 1.0)], "second")])  # fmt: skip
    assert svg.count("<circle") == 4
    heights = [float(y) for y in re.findall(r'y="([\d.]+)">(?:up|flat)<', svg)]
    assert abs(heights[0] - heights[1]) >= 16
