"""Sessions come from the ledger, and from the venue where the ledger may lack some."""

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ACCOUNT
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.app.calendar import sessions
from tradebot.model.bar import Session

FIRST = date(2026, 1, 1)
days = st.integers(0, 120).map(lambda count: FIRST + timedelta(days=count))
HOLIDAYS = (FIRST, date(2026, 1, 19), date(2026, 2, 16), date(2026, 4, 3))


def venue(first: date, last: date) -> list[Session]:
    """Return what the venue says."""
    between = (first + timedelta(days=count) for count in range((last - first).days + 1))
    trading = (day for day in between if day.weekday() < 5 and day not in HOLIDAYS)
    opens = (datetime.combine(day, time(14, 30), UTC) for day in trading)
    return [Session(at.date(), at, at + timedelta(hours=6)) for at in opens]


@given(st.sets(st.integers(0, 12)), days, st.integers(0, 60))
def test_whatever_the_ledger_lacks_the_sessions_are_those_of_the_venue(
    held: set[int], first: date, length: int
) -> None:
    ledger, last = MemoryLedger(ACCOUNT), first + timedelta(days=length)
    for block in held:
        start = FIRST + timedelta(days=14 * block)
        ledger.put_sessions(venue(start, start + timedelta(days=9)))
    assert list(sessions(ledger, venue, first, last)) == venue(first, last)


def test_a_ledger_that_holds_them_all_is_enough() -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions(venue(FIRST, FIRST + timedelta(days=60)))

    def asked(first: date, last: date) -> list[Session]:
        raise AssertionError("the venue was asked")

    first = FIRST + timedelta(days=14)
    assert list(sessions(ledger, asked, first, first)) == venue(first, first)
    assert list(sessions(ledger, asked, first, first + timedelta(days=30))) == venue(first, first + timedelta(days=30))
