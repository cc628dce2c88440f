"""Positions and cash are folds over fills: exact, first in first out, and nothing is made or lost."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import CASH, ago, fill
from tradebot.model.candidate import Side
from tradebot.model.instrument import notional
from tradebot.model.position import FOREIGN, OwnedFill, RoundTrip
from tradebot.model.struct_tools import replace
from tradebot.model.totals import MOST_TRIPS, TRIPS_KEPT, Totals
from tradebot.model.venue import Settlement
from tradebot.views.status import profit


@st.composite
def histories(draw: st.DrawFn, other: str = "momentum") -> list[OwnedFill]:
    """Draw fills of two symbols for the strategy flow and another one; "" stands for foreign shares.

    One symbol is shares, the other contracts of many shares, or of a part of one.
    """
    multipliers = {"AAPL": "1", "MSFT": draw(st.sampled_from(["1", "50", "0.001"]))}
    row = st.tuples(
        st.sampled_from(["AAPL", "MSFT"]),
        st.sampled_from(Side),
        st.integers(1, 20),
        st.integers(1, 40_000),
        st.sampled_from(["flow", other]),
    )
    return [
        fill(
            n, symbol, side, str(quantity), str(Decimal(cents) / 100), strategy=strategy, multiplier=multipliers[symbol]
        )
        for n, (symbol, side, quantity, cents, strategy) in enumerate(draw(st.lists(row, max_size=20)))
    ]


@given(fills=histories(""))
def test_cash_and_cost_give_opening_cash_and_realized_profit(fills: list[OwnedFill]) -> None:
    positions = Totals.of(fills).positions.values()
    cost = sum((p.cost for p in positions), Decimal(0))
    realized = sum((p.realized_pnl for p in positions), Decimal(0))
    assert Totals.of(fills).cash(CASH, Settlement.PAID) + cost == CASH + realized


@given(fills=histories(""))
def test_quantities_are_the_sums_of_what_was_bought_and_sold(fills: list[OwnedFill]) -> None:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for owned in fills:
        sums[(owned.strategy, owned.fill.symbol)] += owned.fill.signed_quantity
    assert {key: p.quantity for key, p in Totals.of(fills).positions.items()} == dict(sums)


@given(fills=histories(""))
def test_the_order_of_fills_of_different_symbols_is_of_no_matter(fills: list[OwnedFill]) -> None:
    by_symbol = sorted(fills, key=lambda owned: owned.fill.symbol)
    assert Totals.of(by_symbol).positions == Totals.of(fills).positions
    assert Totals.of(by_symbol).cash(CASH, Settlement.PAID) == Totals.of(fills).cash(CASH, Settlement.PAID)


@given(fills=histories(""))
def test_open_lots_are_all_on_one_side_and_none_is_empty(fills: list[OwnedFill]) -> None:
    for position in Totals.of(fills).positions.values():
        assert len({lot.quantity > 0 for lot in position.lots}) <= 1
        assert all(lot.quantity for lot in position.lots)
        assert [lot.at for lot in position.lots] == sorted(lot.at for lot in position.lots)


@given(fills=histories(), cents=st.integers(1, 40_000))
def test_profit_at_any_mark_is_what_equity_gained(fills: list[OwnedFill], cents: int) -> None:
    mark = Decimal(cents) / 100
    seen = profit(CASH, Totals.of(fills), {"AAPL": mark, "MSFT": mark})
    assert seen.equity == CASH + seen.total


def test_profit_is_realized_by_what_was_closed_and_unrealized_at_the_marks() -> None:
    fills = [fill(1, quantity="3"), fill(2, side=Side.SELL, quantity="1", price="104")]
    seen = profit(CASH, Totals.of(fills), {"AAPL": Decimal(110)})
    assert (seen.realized, seen.unrealized, seen.position_value) == (Decimal(4), Decimal(20), Decimal(220))


def test_accepted_movements_of_cash_are_part_of_equity_and_no_profit() -> None:
    seen = profit(CASH, Totals(), {}, Decimal(5))
    assert seen.equity == CASH + 5
    assert seen.total == 0


def one(*fills: OwnedFill) -> tuple[list[tuple[Decimal, Decimal]], Decimal]:
    """Return the open lots as (quantity, price) and the realized profit of fills in one symbol."""
    (position,) = Totals.of(fills).positions.values()
    return [(lot.quantity, lot.price) for lot in position.lots], position.realized_pnl


def test_the_oldest_lot_closes_first() -> None:
    lots, realized = one(
        fill(1, quantity="10", price="100"),
        fill(2, quantity="10", price="110"),
        fill(3, side=Side.SELL, quantity="15", price="120"),
    )
    assert lots == [(Decimal(5), Decimal(110))]
    assert realized == 10 * 20 + 5 * 10


def test_a_short_earns_where_the_price_falls() -> None:
    lots, realized = one(fill(1, side=Side.SELL, quantity="10", price="100"), fill(2, quantity="4", price="90"))
    assert lots == [(Decimal(-6), Decimal(100))]
    assert realized == 40


def test_a_fill_larger_than_the_position_turns_it_over_at_the_fills_price() -> None:
    lots, realized = one(fill(1, quantity="10", price="100"), fill(2, side=Side.SELL, quantity="25", price="90"))
    assert lots == [(Decimal(-15), Decimal(90))]
    assert realized == -100


def test_a_contract_costs_and_earns_as_many_times_its_price_as_its_multiplier_says() -> None:
    bought = fill(1, quantity="3", price="100", multiplier="50")
    more = fill(2, quantity="1", price="104", multiplier="50")
    (position,) = Totals.of([bought, more]).positions.values()
    assert position.average_price == 101
    assert position.cost == position.entry_cost == 20_200
    assert position.value_at(Decimal(102)) == 20_400
    (after,) = Totals.of([bought, more, fill(3, side=Side.SELL, quantity="2", price="90")]).positions.values()
    assert after.realized_pnl == -2 * 10 * 50
    (turned,) = Totals.of([bought, fill(2, side=Side.SELL, quantity="4", multiplier="20")]).positions.values()
    assert turned.cost == -1 * 100 * 20


def test_a_closed_position_stays_with_its_profit() -> None:
    lots, realized = one(fill(1, quantity="3", price="100"), fill(2, side=Side.SELL, quantity="3", price="101"))
    assert lots == []
    assert realized == 3


def test_two_strategies_hold_their_own_lots_in_one_symbol() -> None:
    book = Totals.of([fill(1, quantity="3"), fill(2, side=Side.SELL, quantity="3", strategy="")]).positions
    assert {key: p.quantity for key, p in book.items()} == {("flow", "AAPL"): 3, ("", "AAPL"): -3}


def test_closing_a_part_of_a_position_makes_what_is_left_no_younger() -> None:
    fills = [
        fill(1, quantity="10", at=ago(900)),
        fill(2, quantity="4", at=ago(600)),
        fill(3, side=Side.SELL, quantity="10", at=ago(300)),
    ]
    assert Totals.of(fills).positions["flow", "AAPL"].opened_at == ago(900)
    turned = Totals.of([*fills, fill(4, side=Side.SELL, quantity="9", at=ago(100))]).positions
    assert turned["flow", "AAPL"].opened_at == ago(100)


@given(fills=histories(""))
def test_each_dollar_that_was_realized_belongs_to_a_round_trip_or_to_what_is_open(fills: list[OwnedFill]) -> None:
    totals = Totals.of(fills)
    ended: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for trip in totals.round_trips:
        ended[trip.strategy, trip.symbol] += trip.profit
    for key, position in totals.positions.items():
        open_now = position.realized_pnl - position.realized_before if position.lots else Decimal(0)
        assert ended[key] + open_now == (position.realized_pnl if position.strategy != FOREIGN else open_now)


@given(fills=histories(""))
def test_shares_counted_since_entry_are_those_traded_on_the_positions_side_since(
    fills: list[OwnedFill],
) -> None:
    for (strategy, symbol), position in Totals.of(fills).positions.items():
        if not position.lots:
            continue
        own = [one.fill for one in fills if (one.strategy, one.fill.symbol) == (strategy, symbol)]
        since = [one for one in own if one.at >= position.opened_at]
        added = [one for one in since if (one.signed_quantity > 0) == (position.quantity > 0)]
        closed = sum((one.quantity for one in since if one not in added), Decimal(0))
        # The fill that turned a position over closed the earlier one first.
        turned = sum((one.quantity for one in added), Decimal(0)) - closed - abs(position.quantity)
        assert position.original_quantity == sum((one.quantity for one in added), Decimal(0)) - turned
        paid = sum((abs(one.notional) for one in added), Decimal(0))
        assert position.entry_cost == paid - notional(turned, added[0].price, position.multiplier)


@given(fills=histories(""))
def test_round_trips_of_shorts_mirror_those_of_longs(fills: list[OwnedFill]) -> None:
    other = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
    mirrored = [replace(owned, fill=replace(owned.fill, side=other[owned.fill.side])) for owned in fills]
    trips = Totals.of(fills).round_trips
    assert [replace(trip, profit=-trip.profit) for trip in Totals.of(mirrored).round_trips] == list(trips)


def test_a_round_trip_tells_when_a_position_was_closed_and_what_it_earned_on_what_it_cost() -> None:
    entry, scaled, rest = (
        fill(1, quantity="10"),
        fill(2, side=Side.SELL, quantity="4", price="90"),
        fill(3, quantity="2"),
    )
    last = fill(4, side=Side.SELL, quantity="9", price="110")
    held = Totals.of([entry, scaled, rest])
    assert held.round_trips == ()
    position = held.positions["flow", "AAPL"]
    assert (position.original_quantity, position.entry_cost, position.lost_at, position.lost_quantity) == (
        Decimal(12),
        Decimal(1200),
        scaled.fill.at,
        Decimal(4),
    )
    turned = held.after([last])
    trip = RoundTrip("flow", "AAPL", last.fill.at, Decimal(-40 + 80), Decimal(1200), entry.fill.at)
    assert turned.round_trips == (trip,)
    after = turned.positions["flow", "AAPL"]
    assert (after.original_quantity, after.lost_quantity) == (Decimal(1), Decimal(0))


def trades(count: int, apart: timedelta) -> list[OwnedFill]:
    """Return the fills of that many round trips, each a while after the one before."""
    sides = (Side.BUY, Side.SELL)
    return [
        fill(n, side=sides[n % 2], at=ago(0) + apart * (n // 2) + timedelta(seconds=n % 2)) for n in range(2 * count)
    ]


def test_at_most_the_newest_round_trips_of_a_month_are_kept() -> None:
    days = Totals.of(trades(40, timedelta(days=1)))
    kept = [trip.closed_at for trip in days.round_trips]
    assert len(kept) == TRIPS_KEPT.days
    assert days.last_at == kept[-1]
    many = Totals.of(trades(MOST_TRIPS + 3, timedelta(seconds=2))).round_trips
    assert len(many) == MOST_TRIPS
    assert many[-1].closed_at - many[0].closed_at == timedelta(seconds=2) * (MOST_TRIPS - 1)


@given(fills=histories(), place=st.integers(0, 20))
def test_an_interrupted_sum_gives_the_same_totals(fills: list[OwnedFill], place: int) -> None:
    assert Totals.of(fills[:place]).after(fills[place:]) == Totals.of(fills)
