"""Who asks the broker's calendar, and what happens if it doesn't answer."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.shared.calendar import (
    BrokerCalendarKeeper,
    account_for_missed,
    entry_grace_s,
    keep_calendar,
    lacks_flow,
    run_chore,
    unmet_need,
)
from tests.kit.values import ACCOUNT, CASH, SESSION, SHIPPED, VENUE_DAY, us_sessions, venue_clock
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state import state_locks
from tradebot.app import calendar
from tradebot.app.settings import load
from tradebot.errors import ExitCode, TemporaryError, TradebotError
from tradebot.model.bar import Session, VenueClock
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.serving import ChoreEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode, ReconcileMark
from tradebot.timetable.entries import EntryNeed, TimetableEntry
from tradebot.timetable.sessions import AGAIN, Slot
from tradebot.venues.alpaca.capabilities import ALPACA

TODAY, TOMORROW = us_sessions(date(2026, 11, 16), date(2026, 11, 17))
NOON = TODAY.open + timedelta(hours=2)


class Broker:
    """A broker with its clock and calendar, which may be away."""

    def __init__(self) -> None:
        self.told = VenueClock(NOON, True, TOMORROW.open, TODAY.close)
        self.away = False
        self.asked = 0

    def clock(self) -> VenueClock:
        return self.told

    def calendar(self, first: date, last: date, name: str = "") -> Sequence[Session]:
        self.asked += 1
        if self.away:
            raise TemporaryError("the calendar doesn't answer")
        return us_sessions(first, last)


class App:
    """What asking the calendar needs of a bot."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger(ACCOUNT)
        self.events = MemoryEvents()
        self.reader = Broker()
        self.settings, self.day = SHIPPED, SHIPPED.day

    def ensure_calendar(self, now: datetime) -> None:
        calendar.ensure_sessions(self.ledger, ALPACA, self.reader.calendar, now, calendar.LEAST)


@pytest.fixture
def app() -> Any:
    return App()


def keep(app: Any, job: Job) -> int:
    """Keep the calendar for a pass and return how often the broker has been asked for it."""
    keep_calendar(app, job, app.reader.told, "cron")
    asked: int = app.reader.asked
    return asked


def test_calendar_is_asked_once_a_day_and_never_by_exits(app: Any) -> None:
    assert keep(app, Job.EVALUATE_EXITS) == 0
    assert app.ledger.sessions(TODAY.date, TODAY.date) == (TODAY,)
    assert keep(app, Job.FETCH_FLOW) == 0
    assert [keep(app, job) for job in (Job.RECONCILE, Job.TRADE_ONCE, Job.RECONCILE)] == [1, 1, 1]
    app.reader.told = VenueClock(TOMORROW.open + timedelta(hours=1), True, NOON + timedelta(days=9), TOMORROW.close)
    assert keep(app, Job.TRADE_ONCE) == 2


def test_unanswered_calendar_closes_only_entries(app: Any) -> None:
    app.reader.away = True
    assert keep(app, Job.RECONCILE) == 1
    assert keep(app, Job.EVALUATE_EXITS) == 1
    with pytest.raises(TemporaryError, match="doesn't answer"):
        keep(app, Job.TRADE_ONCE)
    app.reader.away = False
    assert keep(app, Job.TRADE_ONCE) == 3


def test_serve_asks_when_the_clock_was_read_and_again_after_a_sleep_until_it_answers(app: Any) -> None:
    app.ensure_calendar(NOON)
    keeper = BrokerCalendarKeeper(app, "serve")
    assert not keeper.is_due(), "the clock hasn't been read yet"
    assert keeper.now() == NOON
    assert keeper.is_due()
    assert keeper.ask().said == "fetched the broker's calendar until 2027-03-16: it agrees"
    keeper.now()
    assert not keeper.is_due()
    keeper.woke()
    assert keeper.is_due()
    app.reader.away = True
    with pytest.raises(TemporaryError):
        keeper.ask()
    assert not keeper.is_due(), "it waits until the broker answers at all"
    app.reader.away = False
    keeper.now()
    assert keeper.is_due()
    keeper.ask()
    keeper.now()
    assert not keeper.is_due()


def test_serve_asks_again_when_the_brokers_clock_contradicts_what_is_stored(app: Any) -> None:
    app.ensure_calendar(NOON)
    keeper = BrokerCalendarKeeper(app, "serve")
    keeper.now()
    keeper.ask()
    app.reader.told = replace(app.reader.told, now=NOON + AGAIN, next_close=TODAY.close + timedelta(hours=1))
    keeper.now()
    assert keeper.is_due()


NEEDS = """
timetable:
  trade-once: {when: every 5m from open+2m until close-15m, needs: [flow]}
  audit: {when: close+10m, needs: [reconciled]}
"""


def made(folder: Path, own: str = "{}") -> Any:
    """Return a bot with paper money, in memory, with its own settings."""
    (folder / "mine.yaml").write_text(own)
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, SESSION.open)
    return SimpleNamespace(
        timed=True,
        day=VENUE_DAY,
        mode=Mode.PAPER,
        mode_name="paper",
        folder=SimpleNamespace(path=folder),
        settings=load(folder / "mine.yaml", {}).settings,
        ledger=ledger,
        facts=MemoryFacts(),
        existing_facts=MemoryFacts(),
        events=MemoryEvents(),
        reader=SimpleNamespace(clock=lambda: venue_clock(at(401))),
        second_time=lambda: at(401),
    )


