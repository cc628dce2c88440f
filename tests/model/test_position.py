"""Positions and cash are folds over fills: exact, first in first out, and nothing is made or lost."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import CASH, ago, fill
from tradebot.explain import profit
from tradebot.model.candidate import Side
from tradebot.model.position import OwnedFill
from tradebot.model.totals import Totals


@st.composite
def histories(draw: st.DrawFn) -> list[OwnedFill]:
    row = st.tuples(
        st.sampled_from(["AAPL", "MSFT"]),
        st.sampled_from(Side),
        st.integers(1, 50),
        st.integers(1, 40_000),
        st.sampled_from(["flow", ""]),
    )
    return [
        fill(n, symbol, side, str(quantity), str(Decimal(cents) / 100), strategy=strategy)
        for n, (symbol, side, quantity, cents, strategy) in enumerate(draw(st.lists(row, max_size=20)))
    ]


@given(fills=histories())
def test_cash_and_cost_give_opening_cash_and_realized_profit(fills: list[OwnedFill]) -> None:
    positions = Totals.of(fills).positions.values()
    cost = sum((p.cost for p in positions), Decimal(0))
    realized = sum((p.realized_pnl for p in positions), Decimal(0))
    assert Totals.of(fills).cash(CASH) + cost == CASH + realized


@given(fills=histories())
def test_quantities_are_the_sums_of_what_was_bought_and_sold(fills: list[OwnedFill]) -> None:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for owned in fills:
        sums[(owned.strategy, owned.fill.symbol)] += owned.fill.signed_quantity
    assert {key: p.quantity for key, p in Totals.of(fills).positions.items()} == dict(sums)


@given(fills=histories())
def test_the_order_of_fills_of_different_symbols_is_of_no_matter(fills: list[OwnedFill]) -> None:
    by_symbol = sorted(fills, key=lambda owned: owned.fill.symbol)
    assert Totals.of(by_symbol).positions == Totals.of(fills).positions
    assert Totals.of(by_symbol).cash(CASH) == Totals.of(fills).cash(CASH)


@given(fills=histories())
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
