"""Listed faults 105 to 116: clocks, calendars and time zones."""

import json
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from commands.doctor.venue import clock_skew
from jobs.due_slots import SlotTracker
from jobs.slot_claims import SlotRefused, claim
from tests.faults.listed.conftest import Lies
from tests.kit.bot.trader import UNTIL_FILLED_S, Trader
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeVenue
from tests.kit.values import ACCOUNT, CASH, SESSION, VENUE_DAY, lines_of, us_sessions
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.time.clock import BEHIND, LockStepClock, RealTime
from tradebot.adapters.wire.json_fields import RowError, utc
from tradebot.judging.judgment import HealthState as Verdict
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import SlotClaim
from tradebot.timetable.job_times import parse
from tradebot.timetable.sessions import AGAIN, slot_at, slots

NEW_YORK = ZoneInfo("America/New_York")
TIMETABLE = {
    Job.FETCH_FLOW: parse("every 10m from open+2m", VENUE_DAY),
    Job.SCORE: parse("every 10m from open+2m", VENUE_DAY),
    Job.EVALUATE_EXITS: parse("every 5m from open+2m", VENUE_DAY),
    Job.TRADE_ONCE: parse("every 10m from open+5m until close-20m", VENUE_DAY),
    Job.RECONCILE: parse("at open+1m, at close-10m", VENUE_DAY),
}
ENTRIES = TIMETABLE[Job.TRADE_ONCE]
FALLEN = Decimal("0.85")
"""What is left of a price that has fallen far below every stop."""


class Hours:
    """A timetable over some sessions, and every slot that was ever filled."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.ledger = MemoryLedger(ACCOUNT)
        self.ledger.put_sessions(sessions)
        self.ledger.open_books(CASH, sessions[0].open)
        self.duty = SlotTracker(
            self.ledger, lines_of(TIMETABLE), 90, VENUE_DAY, lambda now: None, lambda slot, now: False
        )
        self.ran = Counter[tuple[date, str, str]]()
        self.missed = Counter[tuple[date, str, str]]()

    def look(self, now: datetime) -> list[str]:
        """Fill what is due at a moment, and return the names of the slots of entries among it."""
        due = self.duty.look(now)
        for slot in due.run:
            self.ledger.claim_slot(slot.job, slot.session, slot.name, "serve", now)
            self.ran[slot.session, slot.job, slot.name] += 1
        for missed in self.duty.write(due.missed, now, "serve"):
            self.missed[missed.slot.session, missed.slot.job, missed.slot.name] += 1
        self.duty.rest(now)
        return [slot.name for slot in due.run if slot.job == Job.TRADE_ONCE]

    def pass_days(self, first: datetime, last: datetime) -> None:
        """Look each minute of a span, nights included."""
        for minute in range(int((last - first).total_seconds()) // 60):
            self.look(first + timedelta(minutes=minute))


def keeps_its_hours(before: Session, after: Session) -> None:
    """Run two sessions around a change of the clocks: every slot once, at the same hour of New York."""
    assert before.open.hour != after.open.hour, "no change of the clocks lies between these two"
    hours = Hours([before, after])
    hours.pass_days(before.open - timedelta(hours=1), after.close + timedelta(hours=1))
    every = [slots(job, times, session) for job, times in TIMETABLE.items() for session in (before, after)]
    assert hours.ran == Counter((slot.session, slot.job, slot.name) for found in every for slot in found)
    assert not hours.missed
    assert _hours(before) == _hours(after)


def _hours(session: Session) -> list[object]:
    """Return when the slots of entries begin, by the clocks of New York."""
    return [slot.start.astimezone(NEW_YORK).time() for slot in slots(Job.TRADE_ONCE, ENTRIES, session)]


def test_fault_105_spring_forward() -> None:
    """Slots follow the session's open and close: each runs once, at its usual New York time."""
    keeps_its_hours(*us_sessions(date(2027, 3, 12), date(2027, 3, 15)))


