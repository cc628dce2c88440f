"""Who asks the broker's calendar, and what happens if it doesn't answer."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from commands.shared.calendar import BrokerCalendarKeeper, keep_calendar
from tests.kit.values import ACCOUNT, SHIPPED, us_sessions
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.app import calendar
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session, VenueClock
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.timetable.sessions import AGAIN
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
