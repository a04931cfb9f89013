"""Each bench on a tiny input, so that it still runs when somebody needs its figures."""

import json
import sqlite3
import xml.etree.ElementTree as ElementTree
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bench import (
    attack_load,
    bf16_products,
    calibrate_confidence,
    figures,
    generate_overhead,
    large_databases,
    soak,
    verify_throughput,
)
from bench.attacks import KINDS, attack
from bench.bird_baseline import evaluate
from bench.constructed_groups import constructed, without_runaways
from bench.curve import draw
from bench.honest_load import HonestLoad
from bench.judge_groups import FAILED, RUNAWAY, describe, judged, read_groups
from bench.labelled_pairs import groups, read_pairs
from bench.sample_groups import GROUP_SIZE, in_turn
from bench.verify_work import group_work, within
from service.text2sql.evaluation import Provenance, Sample
from service.text2sql.evaluation.folder import RunFolder
from service.text2sql.evaluation.manifest import Plan
from service.text2sql.questions import read_questions
from tests.fixtures_engine import EngineDouble
from tests.fixtures_eval import outcome

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT sum(n) FROM c"


def test_the_baseline_compares_sets_and_scores_every_failure_zero(shop: Path) -> None:
    gold = "SELECT city FROM customer"
    predictions = {
        "SELECT DISTINCT city FROM customer ORDER BY 1": 1,
        "SELECT city FROM customer WHERE id = 1": 0,
        "SELECT nothing FROM nowhere": 0,
        ENDLESS: 0,
    }
    done = evaluate([(str(shop), gold, p) for p in predictions], timeout_s=0.3)
    assert done.verdicts == list(predictions.values())
    assert done.cpu_s > 0
    assert 0.3 <= done.wall_s < 10


def test_the_baseline_runs_the_prediction_first_as_bird_does(shop: Path) -> None:
    # Both on one connection: what the prediction deletes the gold does not find.
    pairs = [(str(shop), "SELECT * FROM orders", "DELETE FROM orders")]
    assert evaluate(pairs).verdicts == [1]


def test_products_are_timed_in_both_types(capsys: pytest.CaptureFixture[str]) -> None:
    bf16_products.main(["--rounds", "1"])
    told = capsys.readouterr().out
    for line in ("forward, bf16", "forward, fp32 / bf16", "backward, fp32", "multiplies_bf16"):
        assert f"{line}: " in told


def test_databases_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def dump(folder: str, seed: int) -> list[str]:
        path = large_databases.build(tmp_path / folder, "city_bikes", scale=0.0005, seed=seed)
        with closing(sqlite3.connect(path)) as connection:
            return list(connection.iterdump())

    assert dump("a", 1) == dump("b", 1) != dump("c", 2)


@pytest.mark.parametrize("db_id", large_databases.db_ids())
def test_every_gold_of_the_large_databases_runs(tmp_path: Path, db_id: str) -> None:
    path = large_databases.build(tmp_path, db_id, scale=0.001)
    golds = [q.gold_sql for q in read_questions(large_databases.QUESTIONS) if q.db_id == db_id]
    assert len(golds) >= 13
    for gold in golds:
        large_databases.check(path, gold)


def test_a_check_tells_a_gold_that_depends_on_scan_order(shop: Path) -> None:
    assert large_databases.check(shop, "SELECT name FROM customer ORDER BY id LIMIT 1")[2]
    assert not large_databases.check(shop, "SELECT name FROM customer LIMIT 1")[2]


def test_recorded_groups_are_whole_and_judged() -> None:
    rows = read_groups()
    assert len({row["db_id"] for row in rows}) == 3
    for row in rows:
        sizes = {len(row["completions"]), len(row["right"]), len(row["ms"])}
        assert sizes == {GROUP_SIZE}
    assert describe(rows)["right_share"] > 0


def test_questions_are_asked_in_turn() -> None:
    first = in_turn(read_questions(large_databases.QUESTIONS))[:3]
    assert {question.db_id for question in first} == set(large_databases.db_ids())


def _group(path: Path) -> dict[str, Any]:
    completions = [
        "```sql\nSELECT count(*) FROM orders\n```",
        "SELECT count(id) FROM orders;",
        "SELECT count(*) FROM customer WHERE id < 4",
        "I do not know.",
    ]
    row = {
        "question_id": "0",
        "db_id": path.stem,
        "gold_sql": "SELECT count(*) FROM orders",
        "completions": completions * 4,
    }
    return row | judged(path, row)


def test_a_group_is_judged_as_it_should_be(shop: Path) -> None:
    row = _group(shop)
    assert row["right"] == [1, 1, 0, 0] * 4
    assert row["ms"].count(FAILED) == 4
    assert describe([row])["distinct_sql_a_group"] == 4


def test_constructed_groups_are_sharper_and_righter_and_repeatable(shop: Path) -> None:
    row = _group(shop)
    sharp = constructed([row], "sharpened")
    training = constructed([row], "mid_training")
    assert sharp == constructed([row], "sharpened")
    assert sum(training[0]["right"]) >= 5
    assert set(sharp[0]["completions"]) <= set(row["completions"])
    slow = row | {"ms": [RUNAWAY, *row["ms"][1:]]}
    assert len(without_runaways([slow])[0]["completions"]) == 15
    assert within([row] * 3, 0.0) == [row]


