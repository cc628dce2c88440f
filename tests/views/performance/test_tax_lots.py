"""Tax lots: which shares a sale closes by each method, and when they were held for more than one year."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.test_trade import histories
from tests.views.performance.taxed import past, rows, traded
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.values import replace
from tradebot.views.performance.account_trades import account_trades
from tradebot.views.performance.lots import lots_of
from tradebot.views.performance.tax import sales_of
from tradebot.views.performance.tax_lots import Method, TaxLot, in_order, is_long_term, take


@pytest.mark.parametrize(
    ("method", "lots"), [(Method.FIFO, ["fill-1", "fill-2"]), (Method.LIFO, ["fill-3"]), (Method.HIFO, ["fill-2"])]
)
def test_each_method_picks_its_shares(method: Method, lots: list[str]) -> None:
    fills = traded("2024-01-03 buy 5 50", "2025-01-06 buy 10 90", "2025-06-02 buy 10 70", "2026-06-01 sell 10 100")
    assert [row.lot for row in rows(past(fills), method=method)] == lots


@pytest.mark.parametrize(("method", "lot"), [(Method.FIFO, "fill-1"), (Method.LIFO, "fill-3"), (Method.HIFO, "fill-2")])
def test_hifo_closes_the_short_sale_that_brought_least(method: Method, lot: str) -> None:
    fills = traded("2026-01-05 sell 5 60", "2026-01-06 sell 5 50", "2026-01-07 sell 5 70", "2026-06-01 buy 5 65")
    assert [row.lot for row in rows(past(fills), method=method)] == [lot]


def test_what_a_wash_sale_carried_counts_as_cost() -> None:
    fills = traded(
        "2026-01-05 buy 10 90",
        "2026-01-12 sell 10 50",
        "2026-01-13 buy 10 60",
        "2026-03-02 buy 10 70",
        "2026-06-01 sell 10 80",
    )
    # 60 + 40 carried is more than 70.
    assert [row.lot for row in rows(past(fills), method=Method.HIFO)][-1] == "fill-3"


def test_shares_of_unknown_cost_were_there_first_and_are_the_last_that_hifo_picks() -> None:
    known = account_trades(past(traded("2026-01-05 buy 10 90"))).trades[0]
    lots = [TaxLot("AAPL", Fraction(5), None), TaxLot("AAPL", Fraction(10), known)]
    assert in_order(lots, Method.FIFO) == lots
    assert in_order(lots, Method.LIFO) == in_order(lots, Method.HIFO) == lots[::-1]
    assert lots[0].held_from is None


@pytest.mark.parametrize(
    ("bought", "first_long_term_day"),
    [
        # IRS Publication 550: bought on February 5, one year is full on the next February 5.
        ("2025-02-05", "2026-02-06"),
        ("2025-12-31", "2027-01-01"),
        ("2024-02-29", "2025-03-01"),
        ("2024-02-28", "2025-03-01"),
        ("2023-02-28", "2024-03-01"),
        ("2023-03-01", "2024-03-02"),
        ("2025-04-30", "2026-05-01"),
    ],
)
def test_shares_are_long_term_from_the_day_after_one_full_year(bought: str, first_long_term_day: str) -> None:
    day = date.fromisoformat(first_long_term_day)
    assert is_long_term(date.fromisoformat(bought), day)
    assert not is_long_term(date.fromisoformat(bought), day - timedelta(days=1))


@given(bought=st.dates(date(2000, 1, 1), date(2060, 1, 1)), days=st.integers(0, 800))
def test_a_year_is_365_or_366_days_and_never_shrinks(bought: date, days: int) -> None:
    sold = bought + timedelta(days=days)
    assert is_long_term(bought, sold) >= (days > 367)
    assert is_long_term(bought, sold) <= (days > 365)
    assert is_long_term(bought, sold) <= is_long_term(bought, sold + timedelta(days=1))


def test_the_trade_date_is_new_yorks() -> None:
    late = traded("2026-01-05 buy 1 50")[0].fill.at.replace(month=1, day=1, hour=2)
    bought, sold = traded("2025-06-02 buy 1 50", "2026-01-01 sell 1 60")
    fills = [bought, replace(sold, fill=replace(sold.fill, at=late))]
    assert [str(row.sold) for row in rows(past(fills), 2025)] == ["2025-12-31"]
    assert rows(past(fills), 2026) == []


quantities = st.integers(1, 9).map(Fraction)


parts = st.integers(0, 21).map(lambda number: Fraction(number, 21))


@given(held=st.lists(quantities, min_size=1, max_size=6), part=parts, method=st.sampled_from(Method))
def test_what_is_taken_and_what_is_left_is_all_there_was(held: list[Fraction], part: Fraction, method: Method) -> None:
    lots = [TaxLot("AAPL", -quantity, None, carried_usd=quantity) for quantity in held]
    pieces, left = take(lots, part * sum(held), method)
    assert sum(abs(piece.quantity) for piece in pieces) == part * sum(held)
    assert sum(lot.quantity for lot in (*pieces, *left)) == -sum(held)
    assert sum(lot.carried_usd for lot in (*pieces, *left)) == sum(held)


@given(fills=histories())
def test_with_one_strategy_the_account_sells_the_lots_that_the_strategy_sold(fills: list[OwnedFill]) -> None:
    one = [OwnedFill("flow", owned.fill) for owned in fills if owned.strategy != FOREIGN]
    ours = [
        (s.lot.opening.fill_id, s.closing.fill_id, s.shares)
        for s in sales_of(account_trades(past(one)), (), Method.FIFO).sales
        if s.lot.opening
    ]
    theirs = [(lot.entry_fill, lot.exit_fill, Fraction(lot.quantity)) for lot in lots_of(one).closed]
    assert merged(ours) == merged(theirs)


def merged(pieces: list[tuple[str, str, Fraction]]) -> dict[tuple[str, str], Fraction]:
    """Return the shares by both fills; a wash sale splits lots."""
    found: dict[tuple[str, str], Fraction] = {}
    for bought, sold, shares in pieces:
        found[bought, sold] = found.get((bought, sold), Fraction(0)) + shares
    return found