@pytest.fixture
def timed(tmp_path: Path) -> Any:
    return made(tmp_path)


@pytest.fixture
def needing(tmp_path: Path) -> Any:
    return made(tmp_path, NEEDS)


def at(minute: float) -> datetime:
    return SESSION.open + timedelta(minutes=minute)


def missed(timed: Any, job: str) -> list[tuple[str, Reason]]:
    claims = cast("MemoryLedger", timed.ledger).slot_claims(SESSION.date)
    return [(claim.slot, claim.missed_reason) for claim in claims if claim.job == job and claim.missed_reason]


def test_cron_verb_records_why_slots_that_are_over_were_missed(timed: Any) -> None:
    timed.ledger.claim_slot(Job.FETCH_FLOW, SESSION.date, "open+2m", "cron", at(2))
    for _ in range(2):
        account_for_missed(timed, "cron", at(14))
        assert missed(timed, Job.FETCH_FLOW) == [("open+7m", Reason.NOT_RUNNING)]
        assert missed(timed, Job.TRADE_ONCE) == [("open+2m", Reason.NOT_RUNNING), ("open+7m", Reason.NOT_RUNNING)]
        assert missed(timed, Job.RECONCILE) == []
    assert [cycle.slot for cycle in timed.facts.cycles(job=Job.TRADE_ONCE)] == ["open+2m", "open+7m"]


def test_cron_verb_records_nothing_while_serve_runs_or_in_the_sandbox(timed: Any) -> None:
    with state_locks.hold(timed.folder.path, "serve", wait_s=0, name=state_locks.SERVE_LOCK):
        account_for_missed(timed, "cron", at(14))
    timed.mode = Mode.SANDBOX
    account_for_missed(timed, "cron", at(14))
    assert missed(timed, Job.TRADE_ONCE) == []
    assert entry_grace_s(timed) is None


def slot(timed: Any, job: str, name: str) -> Slot:
    line: TimetableEntry = next(line for line in timed.settings.timetable.lines if line.job == job)
    return next(slot for slot in line.slots(SESSION.date, [SESSION], 90) if slot.name == name)


def fetched(timed: Any, minute: float, reason: Reason | None = None) -> None:
    failed = Decision(Gate.JOB, Verdict.UNKNOWN, reason) if reason else None
    timed.existing_facts.record(
        CycleRecord(f"fetch {minute}", Job.FETCH_FLOW, SESSION.date, "", at(minute), "paper", job_decision=failed)
    )


def test_entry_that_needs_flow_waits_for_the_fetch_of_its_slot(needing: Any) -> None:
    entry = slot(needing, Job.TRADE_ONCE, "open+7m")
    fetched(needing, 2.2)
    assert unmet_need(needing, entry) is EntryNeed.FLOW
    fetched(needing, 7.1, Reason.VENUE_UNREACHABLE)
    assert unmet_need(needing, entry) is EntryNeed.FLOW
    fetched(needing, 7.5)
    assert unmet_need(needing, entry) is None
    needing.existing_facts = None
    assert unmet_need(needing, entry) is EntryNeed.FLOW


def test_manual_entry_lacks_flow_when_the_fetch_of_its_slot_failed(needing: Any) -> None:
    assert not lacks_flow(needing, Job.TRADE_ONCE, at(1)), "there is no slot yet"
    assert lacks_flow(needing, Job.TRADE_ONCE, at(8))
    assert not lacks_flow(needing, Job.SCORE, at(8))
    fetched(needing, 7.5)
    assert not lacks_flow(needing, Job.TRADE_ONCE, at(8))


def test_chore_that_needs_a_reconcile_waits_for_one_in_its_session(needing: Any) -> None:
    chore = slot(needing, "audit", "close+10m")
    assert unmet_need(needing, chore) is EntryNeed.RECONCILED
    needing.ledger.mark_reconciled(ReconcileMark(at(-600), 0, 0))
    assert unmet_need(needing, chore) is EntryNeed.RECONCILED
    needing.ledger.mark_reconciled(ReconcileMark(at(1), 0, 0))
    assert unmet_need(needing, chore) is None


def test_parity_of_a_session_without_passes_has_nothing_to_do(needing: Any) -> None:
    chore, ended = replace(slot(needing, "audit", "close+10m"), job="parity"), ChoreEnd(0, None, 1, "")
    needing.passes = SimpleNamespace(passes=lambda day: [])
    said = run_chore(needing, "cron", lambda *_: ended, lambda: False, chore).said
    assert said == f"tradebot parity {SESSION.date}: nothing to compare: the session has no recorded pass"
    needing.passes = SimpleNamespace(passes=lambda day: [day])
    again = run_chore(needing, "cron", lambda *_: ended, lambda: False, chore, again=True).said
    assert again == f"tradebot parity {SESSION.date}: exit 0"


def test_second_chore_is_refused_and_leaves_its_slot_free_while_one_runs(needing: Any) -> None:
    chore = slot(needing, "audit", "close+10m")
    ended = ChoreEnd(0, None, 1, "")
    with (
        state_locks.hold(needing.folder.path, "chore backup", wait_s=0, name=state_locks.CHORE_LOCK),
        pytest.raises(TradebotError) as busy,
    ):
        run_chore(needing, "cron", lambda *_: ended, lambda: False, chore)
    assert busy.value.code is ExitCode.ANOTHER_INSTANCE
    assert needing.ledger.slot_claims(SESSION.date) == ()
    assert run_chore(needing, "cron", lambda *_: ended, lambda: False, chore).said == "tradebot audit: exit 0"