def test_both_sides_of_the_throughput_bench_give_the_same_verdicts(shop: Path) -> None:
    work = group_work([_group(shop)], shop.parents[1])
    found = verify_throughput.compare(work, rounds=1)
    assert found["verdicts_a_round"] == 16
    assert found["times_cpu"]["median"] > 0


def test_a_wrong_verdict_fails_the_throughput_bench(shop: Path) -> None:
    work = group_work([_group(shop)], shop.parents[1])
    work.recorded = [1] * 16
    with pytest.raises(SystemExit, match="the baseline gives 8 other verdicts"):
        verify_throughput.compare(work, rounds=1)


def test_labelled_pairs_are_read_once_each(tmp_path: Path) -> None:
    rows = [
        {"kind": kind, "db": "d", "gold": "SELECT 1", "pred": pred}
        for kind, pred in [("real", "a"), ("real", "a"), ("real", "b"), ("hostile", "c")]
    ]
    (tmp_path / "labelled_pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert [len(group) for group in groups(read_pairs(tmp_path))] == [2]


def test_honest_latency_is_measured_alone_and_under_attack(tmp_path: Path) -> None:
    options = "--rates 4 --timeouts 0.2 --seconds 1 --rounds 1 --results"
    attack_load.main([*options.split(), str(tmp_path)])
    (row,) = json.loads((tmp_path / "attack_load.json").read_text())["rows"]
    assert (row["honest_wrong"], row["honest_refused"]) == ({}, 0)
    assert sum(row["bad_ends"].values()) == 3
    assert row["ratio_p99"]["median"] > 0


def test_every_attack_is_new_and_of_every_kind() -> None:
    texts = [attack(number) for number in range(3 * len(KINDS))]
    assert len(set(texts)) == len(texts)


def test_honest_requests_are_new_and_know_their_verdicts(tmp_path: Path) -> None:
    load = HonestLoad(tmp_path)
    first, second = load.request(1), load.request(2)
    assert not set(first.body["predictions"]) & set(second.body["predictions"])
    assert first.expected.count(1.0) == 1
    assert load.request(1) == first


def test_a_short_soak_draws_its_curve(tmp_path: Path) -> None:
    with suppress(SystemExit):  # a service that has just started still grows
        soak.main(["--verdicts", "1000", "--growth-mib", "64", "--results", str(tmp_path)])
    assert '"wrong": 0' in (tmp_path / "soak.json").read_text()
    assert ElementTree.parse(tmp_path / "soak.svg").getroot().tag.endswith("svg")
    assert len((tmp_path / "soak.csv").read_text().splitlines()) >= 4


def test_growth_is_seen_and_flat_is_flat() -> None:
    def samples(step: float) -> list[dict[str, float]]:
        return [{"seconds": i, "verdicts": i, "service_mib": 70 + step * i} for i in range(1, 101)]

    assert soak.growth(samples(0.0)) == {}
    assert list(soak.growth(samples(0.5))) == ["service_mib"]


def test_figures_and_curves_are_what_they_say(tmp_path: Path) -> None:
    assert figures.spread([3, 1, 2]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert figures.percentile(list(range(1, 101)), 0.99) == 100
    draw(tmp_path / "c.svg", "s", [0, 1], {"flat": [0, 0]})
    assert "flat" in (tmp_path / "c.svg").read_text()


def test_the_service_and_the_bare_server_answer_the_same_prompts(
    engine_double: EngineDouble, tmp_path: Path
) -> None:
    counted = ("queries_total", 10), ("hits_total", 9)
    counted = ("queries_total", 10), ("hits_total", 9)
    engine_double.metrics = "".join(f'vllm:prefix_cache_{n}{{a="0"}} {v}\n' for n, v in counted)
    options = ["--questions", "3", "--rounds", "1", "--results", str(tmp_path)]
    generate_overhead.main([*options, "--engine-url", engine_double.url, "--model", "double"])
    found = json.loads((tmp_path / "generate_overhead.json").read_text())
    assert found["questions"] == 3
    assert found["throughput_ratio"]["median"] > 0
    sent = [json.dumps(r["messages"]) for r in engine_double.requests if r["max_tokens"] == 128]
    assert len(sent) == 4 * 3  # once to read the prompts, bare to warm up, then each side
    assert len(set(sent)) == 3


def test_a_calibration_is_fitted_to_votes_and_checked_on_other_databases(tmp_path: Path) -> None:
    plan = Plan("f", "0" * 64, 5, tuple(range(5)), {}, {"metrics": ["bird_ex"]})
    with RunFolder(tmp_path / "run", plan, {}) as folder:
        for place, (votes, right) in enumerate([(4, 1.0), (4, 1.0), (1, 0.0), (1, 0.0), (1, 1.0)]):
            samples = tuple(Sample("SELECT 1", "match", {}, votes=votes) for _ in range(4))
            told = {
                "samples": samples,
                "voted": True,
                "provenance": Provenance({"name": "tiny", "adapter": None}),
            }
            folder.add(outcome(place, right, db_id=f"db{place}", **told))
    options = ["--basis", "a test", "--results", str(tmp_path)]
    calibrate_confidence.main([str(tmp_path / "run"), *options])
    found = json.loads((tmp_path / "confidence.json").read_text())
    assert (found["model"], found["basis"], found["questions"]) == ("tiny", "a test", 5)
    assert found["points"] == [[0.25, 0.4], [1.0, 0.75]]
    assert 0 <= found["error_fitted"] <= 1