def test_fault_106_fall_back() -> None:
    """No slot runs twice in the night of the repeated hour, and none is lost after it."""
    keeps_its_hours(*us_sessions(date(2026, 10, 30), date(2026, 11, 2)))


def test_fault_107_half_day_until_13_00() -> None:
    """The last entries come before the early close, exits run until then, and nothing is due afterward."""
    (session,) = us_sessions(date(2026, 11, 27), date(2026, 11, 27))
    assert session.close.astimezone(NEW_YORK).hour == 13
    hours = Hours([session])
    hours.pass_days(session.open, session.close + timedelta(hours=4))
    entries = [name for _, job, name in hours.ran if job is Job.TRADE_ONCE]
    assert (entries[0], entries[-1]) == ("open+5m", "open+185m")
    assert [name for _, job, name in hours.ran if job is Job.EVALUATE_EXITS][-1] == "open+207m"
    scene = Scene(venue=FakeVenue(session, session.close, CASH))
    scene.ledger.put_sessions([session])
    scene.venue.is_open = False
    assert _refused(scene) == (Reason.MARKET_CLOSED, Reason.MARKET_CLOSED)


def _refused(scene: Scene) -> tuple[Reason | None, Reason | None]:
    """Return why neither entries nor exits ran; nothing may have been sent."""
    found = [story(scene.world(wanted("AAPL")), call(slot="late")) for story in (trade_once, evaluate_exits)]
    assert scene.venue.submitted == []
    first, second = (record.job_decision.reason for record in found if record.job_decision)
    return first, second


def test_fault_108_unscheduled_closure() -> None:
    """The venue says closed while the calendar says open: both passes are refused, and the message names it."""
    scene = Scene()
    scene.venue.is_open = False
    assert _refused(scene) == (Reason.CALENDAR_DISAGREES, Reason.CALENDAR_DISAGREES)


def test_a_session_that_the_broker_extends_is_stored_and_closed_to_entries(trader: Trader, lies: Lies) -> None:
    """The broker's clock contradicts the stored calendar, so its calendar is asked, and slots and exits go by it."""
    trader.holds("MSFT")
    trader.stage.tick(seconds=AGAIN.total_seconds())
    lies.tell("/clock", lambda row: row | {"next_close": _later(row["next_close"])})
    lies.tell("/calendar", lambda rows: [rows[0] | {"close": "17:00"}, *rows[1:]])
    before = trader.posts()
    assert trader.reconciles().code == 0
    with closing(SqliteLedger.open(trader.folder, read_only=True)) as ledger:
        today = trader.intents()[-1].intent.key.session
        (session,) = ledger.sessions(today, today)
        assert session.close.astimezone(NEW_YORK).time().isoformat("minutes") == "17:00"
    trader.buys("AAPL", again=True)
    refused = trader.last(Job.TRADE_ONCE).job_decision
    assert refused is not None
    assert refused.reason is Reason.CALENDAR_DISAGREES
    ours = f"{session.open:%H:%M} to {session.close - timedelta(hours=1):%H:%M}"
    theirs = f"{session.open:%H:%M} to {session.close:%H:%M}"
    assert refused.observed == f"the broker's calendar has {theirs} UTC, exchange_calendars {ours} UTC"
    assert trader.posts() == before
    assert trader.exits().code == 0
    last = trader.last(Job.EVALUATE_EXITS)
    assert last.job_decision is None, "exits go by the broker's word"


def _later(moment: str) -> str:
    return (datetime.fromisoformat(moment) + timedelta(hours=1)).isoformat()


def test_fault_109_list_of_holidays_ends() -> None:
    """The calendar is read with its bounds, years ahead; where it ends, nothing is due and no entry sent."""
    assert len(us_sessions(date(2029, 7, 2), date(2029, 7, 6))) == 4
    before = timedelta(days=3)
    hours = Hours([Session(SESSION.date - before, SESSION.open - before, SESSION.close - before)])
    hours.pass_days(SESSION.open, SESSION.open + timedelta(hours=2))
    assert not hours.ran
    scene = Scene(ledger=Uncharted(ACCOUNT))
    refused = trade_once(scene.world(wanted("AAPL")), call(slot="late")).job_decision
    assert refused is not None
    assert (refused.reason, scene.venue.submitted) == (Reason.CALENDAR_DISAGREES, [])


