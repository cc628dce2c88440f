"""Where a venue has brackets, the stop of a position hangs on the entry that opens it."""

from decimal import Decimal

import pytest

from tests.kit.core.apart import MADE_UP, MadeUpVenue
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.values import CASH, EXITS, NOW, SESSION
from tradebot.desk.snapshot import take_desk
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.limits import Protection
from tradebot.model.order import Order, OrderClass, OrderStatus, OrderType
from tradebot.model.record import DOUBTED, Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Pairs
from tradebot.orders.order_sender import cancel_intent
from tradebot.ports.world import Call
from tradebot.reconciliation.protection import gaps


class BracketVenue(MadeUpVenue):
    """Lets the stop of an entry wait for it, under an id of its own, and work once the entry has filled."""

    def __init__(self) -> None:
        super().__init__(SESSION, NOW, CASH, replace(MADE_UP, pairs=Pairs.BRACKET))

    def entered(self) -> Order:
        """Return the only entry, with its stop in the book."""
        (intent,) = [intent for intent in self.submitted if intent.purpose is Purpose.OPEN]
        entry = self.book[intent.client_order_id] = replace(
            self.book[intent.client_order_id], order_class=intent.order_class
        )
        if intent.order_class is OrderClass.BRACKET:
            self.book["its stop"] = replace(
                entry,
                venue_id="its stop",
                client_order_id="its stop",
                side=Side.SELL if entry.side is Side.BUY else Side.BUY,
                order_type=OrderType.STOP,
                order_class=OrderClass.SIMPLE,
                limit_price=None,
                stop_price=intent.stop_price,
                status=OrderStatus.HELD,
                parent=entry.venue_id,
            )
        return entry


def scene(protection: Protection = Protection.VENUE) -> tuple[Scene, BracketVenue]:
    venue = BracketVenue()
    return Scene(venue=venue, exits=EXITS.model_copy(update={"protection": protection})), venue


def cancel_at(asked: Call, desk: Desk, entry: Order) -> Intent:
    """Return the cancel of an entry."""
    of = desk.listings[entry.symbol].instrument
    return cancel_intent(asked, desk.account.number, desk.now, entry, of, "flow", Purpose.OPEN)


def entry_of(found: Scene, side: Side = Side.BUY) -> Intent:
    trade_once(found.world(wanted("AAPL", side=side)), call())
    (sent,) = [intent for intent in found.venue.submitted if intent.purpose is Purpose.OPEN]
    return sent


@pytest.mark.parametrize("side", list(Side))
def test_an_entry_carries_the_stop_of_its_rules_at_the_price_at_which_it_is_likely_to_fill(side: Side) -> None:
    found, _ = scene()
    sent = entry_of(found, side)
    assert sent.limit_price is not None
    assert (sent.order_class, sent.order_type) == (OrderClass.BRACKET, OrderType.LIMIT)
    assert sent.stop_price is not None
    assert sent.why == "stop_loss"
    quote = found.venue.prices[sent.instrument.symbol]
    likely = quote.ask if side is Side.BUY else quote.bid
    assert (sent.limit_price - likely) * side.sign > 0
    assert abs(likely - side.sign * EXITS.stop_loss_fraction * likely - sent.stop_price) < sent.instrument.tick


def test_an_entry_carries_none_where_the_bot_watches_or_the_venue_has_no_brackets() -> None:
    watched, _ = scene(Protection.BOT)
    elsewhere = Scene(venue=MadeUpVenue(SESSION, NOW, CASH, MADE_UP))
    for found in (watched, elsewhere):
        sent = entry_of(found)
        assert (sent.order_class, sent.stop_price) == (OrderClass.SIMPLE, None)


def test_the_stop_protects_once_it_works_and_no_other_is_placed() -> None:
    found, venue = scene()
    entry_of(found)
    entry = venue.entered()
    found.later(30)
    evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    assert not take_desk(found.world(), for_entries=False).resting, "a stop that waits for its entry protects nothing"
    venue.fill(entry.client_order_id, "100")
    venue.book["its stop"] = replace(venue.book["its stop"], status=OrderStatus.NEW)
    found.later(30)
    evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+32m"))
    desk = take_desk(found.world(), for_entries=False)
    ((rest, *others),) = desk.resting.values()
    assert (rest.stop and rest.stop.venue_id, rest.can_trigger, rest.quantity) == ("its stop", True, entry.quantity)
    assert all(other.is_target for other in others)
    rules = found.world().rules
    assert not list(gaps(desk.books, desk.listings, desk.resting, rules.exits, rules.exits_of))
    # A cancel of the entry came too late, and takes nothing along.
    late = cancel_at(call(), desk, entry)
    books = replace(desk.books, intents=(*desk.books.intents, IntentRecord(late, IntentState.SENT, None, None, NOW)))
    books = replace(books, at=NOW)
    assert books.canceled_now == {entry.venue_id}
    assert not list(gaps(books, desk.listings, desk.resting, rules.exits, rules.exits_of))


