"""AsyncVerifyClient: what a trainer can rely on when the service, or the way to it, has faults."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from service.client import AsyncVerifyClient, Options, Result, ServiceError, rewards
from tests.fixtures_reward import Act, Items, RewardDouble, honest, refuses, verdict

T = TypeVar("T")
QUICK = Options(first_pause_s=0.001, longest_pause_s=0.01, deadline_s=30)
BUSY = {"error": {"code": "no_free_worker", "message": "busy", "param": None, "request_id": "r"}}
WAIT_S = 20  # no test ends by this running out


def _item(*predictions: str) -> dict[str, Any]:
    return {"db_id": "shop", "gold_sql": "SELECT 1", "predictions": list(predictions)}


ITEMS = [_item(f"SELECT {n}") for n in range(4)]


def _ask(double: RewardDouble, items: Items = ITEMS, options: Options = QUICK) -> list[Result]:
    async def main() -> list[Result]:
        async with AsyncVerifyClient(double.url, options=options) as client:
            return await client.verify_batch(items)

    return asyncio.run(main())


def _verify(double: RewardDouble, options: Options = QUICK) -> Result:
    async def main() -> Result:
        async with AsyncVerifyClient(double.url, "secret", options) as client:
            return await client.verify(**_item("SELECT 1", "SELECT 2"))

    return asyncio.run(main())


def _sqls(results: list[Result]) -> list[str]:
    return [one["verdicts"][0]["sql"] for one in results]


def _in_order(results: list[Result], items: Items = ITEMS) -> bool:
    return _sqls(results) == [item["predictions"][0] for item in items]


def test_a_report_comes_as_the_api_gives_it_and_the_key_is_sent() -> None:
    with RewardDouble() as double:
        report = _verify(double)
    assert [v["sql"] for v in report["verdicts"]] == ["SELECT 1", "SELECT 2"]
    assert rewards(report) == [1.0, 1.0]
    assert "authorization: bearer secret" in double.headers[0]


def test_results_come_in_the_items_order_though_they_finish_in_another() -> None:
    def backwards(items: Items) -> Act:
        lines = honest(items).lines
        assert lines
        return Act(lines=lines[::-1])

    with RewardDouble(backwards) as double:
        assert _in_order(_ask(double))


def test_a_long_list_goes_in_several_requests_a_few_at_a_time() -> None:
    items = [_item(f"SELECT {n}") for n in range(50)]
    options = Options(items_per_request=4, concurrency=3)
    with RewardDouble() as double:
        assert _in_order(_ask(double, items, options), items)
    assert sorted(map(len, double.requests)) == [2] + [4] * 12
    assert double.at_once <= 3


def test_large_items_are_spread_by_their_bytes_and_an_oversized_one_goes_alone() -> None:
    items = [_item("x" * size) for size in (400, 400, 400, 5000, 400)]
    options = Options(bytes_per_request=1000, concurrency=1)
    with RewardDouble() as double:
        _ask(double, items, options)
    assert [len(request) for request in double.requests] == [2, 1, 1, 1]


def test_an_empty_list_asks_nobody() -> None:
    with RewardDouble() as double:
        assert _ask(double, []) == []
    assert double.requests == []


def test_a_request_that_is_too_large_for_this_server_is_halved() -> None:
    def at_most_one(items: Items) -> Act:
        return honest(items) if len(items) == 1 else refuses(413, "too_large")

    with RewardDouble(*[at_most_one] * 7) as double:
        assert _in_order(_ask(double))
    assert [len(request) for request in double.requests] == [4, 2, 1, 1, 2, 1, 1]


def test_an_item_that_alone_is_too_large_is_an_error_in_its_place() -> None:
    def not_this(items: Items) -> Act:
        large = any(item["predictions"] == ["SELECT 2"] for item in items)
        return refuses(413, "too_large") if large else honest(items)

    with RewardDouble(*[not_this] * 10) as double:
        results = _ask(double)
    assert results[2]["error"]["code"] == "too_large"
    assert [n for n, one in enumerate(results) if "verdicts" in one] == [0, 1, 3]


def test_after_a_cut_only_the_missing_items_are_sent_again() -> None:
    def cut_after_two(items: Items) -> Act:
        lines = honest(items).lines
        assert lines
        return Act(lines=[lines[3], lines[1], b'{"index":2,"ver'], cut=True)

    with RewardDouble(cut_after_two) as double:
        assert _in_order(_ask(double))
    assert double.requests == [ITEMS, [ITEMS[0], ITEMS[2]]]


def test_a_stream_that_ends_too_early_in_good_form_is_not_believed() -> None:
    with RewardDouble(lambda items: honest(items[:1])) as double:
        assert _in_order(_ask(double))
    assert double.requests[1] == ITEMS[1:]


@pytest.mark.parametrize("fault", [Act(lines=[], cut=True), Act(status=502), Act(status=504)])
def test_a_broken_connection_and_a_failing_gateway_are_tried_again(fault: Act) -> None:
    with RewardDouble(fault, fault) as double:
        assert rewards(_verify(double)) == [1.0, 1.0]
    assert len(double.requests) == 3


def test_failures_without_end_are_given_up_after_so_many_tries() -> None:
    broken = Act(lines=[], cut=True)
    with RewardDouble(*[broken] * 20) as double, pytest.raises(ServiceError) as caught:
        _ask(double, options=Options(first_pause_s=0.001, longest_pause_s=0.01, tries=3))
    assert caught.value.code == "broken_connection"
    assert len(double.requests) == 3


def test_nobody_there_is_said_after_so_many_tries() -> None:
    async def main(url: str) -> None:
        options = Options(first_pause_s=0.001, tries=3)
        async with AsyncVerifyClient(url, options=options) as client:
            await client.verify(**_item("SELECT 1"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServiceError, match="verisql serve") as caught:
        asyncio.run(main(f"http://127.0.0.1:{port}"))
    assert caught.value.code == "unreachable"


def test_a_busy_service_is_asked_again_not_before_it_said() -> None:
    busy = refuses(503, "no_free_worker", **{"retry-after": "1"})
    start = time.monotonic()
    with RewardDouble(busy) as double:
        assert rewards(_verify(double)) == [1.0, 1.0]
    assert time.monotonic() - start >= 1


def test_a_service_that_stays_busy_is_left_at_the_deadline_not_after_it() -> None:
    busy = refuses(503, "no_free_worker", **{"retry-after": "3600"})
    with RewardDouble(busy, busy) as double:
        with pytest.raises(ServiceError, match="no_free_worker") as caught:
            _verify(double)
        results = _ask(double)
    assert (caught.value.code, caught.value.status) == ("deadline_exceeded", 503)
    assert [one["error"]["code"] for one in results] == ["deadline_exceeded"] * 4


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_json"), (401, "unauthorized"), (404, "unknown_database"), (409, "conflict"),
     (422, "invalid_request"), (429, "slow_down"), (500, "internal_error")],
)  # fmt: skip
def test_a_refusal_is_raised_at_once_with_all_that_is_known(status: int, code: str) -> None:
    with RewardDouble(*[refuses(status, code)] * 2) as double:
        for call in (_verify, _ask):
            with pytest.raises(ServiceError, match="so it is") as caught:
                call(double)
            error = caught.value
            found = (error.code, error.status, error.param, error.request_id)
            assert found == (code, status, "db_id", "r1")
    assert len(double.requests) == 2


@pytest.mark.parametrize(
    "line",
    [b"<html>\n", b"7\n", {"verdicts": []}, {"index": 9, "verdicts": []}, {"index": 0},
     {"index": 0, "verdicts": []}],
)  # fmt: skip
def test_an_answer_that_is_not_ours_is_a_bad_answer(line: Any) -> None:
    with RewardDouble(Act(lines=[line])) as double, pytest.raises(ServiceError) as caught:
        _ask(double)
    assert caught.value.code == "bad_answer"


def test_a_web_page_in_place_of_a_report_is_a_bad_answer() -> None:
    for act in (Act(body=b"<html>"), Act(status=403, body=b"<html>no")):
        with RewardDouble(act) as double, pytest.raises(ServiceError, match="<html>") as caught:
            _verify(double)
        assert caught.value.code == "bad_answer"


def _busy_with(place: int) -> Any:
    def act(items: Items) -> Act:
        lines = honest(items).lines
        assert lines
        lines[place] = {"index": place, **BUSY}
        return Act(lines=lines)

    return act


def test_an_item_without_a_worker_is_sent_again_alone() -> None:
    with RewardDouble(_busy_with(1), _busy_with(0)) as double:
        assert _in_order(_ask(double))
    assert double.requests[1:] == [[ITEMS[1]]] * 2


def test_an_item_that_never_gets_a_worker_ends_as_that_error() -> None:
    with RewardDouble(_busy_with(1), *[_busy_with(0)] * 9) as double:
        results = _ask(double)
    assert results[1] == BUSY
    assert len(double.requests) == QUICK.item_tries


def _infra(*sqls: str) -> Any:
    """An infra_error for those predictions."""

    def act(items: Items) -> Act:
        lines = honest(items).lines
        assert lines
        for line in lines:
            line["verdicts"] = [
                verdict("infra_error", sql=v["sql"]) if v["sql"] in sqls else v
                for v in line["verdicts"]
            ]
        return Act(lines=lines)

    return act


def test_only_the_verdicts_that_are_our_fault_are_asked_for_again() -> None:
    item = _item("a", "b", "c", "d")
    with RewardDouble(_infra("b", "d"), _infra("d")) as double:
        [report] = _ask(double, [item])
    assert [r[0]["predictions"] for r in double.requests] == [
        ["a", "b", "c", "d"],
        ["b", "d"],
        ["d"],
    ]
    assert [v["sql"] for v in report["verdicts"]] == ["a", "b", "c", "d"]
    assert rewards(report) == [1.0] * 4


def test_verdicts_of_two_judges_are_never_one_report() -> None:
    def of(version: str, act: Any) -> Any:
        def told(items: Items) -> Act:
            lines = act(items).lines
            return Act(lines=[line | {"verifier_version": version} for line in lines])

        return told

    old, new = of("1", _infra("b")), of("2", honest)
    with RewardDouble(old, new, new) as double:
        [report] = _ask(double, [_item("a", "b")])
    assert report["verifier_version"] == "2"
    assert [r[0]["predictions"] for r in double.requests] == [["a", "b"], ["b"], ["a", "b"]]


def test_judges_that_change_at_each_try_have_an_end() -> None:
    def of(version: str) -> Any:
        def told(items: Items) -> Act:
            lines = _infra("b")(items).lines
            return Act(lines=[line | {"verifier_version": version} for line in lines])

        return told

    with RewardDouble(*[of(str(n % 2)) for n in range(20)]) as double:
        [report] = _ask(double, [_item("a", "b")])
    assert len(double.requests) == QUICK.item_tries
    assert (report["verifier_version"], rewards(report)) == ("0", [1.0, None])


def test_what_was_judged_is_kept_when_the_rest_never_is() -> None:
    with RewardDouble(_infra("b"), *[_busy_with(0)] * 9) as double:
        [report] = _ask(double, [_item("a", "b")])
    assert rewards(report) == [1.0, None]


def test_verify_asks_again_for_masked_verdicts_too() -> None:
    with RewardDouble(_infra("SELECT 2")) as double:
        assert rewards(_verify(double)) == [1.0, 1.0]
    assert double.requests[1][0]["predictions"] == ["SELECT 2"]


def test_silence_is_noticed_and_the_rest_asked_for_again() -> None:
    def half(items: Items) -> Act:
        return Act(lines=honest(items[:2]).lines, hang=True)

    options = Options(idle_timeout_s=2, first_pause_s=0.001)
    with RewardDouble(half) as double:
        assert _in_order(_ask(double, options=options))
        assert double.gone.wait(WAIT_S)
    assert double.requests[1] == ITEMS[2:]


def test_at_the_deadline_the_rest_are_errors_and_the_connection_is_closed() -> None:
    def half(items: Items) -> Act:
        return Act(lines=honest(items[:2]).lines, hang=True)

    with RewardDouble(half) as double:
        results = _ask(double, options=Options(deadline_s=2))
        assert double.gone.wait(WAIT_S)
    assert _sqls(results[:2]) == ["SELECT 0", "SELECT 1"]
    assert [one["error"]["code"] for one in results[2:]] == ["deadline_exceeded"] * 2
    assert rewards(results[2], count=3) == [None] * 3
    with pytest.raises(ServiceError, match=r"2 s"):
        rewards(results[2])


def test_a_single_call_ends_at_its_own_deadline() -> None:
    with RewardDouble(Act(lines=[], hang=True)) as double:
        with pytest.raises(ServiceError) as caught:
            _verify(double, Options(deadline_s=2))
        assert double.gone.wait(WAIT_S)
    assert caught.value.code == "deadline_exceeded"


async def _until(event: Any) -> None:
    assert await asyncio.to_thread(event.wait, WAIT_S)


def test_a_cancelled_call_closes_its_connection() -> None:
    async def main(double: RewardDouble, call: str) -> None:
        async with AsyncVerifyClient(double.url) as client:
            work: dict[str, Coroutine[Any, Any, Any]] = {
                "verify": client.verify(**ITEMS[0]), "batch": client.verify_batch(ITEMS)
            }  # fmt: skip
            task = asyncio.create_task(work.pop(call))
            for other in work.values():
                other.close()
            await _until(double.hangs)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await _until(double.gone)
            assert len(asyncio.all_tasks()) == 1

    for call in ("verify", "batch"):
        with RewardDouble(Act(lines=[], hang=True)) as double:
            asyncio.run(main(double, call))


def test_a_stream_that_is_left_closes_its_connection() -> None:
    def first(items: Items) -> Act:
        return Act(lines=honest(items[:1]).lines, hang=True)

    async def main(double: RewardDouble) -> None:
        async with AsyncVerifyClient(double.url) as client:
            async with aclosing(client.verify_stream(ITEMS)) as stream:
                async for place, _ in stream:
                    assert place == 0
                    break
            await _until(double.gone)
            assert len(asyncio.all_tasks()) == 1

    with RewardDouble(first) as double:
        asyncio.run(main(double))


def test_a_closed_client_says_so() -> None:
    async def main(url: str) -> None:
        client = AsyncVerifyClient(url)
        await client.aclose()
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.verify(**ITEMS[0])

    with RewardDouble() as double:
        asyncio.run(main(double.url))


def test_an_item_that_json_has_not_is_the_callers_error() -> None:
    with RewardDouble() as double, pytest.raises(TypeError):
        _ask(double, [*ITEMS, {"db_id": object()}])


@pytest.mark.parametrize("name", ["deadline_s", "tries", "items_per_request", "concurrency"])
def test_options_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: 0})
