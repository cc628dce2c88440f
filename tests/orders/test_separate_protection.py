"""Protection by orders that rest apart: a stop for all whole shares, targets beside it, each fitted to the other."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.apart import KILLED, LOST_ON_THE_WAY, LOST_ON_THE_WAY_BACK, REFUSED, SLOW, BotApart, capabilities
from tests.kit.core.venue import FakeReader
from tests.kit.values import held, listing
from tradebot.desk.snapshot import take_desk
from tradebot.exits.exit_rule import PriceTarget
from tradebot.exits.rules import ExitLevels, parse
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.event import EventKind
from tradebot.model.finding import FindingKind
from tradebot.model.intent import Operation
from tradebot.model.lifecycle import State
from tradebot.model.limits import Protection
from tradebot.model.order import Fill, Order, OrderClass, OrderStatus, OrderType, Reply, TimeInForce
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.venue import Capabilities, ClientIds, Edit, Settlement
from tradebot.orders import separate_protection
from tradebot.orders.stop_protection import missing_targets
from tradebot.ports.broker import Ending
from tradebot.reconciliation.protection import ProtectionWatch
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import reconcile

EVERY = [capabilities(edit, reduce_only=reduce_only) for edit in Edit for reduce_only in (True, False)]
ONLY_REDUCE, PLAIN = ([can for can in EVERY if can.reduce_only is only] for only in (True, False))
NO_EDITS_ONLY_REDUCE, NO_EDITS = (capabilities(Edit.NONE, reduce_only=reduce_only) for reduce_only in (True, False))
each = pytest.mark.parametrize("can", EVERY, ids=lambda can: f"{can.edit} {'only reduces' if can.reduce_only else ''}")


def sizes(orders: Sequence[Order]) -> list[Decimal]:
    """Return how many shares orders may still fill."""
    return [order.open_quantity for order in orders]


def asked(bot: BotApart, since: int) -> list[Operation]:
    """Return what the bot asked of the venue since so many requests."""
    return [intent.operation for intent in bot.venue.asked[since:]]


def is_over(bot: BotApart) -> bool:
    """Return True if nothing is held and nothing rests."""
    return not (bot.position or bot.venue.stops() or bot.venue.targets())


def fill(bot: BotApart, order: Order, shares: int | None = None) -> None:
    """Fill an order at 100, wholly if no number of shares is given."""
    bot.venue.fill(order.client_order_id, "100", Decimal(shares) if shares else None)


@each
@pytest.mark.parametrize(
    ("side", "stop", "targets"), [(Side.BUY, "98.00", ["101.00", "103.00"]), (Side.SELL, "102.00", ["99.00", "97.00"])]
)
def test_a_stop_for_all_shares_rests_with_the_targets_of_the_rules_beside_it(
    can: Capabilities, side: Side, stop: str, targets: list[str]
) -> None:
    bot = BotApart(can).held(side=side)
    (rests,) = bot.venue.stops()
    assert (rests.order_type, rests.order_class, rests.time_in_force) == (
        OrderType.STOP,
        OrderClass.SIMPLE,
        TimeInForce.GTC,
    )
    assert (rests.quantity, rests.stop_price) == (Decimal(10), Decimal(stop))
    beside = [(order.limit_price, order.quantity, order.order_class) for order in bot.venue.targets()]
    assert beside == [(Decimal(price), Decimal(4), OrderClass.SIMPLE) for price in targets], "none is far away"
    assert {intent.purpose for intent in bot.venue.asked[1:]} == {Purpose.PROTECT}
    assert read_books(bot.scene.ledger, bot.venue.now, bot.venue.can.day).states()["flow", "AAPL"] is State.PROTECTED
    done = len(bot.venue.asked)
    bot.exits()
    assert asked(bot, done) == [], "what fits needs nothing more"
    assert bot.scene.told("protection_gap") == []


@each
@pytest.mark.parametrize("fates", [[LOST_ON_THE_WAY], ["", LOST_ON_THE_WAY]], ids=["cancel", "new stop"])
def test_a_target_alone_protects_nothing(can: Capabilities, fates: list[str]) -> None:
    bot = BotApart(can).held()
    (stop,) = bot.venue.stops()
    bot.venue.suspend(stop)
    suspended = bot.venue.now
    bot.venue.fates = list(fates)
    bot.exits()
    (gap,) = bot.scene.told("protection_gap")
    assert (gap["shares"], gap["since"]) == ("10", suspended.isoformat()), "only a target rests for them"
    assert read_books(bot.scene.ledger, bot.venue.now, bot.venue.can.day).states()["flow", "AAPL"] is State.OPEN


def filling(can: Capabilities, *parts: tuple[int, Sequence[str]], quantity: int = 10) -> tuple[BotApart, Order]:
    """Return a bot whose entry filled in parts, a pass of exits after each, and the entry; its requests have fates."""
    bot = BotApart(can)
    entry = bot.enter(quantity=quantity)
    assert entry is not None, "the entry was refused"
    for shares, fates in parts:
        bot.scene.later(1)
        fill(bot, entry, shares)
        bot.venue.fates = list(fates)
        bot.exits()
    return bot, entry


@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
def test_each_filled_increment_gets_a_stop_of_its_own(can: Capabilities) -> None:
    bot, _ = filling(can, (4, []), (6, []))
    assert sizes(bot.venue.stops()) == [Decimal(4), Decimal(6)]
    # A target that grew would be in no group with the second stop, and both could fill.
    assert sorted(sizes(bot.venue.targets())) == [Decimal(1), Decimal(1), Decimal(3), Decimal(3)]
    assert bot.scene.told("protection_gap") == [], "each was protected in time"


@pytest.mark.parametrize("can", ONLY_REDUCE, ids=lambda can: can.edit)
@pytest.mark.parametrize("side", Side)
def test_an_entry_that_fills_in_parts_has_one_stop_and_one_order_for_each_target(can: Capabilities, side: Side) -> None:
    bot = BotApart(can)
    entry = bot.enter(side)
    assert entry is not None
    for done, price in ((2, "100"), (5, "100.20"), (10, "99.90")):
        bot.scene.later(1)
        bot.venue.fill(entry.client_order_id, price, done - abs(bot.position))
        bot.exits()
        assert sizes(bot.venue.stops()) == [Decimal(done)]
    stop, entered = bot.venue.stops()[0].stop_price, Decimal("100.01")
    assert stop is not None
    assert (stop - entered * (1 - side.sign * Decimal("0.02"))) * side.sign >= 0
    assert sizes(bot.venue.targets()) == [Decimal(4), Decimal(4)]
    done = len(bot.venue.asked)
    bot.exits()
    assert asked(bot, done) == [], "what fits needs nothing more"
    assert bot.scene.told("protection_gap") == []


def apart(can: Capabilities) -> list[str]:
    """Return what lets a second stop rest beside the first: the venue refuses the larger one."""
    return [REFUSED] * can.reduce_only


@pytest.mark.parametrize("can", ONLY_REDUCE, ids=lambda can: can.edit)
def test_where_a_larger_stop_is_refused_one_is_placed_for_what_has_none(can: Capabilities) -> None:
    bot, _ = filling(can, (4, []), (6, apart(can)))
    assert sizes(bot.venue.stops()) == [Decimal(4), Decimal(6)]
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(10)]


@pytest.mark.parametrize("can", ONLY_REDUCE, ids=lambda can: can.edit)
def test_a_stop_much_tighter_than_the_rules_say_is_not_merged(can: Capabilities) -> None:
    bot, entry = filling(can, (4, []))
    bot.rules = parse([{"stop_loss": {"fraction": "0.04"}}])
    fill(bot, entry)
    bot.exits()
    rests = [(order.open_quantity, order.stop_price) for order in bot.venue.stops()]
    assert rests == [(Decimal(4), Decimal("98.00")), (Decimal(6), Decimal("96.00"))]


@pytest.mark.parametrize(
    ("fates", "seconds", "why"), [([], 200, "not_placed"), ([REFUSED, REFUSED], 60, "refused")], ids=["late", "refused"]
)
def test_a_part_of_an_entry_that_has_no_stop_in_time_is_told(fates: Sequence[str], seconds: int, why: str) -> None:
    bot, entry = filling(NO_EDITS_ONLY_REDUCE, (4, []))
    bot.scene.later(1)
    fill(bot, entry)
    bought = bot.venue.now
    bot.venue.fates = list(fates)
    bot.exits(seconds)
    (gap,) = bot.scene.told("protection_gap")
    assert (gap["shares"], gap["why"], gap["since"]) == ("6", why, bought.isoformat())


def test_a_stop_that_was_canceled_for_a_larger_one_is_not_why_a_later_part_has_none() -> None:
    bot, entry = filling(NO_EDITS_ONLY_REDUCE, (4, []), (2, ["", SLOW]))
    bot.scene.later(10)
    fill(bot, entry)
    bot.scene.later(10)
    bot.venue.catch_up()
    bot.exits(40)
    assert sizes(bot.venue.stops()) == [Decimal(10)]
    assert bot.scene.told("protection_gap") == []


WAYS = {
    (Edit.NEW_ID, True): [Operation.REPLACE],
    (Edit.NEW_ID, False): [Operation.REPLACE],
    (Edit.IN_PLACE, True): [Operation.REPLACE],
    (Edit.IN_PLACE, False): [Operation.REPLACE],
    (Edit.NONE, True): [Operation.SUBMIT, Operation.CANCEL],
    (Edit.NONE, False): [Operation.CANCEL, Operation.SUBMIT],
}
"""How a venue lets a stop be changed."""


@each
def test_after_the_fill_of_a_target_the_stop_is_made_smaller_in_the_way_that_the_venue_has(can: Capabilities) -> None:
    bot = BotApart(can).held()
    fill(bot, bot.venue.targets()[0])
    done = len(bot.venue.asked)
    bot.exits()
    assert asked(bot, done) == WAYS[can.edit, can.reduce_only]
    assert [(order.open_quantity, order.stop_price) for order in bot.venue.stops()] == [(Decimal(6), Decimal("98.00"))]
    told = [one["cause"] for one in bot.scene.told("protection_gap")]
    assert told == ["the broker can't change a stop, and two of them could turn the position around"] * (
        can == NO_EDITS
    )
    assert len(bot.scene.told("protection_gap_ended")) == len(told), "it ends with the stop that rests"


@pytest.mark.parametrize("can", ONLY_REDUCE, ids=lambda can: can.edit)
def test_a_stop_is_made_smaller_for_shares_that_a_fill_took_and_not_because_the_venue_tells_of_fewer(
    can: Capabilities,
) -> None:
    bot, told = BotApart(can).held(), list[BrokerPosition]()
    honest, (stop,) = bot.venue.view, bot.venue.stops()

    def view() -> BrokerView:
        seen = honest()
        account = replace(seen.account, settlement=Settlement.MARGINED)
        return replace(seen, account=account, positions=tuple(told) or seen.positions)

    bot.venue.view = view  # type: ignore[method-assign]
    told.append(replace(honest().positions[0], quantity=Decimal(4)))
    done = len(bot.venue.asked)
    bot.exits()
    assert bot.scene.told("position_differs") != []
    assert asked(bot, done) == [], "it may be a lie, and what is too much turns nothing around"
    sale = Fill("by-hand", "of-nobody", "AAPL", Side.SELL, Decimal(6), Decimal(100), bot.venue.now)
    bot.venue.executions.append(sale)
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(4)]
    assert stop.quantity == 10


@each
def test_a_stop_follows_the_price_and_never_moves_back(can: Capabilities) -> None:
    bot = BotApart(can).held()
    done = len(bot.venue.asked)
    bot.scene.price("AAPL", "100.9")
    bot.exits()
    assert asked(bot, done) == WAYS[can.edit, can.reduce_only]
    moved = [(order.open_quantity, order.stop_price) for order in bot.venue.stops()]
    assert moved == [(Decimal(10), Decimal("98.88"))]
    bot.scene.price("AAPL", "100")
    bot.exits()
    assert [(order.open_quantity, order.stop_price) for order in bot.venue.stops()] == moved


@each
def test_after_the_fill_of_a_stop_targets_are_made_smaller_the_farthest_first_and_then_canceled(
    can: Capabilities,
) -> None:
    bot = BotApart(can).held()
    (stop,) = bot.venue.stops()
    fill(bot, stop, 5)
    bot.exits()
    bot.exits()
    assert [(order.limit_price, order.open_quantity) for order in bot.venue.targets()] == [
        (Decimal("101.00"), Decimal(4)),
        (Decimal("103.00"), Decimal(1)),
    ]
    fill(bot, bot.venue.stops()[0])
    bot.exits()
    assert is_over(bot)


def test_the_old_stop_stays_until_the_new_one_rests() -> None:
    bot = BotApart(NO_EDITS_ONLY_REDUCE).held()
    fill(bot, bot.venue.targets()[0])
    bot.venue.fates = [SLOW]
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(10), Decimal(6)], "the new one isn't acknowledged"
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(10), Decimal(6)], "and is waited for"
    bot.venue.catch_up()
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(6)]
    assert bot.scene.told("protection_gap") == []


@pytest.mark.parametrize("can", [can for can in EVERY if can.edit is not Edit.NONE])
def test_a_stop_that_the_venue_refuses_to_change_is_replaced_by_the_next_pass(can: Capabilities) -> None:
    bot = BotApart(can).held()
    fill(bot, bot.venue.targets()[0])
    bot.venue.fates = [REFUSED]
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(10)]
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(6)]


def test_a_stop_that_could_not_follow_is_placed_again_where_it_was() -> None:
    bot = BotApart(NO_EDITS).held()
    bot.scene.price("AAPL", "100.9")
    bot.venue.fates = ["", REFUSED]
    bot.exits()
    assert [(order.open_quantity, order.stop_price) for order in bot.venue.stops()] == [(Decimal(10), Decimal("98.00"))]


@each
def test_a_stop_that_is_refused_twice_is_asked_for_again_every_other_minute(can: Capabilities) -> None:
    bot = BotApart(can).filled()
    for _ in range(3):
        bot.venue.fates = [REFUSED]
        bot.exits()
        bot.venue.fates = []
    assert bot.venue.stops() == []
    assert sum(intent.stop_price is not None for intent in bot.venue.asked) == 2
    assert bot.scene.ledger.trading_state().state is TradingState.ACTIVE, "a refused stop halts nothing"
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(10)]


@each
def test_targets_that_are_refused_twice_are_asked_for_again_after_a_quarter_of_an_hour(can: Capabilities) -> None:
    bot = BotApart(can).filled()
    bot.venue.fates = ["", REFUSED, REFUSED]
    bot.exits()
    done = len(bot.venue.asked)
    bot.exits(899)
    assert (asked(bot, done), bot.venue.targets()) == ([], [])
    bot.exits(1)
    assert sizes(bot.venue.targets()) == [Decimal(4), Decimal(4)]


def test_a_stop_that_the_venue_refuses_to_place_nearer_stays_and_nothing_is_placed_instead() -> None:
    bot = BotApart(NO_EDITS_ONLY_REDUCE).held()
    bot.scene.price("AAPL", "100.9")
    bot.venue.fates, done = [REFUSED], len(bot.venue.asked)
    record = bot.exits()
    assert (asked(bot, done), sizes(bot.venue.stops())) == ([Operation.SUBMIT], [Decimal(10)])
    assert record is not None
    assert len(record.candidates) == 2, "one is about the position, and one about the refused stop"


@each
def test_a_lost_stop_is_not_doubled_and_is_sent_again_under_its_own_id(can: Capabilities) -> None:
    bot = BotApart(can).filled()
    bot.venue.fates = [LOST_ON_THE_WAY]
    bot.exits()
    bot.exits(20)
    assert len(bot.venue.asked) == 2, "it is only looked up at first"
    bot.exits(20)
    first, again = bot.venue.asked[1:3]
    assert again.client_order_id == first.client_order_id
    assert sizes(bot.venue.stops()) == [Decimal(10)]


@pytest.mark.parametrize("ids", [ClientIds.WHILE_OPEN, ClientIds.FREE])
def test_a_lost_stop_is_not_sent_again_where_its_id_could_make_two(ids: ClientIds) -> None:
    bot = BotApart(replace(NO_EDITS_ONLY_REDUCE, client_ids=ids)).filled()
    bot.venue.fates = [LOST_ON_THE_WAY]
    for _ in range(3):
        bot.exits()
    assert len(bot.venue.asked) == 2


@each
def test_a_pass_that_is_killed_is_gone_on_with_by_the_next_one_and_nothing_is_sent_twice(can: Capabilities) -> None:
    bot = BotApart(can).held()
    fill(bot, bot.venue.targets()[0])
    bot.venue.fates = [KILLED]
    assert bot.exits() is None
    bot.exits()
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(6)]
    names = [intent.client_order_id for intent in bot.venue.asked]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
def test_what_rests_for_shares_that_are_gone_is_canceled_although_a_request_is_lost(can: Capabilities) -> None:
    bot = BotApart(can).held()
    fill(bot, bot.venue.stops()[0], 5)
    bot.venue.fates = [LOST_ON_THE_WAY]
    bot.exits()
    assert len(bot.venue.targets()) == 2, "one of them should be smaller"
    fill(bot, bot.venue.stops()[0])
    bot.exits(20)
    assert is_over(bot)


@each
def test_a_stop_too_many_is_canceled_although_the_placement_of_another_one_is_lost(can: Capabilities) -> None:
    bot, _ = filling(can, (4, []), (6, apart(can)), (2, [LOST_ON_THE_WAY]), quantity=12)
    for target in bot.venue.targets():
        fill(bot, target)
    assert (bot.position, sizes(bot.venue.stops())) == (Decimal(4), [Decimal(4), Decimal(6)])
    bot.exits(20)
    assert sizes(bot.venue.stops()) == [Decimal(4)]


@each
def test_a_target_too_many_is_canceled_although_the_placement_of_another_one_is_lost(can: Capabilities) -> None:
    bot = BotApart(can).filled()
    bot.venue.fates = ["", "", LOST_ON_THE_WAY]
    bot.exits()
    assert sizes(bot.venue.targets()) == [Decimal(4)]
    fill(bot, bot.venue.stops()[0], 8)
    bot.exits(20)
    assert sum(sizes(bot.venue.targets())) <= bot.position == 2


def after_a_lost_cancel() -> BotApart:
    """Return a bot whose cancel of a stop for 5 shares was lost, while one for 3 rested; then the entry filled more."""
    bot = BotApart(NO_EDITS_ONLY_REDUCE)
    bot.venue.has_history = True
    entry = bot.enter()
    assert entry is not None
    fill(bot, entry, 5)
    bot.exits()
    fill(bot, bot.venue.targets()[0])
    bot.venue.fates = ["", LOST_ON_THE_WAY]
    bot.exits()
    fill(bot, entry)
    return bot


def test_a_lost_cancel_of_a_stop_is_repeated_after_other_stops_cover_the_shares_that_need_it_by_now() -> None:
    bot = after_a_lost_cancel()
    bot.venue.has_history = False
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(5), Decimal(3), Decimal(5)]
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(3), Decimal(5)]


def test_a_stop_whose_cancel_is_known_never_to_have_arrived_protects_as_before() -> None:
    bot = after_a_lost_cancel()
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(8)], "one takes the place of both"
    assert bot.scene.told("protection_gap") == []


@pytest.mark.parametrize("ids", ClientIds)
@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
def test_shares_whose_exit_was_lost_get_a_stop_again_after_a_quarter_of_an_hour(
    can: Capabilities, ids: ClientIds
) -> None:
    bot = BotApart(replace(can, client_ids=ids)).held()
    # Both targets and the stop end before the exit goes out.
    bot.venue.fates = ["", "", "", LOST_ON_THE_WAY]
    bot.exits(7200)
    bot.venue.fates = [LOST_ON_THE_WAY]
    bot.exits(899)
    assert bot.venue.stops() == [], "the exit may work"
    bot.venue.fates = [LOST_ON_THE_WAY] if ids is ClientIds.UNIQUE else []
    bot.exits(1)
    assert [(order.open_quantity, order.stop_price) for order in bot.venue.stops()] == [(Decimal(10), Decimal("98.00"))]
    assert bot.venue.targets() == []
    bot.venue.fates = [LOST_ON_THE_WAY] if ids is ClientIds.UNIQUE else []
    bot.exits()
    assert len(bot.venue.stops()) == 1, "it stays as long as nobody knows of the exit"


@pytest.mark.parametrize("purpose", [Purpose.OPEN, Purpose.CLOSE])
def test_only_an_entry_without_an_answer_may_have_bought_what_the_venue_shows(purpose: Purpose) -> None:
    bot = BotApart(NO_EDITS) if purpose is Purpose.OPEN else BotApart(NO_EDITS).held(side=Side.SELL)
    bot.venue.fates = [LOST_ON_THE_WAY] if purpose is Purpose.OPEN else ["", "", "", LOST_ON_THE_WAY]
    if purpose is Purpose.OPEN:
        bot.enter()
    else:
        bot.exits(7200)
    desk = take_desk(bot.world(), for_entries=False)
    (unanswered,) = desk.books.unresolved_intents
    assert (unanswered.intent.purpose, unanswered.intent.side) == (purpose, Side.BUY)
    shown = replace(desk, net={"AAPL": desk.books.quantities().get("AAPL", Decimal(0)) + 3})
    assert list(separate_protection._symbols_perhaps_entered(shown)) == (["AAPL"] if purpose is Purpose.OPEN else [])


@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
def test_no_stop_is_placed_beside_an_exit_that_arrives_after_a_quarter_of_an_hour(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.venue.fates = ["", "", "", LOST_ON_THE_WAY]
    bot.exits(7200)
    bot.exits(900)
    assert sizes(bot.venue.working(Purpose.CLOSE)) == [Decimal(10)]
    assert bot.venue.stops() == []


@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
@pytest.mark.parametrize(("fate", "stops"), [(LOST_ON_THE_WAY_BACK, []), (LOST_ON_THE_WAY, [Decimal(10)])])
def test_no_stop_is_placed_beside_an_exit_sent_again_after_a_pause_before_the_next_pass_has_looked_it_up(
    can: Capabilities, fate: str, stops: list[Decimal]
) -> None:
    bot = BotApart(can).held()
    bot.venue.fates = ["", "", "", LOST_ON_THE_WAY]
    bot.exits(7200)
    bot.venue.fates = [fate]
    bot.exits(900)
    assert bot.venue.stops() == [], "the exit may work"
    bot.venue.fates = [] if fate == LOST_ON_THE_WAY_BACK else [LOST_ON_THE_WAY]
    bot.exits(20)
    assert sizes(bot.venue.stops()) == stops


@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
@pytest.mark.parametrize(("shares", "stops"), [(6, [Decimal(4), Decimal(6)]), (2, [Decimal(4)])])
def test_a_lost_stop_for_more_shares_than_are_bare_is_sent_again_after_a_quarter_of_an_hour_unless_none_is(
    can: Capabilities, shares: int, stops: list[Decimal]
) -> None:
    bot, _ = filling(can, (4, []), (shares, [LOST_ON_THE_WAY]), quantity=4 + shares)
    for target in bot.venue.targets():
        fill(bot, target)
    assert bot.position == shares + 2
    bot.exits(899)
    assert sizes(bot.venue.stops()) == [Decimal(4)], "the lost one may still come"
    bot.exits(1)
    assert sizes(bot.venue.stops()) == stops


@each
def test_a_gap_is_told_since_the_first_of_several_stops_was_lost(can: Capabilities) -> None:
    bot, _ = filling(can, (4, []), (6, apart(can)))
    first, second = bot.venue.stops()
    bot.scene.later(10)
    bot.venue.suspend(first)
    lost = bot.venue.now
    bot.scene.later(30)
    bot.venue.suspend(second)
    bot.venue.fates = [LOST_ON_THE_WAY] * 4
    bot.exits()
    told = bot.scene.told("protection_gap")[-1]
    assert (told["shares"], told["since"]) == ("10", lost.isoformat())


def test_a_gap_is_told_since_the_cancel_whose_answer_was_lost() -> None:
    bot = BotApart(NO_EDITS).held()
    bot.scene.price("AAPL", "100.9")
    bot.venue.fates = [LOST_ON_THE_WAY]
    bot.exits()
    (told,) = bot.scene.told("protection_gap")
    assert (told["why"], told["since"]) == ("pending_cancel", bot.venue.now.isoformat())


def test_a_gap_is_told_since_its_position_was_opened_although_an_earlier_one_lost_its_stop() -> None:
    bot = BotApart(NO_EDITS_ONLY_REDUCE).held()
    bot.flatten()
    fill(bot, bot.venue.working(Purpose.CLOSE)[0])
    bot.exits()
    bot.scene.later(60)
    bot.filled()
    opened = bot.venue.now
    bot.venue.fates = [REFUSED]
    bot.exits()
    (told,) = bot.scene.told("protection_gap")
    assert (told["why"], told["since"]) == ("refused", opened.isoformat())


@each
def test_a_gap_of_a_position_that_turned_is_told_since_it_turned(can: Capabilities) -> None:
    bot = both_filled(can)
    turned = bot.venue.now
    bot.venue.fates = [LOST_ON_THE_WAY] * 4
    bot.exits()
    bot.exits()
    (told,) = bot.scene.told("protection_gap")
    assert (told["shares"], told["since"]) == ("4", turned.isoformat()), "what ended on the other side protected others"


def test_a_change_in_place_whose_answer_was_lost_is_no_stop_that_the_broker_moved() -> None:
    bot = BotApart(capabilities(Edit.IN_PLACE, reduce_only=True)).held()
    bot.scene.price("AAPL", "100.9")
    bot.venue.fates = ["lost"]
    bot.exits()
    assert len(read_books(bot.scene.ledger, bot.venue.now, bot.venue.can.day).unresolved_intents) == 1
    bot.exits()
    assert read_books(bot.scene.ledger, bot.venue.now, bot.venue.can.day).unresolved_intents == ()
    assert bot.scene.told("stop_moved_by_broker") == []


@pytest.mark.parametrize("can", ONLY_REDUCE, ids=lambda can: can.edit)
def test_an_exit_goes_out_beside_what_only_reduces_and_that_ends_once_the_shares_are_gone(can: Capabilities) -> None:
    bot = BotApart(can).held()
    done = len(bot.venue.asked)
    bot.exits(7200)
    (exit_,) = bot.venue.working(Purpose.CLOSE)
    assert (asked(bot, done), exit_.quantity) == ([Operation.SUBMIT], Decimal(10)), "nothing is canceled for it"
    fill(bot, exit_, 4)
    bot.exits()
    assert sizes(bot.venue.stops()) == [Decimal(6)]
    fill(bot, exit_)
    bot.exits()
    assert is_over(bot)
    assert bot.scene.told("protection_gap", "close_position_failed") == []


@pytest.mark.parametrize("can", PLAIN, ids=lambda can: can.edit)
def test_an_exit_takes_the_place_of_what_could_turn_the_position(can: Capabilities) -> None:
    bot = BotApart(can).held()
    done = len(bot.venue.asked)
    bot.exits(7200)
    # Both targets and the stop end before the exit goes out.
    assert asked(bot, done) == [Operation.CANCEL] * 3 + [Operation.SUBMIT]
    assert sizes(bot.venue.working(Purpose.CLOSE)) == [Decimal(10)]
    assert (bot.venue.stops(), bot.venue.targets()) == ([], [])
    assert [one["why"] for one in bot.scene.told("protection_gap")] == ["exiting"]


@pytest.mark.parametrize("told", [True, False], ids=["the answer tells the end", "nothing tells it"])
def test_an_exit_goes_out_once_the_answer_to_a_cancel_proves_an_end_that_no_list_shows(told: bool) -> None:
    bot = BotApart(NO_EDITS).held()
    send, find, bot.venue.hides_ends = bot.venue.cancel, bot.venue.follower, True

    def find_open(venue_id: str) -> Order | None:
        order = find(venue_id)
        return order if order and order.status is not OrderStatus.CANCELED else None

    def cancel(ending: Ending) -> Reply:
        reply = send(ending)
        return replace(reply, order=find(ending.target_venue_id or "")) if told else reply

    bot.venue.follower, bot.venue.cancel = find_open, cancel  # type: ignore[method-assign]
    record = bot.flatten()
    assert record is not None
    assert sizes(bot.venue.working(Purpose.CLOSE)) == [Decimal(10)] * told
    assert (Reason.SHARES_HELD in {one.decisions[-1].reason for one in record.candidates}) is not told


@each
def test_flatten_closes_first_and_what_protects_ends_afterwards(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.flatten()
    (exit_,) = bot.venue.working(Purpose.CLOSE)
    assert len(bot.venue.stops()) == (1 if can.reduce_only else 0)
    fill(bot, exit_)
    bot.exits()
    assert is_over(bot)


@each
@pytest.mark.parametrize("what", ["halt", "reload"])
def test_neither_a_halt_nor_other_settings_cancel_a_stop(can: Capabilities, what: str) -> None:
    bot = BotApart(can).held()
    before = bot.venue.stops() + bot.venue.targets()
    if what == "halt":
        halted = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", bot.venue.now)
        bot.scene.ledger.set_trading_state(halted)
    else:
        bot.rules = tuple(rule for rule in bot.rules if rule.name not in ("stop_loss", "trailing_stop"))
    bot.exits()
    bot.exits()
    assert bot.venue.stops() + bot.venue.targets() == before


@pytest.mark.parametrize("halts", [False, True])
def test_what_was_replaced_a_moment_ago_is_no_reason_to_cancel_what_rests(halts: bool) -> None:
    bot, entry = filling(NO_EDITS_ONLY_REDUCE, (5, []))
    bot.venue.hides_ends = True
    fill(bot, entry, 5)
    bot.exits(1)
    rests, done = bot.venue.stops() + bot.venue.targets(), len(bot.venue.asked)
    assert sizes(rests) == [Decimal(10), Decimal(4), Decimal(4)], "smaller ones were replaced"
    assert len(bot.scene.ledger.orders(working=True)) > len(rests), "and their ends aren't told yet"
    if halts:
        halted = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", bot.venue.now)
        bot.scene.ledger.set_trading_state(halted)
    bot.exits(1)
    bot.exits(1)
    assert bot.venue.stops() + bot.venue.targets() == rests
    assert asked(bot, done) == [], "and nothing is asked again"


@each
def test_all_that_rests_is_canceled_once_the_bot_watches_stops_itself(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.scene.exits = bot.scene.exits.model_copy(update={"protection": Protection.BOT})
    bot.exits()
    assert (bot.venue.stops(), bot.venue.targets()) == ([], [])


@each
def test_a_price_that_a_target_has_reached_is_left_to_the_venue_if_the_target_rests(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.scene.price("AAPL", "101")
    bot.exits()
    assert bot.venue.working(Purpose.CLOSE, Purpose.REDUCE) == []
    fill(bot, bot.venue.targets()[0])
    bot.venue.fates = [REFUSED] * 5
    assert bot.position == 6


@each
def test_nothing_is_bought_while_what_protected_earlier_shares_still_rests(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.venue.hears_late = True
    fill(bot, bot.venue.stops()[0])
    assert bot.venue.targets() != []
    bot.scene.later(60)
    assert bot.enter() is None
    bot.venue.hears_late = False
    bot.exits()
    bot.scene.later(60)
    assert bot.enter() is not None


def both_filled(can: Capabilities) -> BotApart:
    """Return a bot whose target and stop filled in one instant, for 14 of 10 shares."""
    bot = BotApart(can).held()
    (stop,), target = bot.venue.stops(), bot.venue.targets()[0]
    bot.venue.hears_late = True
    fill(bot, target)
    fill(bot, stop)
    bot.venue.hears_late = False
    return bot


@each
def test_what_fills_beyond_the_position_is_told_once_found_and_closed_at_once(can: Capabilities) -> None:
    bot = both_filled(can)
    bot.exits()
    (close,) = bot.venue.working(Purpose.CLOSE)
    assert (close.side, close.quantity) == (Side.BUY, Decimal(4))
    assert bot.scene.told("position_overfilled") == [{"strategy": "flow", "shares": "4"}]
    watch = ProtectionWatch(bot.venue, lambda strategy: bot.rules, 180, bot.scene.exits)
    found = [
        one
        for one in reconcile(FakeReader(bot.venue), bot.scene.ledger, watch).findings
        if one.kind is FindingKind.OVERFILLED
    ]
    assert [(one.subject, one.ours, one.blocking) for one in found] == [("AAPL", Decimal(-4), False)]
    bot.exits()
    assert len(bot.scene.told("position_overfilled")) == 1
    fill(bot, close)
    bot.exits()
    assert is_over(bot)


@each
def test_an_exit_that_would_add_to_what_filled_beyond_the_position_is_canceled_at_once(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.exits(7200)
    (exit_,) = bot.venue.working(Purpose.CLOSE)
    bot.venue.hears_late = True
    sold = replace(exit_, quantity=Decimal(14))
    bot.venue.book[exit_.client_order_id] = sold
    fill(bot, sold, 12)
    bot.exits()
    assert bot.venue.book[exit_.client_order_id].status is OrderStatus.CANCELED


@pytest.mark.parametrize("can", [NO_EDITS_ONLY_REDUCE, NO_EDITS], ids=["only reduces", ""])
def test_an_exit_that_cannot_be_changed_is_canceled_and_sent_anew_at_the_price_of_the_moment(can: Capabilities) -> None:
    bot = BotApart(can).held()
    bot.exits(7200)
    (first,) = bot.venue.working(Purpose.CLOSE)
    bot.scene.price("AAPL", "99.5")
    bot.exits(200)
    (second,) = bot.venue.working(Purpose.CLOSE)
    assert bot.venue.book[first.client_order_id].status is OrderStatus.CANCELED
    assert (second.quantity, second.limit_price != first.limit_price) == (Decimal(10), True)


@pytest.mark.parametrize(
    ("quantity", "minimum", "parts"),
    [("1.37", "0.01", ["0.54", "0.54"]), ("0.05", "0.01", ["0.02", "0.02"]), ("0.05", "0.03", [])],
)
def test_targets_are_in_whole_lots_and_what_is_less_than_the_smallest_order_has_none(
    quantity: str, minimum: str, parts: list[str]
) -> None:
    desk = take_desk(BotApart(NO_EDITS_ONLY_REDUCE).world(), for_entries=False)
    terms = listing(lot=Decimal("0.01"), minimum=Decimal(minimum))
    share = Decimal(quantity) * Decimal("0.4")
    asked = ExitLevels(Decimal("97.1"), (PriceTarget(Decimal("102.9"), share), PriceTarget(Decimal("107.25"), share)))
    found = missing_targets(desk, held(quantity).position, terms, asked, (), Decimal(quantity))
    assert [f"{part:f}" for _, part, _ in found] == parts


def test_a_stop_that_somebody_made_smaller_is_a_gap_since_then_and_says_so() -> None:
    bot = BotApart(NO_EDITS_ONLY_REDUCE).held()
    bot.exits(600)
    (stop,) = bot.venue.stops()
    at = bot.venue.now + timedelta(seconds=20)
    bot.venue.book[stop.client_order_id] = replace(stop, quantity=Decimal(4), updated_at=at)
    bot.exits()
    (told,) = bot.scene.told(EventKind.PROTECTION_GAP.event_type)
    assert (told["why"], told["shares"], told["since"]) == ("smaller than it was", "6", at.isoformat())
    assert sizes(bot.venue.stops()) == [Decimal(10)]


def test_a_position_whose_price_nobody_sees_is_protected_by_what_rests() -> None:
    bot = BotApart(NO_EDITS_ONLY_REDUCE).held()
    bot.exits()
    bot.venue.prices.clear()
    watch = ProtectionWatch(bot.venue, lambda strategy: bot.rules, 180, bot.scene.exits)

    def missing() -> list[FindingKind]:
        found = reconcile(FakeReader(bot.venue), bot.scene.ledger, watch).findings
        return [one.kind for one in found if one.kind is FindingKind.MISSING_STOP]

    assert missing() == []
    (stop,) = bot.venue.stops()
    bot.venue.book[stop.client_order_id] = replace(stop, status=OrderStatus.CANCELED, updated_at=bot.venue.now)
    assert missing(), "it was the stop alone"


@each
@pytest.mark.parametrize("side", Side)
def test_after_the_first_target_the_stop_of_the_rest_moves_to_the_entry(can: Capabilities, side: Side) -> None:
    rules = parse(
        [
            {"stop_loss": {"fraction": "0.02"}},
            {"scale_out": {"levels": [{"fraction": "0.01", "share": "0.4"}, {"fraction": "0.03", "share": "0.4"}]}},
            {"break_even": {"after_share": "0.3"}},
        ]
    )
    bot = BotApart(can, rules).held(10, side)
    assert [stop.stop_price for stop in bot.venue.stops()] == [Decimal(100) - 2 * side.sign]
    first = min(bot.venue.targets(), key=lambda target: abs((target.limit_price or Decimal(0)) - 100))
    bot.scene.price("AAPL", f"{Decimal(100) + Decimal('1.2') * side.sign:f}")
    bot.venue.fill(first.client_order_id, f"{first.limit_price:f}")
    for _ in range(3):
        bot.exits()
    assert [(stop.open_quantity, stop.stop_price) for stop in bot.venue.stops()] == [(Decimal(6), Decimal(100))]
    assert sum(target.open_quantity for target in bot.venue.targets()) == 4
