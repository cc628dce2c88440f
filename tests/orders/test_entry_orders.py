"""A better candidate gets room only after a position has really been closed, once, whatever happens in between.

An account that may hold three contracts and order two at a time goes from one target to the next.

Where a venue has brackets, the stop of a position hangs on the entry that opens it.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.apart import MADE_UP, MadeUpVenue
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import Wanting
from tests.kit.values import CASH, DAY, EXITS, NOW, SESSION, SHIPPED, exit_rules, limits
from tradebot.desk.snapshot import take_desk
from tradebot.desk.strategy_slots import finish_strategy_slots
from tradebot.exits.exit_reasons import ReasonPart, parse
from tradebot.model.account import BrokerView
from tradebot.model.bar import StrategySlot
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.limits import ExitRules, Protection, StrategyRules
from tradebot.model.order import Order, OrderClass, OrderStatus, OrderType
from tradebot.model.reasons import Reason
from tradebot.model.record import DOUBTED, CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Pairs
from tradebot.model.view import Target
from tradebot.orders.order_sender import cancel_intent
from tradebot.ports.world import Call, World
from tradebot.reconciliation.protection import protection_gaps

RULES = SHIPPED.displacement.model_copy(update={"enabled": True, "min_age_s": 3600})
BETTER = wanted("XOM", 0.9)
LATER = NOW + timedelta(hours=2)


def full(count: int = 2, exits: ExitRules = EXITS) -> Scene:
    """Return a scene whose book is full: AAPL was bought for a score of 0.5, MSFT for 0.6, two hours ago."""
    scene = Scene(exits=exits, limits=limits(max_open_positions=count, max_new_entries=count))
    trade_once(scene.world(wanted("AAPL", 0.5), wanted("MSFT", 0.6)), call(slot="buy"))
    for intent in tuple(scene.venue.submitted):
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(7200)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "book the fills"))
    return scene


def world(scene: Scene, *candidates: Candidate, dry_run: bool = False) -> World:
    now = (replace(one, at=scene.venue.now) for one in candidates)
    usual = scene.world(*now, dry_run=dry_run)
    own = {"flow": StrategyRules(scene.universe, scene.limits, displacement=RULES)}
    return replace(usual, rules=replace(usual.rules, own=own))


def ends(cycle: CycleRecord) -> dict[tuple[str, Purpose], Reason | None]:
    """Return where each candidate of a pass ended; None for an order that was sent."""
    records = ((record.candidate, record.terminal) for record in cycle.candidates)
    return {(one.symbol, one.purpose): end.reason if end else None for one, end in records}


def test_the_weakest_is_closed_first_and_the_better_one_is_opened_once_that_has_filled() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", Purpose.CLOSE): None,
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_STARTED,
    }
    closed, refused = cycle.candidates
    assert (closed.candidate.why, closed.candidate.displaced_by) == ("displaced_by_XOM", "XOM")
    reasons = [decision.reason for decision in closed.decisions if decision.gate is Gate.EXIT]
    started = next(decision for decision in refused.decisions if decision.gate is Gate.DISPLACEMENT)
    assert (reasons, started.limit) == ([Reason.DISPLACED], 0.25)
    assert started.observed == pytest.approx(0.4)
    last = scene.venue.submitted[-1]
    assert (last.purpose, last.side, last.displaced_by) == (Purpose.CLOSE, Side.SELL, "XOM")
    assert parse(last.why) == (ReasonPart("displaced_by", symbol="XOM"),)

    scene.later(60)
    assert ends(trade_once(world(scene, BETTER), call(slot="too early"))) == {
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING
    }
    scene.venue.fill(last.client_order_id, "100")
    scene.later(60)
    assert ends(trade_once(world(scene, BETTER), call(slot="room"))) == {("XOM", Purpose.OPEN): None}
    assert [i.purpose for i in scene.venue.submitted[2:]] == [Purpose.CLOSE, Purpose.OPEN]


def test_a_position_that_a_pair_protects_is_closed_through_it() -> None:
    scene = full(exits=exit_rules(protection=Protection.VENUE))
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(cycle)["XOM", Purpose.OPEN] is Reason.DISPLACEMENT_STARTED
    (intent,) = scene.venue.replaced
    assert (intent.instrument.symbol, intent.purpose, intent.displaced_by) == ("AAPL", Purpose.CLOSE, "XOM")
    scene.later(60)
    pending = ends(trade_once(world(scene, BETTER), call(slot="too early")))
    assert pending == {("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING}
    scene.venue.fill(intent.client_order_id, "100")
    scene.later(60)
    assert ends(trade_once(world(scene, BETTER), call(slot="room"))) == {("XOM", Purpose.OPEN): None}


@pytest.mark.parametrize(
    ("reason", "done"),
    [(Reason.DISPLACEMENT_STARTED, False), (Reason.DISPLACEMENT_PENDING, False), (Reason.POSITION_TOO_YOUNG, True)],
)
def test_a_slot_of_a_strategys_own_clock_waits_for_the_room_that_is_made(reason: Reason, done: bool) -> None:
    scene, slot = Scene(), StrategySlot("flow", DAY, "open+30m", NOW, SESSION.close)
    refused = Decision(Gate.DISPLACEMENT, Verdict.FAIL, reason)
    record = CandidateRecord(replace(BETTER, slot=slot.name, slot_session=slot.session), (refused,))
    finish_strategy_slots(scene.world(), call(), [slot], [record], NOW)
    assert bool(scene.ledger.slot_claims(DAY)) == done


def test_one_pass_displaces_once_however_many_candidates_are_better() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER, wanted("JPM", 0.95)), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", Purpose.CLOSE): None,
        ("JPM", Purpose.OPEN): Reason.DISPLACEMENT_STARTED,
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING,
    }


def test_a_pass_that_is_run_again_closes_nothing_more() -> None:
    scene = full()
    trade_once(world(scene, BETTER), call(slot="better"))
    again = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(again) == {("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING}
    assert len(scene.venue.submitted) == 3


def test_a_position_that_gave_way_does_not_displace_the_other_in_turn() -> None:
    scene = full()
    trade_once(world(scene, BETTER), call(slot="better"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(60)
    trade_once(world(scene, BETTER), call(slot="room"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(7200)
    back = ends(trade_once(world(scene, wanted("AAPL", 1.0)), call(slot="back")))
    assert back == {("AAPL", Purpose.OPEN): Reason.DISPLACED_LATELY}


def test_a_dry_run_sends_nothing_and_says_so() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER, dry_run=True), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", Purpose.CLOSE): Reason.DRY_RUN,
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_FAILED,
    }
    assert len(scene.venue.submitted) == 2


def test_without_rules_nothing_is_displaced_and_with_room_nothing_has_to_be() -> None:
    scene = full()
    off = trade_once(scene.world(replace(BETTER, at=scene.venue.now)), call(slot="off"))
    (record,) = off.candidates
    assert Gate.DISPLACEMENT not in {decision.gate for decision in record.decisions}
    assert ends(off) == {("XOM", Purpose.OPEN): Reason.MAX_OPEN_POSITIONS}
    room = full(3)
    assert ends(trade_once(world(room, BETTER), call(slot="better"))) == {("XOM", Purpose.OPEN): None}


def test_a_candidate_that_is_not_clearly_better_is_refused_for_that_cause() -> None:
    scene = full()
    cycle = trade_once(world(scene, wanted("XOM", 0.7)), call(slot="better"))
    assert ends(cycle) == {("XOM", Purpose.OPEN): Reason.SCORE_ADVANTAGE_TOO_SMALL}
    assert len(scene.venue.submitted) == 2
    assert Decimal(10) < scene.venue.held["AAPL"]


THREE = limits(max_contracts=3, max_order_contracts=2, cooldown_s=1, duplicate_window_s=5, min_order_notional_usd=1)


class Trader:
    """A bot whose strategy wants so many contracts of AAPL."""

    def __init__(self) -> None:
        self.scene, self.passes = Scene(limits=THREE), 0

    def wants(self, quantity: int) -> CycleRecord:
        """Run a pass of entries."""
        self.passes += 1
        self.scene.later(61)
        strategy = Wanting(Target("AAPL", quantity=Decimal(quantity)))
        world = replace(self.scene.world(), strategies=[strategy])
        return trade_once(world, call(slot=f"entry {self.passes}"))

    def fills(self) -> None:
        """Let everything fill, and book it."""
        for order in [one for one in self.scene.venue.book.values() if not one.status.terminal]:
            self.scene.venue.fill(order.client_order_id, "100")
        self.passes += 1
        self.scene.later(61)
        evaluate_exits(self.scene.world(), call(Job.EVALUATE_EXITS, f"exits {self.passes}"))

    def sent(self, count: int) -> list[tuple[Side, Purpose, Decimal]]:
        """Return the last orders."""
        return [(one.side, one.purpose, one.quantity) for one in self.scene.venue.submitted[-count:]]


@pytest.fixture
def long_two() -> Trader:
    trader = Trader()
    trader.wants(2)
    trader.fills()
    assert trader.scene.venue.held == {"AAPL": Decimal(2)}
    return trader


def test_from_two_to_three_takes_one_order_of_one(long_two: Trader) -> None:
    long_two.wants(3)
    assert long_two.sent(1) == [(Side.BUY, Purpose.OPEN, Decimal(1))]


def test_from_two_to_four_is_refused_because_of_the_sum(long_two: Trader) -> None:
    (record,) = long_two.wants(4).candidates
    refused = [one for one in record.decisions if not one.passed]
    assert [(one.gate, one.reason, one.observed, one.limit) for one in refused] == [
        (Gate.CONTRACTS, Reason.CONTRACTS_ABOVE_MAX, 4, 3)
    ]
    assert len(long_two.scene.venue.submitted) == 1


def test_from_two_long_to_two_short_takes_two_orders_and_the_second_waits_for_the_first(long_two: Trader) -> None:
    long_two.wants(-2)
    long_two.wants(-2)
    assert len(long_two.scene.venue.submitted) == 2, "the close hasn't filled"
    long_two.fills()
    long_two.wants(-2)
    assert long_two.sent(2) == [(Side.SELL, Purpose.CLOSE, Decimal(2)), (Side.SELL, Purpose.OPEN, Decimal(2))]
    long_two.fills()
    assert long_two.scene.venue.held == {"AAPL": Decimal(-2)}


def test_a_target_of_three_takes_an_order_of_two_and_then_one_of_one() -> None:
    trader = Trader()
    trader.wants(3)
    trader.fills()
    trader.wants(3)
    assert [quantity for *_, quantity in trader.sent(2)] == [2, 1]


def test_a_working_order_counts_for_the_sum(long_two: Trader) -> None:
    long_two.wants(3)
    world = replace(long_two.scene.world(), strategies=[Wanting(Target("MSFT", quantity=Decimal(1)))])
    (record,) = trade_once(world, call(slot="another")).candidates
    assert Reason.CONTRACTS_ABOVE_MAX in {one.reason for one in record.decisions}


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
    assert not list(protection_gaps(desk.books, desk.listings, desk.resting, rules.exits, rules.exits_of))
    # A cancel of the entry came too late, and takes nothing along.
    late = cancel_at(call(), desk, entry)
    books = replace(desk.books, intents=(*desk.books.intents, IntentRecord(late, IntentState.SENT, None, None, NOW)))
    books = replace(books, at=NOW)
    assert books.canceled_now == {entry.venue_id}
    assert not list(protection_gaps(books, desk.listings, desk.resting, rules.exits, rules.exits_of))


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
    (gap,) = protection_gaps(desk.books, desk.listings, desk.resting, rules.exits, rules.exits_of)
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