class Uncharted(MemoryLedger):
    """A ledger whose calendar knows no day."""

    def put_sessions(self, sessions: Iterable[Session], gone: Collection[date] = (), calendar: str = "") -> None:
        """Keep none."""


class Machine:
    """The clocks of the machine: the one that can be set, and the one that only counts."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.set_s, self.counted_s, self.asked = 0.0, 0.0, 0
        began_s, kernel = SESSION.open.timestamp(), 1000.0
        patch.setattr(time, "time", lambda: began_s + self.set_s + self.counted_s)
        patch.setattr(time, "clock_gettime", lambda _: kernel + self.counted_s)

    def venue(self) -> datetime:
        """Tell the venue's time, which nobody here can set."""
        self.asked += 1
        return SESSION.open + timedelta(seconds=self.counted_s)


def believes_the_venue(machine: Machine, jump: timedelta) -> None:
    """Set the machine's clock in the middle of a session: trading time goes on as it was, and the venue is asked."""
    times = RealTime(machine.venue)
    machine.counted_s = 60
    (before,) = times.moments()
    machine.set_s += jump.total_seconds()
    machine.counted_s = 90
    (after,) = times.moments()
    assert after - before == timedelta(seconds=30)
    assert after == SESSION.open + timedelta(seconds=90) - BEHIND
    assert machine.asked == 2
    assert len(list(times.moments())) == 1
    assert machine.asked == 2


