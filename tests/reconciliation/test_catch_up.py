"""Catching up applies what the venue has done, each thing once; it gives up what can no longer arrive."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import ACCEPTED, LOST
from tests.kit.values import ACCOUNT, CASH, NOW, SESSION, VENUE_DAY, fill, following, there
from tradebot.adapters.ledger.rows import StoredOpening
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.account import BrokerPosition
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark
from tradebot.model.venue import Settlement
from tradebot.reconciliation.catch_up import (
    CatchUpResult,
    catch_up,
    fillable_orders,
    read_view,
    reassign,
    with_expired_orders,
)
from tradebot.reconciliation.new_fills import ASKED_SINGLY, WATCHED
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import reconcile

LATER = NOW + timedelta(minutes=6)


def caught(scene: Scene) -> CatchUpResult:
    return catch_up(scene.venue, scene.ledger, scene.venue.view().orders, scene.venue.now, scene.venue.now)


def opened_long_ago() -> Scene:
    """Return a scene whose books began before the time over which fills are asked for again."""
    scene = Scene()
    scene.ledger.tables.book.put(StoredOpening(CASH, NOW - timedelta(days=10)))
    return scene


def sent(scene: Scene, symbol: str = "AAPL") -> Intent:
    trade_once(scene.world(wanted(symbol)), call())
    return scene.venue.submitted[-1]


def lost(scene: Scene, **changes: object) -> str:
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    intent = replace(sent(scene), client_order_id="tb1.lost", **changes)  # type: ignore[arg-type]
    scene.ledger.record_intent(intent, ())
    return intent.client_order_id


def sent_by_hand(scene: Scene, symbol: str = "MSFT", name: str = "typed by hand") -> str:
    """Put an order of somebody else's into the venue's book; return its id."""
    other = Scene()
    scene.venue.rest(name, symbol, sent(other, symbol))
    return name


def state_of(scene: Scene, client_order_id: str) -> IntentState:
    record = scene.ledger.intent(client_order_id)
    assert record is not None
    return record.state


def test_fills_and_terminal_orders_are_applied_once() -> None:
    scene = Scene()
    intent = sent(scene)
    scene.later(60)
    scene.venue.fill(intent.client_order_id, "100.10")
    assert caught(scene) == CatchUpResult(orders=1, fills=1, unresolved=())
    assert caught(scene) == CatchUpResult(orders=0, fills=0, unresolved=())
    assert [o.status for o in scene.ledger.orders()] == [OrderStatus.FILLED]
    assert [(f.strategy, f.fill.price) for f in scene.ledger.fills()] == [("flow", Decimal("100.10"))]
    assert scene.ledger.totals().cash(CASH, Settlement.PAID) == scene.venue.cash


@pytest.mark.parametrize("listed", [True, False])
def test_an_order_whose_every_share_is_booked_is_over_though_lists_and_answers_are_from_before(listed: bool) -> None:
    scene = Scene()
    intent = sent(scene)
    name, old = intent.client_order_id, scene.venue.view().orders
    caught(scene)
    scene.later(60)
    scene.venue.order = scene.venue.follower = lambda name: old[0]  # type: ignore[method-assign,assignment]
    scene.venue.ended = lambda since: ()  # type: ignore[method-assign]
    open_orders, now = old if listed else (), scene.venue.now
    scene.venue.fill(name, "100", Decimal(1))
    assert catch_up(scene.venue, scene.ledger, open_orders, now, now).fills == 1
    assert [order.venue_id for order in scene.ledger.orders(working=True)] == [old[0].venue_id], "shares are left"
    scene.venue.fill(name, "100")
    assert catch_up(scene.venue, scene.ledger, open_orders, now, now).orders == 1
    (order,) = scene.ledger.orders()
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, intent.quantity)
    assert (order.filled_average_price, order.updated_at) == (Decimal(100), now), "as its fills tell"
    assert catch_up(scene.venue, scene.ledger, open_orders, now, now) == CatchUpResult(orders=0, fills=0, unresolved=())


def test_fills_are_asked_for_from_the_opening_and_then_from_days_before_the_last() -> None:
    scene = opened_long_ago()
    intent = sent(scene)
    scene.later(600)
    scene.venue.fill(intent.client_order_id, "100")
    caught(scene)
    caught(scene)
    last = scene.venue.executions[-1].at
    assert scene.venue.fills_asked_after[-2:] == [scene.ledger.books_opened_at(), last - WATCHED]


def test_a_fill_listed_late_within_the_overlap_is_still_found() -> None:
    scene = Scene()
    first, second = sent(scene), sent(scene, "JPM")
    scene.later(60)
    scene.venue.fill(first.client_order_id, "100")
    scene.venue.fill(second.client_order_id, "100")
    hidden = scene.venue.executions.pop()
    caught(scene)
    scene.venue.executions.append(hidden)
    assert caught(scene).fills == 1


def test_a_fill_that_could_not_be_read_for_days_is_no_less_found_when_it_can() -> None:
    scene = opened_long_ago()
    scene.venue.fill(sent(scene).client_order_id, "100")
    unread = replace(scene.venue.executions.pop(), activity_id="act-unread")
    scene.venue.unreadable_fills = 1
    scene.later(3 * 86_400)
    scene.venue.fill(sent_by_hand(scene), "90")
    assert (caught(scene).fills, caught(scene).unreadable) == (1, 1)
    scene.venue.executions.append(unread)
    scene.venue.unreadable_fills = 0
    assert caught(scene) == CatchUpResult(orders=0, fills=1, unresolved=())
    assert {owned.strategy for owned in scene.ledger.fills()} == {FOREIGN, "flow"}


def test_a_fill_that_its_order_contradicts_for_days_is_taken_as_the_venue_tells_it() -> None:
    scene = opened_long_ago()
    scene.venue.fill(sent(scene).client_order_id, "100")
    scene.venue.executions[0] = replace(scene.venue.executions[0], symbol="RENAMED")
    assert (caught(scene).fills, caught(scene).unreadable) == (0, 1)
    scene.later(5 * 86_400)
    assert (caught(scene).fills, caught(scene).unreadable) == (1, 0)


def test_fills_are_believed_although_the_clock_stands_a_day_behind() -> None:
    scene = Scene()
    scene.venue.fill(sent(scene).client_order_id, "100")
    scene.later(-86_400)
    assert (caught(scene).fills, caught(scene).unreadable) == (1, 0)


def test_a_foreign_fill_of_years_ahead_hides_none_that_comes_after_it() -> None:
    scene = opened_long_ago()
    scene.venue.fill(sent_by_hand(scene), "100")
    scene.venue.executions[0] = replace(scene.venue.executions[0], at=NOW + timedelta(days=9999))
    assert caught(scene).fills == 1
    scene.venue.fill(sent(scene).client_order_id, "100")
    assert caught(scene).fills == 1


def test_fills_of_others_are_kept_as_foreign() -> None:
    scene = Scene()
    by_hand = replace(sent(scene), client_order_id="typed by hand")
    scene.later(60)
    scene.venue.rest("typed by hand", "TSLA", by_hand)
    scene.venue.fill("typed by hand", "200")
    caught(scene)
    assert [owned.strategy for owned in scene.ledger.fills()] == [FOREIGN]


def test_a_fill_from_before_the_books_were_opened_is_not_booked() -> None:
    scene = Scene()
    scene.venue.now = NOW - timedelta(days=1)
    scene.venue.rest("old", "AAPL", replace(sent(Scene()), client_order_id="old"))
    scene.venue.fill("old", "100")
    scene.venue.now = NOW
    assert caught(scene).fills == 0


@pytest.mark.parametrize(
    ("purpose", "later", "state"),
    [
        (Purpose.OPEN, timedelta(minutes=1), IntentState.SENT),
        (Purpose.OPEN, timedelta(hours=5), IntentState.SENT),
        (Purpose.OPEN, timedelta(hours=23), IntentState.ABANDONED),
        (Purpose.CLOSE, timedelta(hours=5), IntentState.SENT),
        (Purpose.CLOSE, timedelta(hours=23), IntentState.ABANDONED),
    ],
)
def test_an_order_that_the_venue_does_not_know_is_given_up_only_when_it_cannot_arrive(
    purpose: Purpose, later: timedelta, state: IntentState
) -> None:
    scene = Scene()
    name = lost(scene, purpose=purpose)
    scene.venue.now = NOW + later
    caught(scene)
    assert state_of(scene, name) is state


def test_an_order_that_arrives_late_is_found_by_its_id() -> None:
    scene = Scene()
    name = lost(scene)
    assert caught(scene).unresolved
    scene.venue.rest(name, "AAPL", scene.venue.submitted[-1])
    scene.later(60)
    scene.venue.fill(name, "100")
    assert state_of(scene, name) is IntentState.SENT
    caught(scene)
    assert state_of(scene, name) is IntentState.ACKED
    assert [owned.strategy for owned in scene.ledger.fills()] == ["flow"]


def test_a_cancel_without_a_known_outcome_is_settled_by_the_order_itself() -> None:
    scene = Scene()
    name = lost(scene, operation=Operation.CANCEL)
    caught(scene)
    assert state_of(scene, name) is IntentState.ACKED


def test_an_order_that_ended_unseen_is_asked_for_by_its_id() -> None:
    scene = Scene()
    intent = sent(scene)
    scene.later(60)
    told = scene.venue.book[intent.client_order_id]
    scene.venue.book[intent.client_order_id] = replace(told, status=OrderStatus.EXPIRED, updated_at=LATER)
    assert caught(scene).orders == 1
    assert scene.ledger.orders(working=True) == ()


@pytest.mark.parametrize(
    ("forgets", "compared_days_ago", "status"),
    [(True, 1, OrderStatus.ENDED), (True, 0, OrderStatus.NEW), (False, 1, OrderStatus.NEW)],
)
def test_order_that_its_venue_has_forgotten_since_an_earlier_day_is_over(
    forgets: bool, compared_days_ago: int, status: OrderStatus
) -> None:
    scene = Scene()
    intent = sent(scene)
    scene.venue.capabilities = replace(scene.venue.capabilities, forgets=forgets)
    scene.later(86400)
    scene.ledger.mark_reconciled(ReconcileMark(scene.venue.now - timedelta(days=compared_days_ago), 0, 0))
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [OrderStatus.NEW], "it is listed as open"
    listed = scene.venue.book.pop(intent.client_order_id)
    told = caught(scene)
    assert [(one.client_order_id, one.status) for one in scene.ledger.orders()] == [(intent.client_order_id, status)]
    assert told.unfilled == (), "nobody knows whether it has filled"
    scene.venue.book[intent.client_order_id] = listed
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [OrderStatus.NEW], "it works after all"


@pytest.mark.parametrize(
    ("ends_in_history", "told_s_ago", "sent_s_ago", "is_known", "purpose", "status"),
    [
        (True, 0, 60, False, Purpose.PROTECT, OrderStatus.ENDED),
        (True, 0, 60, False, Purpose.CLOSE, OrderStatus.ENDED),
        (True, 0, 60, False, Purpose.OPEN, OrderStatus.NEW),
        (True, 0, 60, True, Purpose.CLOSE, OrderStatus.NEW),
        (True, 0, 20, False, Purpose.CLOSE, OrderStatus.NEW),
        (True, 40, 60, False, Purpose.CLOSE, OrderStatus.NEW),
        (True, None, 60, False, Purpose.CLOSE, OrderStatus.NEW),
        (False, 0, 60, False, Purpose.CLOSE, OrderStatus.NEW),
    ],
)
def test_order_that_a_list_of_now_lacks_is_over_if_the_history_is_too_old_to_know(
    monkeypatch: pytest.MonkeyPatch,
    ends_in_history: bool,
    told_s_ago: int | None,
    sent_s_ago: int,
    is_known: bool,
    purpose: Purpose,
    status: OrderStatus,
) -> None:
    scene = Scene()
    intent, venue = sent(scene), scene.venue
    record = there(scene.ledger.intent(intent.client_order_id))
    made_for = replace(record, intent=replace(record.intent, purpose=purpose))
    monkeypatch.setattr(scene.ledger, "intent", lambda name: made_for)
    venue.capabilities = replace(
        venue.capabilities, ends_in_history=ends_in_history, tells_ends_after=timedelta(seconds=30)
    )
    scene.later(sent_s_ago)
    listed = venue.book.pop(intent.client_order_id)
    monkeypatch.setattr(venue, "follower", lambda name: listed if is_known else None)
    whole_at = None if told_s_ago is None else venue.now - timedelta(seconds=told_s_ago)
    told = catch_up(venue, scene.ledger, (), venue.now, venue.now, whole_at)
    assert [order.status for order in scene.ledger.orders()] == [status]
    assert told.unfilled == (), "nobody knows how it ended"
    venue.book[intent.client_order_id] = listed
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [OrderStatus.NEW], "it works after all"


@pytest.mark.parametrize(
    ("in_history", "said", "status"),
    [
        (True, OrderStatus.CANCELED, OrderStatus.CANCELED),
        (True, OrderStatus.NEW, OrderStatus.ENDED),
        (True, None, OrderStatus.ENDED),
        (False, OrderStatus.CANCELED, OrderStatus.ENDED),
    ],
)
def test_end_that_was_concluded_is_booked_as_the_history_has_it_once_it_has_caught_up(
    monkeypatch: pytest.MonkeyPatch, in_history: bool, said: OrderStatus | None, status: OrderStatus
) -> None:
    scene = Scene()
    intent, venue = sent(scene), scene.venue
    listed = venue.book.pop(intent.client_order_id)
    scene.ledger.apply_orders([replace(listed, status=OrderStatus.ENDED)], venue.now)
    venue.capabilities = replace(venue.capabilities, ends_in_history=in_history)
    monkeypatch.setattr(venue, "follower", lambda name: said and replace(listed, venue_id=name, status=said))
    reconcile(venue, scene.ledger)
    assert [order.status for order in scene.ledger.orders()] == [status]


@pytest.mark.parametrize(("listed", "ends"), [((), 1), (("last",), 2)])
def test_a_list_that_shows_nothing_later_proves_the_end_of_one_stop_and_not_of_those_sent_in_its_place(
    monkeypatch: pytest.MonkeyPatch, listed: tuple[str, ...], ends: int
) -> None:
    scene = Scene()
    intent, venue = sent(scene), scene.venue
    sold = replace(venue.book.pop(intent.client_order_id), side=Side.SELL)
    record = there(scene.ledger.intent(intent.client_order_id))
    stop = replace(record, intent=replace(record.intent, purpose=Purpose.PROTECT))
    monkeypatch.setattr(scene.ledger, "intent", lambda name: stop)
    venue.capabilities = replace(
        venue.capabilities, ends_in_history=True, reduce_only=True, tells_ends_after=timedelta(seconds=30)
    )
    held = BrokerPosition(sold.symbol, AssetClass.US_EQUITY, sold.open_quantity, Decimal(100), None)
    monkeypatch.setattr(venue, "position", lambda symbol: held)
    monkeypatch.setattr(venue, "follower", lambda name: None)
    stops = [replace(sold, venue_id=name) for name in ("first", "second", "last")]
    for number, one in enumerate(stops):
        stops[number] = replace(one, submitted_at=venue.now, updated_at=venue.now)
        scene.ledger.apply_orders([stops[number]], venue.now)
        scene.later(60)
        catch_up(venue, scene.ledger, [*venue.book.values()], venue.now, venue.now, venue.now)
    shown = [one for one in stops if one.venue_id in listed]
    catch_up(venue, scene.ledger, shown, venue.now, venue.now, venue.now)
    told = [order.status for order in scene.ledger.orders() if order.venue_id in ("first", "second", "last")]
    assert told.count(OrderStatus.ENDED) == ends


def test_an_order_that_is_listed_without_its_size_has_the_one_that_we_know() -> None:
    scene = Scene()
    intent = sent(scene)
    listed = scene.venue.book[intent.client_order_id]
    scene.venue.book[intent.client_order_id] = replace(listed, quantity=None)
    assert [one.quantity for one in read_view(scene.venue, scene.ledger).orders] == [intent.quantity]
    caught(scene)
    assert [one.quantity for one in scene.ledger.orders()] == [intent.quantity]


@pytest.mark.parametrize(
    ("held", "only_reduces", "status"),
    [(-10, False, OrderStatus.NEW), (-10, True, OrderStatus.ENDED), (0, False, OrderStatus.ENDED)],
)
def test_order_that_closes_what_is_held_is_over_only_at_a_later_look_where_another_one_could_turn_the_position(
    held: int, only_reduces: bool, status: OrderStatus
) -> None:
    scene = Scene()
    intent = sent(scene)
    scene.venue.capabilities = replace(scene.venue.capabilities, forgets=True, reduce_only=only_reduces)
    scene.venue.held["AAPL"] = Decimal(held)
    scene.later(86400)
    scene.ledger.mark_reconciled(ReconcileMark(scene.venue.now - timedelta(days=1), 0, 0))
    listed = scene.venue.book.pop(intent.client_order_id)
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [status]
    scene.ledger.mark_reconciled(ReconcileMark(scene.venue.now, 0, 0))
    scene.later(840)
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [status]
    scene.later(60)
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [OrderStatus.ENDED]
    scene.venue.book[intent.client_order_id] = listed
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [OrderStatus.NEW], "it works after all"


def test_order_that_later_looks_have_listed_does_not_end_by_a_gap_of_hours_later() -> None:
    scene = Scene()
    intent = sent(scene)
    scene.venue.capabilities = replace(scene.venue.capabilities, forgets=True)
    scene.venue.held["AAPL"] = Decimal(-10)
    scene.later(86400)
    scene.ledger.mark_reconciled(ReconcileMark(scene.venue.now - timedelta(days=1), 0, 0))
    listed = scene.venue.book.pop(intent.client_order_id)
    caught(scene)
    scene.ledger.mark_reconciled(ReconcileMark(scene.venue.now, 0, 0))
    scene.venue.book[intent.client_order_id] = listed
    scene.later(7200)
    caught(scene)
    del scene.venue.book[intent.client_order_id]
    caught(scene)
    assert [order.status for order in scene.ledger.orders()] == [OrderStatus.NEW]


class NoReadingInside(MemoryLedger):
    """Takes no orders that are still to be asked for: its file would be locked for as long as the venue takes."""

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        assert not isinstance(orders, Iterator)
        return super().apply_orders(orders, at)


def test_the_venue_is_asked_for_nothing_while_the_ledger_is_being_written() -> None:
    scene = Scene(ledger=NoReadingInside(ACCOUNT))
    sent(scene)
    assert caught(scene).orders == 0


@pytest.mark.parametrize(("count", "lists"), [(ASKED_SINGLY, 0), (ASKED_SINGLY + 1, 1)])
def test_many_orders_that_ended_while_nobody_looked_are_read_from_one_list(count: int, lists: int) -> None:
    scene, singly, listed = Scene(), list[str](), list[datetime]()
    intent = sent(scene)
    order = scene.venue.book[intent.client_order_id]
    for number in range(count):
        name = f"{intent.client_order_id}.{number}"
        scene.venue.book[name] = replace(order, client_order_id=name, venue_id=f"gone-{number}", submitted_at=NOW)
    caught(scene)
    scene.venue.book = {
        name: replace(known, status=OrderStatus.CANCELED) if known.venue_id.startswith("gone-") else known
        for name, known in scene.venue.book.items()
    }
    # One of them is behind what the list was cut to.
    one, ended = scene.venue.order, scene.venue.ended
    scene.venue.order = lambda name: singly.append(name) or one(name)  # type: ignore
    scene.venue.ended = lambda since: listed.append(since) or ended(since)[1:]  # type: ignore
    assert caught(scene).orders == count
    assert (len(listed), len(singly)) == (lists, count if not lists else 1)
    assert listed in ([], [NOW])


def arriving_between(scene: Scene, name: str, *, looks: int) -> None:
    """Let a lost order arrive, and fill, after it was looked up so many times and before fills are read."""
    order, asked = scene.venue.order, list[str]()

    def late(client_order_id: str) -> Order | None:
        asked.append(client_order_id)
        found = order(client_order_id)
        if len(asked) <= looks:
            if len(asked) == looks:
                scene.venue.rest(name, "AAPL", scene.venue.submitted[-1])
                scene.venue.fill(name, "100")
            return None
        return found

    scene.venue.order = late  # type: ignore[method-assign]


@pytest.mark.parametrize("given_up", [False, True], ids=["unknown", "given up"])
def test_an_order_that_arrives_and_fills_after_it_was_looked_up_is_ours_all_the_same(given_up: bool) -> None:
    scene = Scene()
    name = lost(scene)
    scene.ledger.record_outcome(scene.venue.submitted[-1].client_order_id, ACCEPTED, NOW)
    if given_up:
        scene.ledger.abandon(name, "a test", NOW)
    scene.later(60)
    arriving_between(scene, name, looks=1)
    assert caught(scene) == CatchUpResult(orders=0, fills=1, unresolved=())
    assert state_of(scene, name) is IntentState.ACKED
    assert [owned.strategy for owned in scene.ledger.fills()] == ["flow"]


def foreign_for_want_of_its_order(scene: Scene) -> str:
    """Let a fill of ours be applied as foreign, because its order is known only later; return the order's id."""
    name = lost(scene)
    scene.later(60)
    scene.venue.rest(name, "AAPL", scene.venue.submitted[-1])
    scene.venue.fill(name, "100")
    scene.ledger.apply_fills([OwnedFill(FOREIGN, fill) for fill in scene.venue.executions], scene.venue.now)
    return name


