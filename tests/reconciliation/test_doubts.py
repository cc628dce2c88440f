"""A stop of which the venue's sources disagree protects nothing, and what can only reduce is sent once more.

What is held though no position is listed: books and orders say so, and the margin that is tied up.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk.test_broker_consistency import lying, no_positions
from tests.kit.core.apart import BotApart, capabilities
from tests.kit.core.scene import Scene
from tests.kit.values import NOW, account, books, fill, leveled
from tests.model.test_lifecycle import PAIR, order, record
from tests.orders.test_stop_protection import exits, protected, protecting
from tests.reconciliation.comparing import compared, kinds, margined, trade
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import ListingRecord
from tradebot.model.order import Order, OrderStatus
from tradebot.model.record import DOUBTED, CycleRecord
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, Edit, Settlement
from tradebot.reconciliation.doubts import with_hidden_positions

D = Decimal
ONLY_REDUCE, PLAIN = (capabilities(Edit.IN_PLACE, reduce_only=reduce_only) for reduce_only in (True, False))


def without_first_pair(view: BrokerView, free: int | None) -> BrokerView:
    """Return a view whose list lacks the first pair, with how many shares no order claims."""
    first = {order.venue_id for order in view.orders} - {"venue-2", "venue-3"}
    positions = tuple(replace(one, free=None if free is None else D(free)) for one in view.positions)
    return replace(view, positions=positions, orders=tuple(o for o in view.orders if o.venue_id in first))


def gaps(record: CycleRecord | None) -> list[tuple[str, Decimal]]:
    assert record is not None
    return [(gap.why, gap.shares) for gap in record.gaps or ()]


def canceled_and_told_late(found: Scene) -> None:
    """Let the venue cancel the pair that rests, and answer as if it hadn't, by id and in its list of ended ones."""
    old = dict(found.venue.book)
    for name, resting in old.items():
        if resting.venue_id in ("venue-2", "venue-3"):
            found.venue.book[name] = replace(resting, status=OrderStatus.CANCELED)
    now = found.venue.order

    def stale(client_order_id: str) -> Order | None:
        return old.get(client_order_id) or now(client_order_id)

    found.venue.order = stale  # type: ignore[method-assign]
    found.venue.ended = lambda since: ()  # type: ignore[method-assign]


@pytest.mark.parametrize("free", [49, None], ids=["positions deny it too", "nobody else knows"])
def test_a_stop_that_the_list_lacks_is_sent_again_though_an_old_answer_says_that_it_works(free: int | None) -> None:
    found, _ = protected(later_s=60)
    canceled_and_told_late(found)
    lying(found, lambda view: without_first_pair(view, free if len(protecting(found)) == 1 else 0))
    record = exits(found, "open+32m")
    first, second = protecting(found)
    assert (second.quantity, second.stop_price) == (first.quantity, first.stop_price)
    (began,), (ended,) = found.told("protection_gap"), found.told("protection_gap_ended")
    assert (began["why"], ended["lasted_s"]) == (DOUBTED, "60.000"), "from the last look at which it was listed"
    found.later(60)
    assert (gaps(record), gaps(exits(found, "open+33m")), len(protecting(found))) == ([], [], 2)


def test_a_stop_that_only_the_list_lacks_works_if_the_positions_show_it() -> None:
    found, _ = protected(later_s=60)
    lying(found, lambda view: without_first_pair(view, 0))
    assert (gaps(exits(found, "open+32m")), len(protecting(found))) == ([], 1)


def test_a_stop_that_only_the_positions_deny_works_if_the_venue_says_so_of_itself() -> None:
    found, _ = protected(later_s=60)
    view = found.venue.view
    lying(found, lambda told: replace(view(), positions=tuple(replace(p, free=D(49)) for p in told.positions)))
    assert (gaps(exits(found, "open+32m")), len(protecting(found))) == ([], 1)
    canceled_and_told_late(found)
    found.venue.order = lambda client_order_id: None  # type: ignore[method-assign]
    found.later(60)
    assert (gaps(exits(found, "open+33m")), len(protecting(found))) == ([], 2)
    assert [gap["why"] for gap in found.told("protection_gap")] == [DOUBTED]


def test_two_stops_at_most_are_sent_for_the_same_units_and_the_spare_one_goes_once_the_list_is_whole() -> None:
    bot = BotApart(ONLY_REDUCE).held()
    listed, hidden = bot.venue.view, True
    bot.venue.view = lambda: replace(listed(), orders=() if hidden else listed().orders)  # type: ignore[method-assign]
    assert (gaps(bot.exits()), len(bot.venue.stops())) == ([], 2), "the second one was acknowledged"
    for _ in range(5):
        assert (gaps(bot.exits()), len(bot.venue.stops())) == ([(DOUBTED, D(10))], 2)
    hidden = False
    bot.exits()
    assert _lasted_s(bot)[-1] == 0, "both stops rested all along"
    bot.exits()
    assert [stop.open_quantity for stop in bot.venue.stops()] == [10]
    assert gaps(bot.exits()) == []


def _lasted_s(bot: BotApart) -> list[float]:
    return [float(one["lasted_s"]) for one in bot.scene.told("protection_gap_ended")]


