"""A request without a known outcome is given up only when the venue's adapter proves that it can't arrive any more."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.apart import MADE_UP, MadeUpVenue
from tests.kit.core.scene import Scene
from tests.kit.core.venue import ACCEPTED, FakeReader, FakeVenue
from tests.kit.values import CASH, NOW, SESSION, VENUE_DAY
from tests.reconciliation.test_catch_up import caught, lost, sent, state_of
from tradebot.model.bar import Session
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.order import Order, OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Edit, End, Proof
from tradebot.reconciliation.catch_up import fillable_orders, with_expired_orders
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import reconcile

SUNDAY = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
GLOBEX = Session(date(2026, 11, 23), SUNDAY - timedelta(minutes=30), datetime(2026, 11, 23, 22, 0, tzinfo=UTC))
"""The session of a Monday, which begins on Sunday evening."""
LAST_SECONDS = datetime(2026, 11, 22, 23, 59, 58, tzinfo=UTC)
UNKNOWN, OVER = IntentState.SENT, IntentState.ABANDONED


class ByDate(FakeVenue):
    """Takes what the venue doesn't know for over as soon as the date has changed, as every venue was taken once."""

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        return Proof(End.OVER if intent.session < now.date() else End.UNKNOWN, "its session is over")

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:  # type: ignore[override]
        return "its session is over" if order.submitted_at and order.submitted_at.date() < now.date() else ""


def promised(venue: FakeVenue, at: datetime, *sessions: Session) -> tuple[Scene, str]:
    """Return books in which an order was promised at a time, filed under its UTC day, and that order's id."""
    scene = Scene(venue=venue)
    scene.ledger.put_sessions(sessions)
    intent = sent(Scene())
    intent = replace(intent, at=at, key=replace(intent.key, session=at.date()))
    scene.ledger.record_intent(intent, ())
    return scene, intent.client_order_id


def passing(scene: Scene, now: datetime) -> None:
    scene.venue.now = now
    caught(scene)


@pytest.mark.parametrize(("kind", "state"), [(FakeVenue, UNKNOWN), (ByDate, OVER)])
def test_an_order_of_sunday_evening_is_not_over_on_monday(kind: type[FakeVenue], state: IntentState) -> None:
    scene, name = promised(kind(GLOBEX, SUNDAY, CASH), SUNDAY, GLOBEX)
    passing(scene, SUNDAY + timedelta(hours=1))
    assert state_of(scene, name) is state


@pytest.mark.parametrize(("kind", "state"), [(MadeUpVenue, UNKNOWN), (ByDate, OVER)])
def test_an_order_of_the_days_last_seconds_is_not_over_at_midnight(kind: type[FakeVenue], state: IntentState) -> None:
    scene, name = promised(kind(SESSION, LAST_SECONDS, CASH), LAST_SECONDS)
    passing(scene, LAST_SECONDS + timedelta(seconds=4))
    assert state_of(scene, name) is state
    passing(scene, LAST_SECONDS + timedelta(seconds=10))
    assert state_of(scene, name) is OVER, "its history proves by then that it never arrived"


@pytest.mark.parametrize(("kind", "working"), [(FakeVenue, 1), (ByDate, 0)])
def test_a_working_order_that_is_not_listed_may_fill_after_midnight(kind: type[FakeVenue], working: int) -> None:
    scene, name = promised(kind(GLOBEX, SUNDAY, CASH), SUNDAY, GLOBEX)
    record = scene.ledger.intent(name)
    assert record is not None
    scene.ledger.record_outcome(name, replace(ACCEPTED, order=scene.venue.rest(name, "AAPL", record.intent)), SUNDAY)
    for passed, count in ((SUNDAY + timedelta(hours=1), working), (GLOBEX.close + timedelta(hours=4), 0)):
        books = with_expired_orders(scene.venue, read_books(scene.ledger, passed, VENUE_DAY), passed)
        assert len(fillable_orders(books)) == count


def test_what_was_promised_on_a_weekend_waits_for_the_next_session_to_end() -> None:
    saturday = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    scene, name = promised(FakeVenue(SESSION, saturday, CASH), saturday, GLOBEX)
    for now, state in (
        (saturday + timedelta(days=1), UNKNOWN),
        (GLOBEX.close + timedelta(hours=3, minutes=59), UNKNOWN),
        (GLOBEX.close + timedelta(hours=4), OVER),
    ):
        passing(scene, now)
        assert state_of(scene, name) is state


def test_the_evidence_is_written_down() -> None:
    scene = Scene()
    name = lost(scene)
    passing(scene, NOW + timedelta(hours=23))
    record = scene.ledger.intent(name)
    assert record is not None
    assert record.message == (
        "Alpaca doesn't know it, and a request sent at 2026-11-16 15:00 UTC can't arrive any more at 2026-11-17 14:00 "
        "UTC: the session of 2026-11-16 closed at 2026-11-16 21:00 UTC, more than 4 hours before"
    )


def test_a_request_that_was_sent_again_counts_from_then_on() -> None:
    scene = Scene()
    name = lost(scene)
    later = Session(SESSION.date, SESSION.open + timedelta(days=1), SESSION.close + timedelta(days=1))
    later = replace(later, date=SESSION.date + timedelta(days=1))
    scene.ledger.put_sessions([later])
    scene.ledger.retry(name, later.open)
    passing(scene, SESSION.close + timedelta(hours=20))
    assert state_of(scene, name) is UNKNOWN
    passing(scene, later.close + timedelta(hours=4))
    assert state_of(scene, name) is OVER


@pytest.mark.parametrize(
    ("price", "status", "state"),
    [
        (Decimal("99.50"), OrderStatus.NEW, IntentState.ACKED),
        (None, OrderStatus.NEW, UNKNOWN),
        (None, OrderStatus.CANCELED, IntentState.REJECTED),
    ],
    ids=["its price shows it", "not yet", "it ended first"],
)
def test_a_change_in_place_is_known_by_the_price_of_its_order(
    price: Decimal | None, status: OrderStatus, state: IntentState
) -> None:
    venue = MadeUpVenue(SESSION, NOW, CASH, replace(MADE_UP, edit=Edit.IN_PLACE))
    scene = Scene(venue=venue)
    first = sent(scene)
    (order,) = venue.made
    change = replace(
        first,
        client_order_id="tb1.change",
        operation=Operation.REPLACE,
        limit_price=Decimal("99.50"),
        target_venue_id=order.venue_id,
    )
    scene.ledger.record_intent(change, ())
    now = replace(order, limit_price=price or order.limit_price, status=status, updated_at=NOW + timedelta(seconds=2))
    venue.book[first.client_order_id] = now
    passing(scene, NOW + timedelta(seconds=5))
    assert state_of(scene, "tb1.change") is state


@pytest.mark.parametrize(("behind", "state"), [(timedelta(0), OVER), (timedelta(days=1), UNKNOWN)])
def test_a_comparison_gives_up_nothing_because_only_the_venues_clock_says_so(
    behind: timedelta, state: IntentState
) -> None:
    scene = Scene()
    name = lost(scene)
    scene.venue.now = SESSION.close + timedelta(hours=20)
    reconcile(FakeReader(scene.venue), scene.ledger, second=lambda: scene.venue.now - behind)
    assert state_of(scene, name) is state
