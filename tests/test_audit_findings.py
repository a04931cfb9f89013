"""One of each fault is found, exactly, and nothing where there is none."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from service.audit.kinds import DROPPED, KINDS, chosen
from service.audit.report import as_dict, as_json
from service.audit.run import audit
from service.audit.subject import Audit, Options
from service.demo import build_demo, questions_path
from service.errors import InvalidRequest, TooLarge
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.questions import read_dataset
from tests.conftest import SHOP
from tests.fixtures_audit import CASES, kinds, run, subject
from tests.test_judging import UNSTOPPABLE
from tests.test_judging import _kill_repeatedly as kill_repeatedly

Make = Callable[[str, str], Path]
GOOD = {"db_id": "shop", "question": "How many?", "SQL": "SELECT count(*) FROM customer"}
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
FIRST = "SELECT name FROM customer WHERE name = 'Ada' OR ({}) LIMIT 1"


@pytest.fixture
def folder(shop: Path, make_database: Make) -> Path:
    make_database("shop_two", SHOP)
    torn = shop.parents[1] / "torn" / "torn.sqlite"
    torn.parent.mkdir()
    torn.write_bytes(b"no database at all")
    return shop.parents[1]


def test_each_fault_is_found_and_nothing_else(folder: Path) -> None:
    before = (folder / "shop" / "shop.sqlite").read_bytes()
    done = run(subject(CASES, folder))
    found = kinds(done)
    assert {CASES[n]["question_id"]: found.get(n, []) for n in range(len(CASES))} == {
        case["question_id"]: case["kinds"] for case in CASES
    }
    for finding in done.findings:
        assert CASES[finding.row]["said"] in finding.evidence
        assert "\n" not in finding.evidence
    assert (folder / "shop" / "shop.sqlite").read_bytes() == before


def test_every_kind_that_needs_no_second_dataset_has_a_case() -> None:
    tested = {kind for case in CASES for kind in case["kinds"]}
    elsewhere = {"slow", "not_run", "not_reached", "unchecked"}
    elsewhere |= {"leaked_database", "leaked_question"}
    assert tested == KINDS.keys() - elsewhere


def test_two_runs_report_the_same_but_for_the_timings(folder: Path) -> None:
    reports = [as_dict(run(subject(CASES, folder), workers=n)) for n in (1, 3)]
    for report in reports:
        del report["timings"]
    assert as_json(reports[0]) == as_json(reports[1])


def test_a_gold_above_the_threshold_is_slow_but_kept(shop: Path) -> None:
    rows = [{"db_id": "shop", "question": "a", "SQL": "SELECT name FROM customer"}]
    done = run(subject(rows, shop.parents[1]), options=Options(slow_s=0.0))
    assert kinds(done) == {0: ["slow"]}
    assert done.why() == {}


def test_a_check_that_costs_the_worker_leaves_the_gold_unchecked(shop: Path) -> None:
    # Read forwards, the first row ends it; read backwards, the last one takes for ever.
    for_ever = UNSTOPPABLE.replace("6000000", "6000000 + id")
    rows = [{"db_id": "shop", "question": "a", "SQL": FIRST.format(for_ever)}, GOOD]
    done = run(subject(rows, shop.parents[1]), workers=1)
    assert kinds(done) == {0: ["unchecked"]}
    assert done.findings[0].evidence == "not known: stopped after 1 s"
    assert done.golds[0].rows == 1
    assert done.why() == {}


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGSEGV, "broken"), (signal.SIGKILL, "not_run")]
)
def test_a_gold_whose_worker_dies_twice_is_one_finding(
    shop: Path, number: signal.Signals, kind: str
) -> None:
    rows = [GOOD, {"db_id": "shop", "question": "a", "SQL": ENDLESS}, GOOD | {"question": "b"}]

    async def main() -> Audit:
        async with Executor(workers=1, limits=Limits()) as executor:
            killer = asyncio.create_task(kill_repeatedly(executor, number))
            async with asyncio.timeout(30):
                done = await audit(executor, subject(rows, shop.parents[1]))
            killer.cancel()
            return done

    done = asyncio.run(main())
    assert kinds(done) == {1: [kind], 2: ["duplicate_gold"]}
    assert done.findings[0].evidence == "the statement ended its worker process twice"


def test_a_database_that_is_damaged_is_named_and_the_others_are_audited(
    shop: Path, make_database: Make
) -> None:
    make_database("shop_two", SHOP)
    content = bytearray(shop.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    shop.write_bytes(content)
    rows = [GOOD, GOOD | {"db_id": "shop_two"}]
    assert kinds(run(subject(rows, shop.parents[1]))) == {0: ["unusable_database"]}


def test_what_is_dropped_can_be_chosen(shop: Path) -> None:
    rows = [
        {"db_id": "shop", "question": "a", "SQL": "SELECT x FROM customer"},
        {"db_id": "shop", "question": "b", "SQL": "SELECT name FROM customer WHERE 0"},
    ]
    dataset = subject(rows, shop.parents[1])
    assert run(dataset).why() == {0: ["broken"], 1: ["empty"]}
    assert run(dataset, options=Options(drop=chosen(["empty", "slow"]))).why() == {1: ["empty"]}
    assert run(dataset, options=Options(drop=chosen([]))).why() == {}


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'emtpy' is no kind of finding; known: malformed"):
        chosen(["empty", "emtpy"])
    assert chosen(None) == DROPPED


def test_the_demo_has_one_gold_without_rows_and_no_other_fault(tmp_path: Path) -> None:
    build_demo(tmp_path)
    dataset = read_dataset(questions_path())
    rows = dataset.text.values
    done = run(subject(rows, tmp_path))
    found = {name for names in kinds(done).values() for name in names}
    assert found == {"empty"}
    assert len(done.findings) == 1


def test_an_audit_without_the_time_to_read_its_databases_says_how_to_go_on(shop: Path) -> None:
    row = {"db_id": "shop", "question": "?", "SQL": "SELECT 1 FROM customer"}
    with pytest.raises(TooLarge, match="verisql audit"):
        run(subject([row], shop.parents[1]), options=Options(time_limit_s=1e-9))
