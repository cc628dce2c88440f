"""What Alpaca's adapter proves about the end of an order: by a lookup, and by sessions, never by a date."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import DAY, NOW, SESSION, following
from tradebot.model.bar import Session
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order, TimeInForce
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End
from tradebot.venues.alpaca.parsers import ARRIVES_WITHIN, end_of, has_outlived

TOMORROW = following(SESSION)
BOTH = (SESSION, TOMORROW)
HOURS = st.integers(-100, 100).map(lambda hours: SESSION.close + timedelta(hours=hours))


def order_and_intent() -> tuple[Order, Intent]:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (order,) = scene.ledger.orders()
    return order, scene.venue.submitted[-1]


ORDER, INTENT = order_and_intent()


@pytest.mark.parametrize(
    ("sent", "now", "end"),
    [
        (NOW, SESSION.close + ARRIVES_WITHIN - timedelta(microseconds=1), End.UNKNOWN),
        (NOW, SESSION.close + ARRIVES_WITHIN, End.OVER),
        (SESSION.close, SESSION.close + ARRIVES_WITHIN, End.UNKNOWN),
        (SESSION.close, TOMORROW.close + ARRIVES_WITHIN, End.OVER),
        (TOMORROW.close, TOMORROW.close + timedelta(days=9), End.UNKNOWN),
    ],
)
def test_an_order_that_alpaca_does_not_know_is_over_some_hours_later(sent: datetime, now: datetime, end: End) -> None:
    proof = end_of(lambda name: None, replace(INTENT, at=sent), BOTH, now)
    assert (proof.end, proof.order) == (end, None)


def test_a_cancel_is_looked_up_by_nobody() -> None:
    def never(name: str) -> Order | None:
        raise AssertionError(name)

    cancel = replace(INTENT, operation=Operation.CANCEL)
    assert end_of(never, cancel, BOTH, NOW).end is End.UNKNOWN
    assert end_of(never, cancel, BOTH, SESSION.close + ARRIVES_WITHIN).end is End.OVER


@pytest.mark.parametrize(
    ("life", "sent", "over"),
    [
        (TimeInForce.DAY, NOW, True),
        (TimeInForce.DAY, SESSION.close, False),
        (TimeInForce.DAY, None, False),
        (TimeInForce.GTC, NOW, False),
        (TimeInForce.UNKNOWN, NOW, False),
    ],
)
def test_only_a_day_order_outlives_itself(life: TimeInForce, sent: datetime | None, over: bool) -> None:
    order = replace(ORDER, time_in_force=life, submitted_at=sent)
    assert has_outlived(order, BOTH, SESSION.close + ARRIVES_WITHIN - timedelta(seconds=1)) == ""
    said = f"it is for one day, and the session of {DAY} closed at 2026-11-16 21:00 UTC"
    assert has_outlived(order, BOTH, SESSION.close + ARRIVES_WITHIN) == (said if over else "")


@given(HOURS, HOURS, st.sampled_from([(), BOTH[:1], BOTH]))
def test_nothing_is_over_before_a_session_that_it_could_work_in_has_closed(
    sent: datetime, now: datetime, sessions: tuple[Session, ...]
) -> None:
    over = end_of(lambda name: None, replace(INTENT, at=sent), sessions, now).end is End.OVER
    worked = [session for session in sessions if session.close > sent]
    assert over == (bool(worked) and now >= worked[0].close + ARRIVES_WITHIN)
    assert bool(has_outlived(replace(ORDER, submitted_at=sent), sessions, now)) == over
