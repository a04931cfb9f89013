"""What each status earns, by preset and by weights, and which rewards are refused."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from service.errors import InvalidRequest
from service.text2sql.rewards import COMPONENTS, PRESETS, Outcome, check_reward, score
from service.text2sql.rewards.sql_r1 import length_bonus, read_response
from service.text2sql.types import MASKED, METRICS, Status

TABLE = yaml.safe_load((Path(__file__).parent / "cases" / "rewards.yaml").read_text())
STATUSES: tuple[Status, ...] = get_args(Status)
SQL = "SELECT a FRO t"
TEXTS = {
    "bare": SQL,
    "fence": f"```sql\n{SQL}\n```",
    "skyrl": f"<think>two rows</think>\n<solution>{SQL}</solution>",
    "r1": f"<think>\ntwo rows\n</think>\n<answer>\n```sql\n{SQL}\n```\n</answer>",
}
ROWS = [(row, status) for row in TABLE for status in row["pays"]]


def outcome(status: Status, **other: Any) -> Outcome:
    given: dict[str, Any] = {"completion": TEXTS["fence"], "sql": SQL, "extract": "sql_fence"}
    return Outcome(status, **(given | other))


@pytest.mark.parametrize(
    ("row", "status"),
    ROWS,
    ids=[f"{r['preset']}-{r['completion']}-{r['extract']}-{s}" for r, s in ROWS],
)
def test_preset_pays(row: dict[str, Any], status: Status) -> None:
    completion = TEXTS[row["completion"]]
    reward, parts = score(Outcome(status, {}, completion, SQL, row["extract"]), row["preset"])
    assert parts == pytest.approx(row["pays"][status], abs=1e-12)
    assert reward == sum(parts.values())


def test_the_table_has_every_preset_and_status() -> None:
    assert {row["preset"] for row in TABLE} == PRESETS.keys()
    for row in TABLE:
        assert row["pays"].keys() == set(STATUSES) - MASKED


@pytest.mark.parametrize("status", sorted(MASKED))
@pytest.mark.parametrize("spec", [*PRESETS, {"match": 1.0, "error": -1.0}], ids=str)
def test_masked_statuses_have_no_reward(status: Status, spec: Any) -> None:
    assert score(outcome(status), spec) == (None, {})


@pytest.mark.parametrize("row", TABLE, ids=lambda r: f"{r['preset']}-{r['extract']}")
def test_a_rejected_match_earns_what_a_mismatch_earns(row: dict[str, Any]) -> None:
    given: dict[str, Any] = {"completion": TEXTS[row["completion"]], "extract": row["extract"]}
    rejected = score(outcome("match", **given), row["preset"], rejected=True)
    assert rejected == score(outcome("mismatch", **given), row["preset"])


def test_a_rejected_match_earns_nothing_for_its_metrics() -> None:
    matched = outcome("match", metrics={"bird_ex": 1.0, "bird_soft_f1": 1.0})
    spec = {"bird_ex": 1.0, "bird_soft_f1": 0.5, "match": 2.0, "executable": 0.25}
    assert score(matched, spec)[0] == 3.75
    assert score(matched, spec, rejected=True)[0] == 0.25


def test_rejection_changes_nothing_but_a_match() -> None:
    for status in set(STATUSES) - {"match"}:
        assert score(outcome(status), "arctic", rejected=True) == score(outcome(status), "arctic")


def test_the_length_bonus_by_hand() -> None:
    sql = "SELECT a\n  FROM t"  # 15 characters once each run of white space is one.
    text = f"<think>{'x' * 1000}</think><answer>ok\n```sql\n{sql}\n```</answer>"
    response = read_response(text)
    assert response is not None
    assert len(response.answer) == 3 + 7 + 17 + 4
    assert length_bonus(response) == 0.5 * (1000 + 31) / 2048 + 15 / 31


def test_the_length_bonus_of_a_long_thought_is_capped() -> None:
    response = read_response(f"<think>{'x' * 9000}</think><answer>```sql\nSELECT 1\n```</answer>")
    assert response is not None
    assert length_bonus(response) == 0.5 + 8 / 19


VALUES = {
    "match": {"match", "executable", "has_sql", "format"},
    "mismatch": {"executable", "has_sql", "format"},
    "no_sql": {"no_sql", "format"},
    "syntax_error": {"syntax_error", "error", "has_sql", "format"},
    "exec_error": {"exec_error", "error", "has_sql", "format"},
    "forbidden": {"forbidden", "error", "has_sql", "format"},
    "timeout": {"timeout", "error", "has_sql", "format"},
    "too_large": {"too_large", "error", "has_sql", "format"},
}


@pytest.mark.parametrize("status", VALUES)
def test_components_that_hold(status: Status) -> None:
    _, parts = score(outcome(status), dict.fromkeys(COMPONENTS, 1.0))
    assert {name for name, value in parts.items() if value} == VALUES[status]


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        ("<think>x</think>SELECT 1", 1.0),
        ("x</think>SELECT 1", 1.0),
        ("SELECT 1", 0.0),
        ("<think>SELECT 1", 0.0),
        ("Hm <think>x</think>SELECT 1", 0.0),
        ("<think>x</think><think>y</think>SELECT 1", 0.0),
    ],
)
def test_thinking_is_one_closed_block_before_all_else(completion: str, value: float) -> None:
    given = outcome("match", completion=completion, extract="auto")
    assert score(given, {"thinking": 1.0})[1] == {"thinking": value}


def test_weights_multiply_values_and_keep_their_order() -> None:
    given = outcome("mismatch", metrics={"bird_ex": 0.0, "bird_soft_f1": 0.25})
    spec = {"bird_soft_f1": 2, "format": 0.1, "timeout": -1, "executable": 0.2, "match": 1}
    reward, parts = score(given, spec)
    assert list(parts.items()) == [
        ("bird_soft_f1", 0.5),
        ("format", 0.1),
        ("timeout", 0.0),
        ("executable", 0.2),
        ("match", 0.0),
    ]
    assert reward == sum(parts.values())
    assert "-0.0" not in str(parts)


@pytest.mark.parametrize("status", ["no_sql", "timeout", "syntax_error"])
def test_a_metric_pays_only_for_sql_that_ran(status: Status) -> None:
    # An empty statement equals an empty gold in BIRD's metric.
    assert score(outcome(status, metrics={"bird_ex": 1.0}), {"bird_ex": 1.0})[0] == 0.0


@pytest.mark.parametrize("spec", [*PRESETS, {"bird_ex": 1, "format": -1000.0}], ids=str)
def test_good_rewards_pass(spec: Any) -> None:
    check_reward(spec, ["bird_ex"])


@pytest.mark.parametrize("name", [*COMPONENTS, *METRICS])
def test_every_component_passes_and_is_paid(name: str) -> None:
    check_reward({name: 1.0}, METRICS)
    given = outcome("match", metrics=dict.fromkeys(METRICS, 1.0))
    assert score(given, {name: 1.0})[1].keys() == {name}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("skyrll", "did you mean 'skyrl'?"),
        ("sql-r1", "did you mean 'sql_r1'?"),
        ("zzz", "known: execution, arctic, skyrl, sql_r1"),
        ("", "unknown reward ''"),
        ({}, "at least one"),
        (None, "at least one"),
        (1.0, "at least one"),
        (["execution"], "at least one"),
        ({"excutable": 1.0}, "did you mean 'executable'?"),
        ({"bird_exx": 1.0}, "did you mean 'bird_ex'?"),
        ({"strict": 1.0}, "'strict', which is not among the request's metrics: bird_ex"),
        ({"match": True}, "must be a number"),
        ({"match": "1"}, "must be a number"),
        ({"match": None}, "must be a number"),
        ({"match": float("nan")}, "must be a number"),
        ({"match": float("-inf")}, "must be a number"),
        ({"match": 1000.5}, "from -1000 to 1000"),
        ({"match": -(10**400)}, "from -1000 to 1000"),
        ({"match": 10**5000}, "from -1000 to 1000"),
        ({"match": 1.0, "x" * 10**6: 1.0}, "unknown reward component"),
        ({1: 1.0}, "unknown reward component"),
    ],
)
def test_bad_rewards_are_refused(spec: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_reward(spec, ["bird_ex"])
    assert words in refused.value.message
    assert refused.value.param == "reward"
    assert len(refused.value.message) < 500
