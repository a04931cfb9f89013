"""Datasets in and out: what is kept of a file keeps its bytes; faulty rows are values."""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from service.audit.normal import same_gold, same_question
from service.errors import InvalidRequest
from service.sandbox.clock import reads_clock
from service.text2sql.questions import Fault, read_dataset, read_questions
from service.text2sql.rowtext import NotAList, split_rows

ROW = {"db_id": "shop", "question": "How many?", "SQL": "SELECT 1"}

FILES = {
    "bird": json.dumps([{"a": n, "b": "é"} for n in range(4)], indent=4, ensure_ascii=False),
    "one line": '[{"a": 0}, {"a": 1},{"a":2} ,  {"a": 3}]\n',
    "numbers and escapes": '[{"a":0,"x":1.0},{"a":1,"x":1e3},{"a":2,"x":"\\u00e9\\/"},\r\n{"a":3}]',
    "lines": '{"a": 0}\n{"a": 1}\n\n{"a": 2}  \r\n{"a": 3}',
    "lines with an end": '\n{"a": 0}\n{"a": "\u2028"}\n{"a": 2}\n{"a": 3}\n\n',
    "mark": '\ufeff[{"a": 0}, {"a": 1}, {"a": 2}, {"a": 3}]',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("out", [(), (0,), (3,), (1, 2), (0, 1, 2, 3), (0, 3)])
def test_rows_that_are_left_out_leave_the_others_as_they_were(
    name: str, out: Collection[int]
) -> None:
    data = FILES[name].encode()
    rows = split_rows(data)
    assert len(rows.values) == 4
    left = rows.without(out)
    assert (left == data) == (not out)
    again = split_rows(left) if len(out) < 4 or name not in ("lines", "lines with an end") else None
    kept = [n for n in range(4) if n not in out]
    if again:
        assert again.values == [rows.values[n] for n in kept]
        assert again.texts == [rows.texts[n] for n in kept]
    else:
        assert not left.strip()


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-32-be", "utf-8-sig"])
def test_the_encoding_is_kept(codec: str) -> None:
    data = '[{"a": "é"}, 2]'.encode(codec)
    assert split_rows(data).without({1}) == '[{"a": "é"}]'.encode(codec)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[1, 2", "Expecting ',' delimiter"),
        ("[1,]", "Expecting value"),
        ("[1] x", "Extra data: line 1 column 5"),
        ("[1 2]", "Expecting ','"),
        ('{"a": 1}\n{"a" 1}', "line 2, column 6"),
        ('{"a": 1} {"a": 2}', "line 1"),
        ("nope", "Expecting value"),
    ],
)
def test_a_text_that_is_no_rows_says_where(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        split_rows(text.encode())


def test_a_value_that_is_no_list_is_said_to_be_none() -> None:
    with pytest.raises(NotAList):
        split_rows(b'"text"')


def test_questions_come_from_json_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(json.dumps(ROW | {"question_id": n}) for n in "ab"))
    assert [q.question_id for q in read_questions(path)] == ["a", "b"]


def test_a_faulty_row_is_a_value_unless_all_are(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps([ROW, {"db_id": "shop", "question_id": "x"}, 7]))
    dataset = read_dataset(path)
    assert [q is None for q in dataset.questions] == [False, True, True]
    assert dataset.faults[1].question_id == "x"
    assert dataset.faults[2] == Fault("2", "must be an object, is int")
    with pytest.raises(InvalidRequest, match="row 1"):
        read_questions(path)
    path.write_text(json.dumps([7, {"db_id": "shop"}]))
    with pytest.raises(InvalidRequest, match="row 0: must be an object"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Who is it?", " who  IS it ", True),
        ("What\u2019s new", "What's new?", True),
        ("How many are over 5?", "How many are over 6?", False),
        ("list names.", "list name", False),
    ],
)
def test_questions_are_the_same_in_other_dress(one: str, other: str, same: bool) -> None:
    assert (same_question(one) == same_question(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("SELECT a FROM t", "select  A\nfrom t ;;", True),
        ("SELECT count( * ) -- all", "SELECT COUNT(*)", True),
        ("SELECT 'A'", "SELECT 'a'", False),
        ("SELECT 'a  b'", "SELECT 'a b'", False),
        ('SELECT "A"', 'SELECT "a"', False),
        ("SELECT a b", "SELECT ab", False),
        ("SELECT 'a;'", "SELECT 'a'", False),
        ("SELECT '--'", "SELECT ''", False),
    ],
)
def test_golds_are_the_same_in_other_dress(one: str, other: str, same: bool) -> None:
    assert (same_gold(one) == same_gold(other)) is same


@pytest.mark.parametrize(
    ("sql", "functions", "reads"),
    [
        ("SELECT date('now')", {"date"}, True),
        ('SELECT date("Now")', {"date"}, True),
        ("SELECT datetime( )", {"datetime"}, True),
        ("SELECT strftime('%Y')", {"strftime"}, True),
        ("SELECT CURRENT_TIME", {"current_time"}, True),
        ("SELECT strftime('%Y', a)", {"strftime"}, False),
        ("SELECT date(a) -- 'now'", {"date"}, False),
        ("SELECT 'now', 'CURRENT_DATE'", set(), False),
    ],
)
def test_the_clock_is_seen_where_it_is_read(sql: str, functions: set[str], reads: bool) -> None:
    assert (reads_clock(sql, functions) is not None) is reads