def held(scene: Scene) -> dict[str, Decimal]:
    return {owner: p.quantity for (owner, _), p in scene.ledger.totals().positions.items() if p.quantity}


def test_a_fill_that_was_foreign_for_want_of_its_order_is_given_to_its_owner_once() -> None:
    scene = Scene()
    foreign_for_want_of_its_order(scene)
    before = scene.ledger.totals().cash(CASH, Settlement.PAID)
    for _ in range(3):
        caught(scene)
    (bought,) = scene.venue.executions
    assert held(scene) == {"flow": bought.quantity}
    assert (len(scene.ledger.fills()), scene.ledger.totals().cash(CASH, Settlement.PAID)) == (3, before)
    position = scene.ledger.totals().positions["flow", "AAPL"]
    assert (position.average_price, position.opened_at) == (Decimal(100), bought.at)


def test_a_fill_that_a_person_has_settled_is_not_given_to_a_strategy() -> None:
    scene = Scene()
    foreign_for_want_of_its_order(scene)
    (bought,) = scene.venue.executions
    out = replace(bought, activity_id="adoption:out", venue_order_id="", side=Side.SELL, at=scene.venue.now)
    adopted = replace(out, activity_id="adoption:to", side=Side.BUY)
    scene.ledger.apply_fills(
        [OwnedFill(FOREIGN, out, Origin.ADOPTION), OwnedFill("adopted", adopted, Origin.ADOPTION)], scene.venue.now
    )
    caught(scene)
    assert held(scene) == {"adopted": bought.quantity}


def test_an_order_promised_before_a_night_and_sent_after_it_is_not_over_while_its_own_session_lasts() -> None:
    scene, tomorrow = Scene(), NOW + timedelta(days=1)
    sent(scene)
    (order,) = scene.ledger.orders()
    woken = replace(order, submitted_at=tomorrow, updated_at=tomorrow)
    scene.ledger.apply_orders((woken,), tomorrow)
    scene.ledger.put_sessions([SESSION, following(SESSION)])
    for days, working in ((1, (woken,)), (2, ())):
        at = NOW + timedelta(days=days)
        assert fillable_orders(with_expired_orders(scene.venue, read_books(scene.ledger, at, VENUE_DAY), at)) == working


def test_contracts_are_given_back_for_what_they_were_traded_at() -> None:
    traded = fill(1, price="101.25", multiplier="50", strategy=FOREIGN).fill
    away, here = (owned.fill for owned in reassign("flow", traded))
    assert (away.notional, here.notional) == (-traded.notional, traded.notional)
