"""Pieces of one answer that run at once: all of them come, or none is left."""

import asyncio

import pytest

from service.generation.together import together

LONG_S = 3600  # no test ends by this running out


def test_results_come_in_order() -> None:
    async def work(n: int) -> int:
        return n

    assert asyncio.run(together(work(n) for n in range(3))) == [0, 1, 2]
    assert asyncio.run(together([])) == []


@pytest.mark.parametrize("cancelled", [False, True])
def test_nothing_runs_on_after_a_failure_or_a_cancellation(cancelled: bool) -> None:
    async def main() -> list[str]:
        begun, ended = asyncio.Event(), []

        async def long() -> None:
            begun.set()
            try:
                await asyncio.sleep(LONG_S)
            finally:
                ended.append("long")

        async def failing() -> None:
            await begun.wait()
            if cancelled:
                await asyncio.sleep(LONG_S)
            raise LookupError

        whole = asyncio.create_task(together([long(), failing()]))
        await begun.wait()
        if cancelled:
            whole.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else LookupError):
            await whole
        assert len(asyncio.all_tasks()) == 1
        return list(ended)  # as of now: the loop cancels at its end what is left

    assert asyncio.run(main()) == ["long"]
