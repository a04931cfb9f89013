"""Signals become an exception where the state is whole."""

import os
import signal
from collections.abc import Iterator

import pytest

from trainer.stopping import Stopper, StopRequested


@pytest.fixture
def stopper() -> Iterator[Stopper]:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    made = Stopper()
    made.install()
    yield made
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_once(stopper: Stopper, number: int) -> None:
    with pytest.raises(StopRequested):
        signal.raise_signal(number)


def test_a_signal_waits_while_things_change(stopper: Stopper) -> None:
    stopper.defer()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stopper.requested
    with pytest.raises(StopRequested):
        stopper.allow()


def test_more_signals_do_not_interrupt_the_ending(stopper: Stopper) -> None:
    with pytest.raises(StopRequested):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)


def test_without_a_signal_nothing_happens(stopper: Stopper) -> None:
    stopper.defer()
    stopper.allow()
    assert not stopper.requested


def test_no_library_that_catches_exceptions_swallows_a_stop() -> None:
    assert not issubclass(StopRequested, Exception)
