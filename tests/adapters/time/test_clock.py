"""Trading time: told by the venue, moved by ticks, waited for in steps.

Trading time: a real venue's follows our corrected clock, the embedded exchange's is driven from slot to slot.
"""

import json
import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest

from tests.kit.adapters.alpaca import AT_ONCE, QUICK
from tests.kit.fakes.scripted import Scripted, Wire
from tests.kit.values import SESSION
from tradebot.adapters.time import machine_clock
from tradebot.adapters.time.clock import EngineStatus, EngineTime, LockStepClock, RealTime
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.struct_tools import replace

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


NEXT = SESSION.open + timedelta(days=1)


class FakeEngine:
    """One session and the open of a second one, after which the market has ended."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def status(self) -> EngineStatus:
        is_open = SESSION.open <= self.at < SESSION.close
        opens = SESSION.open if self.at < SESSION.open else NEXT
        return EngineStatus(self.at, SESSION.date, opens, SESSION.close, is_open, "TEST00001", self.at >= NEXT)

    def sleep(self, seconds: float) -> EngineStatus:
        self.at += timedelta(seconds=seconds)
        return self.status()

    def tick_to(self, moment: datetime | str) -> EngineStatus:
        assert moment == "next_open"
        self.at = replace(self.status()).next_open or self.at
        return self.status()


def pace(engine: FakeEngine, share_s: float, due_each_m: int = 10) -> tuple[EngineTime, list[str]]:
    said: list[str] = []
    due = [SESSION.open + timedelta(minutes=m) for m in range(0, 390, due_each_m)]
    times = EngineTime(
        engine, share_s, lambda now: min((d for d in due if d > now), default=None), lambda at, text: said.append(text)
    )
    return times, said


def minutes(moments: list[datetime]) -> list[float]:
    return [(moment - SESSION.open).total_seconds() / 60 for moment in moments]


def test_the_engine_is_looked_at_where_it_stands_and_then_at_each_due_moment_of_the_ticks_share() -> None:
    times, _ = pace(FakeEngine(SESSION.open + timedelta(minutes=3)), share_s=1500)
    assert minutes(list(times.moments())) == [3, 10, 20, 28]
    assert minutes(list(times.moments())) == [30, 40, 50, 53]
    assert minutes([times.now]) == [53]


@pytest.mark.parametrize(("ahead_s", "believed"), [(0, True), (50, True), (86_400, False), (-86_400, False)])
def test_venue_time_is_believed_if_this_machines_clock_agrees(ahead_s: int, believed: bool) -> None:
    assert RealTime(lambda: datetime.now(UTC) + timedelta(seconds=ahead_s)).is_trustworthy is believed


class RunningEngine(FakeEngine):
    """An exchange whose clock runs automatically."""

    def status(self) -> EngineStatus:
        return replace(super().status(), pace="60x")


def test_clock_that_runs_by_itself_is_refused_at_the_start_and_later() -> None:
    with pytest.raises(OperatorError, match=r"runs automatically \(60x\)") as refused:
        pace(RunningEngine(SESSION.open), share_s=60)
    assert "--speed 60" in str(refused.value.hint)
    engine = FakeEngine(SESSION.open)
    times, _ = pace(engine, share_s=60)
    engine.__class__ = RunningEngine
    with pytest.raises(OperatorError):
        list(times.moments())


def test_night_costs_no_engine_time_and_is_reported() -> None:
    times, said = pace(FakeEngine(SESSION.open - timedelta(hours=5)), share_s=600)
    assert minutes(list(times.moments())) == [-300, 0, 10]
    assert said == ["the session is closed; the next one opens 2026-11-16 14:30 UTC"]


def test_each_close_is_a_moment_and_the_markets_end_ends_it() -> None:
    times, _ = pace(FakeEngine(SESSION.close - timedelta(minutes=15)), share_s=1_000_000)
    assert minutes(list(times.moments()))[:4] == [375, 380, 390, 1440]
    assert times.is_finished


class NeverClosing(FakeEngine):
    """A market that is open also at the moment of its end, which the next session begins with."""

    def status(self) -> EngineStatus:
        end = SESSION.close
        assert self.at <= end, "time ends there"
        opens = end + timedelta(days=self.at >= end)
        return EngineStatus(self.at, SESSION.date, opens, opens, True, "TEST00001", self.at >= end)

    def sleep(self, seconds: float) -> EngineStatus:
        self.at = min(self.at + timedelta(seconds=seconds), SESSION.close)
        return self.status()


@pytest.mark.parametrize("minutes_before", [15, 0])
def test_a_market_that_never_closes_ends_too(minutes_before: int) -> None:
    times, _ = pace(NeverClosing(SESSION.close - timedelta(minutes=minutes_before)), share_s=1_000_000)
    assert len(list(islice(times.moments(), 20))) < 20
    assert times.is_finished
    assert len(list(islice(times.passing(3600), 20))) == 1, "no time passes any more"


def test_engine_time_follows_ticks_by_others() -> None:
    engine = FakeEngine(SESSION.open)
    times, _ = pace(engine, share_s=60)
    list(times.moments())
    engine.sleep(3600)
    assert minutes(list(times.moments())) == [62]


def test_real_time_is_the_venues_a_second_behind() -> None:
    ahead = timedelta(minutes=7)
    times = RealTime(lambda: datetime.now(UTC) + ahead)
    off = times.now - datetime.now(UTC) - ahead
    assert timedelta(seconds=-2) < off < timedelta(seconds=-0.9)
    assert len(list(times.moments())) == 1
    assert not times.is_finished


def test_real_time_begins_only_where_the_venue_answers_and_serves_on_where_it_is_away_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [datetime.now(UTC)]

    def ask() -> datetime:
        if not answers:
            raise TemporaryError("away")
        return answers.pop()

    times = RealTime(ask)
    monkeypatch.setattr("tradebot.adapters.time.clock.ASK_AGAIN_S", 0.0)
    assert len(list(times.moments())) == 1
    with pytest.raises(TemporaryError, match="away"):
        RealTime(ask)


AN_HOUR = "for 60 minutes, from 2026-11-16 14:29:59 UTC to 2026-11-16 15:29:59 UTC"


@pytest.mark.parametrize(
    ("counted_s", "awake_s", "told"),
    [
        (1, 1, None),
        (60, 0, None),
        (3600, 2, f"the machine slept {AN_HOUR}"),
        (3600, 3600, f"this process was stopped {AN_HOUR}"),
    ],
)
def test_two_clocks_tell_a_sleep_of_the_machine_from_a_stopped_process(
    monkeypatch: pytest.MonkeyPatch, counted_s: float, awake_s: float, told: str | None
) -> None:
    passed = {time.CLOCK_MONOTONIC: 0.0, machine_clock.CLOCK: 0.0}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: passed[clock])
    times = RealTime(lambda: SESSION.open)
    assert times.pause() is None
    times.rest()
    passed |= {machine_clock.CLOCK: counted_s, time.CLOCK_MONOTONIC: awake_s}
    assert (str(times.pause()).rpartition(":")[0] if told else times.pause()) == told
    times.rest()
    assert times.pause() is None