def test_fault_110_clock_set_back_an_hour(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trading time is the venue's: no slot runs twice, and if the venue's own clock is set back, nothing is sent."""
    with monkeypatch.context() as patch:
        believes_the_venue(Machine(patch), timedelta(hours=-1))
    hours = Hours([SESSION])
    for minute in (5, 65, 5, 15, 65):
        hours.look(SESSION.open + timedelta(minutes=minute))
    assert max(hours.ran.values()) == 1
    assert [name for _, job, name in hours.ran if job is Job.TRADE_ONCE] == ["open+5m", "open+65m"]
    trader.stage.tick(seconds=3600)
    assert trader.reconciles().code == 0
    _sends_nothing_while(trader, {"clock_skew": "-1h"})


def _sends_nothing_while(trader: Trader, what: object) -> None:
    """See that a pass sends nothing while the venue's clock is off, and trades once it is right again."""
    trader.trouble(what)
    trader.buys("AAPL")
    assert trader.posts() == 0
    trader.calm()
    assert trader.buys("AAPL", again=True).code == 0
    assert trader.posts() == 1


def test_fault_111_clock_set_forward_a_day(trader: Trader, lies: Lies, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until both clocks agree: no entries, no exits by time, no claimed slots; exits by price continue."""
    with monkeypatch.context() as patch:
        believes_the_venue(Machine(patch), timedelta(days=1))
    _sends_nothing_while(trader, {"clock_skew": "24h"})
    goes_by_prices_alone(trader, lies, 1)


def test_a_venue_a_day_behind_is_not_believed_either(trader: Trader, lies: Lies) -> None:
    trader.holds("MSFT", "AAPL")
    goes_by_prices_alone(trader, lies, -1)


def goes_by_prices_alone(trader: Trader, lies: Lies, days: int) -> None:
    """Let a bot that holds AAPL meet a venue on another day, then a fallen price, then the right day again."""
    trader.stage.tick(seconds=120)
    assert (trader.reconciles().code, trader.exits().code) == (0, 0)
    claimed, before = _claims(trader, days), trader.intents()
    lies.tell("/clock", partial(_shifted, days))
    said = [trader.buys("JPM", again=True), trader.exits(), trader.reconciles()]
    assert [one.code for one in said] == [5, 0, 5]
    assert all("CLOCKS_DISAGREE" in one.err for one in (said[0], said[2]))
    with closing(trader.bot.app()) as app:
        assert clock_skew(app).state is Verdict.FAILED
    refused = trader.last(Job.TRADE_ONCE).job_decision
    assert refused is not None
    assert (refused.reason, refused.observed, refused.limit) == (Reason.CLOCKS_DISAGREE, 86_400.0 * days, 60)
    assert (_claims(trader, days), trader.intents()) == (claimed, before)
    lies.tell("/stocks/snapshots", _fallen)
    assert trader.exits().code == 0
    sent = [(record.intent.purpose, record.intent.instrument.symbol) for record in trader.intents()[len(before) :]]
    # The pair's limit can't go below its stop, so the exit takes the place of the pair.
    assert sent == [(Purpose.PROTECT, "AAPL"), (Purpose.CLOSE, "AAPL")]
    lies.end()
    # The pass before the lie ran at the same moment, and knew of no gap.
    same = LockStepClock(trader.stage.url).now()
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert [one.code for one in (trader.reconciles(), trader.exits(), trader.buys("JPM", again=True))] == [0, 0, 0]
    lines = (trader.folder / "system_events.jsonl").read_text().splitlines()
    told = [event["event_type"] for line in lines if (event := json.loads(line))["symbol"] == "AAPL"]
    assert (told.count("protection_gap"), told.count("protection_gap_ended")) == (1, 1)
    # A gap that was told by a clock that is ahead can't be held against the exchange's own time.
    trader.is_whole(unable=[same], told_in_time=days < 0)


def _shifted(days: int, row: dict[str, str]) -> dict[str, str]:
    """Return a clock's answer with all its times moved by so many days."""
    shifted = ("timestamp", "next_open", "next_close")
    return row | {name: (datetime.fromisoformat(row[name]) + timedelta(days=days)).isoformat() for name in shifted}


def _fallen(snapshots: dict[str, Any]) -> dict[str, Any]:
    """Return snapshots in which AAPL has fallen far below its stop, wherever its price has walked to by then."""
    fallen = snapshots["AAPL"]
    bid = (Decimal(str(fallen["latestTrade"]["p"])) * FALLEN).quantize(Decimal("0.01"))
    fallen["latestQuote"] |= {"bp": bid, "ap": bid + Decimal("0.05")}
    fallen["latestTrade"] |= {"p": bid}
    return snapshots


def _claims(trader: Trader, days: int) -> Sequence[SlotClaim]:
    """Return the claimed slots of the session that the venue would have."""
    day = trader.intents()[-1].intent.key.session + timedelta(days=days)
    with closing(SqliteLedger.open(trader.folder, read_only=True)) as ledger:
        return ledger.slot_claims(day)


def test_fault_112_suspended_for_8_hours_across_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the venue on waking; the missed entries stay missed, the rest runs once, an old desk sends nothing."""
    machine = Machine(monkeypatch)
    times = RealTime(machine.venue)
    machine.counted_s = 8 * 3600.0
    assert list(times.moments()) == [SESSION.open + timedelta(hours=8) - BEHIND]
    assert machine.asked == 2
    hours = Hours([SESSION])
    hours.look(SESSION.open - timedelta(hours=4))
    assert hours.look(SESSION.open + timedelta(hours=4)) == []
    assert {job for _, job, _ in hours.missed} == set(TIMETABLE) - {Job.RECONCILE}
    assert {claim.missed_reason for claim in hours.ledger.slot_claims(SESSION.date)} == {None, Reason.ASLEEP}
    assert Counter(job for _, job, _ in hours.ran) == dict.fromkeys(set(TIMETABLE) - {Job.TRADE_ONCE}, 1)
    assert _ends_after(8 * 3600, is_open=True) is Reason.DESK_STALE


def _ends_after(slept_s: float, *, is_open: bool) -> Reason | None:
    """Return how an entry ends whose process slept between its desk and its promise."""
    scene, readings = Scene(), iter((0.0,))
    world = scene.world(wanted("AAPL"))
    close = scene.venue.session.close

    def stopwatch() -> float:
        reading = next(readings, slept_s)
        if reading == slept_s:
            scene.venue.session = replace(scene.venue.session, close=close + timedelta(days=1))
            scene.venue.now, scene.venue.is_open = scene.venue.now + timedelta(seconds=slept_s), is_open
        return reading

    record = trade_once(replace(world, stopwatch=stopwatch), call())
    assert scene.venue.submitted == []
    terminal = record.candidates[0].terminal
    return terminal.reason if terminal else None


def test_fault_113_leap_second_smeared(trader: Trader) -> None:
    """A second of difference between two clocks closes nothing; a time of 23:59:60 is a bad row, not a crash."""
    trader.trouble({"clock_skew": "-1s"})
    assert trader.buys("AAPL").code == 0
    trader.calm()
    trader.trouble({"clock_skew": "1s"})
    assert trader.buys("MSFT").code == 0
    assert trader.posts() == 2
    with pytest.raises(RowError, match="is not a timestamp"):
        utc("at", "2026-12-31T23:59:60Z")


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Move the whole machine to a time zone for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def test_fault_114_time_zone_of_the_system_changes_while_it_runs(trader: Trader) -> None:
    """All times inside are UTC: the slot is the same and already taken, and orders keep the same ids."""
    with zone("America/Los_Angeles"):
        assert trader.buys("AAPL").code == 0
    with zone("Asia/Tokyo"):
        assert trader.buys("AAPL").code == 0
        assert trader.reconciles().code == 0
    assert trader.posts() == 1
    (record,) = trader.intents()
    assert record.intent.at.tzinfo is UTC
    lines = (trader.folder / "system_events.jsonl").read_text().splitlines()
    assert all('"timestamp":"2' in line and ('Z"' in line or "+00:00" in line) for line in lines)
    assert os.environ.get("TZ") is None


@pytest.mark.parametrize(("left_s", "sent"), [(0.1, 0), (1.9, 0), (2.5, 1)])
def test_fault_115_desk_before_the_close_and_order_after_it(left_s: float, sent: int) -> None:
    """An order that would leave within two seconds of the close isn't sent: it might arrive late and wait overnight."""
    scene = Scene(venue=FakeVenue(SESSION, SESSION.close - timedelta(seconds=left_s), CASH))
    scene.later(0)
    readings = iter((0.0,))
    world = replace(scene.world(wanted("AAPL")), stopwatch=lambda: next(readings, 0.3))
    record = trade_once(world, call())
    assert len(scene.venue.submitted) == sent
    terminal = record.candidates[0].terminal
    assert (terminal.reason if terminal else None) == (None if sent else Reason.MARKET_CLOSED)
    assert len(scene.ledger.intents()) == sent


def test_fault_116_slot_exactly_at_the_boundary_twice() -> None:
    """A slot starts with its first instant and ends before the next one's; of two simultaneous callers, one gets it."""
    first, second = slots(Job.TRADE_ONCE, ENTRIES, SESSION)[:2]
    assert slot_at(Job.TRADE_ONCE, ENTRIES, SESSION, first.start) == first
    assert slot_at(Job.TRADE_ONCE, ENTRIES, SESSION, second.start - timedelta(microseconds=1)) == first
    assert slot_at(Job.TRADE_ONCE, ENTRIES, SESSION, second.start) == second
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION])
    ledger.open_books(Decimal(1), SESSION.open)
    found = [claim(ledger, TIMETABLE, Job.TRADE_ONCE, second.start, VENUE_DAY, by) for by in ("cron", "serve")]
    assert [isinstance(one, SlotRefused) for one in found] == [False, True]
    assert isinstance(found[1], SlotRefused)
    assert found[1].decision.reason is Reason.SLOT_TAKEN
