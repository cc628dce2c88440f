"""When the market opens next, seen from before, during and after sessions."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import ACCOUNT, SESSION
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.bar import Session
from tradebot.timetable.sessions import next_open

TOMORROW = Session(
    SESSION.date + timedelta(days=1), SESSION.open + timedelta(days=1), SESSION.close + timedelta(days=1)
)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (SESSION.open - timedelta(seconds=1), SESSION.open),
        (SESSION.open, None),
        (SESSION.close - timedelta(seconds=1), None),
        (SESSION.close, TOMORROW.open),
        (TOMORROW.close, None),
        (datetime(2030, 1, 1, tzinfo=UTC), None),
    ],
)
def test_the_next_open_is_told_only_while_no_session_is_open(now: datetime, opens: datetime | None) -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION, TOMORROW])
    assert next_open(ledger, now) == opens
