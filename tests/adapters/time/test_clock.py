"""Trading time: told by the venue, moved by ticks, waited for in steps."""

import json
from datetime import UTC, date, datetime

import pytest

from tests.kit.adapters.alpaca import AT_ONCE, QUICK
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.adapters.time.clock import LockStepClock
from tradebot.errors import OperatorError, TemporaryError

STATUS = {
    "now": "2026-11-20T14:35:00Z",
    "session": "2026-11-20",
    "next_open": "2026-11-23T14:30:00Z",
    "next_close": "2026-11-20T21:00:00Z",
    "is_open": True,
    "account_number": "SBX123456789",
    "market": {},
    "finished": False,
}


def lock_step(wire: Wire) -> LockStepClock:
    return LockStepClock(wire.url, bounds=QUICK, policy=AT_ONCE)


def test_the_engine_tells_its_time_and_moves_when_slept(wire: Wire) -> None:
    wire.answer(Scripted(200, STATUS))
    clock = lock_step(wire)
    assert clock.now() == datetime(2026, 11, 20, 14, 35, tzinfo=UTC)
    clock.sleep(60)
    assert (wire.asked[1].path, json.loads(wire.asked[1].body)) == ("/exchange/v1/tick", {"seconds": 60})
    assert clock.tick_to("close").session == date(2026, 11, 20)
    clock.tick_to(datetime(2026, 11, 20, 15, tzinfo=UTC))
    assert json.loads(wire.asked[3].body) == {"to": "2026-11-20T15:00:00+00:00"}


def test_tick_is_sent_once_and_status_is_retried(wire: Wire) -> None:
    wire.answer(Scripted(504))
    with pytest.raises(TemporaryError):
        lock_step(wire).sleep(60)
    assert wire.count("POST") == 1
    with pytest.raises(TemporaryError):
        lock_step(wire).now()
    assert wire.count("GET") == 3


def test_tick_into_the_past_is_refused_with_the_exchanges_message(wire: Wire) -> None:
    wire.answer(Scripted(400, {"message": "time never runs backwards"}))
    with pytest.raises(OperatorError, match="time never runs backwards"):
        lock_step(wire).sleep(-1)


@pytest.mark.parametrize("body", [b"", [], {}, {**STATUS, "now": "noon"}, {**STATUS, "session": "today"}])
def test_a_status_that_cannot_be_read_is_an_error(wire: Wire, body: object) -> None:
    wire.answer(Scripted(200, body))
    with pytest.raises(TemporaryError, match="status can't be read"):
        lock_step(wire).now()


def test_status_has_no_next_open_after_the_last_session(wire: Wire) -> None:
    wire.answer(Scripted(200, {**STATUS, "session": None, "next_open": None, "next_close": None, "finished": True}))
    status = lock_step(wire).status()
    assert (status.session, status.next_open, status.finished) == (None, None, True)


def test_clock_refuses_addresses_other_than_loopback() -> None:
    with pytest.raises(OperatorError):
        LockStepClock("https://api.alpaca.markets")
