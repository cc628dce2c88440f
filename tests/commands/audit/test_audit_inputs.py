"""What `tradebot audit` reads: which jobs had a slot in its span."""

from datetime import timedelta

import pytest

from commands.audit.audit_inputs import due_in
from tests.kit.core.evidence import past, slot
from tests.kit.values import SESSION
from tradebot.judging.evidence import TradingMoment
from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace


@pytest.mark.parametrize(("apart", "due"), [(timedelta(0), []), (timedelta(hours=17), [Job.TRADE_ONCE])])
def test_where_sessions_touch_slots_of_the_session_before_are_not_due_in_the_new_one(
    apart: timedelta, due: list[Job]
) -> None:
    begun = SESSION.close + apart
    after = Session(SESSION.date + timedelta(days=1), begun, begun + timedelta(days=1))
    known = past(sessions=(SESSION, after), due={Job.TRADE_ONCE: (slot(Job.TRADE_ONCE, "open+5m", 60),)})
    assert due_in(known, TradingMoment(begun, begun, after)) == due
    own = replace(known, due={Job.TRADE_ONCE: (replace(slot(Job.TRADE_ONCE, "open+5m", 0), session=after.date),)})
    assert due_in(own, TradingMoment(begun, begun, after)) == [Job.TRADE_ONCE]
