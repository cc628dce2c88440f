"""What rests at the venue: a pair for each filled increment, tightened and never loosened, gone with its position."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED, FakeReader
from tests.kit.values import EXITS, VENUE_DAY, fill, listing
from tests.orders.test_order_sender import end_of
from tradebot.cycle import flatten
from tradebot.errors import TemporaryError
from tradebot.exits.rules import parse
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import Listing, TickStep
from tradebot.model.intent import Intent, Operation
from tradebot.model.lifecycle import State
from tradebot.model.limits import Protection
from tradebot.model.order import Order, OrderClass, OrderStatus, OrderType, Reply, TimeInForce
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Gap, Job
from tradebot.model.resting_orders import resting_among
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.orders.stop_protection import round_target_to_tick
from tradebot.ports.broker import Ending
from tradebot.reconciliation.protection import ProtectionWatch, protection_gaps
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import reconcile

D = Decimal


def scene(protection: Protection = Protection.VENUE) -> Scene:
    return Scene(exits=EXITS.model_copy(update={"protection": protection}))


def exits(found: Scene, slot: str = "open+31m") -> CycleRecord:
    return evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, slot))


def entered(found: Scene, side: Side = Side.BUY, filled: str | None = None) -> Intent:
    """Let the bot enter AAPL; the order fills at 100, wholly if no quantity is given."""
    trade_once(found.world(wanted("AAPL", side=side)), call())
    intent = found.venue.submitted[-1]
    found.venue.fill(intent.client_order_id, "100", Decimal(filled) if filled else None)
    found.later(60)
    return intent


def protected(side: Side = Side.BUY, later_s: int = 0) -> tuple[Scene, Intent]:
    """Let the bot enter, and protect what filled; return the scene so many seconds later, and the entry."""
    found = scene()
    entry = entered(found, side)
    exits(found)
    found.later(later_s)
    return found, entry


def protecting(found: Scene) -> list[Intent]:
    return [intent for intent in found.venue.submitted if intent.purpose is Purpose.PROTECT]


def working(found: Scene) -> list[Order]:
    return [order for order in found.venue.book.values() if not order.status.terminal]


@pytest.mark.parametrize(("side", "target", "stop"), [(Side.BUY, "103.00", "98.00"), (Side.SELL, "97.00", "102.00")])
def test_a_pair_rests_at_the_rules_prices_on_either_side(side: Side, target: str, stop: str) -> None:
    found, entry = protected(side)
    (pair,) = protecting(found)
    assert (pair.order_class, pair.time_in_force, pair.order_type) == (
        OrderClass.OCO,
        TimeInForce.GTC,
        OrderType.LIMIT,
    )
    assert (pair.limit_price, pair.stop_price) == (Decimal(target), Decimal(stop))
    assert (pair.quantity, pair.side) == (entry.quantity, Side.SELL if side is Side.BUY else Side.BUY)
    exits(found, "open+32m")
    assert protecting(found) == [pair], "what is protected needs nothing more"


def filled_in_two_increments(found: Scene) -> Intent:
    """Return an entry that filled in two passes, each of which protected its part."""
    entry = entered(found, filled="8")
    exits(found)
    found.venue.fill(entry.client_order_id, "100")
    found.later(60)
    exits(found, "open+32m")
    return entry


def test_each_filled_increment_gets_a_pair_of_its_own() -> None:
    found = scene()
    entry = filled_in_two_increments(found)
    assert [pair.quantity for pair in protecting(found)] == [Decimal(8), entry.quantity - 8]


def test_no_pair_rests_when_the_bot_watches_stops_itself() -> None:
    found = scene(Protection.BOT)
    entered(found)
    exits(found)
    assert protecting(found) == []


@pytest.mark.parametrize(("side", "prices"), [(Side.BUY, ("102", "101.5")), (Side.SELL, ("98", "98.5"))])
def test_the_stop_follows_the_best_price_and_never_moves_back(side: Side, prices: tuple[str, str]) -> None:
    found, _ = protected(side)
    stops = list[Decimal]()
    for number, price in enumerate(prices):
        found.later(60)
        found.price("AAPL", price)
        exits(found, f"open+{33 + number}m")
        stops.append(next(order.stop_price for order in working(found) if order.stop_price))
    moved = [intent for intent in found.venue.replaced if intent.purpose is Purpose.PROTECT]
    assert len(moved) == 1, "a price that comes back moves nothing"
    assert stops[0] == stops[1] == moved[0].stop_price
    assert (stops[0] - Decimal(98 if side is Side.BUY else 102)) * side.sign > 0
    assert moved[0].limit_price is None


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "97.9"), (Side.SELL, "102.1")])
def test_a_stop_at_the_venue_is_left_to_the_venue_unless_it_does_not_act(side: Side, price: str) -> None:
    found, _ = protected(side)
    found.price("AAPL", price)
    record = exits(found, "open+32m")
    assert end_of(record.candidates[0]).reason is Reason.LEFT_TO_BROKER
    found.price("AAPL", "97.4" if side is Side.BUY else "102.6")
    exits(found, "open+33m")
    assert left_at_once(found), "no limit of a pair can go past its stop"


def left_at_once(found: Scene) -> bool:
    """Say whether an exit was sent in the place of a pair, without asking first for a price that a venue refuses."""
    canceled = [intent.purpose for intent in found.venue.cancelled] == [Purpose.PROTECT]
    return canceled and not found.venue.replaced and found.venue.submitted[-1].purpose is Purpose.CLOSE


@pytest.mark.parametrize(
    ("side", "price", "limit"), [(Side.BUY, "98.3", "98.01"), (Side.SELL, "101.7", "101.99"), (Side.BUY, "98", None)]
)
def test_near_its_stop_the_limit_of_a_pair_goes_just_before_it_if_that_fills(
    side: Side, price: str, limit: str | None
) -> None:
    found, _ = protected(side, later_s=20_000)
    found.price("AAPL", price)
    exits(found, "open+300m")
    if limit is None:
        assert left_at_once(found)
    else:
        assert [intent.limit_price for intent in found.venue.replaced] == [Decimal(limit)]


def test_with_both_the_bot_closes_at_the_stop_too() -> None:
    found = scene(Protection.BOTH)
    entered(found)
    exits(found)
    found.price("AAPL", "97.9")
    exits(found, "open+32m")
    assert left_at_once(found)


def test_an_exit_goes_through_the_pair_while_its_stop_keeps_working() -> None:
    found, _ = protected(later_s=20_000)
    record = exits(found, "open+300m")
    (exit_,) = found.venue.replaced
    assert (exit_.operation, exit_.purpose, exit_.key.role) == (Operation.REPLACE, Purpose.CLOSE, Purpose.PROTECT)
    limit, stop = sorted(working(found), key=lambda order: order.order_type)
    assert (limit.limit_price, stop.stop_price) == (exit_.limit_price, Decimal("98.00"))
    assert found.venue.cancelled == []
    found.venue.fill(limit.client_order_id, "100")
    found.later(60)
    exits(found, "open+301m")
    assert working(found) == []
    assert found.ledger.totals().own_positions() == ()
    assert record.candidates[0].terminal is None


def refusing_replaces() -> tuple[Scene, Intent]:
    found, entry = protected(later_s=20_000)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    found.venue.refuses_only_replaces = True
    return found, entry


def test_where_the_venue_refuses_that_the_pair_is_canceled_its_end_proven_and_the_exit_sent() -> None:
    found, entry = refusing_replaces()
    exits(found, "open+300m")
    assert [intent.purpose for intent in found.venue.cancelled] == [Purpose.PROTECT]
    last = found.venue.submitted[-1]
    assert (last.purpose, last.quantity, last.order_class) == (Purpose.CLOSE, entry.quantity, OrderClass.SIMPLE)
    (gap,) = [event for event in found.events.emitted if event.event_type == "protection_gap"]
    assert gap.details["cause"] == "the broker doesn't let the limit of a pair go through the market"
    assert gap.details["why"] == "exiting"


def rejected_late(found: Scene, intent: Intent) -> None:
    """Let the venue reject an order that it has accepted; what that was to replace works on."""
    new = found.venue.book[intent.client_order_id]
    found.venue.book[intent.client_order_id] = replace(new, status=OrderStatus.REJECTED, updated_at=found.venue.now)
    for name, order in found.venue.book.items():
        if order.replaced_by == new.venue_id:
            found.venue.book[name] = replace(order, status=OrderStatus.NEW, replaced_by=None)
        if order.parent == new.venue_id:
            ended = OrderStatus.HELD if intent.target_venue_id else OrderStatus.CANCELED
            found.venue.book[name] = replace(order, parent=intent.target_venue_id or order.parent, status=ended)


def test_an_exit_that_is_rejected_after_its_pass_goes_out_in_the_place_of_the_pair_in_the_next_one() -> None:
    found, entry = protected(later_s=20_000)
    exits(found, "open+300m")
    rejected_late(found, found.venue.replaced[-1])
    found.later(60)
    exits(found, "open+301m")
    last = found.venue.submitted[-1]
    assert (len(found.venue.replaced), len(found.venue.cancelled)) == (1, 1)
    assert (last.purpose, last.quantity, last.order_class) == (Purpose.CLOSE, entry.quantity, OrderClass.SIMPLE)
    exits(found, "open+302m")
    assert found.venue.submitted[-1] == last


def test_a_pair_that_is_rejected_after_its_pass_is_followed_by_a_plain_stop() -> None:
    found, _ = protected()
    rejected_late(found, protecting(found)[-1])
    found.later(60)
    exits(found, "open+32m")
    assert [intent.order_class for intent in protecting(found)] == [OrderClass.OCO, OrderClass.SIMPLE]


def test_each_pair_of_a_position_that_is_canceled_for_an_exit_gets_one() -> None:
    found = scene()
    entry = filled_in_two_increments(found)
    found.later(20_000)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    found.venue.refuses_only_replaces = True
    exits(found, "open+300m")
    closes = [intent.quantity for intent in found.venue.submitted if intent.purpose is Purpose.CLOSE]
    assert sorted(closes) == [Decimal(8), entry.quantity - 8]


def test_a_refused_exit_after_that_places_the_stop_again() -> None:
    found, entry = protected(later_s=20_000)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    exits(found, "open+300m")
    assert [intent.purpose for intent in found.venue.submitted[-2:]] == [Purpose.CLOSE, Purpose.PROTECT]
    assert found.venue.submitted[-1].quantity == entry.quantity
    assert found.venue.submitted[-1].stop_price == Decimal("98.00")


def test_a_refused_pair_is_followed_by_a_plain_stop_and_then_by_patience() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    exits(found, "open+31m")
    assert [intent.order_class for intent in protecting(found)] == [OrderClass.OCO, OrderClass.SIMPLE], "in one pass"
    for minute, asked in ((32, [OrderClass.SIMPLE]), (33, []), (34, [OrderClass.OCO, OrderClass.SIMPLE])):
        found.later(60)
        before = len(protecting(found))
        exits(found, f"open+{minute}m")
        assert [intent.order_class for intent in protecting(found)[before:]] == asked, minute
    assert found.ledger.trading_state().state is TradingState.ACTIVE, "a refused stop halts nothing"


def test_shares_are_protected_two_minutes_after_what_made_the_venue_refuse_their_stop_is_gone() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"] = replace(REJECTED, code="40310000")
    exits(found, "open+31m")
    found.later(60)
    exits(found, "open+32m")
    # Somebody's own order had reserved the shares, and is canceled.
    del found.venue.script["AAPL"]
    found.later(120)
    exits(found, "open+34m")
    assert (protecting(found)[-1].order_class, len(working(found))) == (OrderClass.OCO, 2)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize(("now", "shares"), [("100", ["4"]), ("104", []), ("200", []), ("97", [])])
def test_the_part_of_a_position_that_the_broker_still_has_is_protected_unless_a_split_may_have_moved_prices(
    side: Side, now: str, shares: list[str]
) -> None:
    found = scene()
    entered(found, side)
    bought = found.venue.held["AAPL"]
    # The venue has undone a part of the execution, and canceled what would have closed more than is left.
    found.venue.held["AAPL"] = D(4).copy_sign(bought)
    found.venue.averages["AAPL"] = D(100)
    price = D(now) if side is Side.BUY else (10_000 / D(now)).quantize(D("0.01"))
    found.venue.prices["AAPL"] = replace(found.venue.prices["AAPL"], bid=price, ask=price, last=price)
    for slot in ("open+31m", "open+32m"):
        exits(found, slot)
        found.later(60)
    assert [pair.quantity for pair in protecting(found)] == [D(quantity) for quantity in shares]
    assert {pair.order_class for pair in protecting(found)} <= {OrderClass.OCO}


@pytest.mark.parametrize(("bought", "kinds"), [("0.40", ["simple"]), ("0.60", ["oco"])])
def test_a_share_whose_stop_is_too_near_for_a_pair_gets_a_plain_stop_at_once(bought: str, kinds: list[str]) -> None:
    found = scene()
    price = D(bought)
    found.venue.prices["AAPL"] = replace(found.venue.prices["AAPL"], bid=price, ask=price, last=price)
    found.ledger.apply_fills([fill(1, price=bought)], found.venue.now)
    found.venue.held["AAPL"] = D(10)
    found.later(60)
    exits(found)
    assert [intent.order_class for intent in protecting(found)] == kinds
    assert protecting(found)[0].stop_price == price * D("0.98")


def test_a_lost_pair_is_not_doubled_and_is_no_obstacle_to_an_exit() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"], found.venue.swallows = LOST, True
    exits(found)
    found.later(20)
    exits(found, "open+32m")
    assert len(protecting(found)) == 1
    del found.venue.script["AAPL"]
    found.later(40)
    exits(found, "open+37m")
    first, again = protecting(found)
    assert again == first, "it is sent again under its own id"
    found.later(20_000)
    exits(found, "open+300m")
    assert [intent.purpose for intent in found.venue.replaced] == [Purpose.CLOSE]


def test_a_lost_exit_through_a_pair_is_sent_again_under_its_own_id_after_a_while() -> None:
    found, _ = protected(later_s=20_000)
    found.venue.script["AAPL"], found.venue.swallows = LOST, True
    exits(found, "open+300m")
    del found.venue.script["AAPL"]
    found.later(20)
    exits(found, "open+301m")
    assert len(found.venue.replaced) == 1
    found.later(40)
    exits(found, "open+306m")
    first, again = found.venue.replaced
    assert again == first
    assert found.venue.book[again.client_order_id].status is OrderStatus.NEW


def test_a_lost_exit_that_no_rule_asks_for_is_sent_again_by_the_next_pass_and_no_stop_is_placed_beside_it() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"], found.venue.swallows = LOST, True
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    del found.venue.script["AAPL"]
    found.later(60)
    found.price("AAPL", "100.5")
    exits(found, "open+32m")
    first, again = [intent for intent in found.venue.submitted if intent.purpose is Purpose.CLOSE]
    assert (again.client_order_id, protecting(found)) == (first.client_order_id, [])
    assert (again.limit_price, found.venue.replaced) == (Decimal("99.99"), []), "at the price of this moment"


def test_a_lost_pair_is_no_exit_that_is_sent_again() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"], found.venue.swallows = LOST, True
    exits(found)
    (lost,) = protecting(found)
    del found.venue.script["AAPL"]
    found.later(20_000)
    exits(found, "open+300m")
    assert found.venue.submitted[-1].purpose is Purpose.CLOSE
    assert protecting(found) == [lost]


def test_a_pair_that_protects_no_shares_is_canceled() -> None:
    found, _ = protected()
    (pair,) = protecting(found)
    limit = found.venue.book[pair.client_order_id]
    leg = next(order for order in working(found) if order.parent)
    found.venue.fill(leg.client_order_id, "98")
    found.venue.book[pair.client_order_id] = limit
    found.later(60)
    exits(found, "open+32m")
    assert [intent.target_venue_id for intent in found.venue.cancelled] == [limit.venue_id]
    exits(found, "open+33m")
    assert len(protecting(found)) == 1, "no stop is placed again after its position has gone"


def test_flatten_closes_through_the_pair_and_cancels_no_protection() -> None:
    found, _ = protected()
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    assert found.venue.cancelled == []
    assert [intent.purpose for intent in found.venue.replaced] == [Purpose.CLOSE]


@pytest.mark.parametrize(("price", "limits"), [("100", ["99.50"]), ("101", ["99.50", "100.49"])])
def test_flatten_typed_again_keeps_the_stop_and_reprices_the_exit_only_if_the_quote_moved(
    price: str, limits: list[str]
) -> None:
    found, _ = protected()
    found.price("AAPL", "100")
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    found.later(60)
    found.price("AAPL", price)
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten again"), None)
    assert (found.venue.cancelled, [intent.limit_price for intent in found.venue.replaced]) == (
        [],
        list(map(Decimal, limits)),
    )
    assert [order.stop_price for order in working(found) if order.parent] == [Decimal("98.00")]


def test_flatten_typed_again_closes_the_shares_that_no_exit_is_at_work_for() -> None:
    found = scene()
    entry = filled_in_two_increments(found)
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    rejected_late(found, next(intent for intent in found.venue.replaced if intent.quantity == 8))
    found.later(60)
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten again"), None)
    stops = [(order.quantity, order.status.terminal) for order in found.venue.book.values() if order.parent]
    assert stops == [(Decimal(8), True), (entry.quantity - 8, False)]
    assert (found.venue.submitted[-1].purpose, found.venue.submitted[-1].quantity) == (Purpose.REDUCE, Decimal(8))


def test_an_exit_whose_new_price_is_refused_is_followed_by_another_in_the_same_pass() -> None:
    found, entry = protected()
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    found.later(200)
    found.price("AAPL", "101")
    found.venue.script["AAPL"], found.venue.refuses_only_replaces = REJECTED, True
    exits(found, "open+35m")
    (left,) = working(found)
    assert (found.venue.submitted[-1].client_order_id, left.quantity) == (left.client_order_id, entry.quantity)


def test_the_stop_is_placed_again_if_the_exit_after_a_refused_price_is_refused_too() -> None:
    found, _ = protected()
    flatten(found.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    found.later(200)
    found.price("AAPL", "101")
    found.venue.script["AAPL"] = REJECTED
    exits(found, "open+35m")
    assert [intent.purpose for intent in found.venue.submitted[-2:]] == [Purpose.CLOSE, Purpose.PROTECT]
    assert (found.venue.submitted[-1].order_class, found.venue.submitted[-1].stop_price) == (
        OrderClass.SIMPLE,
        Decimal("98.00"),
    )


def stopped_unseen() -> tuple[Scene, Order]:
    """Return a scene in which the reply about a pair was lost and its stop has filled since, and that stop."""
    found = scene()
    entered(found)
    found.venue.script["AAPL"] = LOST
    exits(found)
    del found.venue.script["AAPL"]
    (leg,) = [order for order in working(found) if order.parent]
    found.venue.fill(leg.client_order_id, "98")
    found.later(60)
    return found, leg


def test_a_stop_that_fills_before_anyone_saw_it_belongs_to_its_strategy() -> None:
    found, _ = stopped_unseen()
    exits(found, "open+32m")
    assert found.ledger.totals().own_positions() == ()
    assert found.ledger.totals().foreign_quantities({}) == {}
    ended = [order.status for order in found.ledger.orders() if order.order_class is OrderClass.OCO]
    assert sorted(ended) == [OrderStatus.CANCELED, OrderStatus.FILLED]


def test_a_stop_whose_lookup_failed_is_looked_up_again_before_its_pair_counts_as_ended() -> None:
    found, leg = stopped_unseen()
    answers = found.venue.legs

    def silent(venue_id: str) -> list[Order]:
        raise TemporaryError("no answer")

    by_id = found.venue.follower

    def without_parent(venue_id: str) -> Order | None:
        # Asked by its id, a leg doesn't say what it is a leg of.
        order = by_id(venue_id)
        return replace(order, parent=None) if order else None

    found.venue.legs = silent  # type: ignore[method-assign]
    found.venue.follower = without_parent  # type: ignore[method-assign]
    exits(found, "open+32m")
    found.venue.legs = answers  # type: ignore[method-assign]
    found.later(60)
    exits(found, "open+33m")
    assert {order.venue_id for order in found.ledger.orders()} >= {leg.venue_id}
    assert (found.ledger.totals().own_positions(), found.ledger.totals().foreign_quantities({})) == ((), {})


def test_a_gap_is_told_when_the_stop_is_canceled_and_lasts_until_the_exit_has_filled() -> None:
    found, entry = refusing_replaces()
    confirms = found.venue.cancel

    def slow(intent: Ending) -> Reply:
        told = confirms(intent)
        for name, order in found.venue.book.items():
            if order.order_class is OrderClass.OCO:
                found.venue.book[name] = replace(order, status=OrderStatus.PENDING_CANCEL)
        return told

    found.venue.cancel = slow  # type: ignore[method-assign]
    exits(found, "open+300m")
    found.later(60)
    waiting = exits(found, "open+301m").candidates[0].terminal
    assert waiting is not None
    assert (waiting.reason, found.venue.submitted[-1].purpose) == (Reason.SHARES_HELD, Purpose.PROTECT)
    for name, order in found.venue.book.items():
        if order.order_class is OrderClass.OCO:
            found.venue.book[name] = replace(order, status=OrderStatus.CANCELED)
    found.later(60)
    exits(found, "open+302m")
    last = found.venue.submitted[-1]
    assert (last.purpose, last.quantity) == (Purpose.CLOSE, entry.quantity)
    (began,) = found.told("protection_gap")
    assert found.told("protection_gap_ended") == []
    found.later(45)
    found.venue.fill(last.client_order_id, "100")
    found.later(15)
    exits(found, "open+303m")
    (ended,) = found.told("protection_gap_ended")
    assert began["since"] == ended["since"]
    assert (ended["lasted_s"], ended["ended"], ended["why"]) == ("165.000", "closed", "exiting")
    exits(found, "open+304m")
    assert len(found.told("protection_gap", "protection_gap_ended")) == 2, "both are told once"


def test_a_stop_that_the_venue_moves_is_told_once_and_moved_back_if_that_loosened_it() -> None:
    found, _ = protected()
    leg = next(order for order in working(found) if order.parent)
    found.later(60)
    found.venue.book[leg.client_order_id] = replace(leg, stop_price=Decimal("97.50"), updated_at=found.venue.now)
    exits(found, "open+32m")
    exits(found, "open+33m")
    (told,) = [event for event in found.events.emitted if event.event_type == "stop_moved_by_broker"]
    assert (told.details["before"], told.details["now"]) == ("98.00", "97.50")
    (back,) = found.venue.replaced
    assert (back.purpose, back.stop_price) == (Purpose.PROTECT, Decimal("98.00"))


def stop_shown_as(found: Scene, status: OrderStatus) -> Order:
    """Let the venue show the stop of the only pair in this state while its limit works on; return that limit."""
    (leg,) = [order for order in working(found) if order.parent]
    found.venue.book[leg.client_order_id] = replace(leg, status=status, updated_at=found.venue.now)
    return next(order for order in working(found) if order.venue_id == leg.parent)


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.SUSPENDED, OrderStatus.DONE_FOR_DAY])
def test_a_pair_whose_stop_the_venue_took_away_gives_way_to_a_new_one(status: OrderStatus) -> None:
    found, entry = protected()
    limit = stop_shown_as(found, status)
    record = exits(found, "open+32m")
    assert [intent.target_venue_id for intent in found.venue.cancelled] == [limit.venue_id]
    new = protecting(found)[-1]
    assert (new.order_class, new.quantity, new.stop_price) == (OrderClass.OCO, entry.quantity, Decimal("98.00"))
    reasons = [decision.reason for one in record.candidates for decision in one.decisions]
    assert reasons.index(Reason.STOP_LAPSED) < reasons.index(Reason.STOP_MISSING)
    exits(found, "open+33m")
    assert protecting(found)[-1] == new, "it happens once"


@pytest.mark.parametrize("status", [OrderStatus.PENDING_NEW, OrderStatus.ACCEPTED, OrderStatus.UNKNOWN])
def test_a_stop_that_may_work_soon_is_waited_for_and_meanwhile_the_bots_own_rule_acts(status: OrderStatus) -> None:
    found, _ = protected()
    stop_shown_as(found, status)
    exits(found, "open+32m")
    assert found.venue.cancelled == []
    found.price("AAPL", "97.9")
    exits(found, "open+33m")
    assert left_at_once(found), "nothing is left to a stop that can't trigger"


def without_legs(found: Scene) -> None:
    submit = found.venue.submit
    found.venue.submit = lambda intent: replace(submit(intent), legs=())  # type: ignore[method-assign]


def test_a_stop_that_the_reply_and_the_list_leave_out_is_asked_for_and_kept() -> None:
    found = scene()
    entered(found)
    without_legs(found)
    exits(found)
    everything = found.venue.view

    def without_stops() -> BrokerView:
        view = everything()
        return replace(view, orders=tuple(order for order in view.orders if not order.parent))

    found.venue.view = without_stops  # type: ignore[method-assign]
    exits(found, "open+32m")
    states = read_books(found.ledger, found.venue.now, VENUE_DAY).states()
    assert (found.venue.cancelled, states["flow", "AAPL"]) == ([], State.PROTECTED)


def test_what_a_pair_without_its_stop_fills_while_it_is_canceled_needs_no_stop() -> None:
    found, _ = protected()
    limit, ends = stop_shown_as(found, OrderStatus.CANCELED), found.venue.cancel

    def too_late(intent: Ending) -> Reply:
        found.venue.fill(limit.client_order_id, "103")
        return ends(intent)

    found.venue.cancel = too_late  # type: ignore[method-assign]
    exits(found, "open+32m")
    assert len(protecting(found)) == 1


def test_resting_pairs_are_canceled_once_the_bot_watches_stops_itself() -> None:
    found, _ = protected()
    found.exits = found.exits.model_copy(update={"protection": Protection.BOT})
    exits(found, "open+32m")
    assert [intent.purpose for intent in found.venue.cancelled] == [Purpose.PROTECT]
    assert working(found) == []


def test_a_rule_that_fires_where_nothing_rests_is_not_left_to_the_venue() -> None:
    found, _ = protected()
    found.exits = found.exits.model_copy(update={"profit_target_fraction": Decimal("0.02")})
    found.price("AAPL", "102.5")
    exits(found, "open+32m")
    assert [intent.purpose for intent in found.venue.replaced] == [Purpose.CLOSE], "the pair's limit is at 103"


def test_what_a_working_exit_for_a_part_leaves_is_protected_in_the_next_pass() -> None:
    found = scene()
    entry = entered(found)
    rules = parse(
        [{"stop_loss": {"fraction": 0.02}}, {"scale_out": {"levels": [{"fraction": "0.01", "share": "0.5"}]}}]
    )
    found.price("AAPL", "101.5")
    usual = found.world()
    world = replace(usual, rules=replace(usual.rules, own_exits={"flow": rules}))
    evaluate_exits(world, call(Job.EVALUATE_EXITS, "open+31m"))
    part = found.venue.submitted[-1]
    assert (part.purpose, protecting(found)) == (Purpose.REDUCE, [])
    found.later(60)
    evaluate_exits(world, call(Job.EVALUATE_EXITS, "open+32m"))
    (pair,) = protecting(found)
    assert (pair.quantity, pair.limit_price) == (entry.quantity - part.quantity, Decimal("203.00")), (
        "the target that was reached is the exit's"
    )


@pytest.mark.parametrize("what", ["exit", "setting"])
def test_a_lost_cancel_that_two_steps_of_a_pass_would_repeat_is_sent_again_once(what: str) -> None:
    found, _ = refusing_replaces() if what == "exit" else protected()
    confirms, sent = found.venue.cancel, list[Ending]()
    found.venue.cancel = lambda intent: LOST  # type: ignore[method-assign]
    usual = found.exits
    found.exits = usual.model_copy(update={"protection": Protection.VENUE if what == "exit" else Protection.BOT})
    exits(found, "open+300m")
    found.exits = usual

    def counted(intent: Ending) -> Reply:
        sent.append(intent)
        return confirms(intent)

    found.venue.cancel = counted  # type: ignore[method-assign]
    found.later(60)
    exits(found, "open+301m")
    assert len(sent) == 1


def test_a_gap_that_an_exit_widens_is_told_since_the_first_shares_had_no_stop() -> None:
    found = scene()
    entry = entered(found, filled="8")
    exits(found)
    found.later(19_940)
    bought = found.venue.now
    found.venue.fill(entry.client_order_id, "100")
    found.later(60)
    found.venue.script["AAPL"], found.venue.refuses_only_replaces = replace(REJECTED, code="42210000"), True
    exits(found, "open+300m")
    assert [one["since"] for one in found.told("protection_gap")] == [bought.isoformat()]
    for order in working(found):
        found.venue.fill(order.client_order_id, "100")
    found.later(60)
    exits(found, "open+301m")
    assert [one["since"] for one in found.told("protection_gap_ended")] == [bought.isoformat()]


def both_halves_fill(found: Scene) -> None:
    """Let both halves of the oldest pair fill, one of them before the venue has heard of the other."""
    limit = min(working(found), key=lambda order: (order.order_class is not OrderClass.OCO, order.venue_id))
    (leg,) = [order for order in working(found) if order.parent == limit.venue_id]
    found.venue.fill(leg.client_order_id, "98")
    found.venue.book[limit.client_order_id] = limit
    found.venue.fill(limit.client_order_id, "103")
    found.later(60)


def test_what_both_halves_of_a_pair_fill_beyond_the_position_is_found_told_and_closed_at_once() -> None:
    found, entry = protected()
    both_halves_fill(found)
    turned = found.venue.executions[-1].at
    exits(found, "open+32m")
    last = found.venue.submitted[-1]
    assert (last.purpose, last.side, last.quantity, last.why) == (Purpose.CLOSE, Side.BUY, entry.quantity, "overfilled")
    assert found.told("position_overfilled") == [{"strategy": "flow", "shares": f"{entry.quantity}"}]
    (gap,) = found.told("protection_gap")
    assert (gap["since"], gap["why"]) == (turned.isoformat(), "exiting")
    watch = ProtectionWatch(found.venue, found.world().rules.exits_of, 180, found.exits)
    findings = reconcile(FakeReader(found.venue), found.ledger, watch).findings
    assert [(one.kind, one.ours) for one in findings] == [(FindingKind.OVERFILLED, -entry.quantity)]
    found.venue.fill(last.client_order_id, "100")
    found.later(60)
    exits(found, "open+33m")
    assert (working(found), found.ledger.totals().own_positions()) == ([], ())


def gap_of(found: Scene) -> Gap:
    """Return the gap in the protection of the only position, as the books show it now."""
    books, rules = read_books(found.ledger, found.venue.now, VENUE_DAY), found.world().rules
    resting, listings = resting_among(books, books.working), found.venue.listings(("AAPL",))
    (gap,) = protection_gaps(books, listings, resting, rules.exits, rules.exits_of)
    return gap


def test_an_exit_goes_through_no_order_of_the_other_side_and_a_gap_ends_with_none() -> None:
    found = scene()
    filled_in_two_increments(found)
    first, second = [order for order in working(found) if order.order_class is OrderClass.OCO and not order.parent]
    # So many shares too many that they are just those of the other pair.
    found.venue.book[first.client_order_id] = replace(first, quantity=Decimal(90))
    found.venue.fill(first.client_order_id, "103")
    turned = found.venue.now
    found.later(60)
    record = exits(found, "open+33m")
    (close,) = [one for one in (*found.venue.replaced, *found.venue.submitted) if one.purpose is Purpose.CLOSE]
    assert (close.operation, close.side, close.quantity) == (Operation.SUBMIT, Side.BUY, second.quantity)
    assert [intent.target_venue_id for intent in found.venue.cancelled] == [second.venue_id]
    reasons = {decision.reason for one in record.candidates for decision in one.decisions}
    assert (Reason.STOP_NEEDLESS in reasons, Reason.EXIT_NEEDS_SHARES in reasons) == (True, False)
    found.later(60)
    exits(found, "open+34m")
    assert (gap_of(found).shares, gap_of(found).since) == (Decimal(41), turned)


def test_an_exit_that_the_broker_ends_because_its_shares_are_gone_has_not_failed() -> None:
    found, _ = refusing_replaces()
    (leg,) = [order for order in working(found) if order.parent]
    exits(found, "open+300m")
    exit_ = found.venue.submitted[-1]
    found.venue.book[leg.client_order_id] = leg
    found.venue.fill(leg.client_order_id, "98")
    book = found.venue.book
    book[exit_.client_order_id] = replace(book[exit_.client_order_id], status=OrderStatus.CANCELED)
    found.later(60)
    exits(found, "open+301m")
    assert (exit_.purpose, found.told("close_position_failed")) == (Purpose.CLOSE, [])


def test_a_gap_is_told_since_its_stop_was_lost_although_the_broker_rejected_another_one_since() -> None:
    found, _ = protected()
    lost = found.venue.now
    stop_shown_as(found, OrderStatus.CANCELED)
    found.later(60)
    exits(found, "open+32m")
    for order in working(found):
        status = OrderStatus.CANCELED if order.parent else OrderStatus.REJECTED
        found.venue.book[order.client_order_id] = replace(order, status=status, updated_at=found.venue.now)
    found.later(60)
    found.venue.script["AAPL"] = REJECTED
    exits(found, "open+33m")
    assert {one["since"] for one in found.told("protection_gap")} == {lost.isoformat()}
    assert gap_of(found).since == lost


def test_a_gap_is_told_since_shares_were_bought_if_a_stop_that_was_lost_protected_others() -> None:
    found = scene()
    entry = entered(found, filled="8")
    exits(found)
    found.later(60)
    stop_shown_as(found, OrderStatus.CANCELED)
    exits(found, "open+32m")
    found.later(60)
    found.venue.fill(entry.client_order_id, "100")
    bought = found.venue.now
    found.later(60)
    stop_shown_as(found, OrderStatus.CANCELED)
    found.venue.script["AAPL"] = REJECTED
    exits(found, "open+33m")
    assert [one["since"] for one in found.told("protection_gap")][-1] == bought.isoformat()
    assert (gap_of(found).shares, gap_of(found).since) == (Decimal(49), bought)


def ticking(tick: Decimal) -> Listing:
    return listing("AAPL", ticks=(TickStep(D(0), tick),))


@pytest.mark.parametrize(
    ("side", "price", "entry", "tick", "rests"),
    [
        (Side.SELL, "102.907", "100", "0.01", "102.90"),
        (Side.BUY, "97.093", "100", "0.01", "97.10"),
        (Side.SELL, "102.9", "100", "0.01", "102.9"),
        (Side.SELL, "0.0000104", "0.00001", "0.00001", "0.00002"),  # nearer would be the entry itself
        (Side.BUY, "0.0000192", "0.00002", "0.00001", "0.00001"),
    ],
)
def test_a_target_is_rounded_toward_the_entry_unless_that_leaves_no_profit(
    side: Side, price: str, entry: str, tick: str, rests: str
) -> None:
    assert round_target_to_tick(ticking(D(tick)), D(price), side, D(entry)) == D(rests)


@given(
    entry=st.decimals("10", "20", places=2),
    gain=st.decimals("0.001", "5", places=4),
    tick=st.sampled_from(["0.01", "0.05", "0.1"]),
)
def test_targets_keep_the_laws_of_mirror_and_scale_on_the_tick(entry: Decimal, gain: Decimal, tick: str) -> None:
    at = entry - entry % D(tick)
    listed, wide = (ticking(D(tick) * times) for times in (1, 10))
    rests = round_target_to_tick(listed, at + gain, Side.SELL, at)
    assert at < rests < at + gain + D(tick)
    assert rests <= at + gain or rests == at + D(tick)
    assert round_target_to_tick(listed, at - gain, Side.BUY, at) == 2 * at - rests
    assert round_target_to_tick(wide, 10 * (at + gain), Side.SELL, 10 * at) == 10 * rests