def test_a_stop_that_no_list_has_shown_since_its_entry_filled_gets_none_beside_it_that_could_turn_the_position() -> (
    None
):
    found, venue = scene()
    venue.capabilities = replace(venue.capabilities, reduce_only=False)
    entry_of(found)
    entry, listed = venue.entered(), venue.view
    found.later(30)
    evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    venue.fill(entry.client_order_id, "100")
    stop, shown = venue.book.pop("its stop"), {"last": False}
    venue.view = lambda: listed() if shown["last"] else replace(listed(), orders=())  # type: ignore[method-assign]
    found.later(30)
    record = evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+32m"))
    assert not [intent for intent in venue.submitted if intent.purpose is Purpose.PROTECT], "nor a target without it"
    assert [(gap.why, gap.shares) for gap in record.gaps or ()] == [(DOUBTED, entry.quantity)], "and that is told"
    venue.book["its stop"], shown["last"] = replace(stop, status=OrderStatus.NEW), True
    found.later(30)
    record = evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+33m"))
    assert (record.gaps or (), [intent.is_target for intent in venue.submitted[1:]]) == ((), [True])


@pytest.mark.parametrize("filled", [True, False])
def test_a_stop_is_spare_only_if_no_position_shows_that_its_entry_has_filled(filled: bool) -> None:
    found, venue = scene()
    venue.capabilities = replace(venue.capabilities, reduce_only=False)
    entry_of(found)
    entry = venue.entered()
    found.later(30)
    evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    old, find, listed = venue.book[entry.client_order_id], venue.order, venue.view
    venue.order = lambda name: old if name == entry.client_order_id else find(name)  # type: ignore[method-assign,assignment]
    venue.fills = lambda after: ()  # type: ignore[method-assign]
    venue.ended = lambda since: ()  # type: ignore[method-assign]

    def without_entry() -> BrokerView:
        return replace(listed(), orders=tuple(one for one in listed().orders if one.venue_id != entry.venue_id))

    venue.view = without_entry  # type: ignore[method-assign]
    if filled:
        venue.fill(entry.client_order_id, "100")
    venue.book["its stop"] = replace(venue.book["its stop"], status=OrderStatus.NEW)
    for slot in ("open+32m", "open+33m"):
        found.later(60)
        evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, slot))
    assert (venue.book["its stop"].status is OrderStatus.NEW) is filled


def test_a_stop_that_its_entry_left_behind_gets_another() -> None:
    found, venue = scene()
    entry_of(found)
    entry = venue.entered()
    venue.fill(entry.client_order_id, "100")
    venue.book["its stop"] = replace(venue.book["its stop"], status=OrderStatus.CANCELED)
    found.later(30)
    evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    placed = [intent for intent in venue.submitted if intent.purpose is Purpose.PROTECT and intent.stop_price]
    assert [(stop.quantity, stop.order_class) for stop in placed] == [(entry.quantity, OrderClass.SIMPLE)]


@pytest.mark.parametrize("shares", [3, None])
def test_a_gap_is_told_since_the_stop_of_a_filled_entry_was_lost_or_since_an_entry_filled_in_part(
    shares: int | None,
) -> None:
    found, venue = scene()
    entry_of(found)
    entry = venue.entered()
    found.later(30)
    venue.fill(entry.client_order_id, "100", Decimal(shares) if shares else None)
    bought = found.venue.now
    found.later(30)
    for name in ("its stop", *((entry.client_order_id,) if shares else ())):
        venue.book[name] = replace(venue.book[name], status=OrderStatus.CANCELED, updated_at=found.venue.now)
    desk, rules = take_desk(found.world(), for_entries=False), found.world().rules
    (gap,) = gaps(desk.books, desk.listings, desk.resting, rules.exits, rules.exits_of)
    assert gap.since == (bought if shares else found.venue.now)


@pytest.mark.parametrize("joins", [True, False])
def test_an_exit_leaves_the_stop_for_its_shares_at_work_where_it_can_join_its_group(joins: bool) -> None:
    found, venue = scene()
    venue.capabilities = replace(venue.capabilities, exits_join=joins, reduce_only=False)
    entry_of(found)
    entry = venue.entered()
    venue.fill(entry.client_order_id, "100")
    venue.book["its stop"] = replace(venue.book["its stop"], status=OrderStatus.NEW)
    found.later(EXITS.time_exit_s)
    for slot in ("exits", "later"):
        evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, slot))
        assert (venue.book["its stop"].status is OrderStatus.NEW) is joins
        found.later(30)
    (leaves,) = [intent for intent in venue.submitted if intent.purpose is Purpose.CLOSE]
    assert (leaves.key.joins, leaves.quantity) == ("its stop" if joins else "", entry.quantity)
    assert not [intent for intent in venue.submitted if intent.purpose is Purpose.PROTECT and not intent.is_target]