@pytest.mark.parametrize("has_times", [True, False], ids=["", "at a venue that tells no times of orders"])
@pytest.mark.parametrize("ended", [False, True], ids=["rested all along", "suspended meanwhile"])
def test_a_doubt_lasted_no_time_if_the_stop_that_rests_had_come_before_it(*, ended: bool, has_times: bool) -> None:
    bot = BotApart(PLAIN).held()
    for name, resting in bot.venue.book.items():
        bot.venue.book[name] = resting if has_times else replace(resting, submitted_at=None, updated_at=None)
    listed, hidden = bot.venue.view, True
    bot.venue.view = lambda: replace(listed(), orders=() if hidden else listed().orders)  # type: ignore[method-assign]
    for _ in range(4):
        assert gaps(bot.exits()) == [(DOUBTED, D(10))]
    if ended:
        (stop,) = bot.venue.stops()
        bot.venue.suspend(stop)
    hidden = False
    for _ in range(3):
        record = bot.exits()
    assert (gaps(record), len(bot.venue.stops())) == ([], 1)
    assert bool(sum(_lasted_s(bot))) is ended


def test_where_a_second_stop_could_turn_the_position_the_gap_is_told_and_the_bot_watches() -> None:
    bot = BotApart(PLAIN).held()
    listed = bot.venue.view
    bot.venue.view = lambda: replace(listed(), orders=())  # type: ignore[method-assign]
    assert gaps(bot.exits()) == [(DOUBTED, D(10))]
    assert len(bot.venue.stops()) == 1
    bot.scene.price("AAPL", "97.90")
    bot.exits()
    assert bot.venue.asked[-1].purpose is Purpose.CLOSE, "the bot's own rule closes it"


@pytest.mark.parametrize(("can", "stops"), [(ONLY_REDUCE, 2), (PLAIN, 1)], ids=["only reduces", "could turn"])
def test_a_stop_that_only_an_old_list_has_at_work_protects_nothing(can: Capabilities, stops: int) -> None:
    bot = BotApart(replace(can, tells_ends_after=timedelta(seconds=30))).held()
    bot.exits()
    old = bot.venue.view()
    assert gaps(bot.exits()) == []
    bot.venue.view = lambda: replace(old, orders_at=bot.venue.now - timedelta(seconds=31))  # type: ignore[method-assign]
    told = [gaps(bot.exits()) for _ in range(3)]
    assert (told[-1], len(bot.venue.stops())) == ([(DOUBTED, D(10))], stops)
    bot.venue.view = lambda: replace(old, orders_at=bot.venue.now)  # type: ignore[method-assign]
    bot.exits()
    assert gaps(bot.exits()) == []


def test_positions_that_lag_keep_no_stop_back_that_can_only_reduce() -> None:
    bot = BotApart(ONLY_REDUCE).filled()
    lying(bot.scene, no_positions)
    bot.venue.position = lambda symbol: None  # type: ignore[method-assign]
    bot.exits()
    assert [stop.open_quantity for stop in bot.venue.stops()] == [10]
    assert gaps(bot.exits()) == []


class Kept:
    """The stored listings, of one symbol."""

    def listings(self, symbols: Collection[str] | None = None) -> Mapping[str, ListingRecord]:
        """Return what is stored of these."""
        return {symbol: ListingRecord(leveled(symbol)) for symbol in symbols or () if symbol == "AAPL"}

    def put_listings(self, records: object) -> None:
        """Store nothing."""


def seen(tied_up: str, symbol: str = "AAPL") -> dict[str, Decimal]:
    """Return the positions of a view that lists none, of books with a hundred units at a hundred."""
    told = account(settlement=Settlement.MARGINED, maintenance_margin=Decimal(tied_up))
    held = books(fill(1, symbol=symbol, quantity="100", price="100", at=NOW))
    return {one.symbol: one.quantity for one in with_hidden_positions(Kept(), held, BrokerView(told, (), ())).positions}


def test_positions_that_enough_margin_is_tied_up_for_are_there_though_none_is_listed() -> None:
    needed = leveled().margin_levels[0].maintenance * 10_000
    assert seen(f"{needed * Decimal('0.8'):f}") == {"AAPL": Decimal(100)}
    assert seen(f"{needed * Decimal('0.7'):f}") == {}
    assert seen("0") == {}
    assert seen(f"{needed:f}", "MSFT") == {}, "nobody knows what it needs"


@pytest.mark.parametrize(
    ("status", "is_listed", "is_there"),
    [
        (OrderStatus.NEW, True, True),
        (OrderStatus.NEW, False, False),
        (OrderStatus.ENDED, False, False),
        (OrderStatus.CANCELED, False, True),
    ],
)
def test_margin_of_before_proves_nothing_that_a_stop_may_have_closed_unseen(
    status: OrderStatus, is_listed: bool, is_there: bool
) -> None:
    stop = order(PAIR, status)
    held = books(
        fill(1, quantity="100", price="100"), orders=(stop,), intents_by_id={PAIR.client_order_id: record(PAIR)}
    )
    told = account(settlement=Settlement.MARGINED, maintenance_margin=Decimal(5_000))
    view = BrokerView(told, (), (stop,) if is_listed else ())
    assert bool(with_hidden_positions(Kept(), held, view).positions) is is_there


@pytest.mark.parametrize(("tied_up", "kind"), [("500", FindingKind.VIEW_UNSTEADY), ("0", FindingKind.PHANTOM)])
def test_a_list_without_what_the_margin_keeps_makes_no_phantom_and_no_plan(tied_up: str, kind: FindingKind) -> None:
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    venue.tell_fees()
    venue.held, told = {}, venue.account
    venue.account = lambda: replace(told(), maintenance_margin=Decimal(tied_up))  # type: ignore[method-assign]
    found = compared(scene)
    assert (kinds(found)[0], found.plan is None) == (kind, kind is FindingKind.VIEW_UNSTEADY)
