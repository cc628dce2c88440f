"""The rows of a tax year: to the cent, by trade date, with sums that add the rows and say what isn't known."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import brief, commission, fee, of, on, rows, tax_history, traded
from tests.kit.values import VENUE_DAY, cash_movement, fill, there
from tests.views.trades.test_tax_lots import years
from tradebot.model.account import ActivityKind
from tradebot.model.candidate import Side
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.views.trades.account_trades import account_trades
from tradebot.views.trades.tax import HoldingPeriod, decimal, sales_of, tax_year
from tradebot.views.trades.tax_lots import Method

D = Decimal


def test_sale_closes_the_oldest_shares_of_the_account_across_strategies() -> None:
    fills = traded("2025-01-06 buy 10 50 momentum", "2026-02-02 buy 10 60", "2026-03-02 sell 10 70")
    (row,) = rows(tax_history(fills))
    assert brief([row]) == ["2025-01-06 2026-03-02 10 700.00 500.00 - 0.00 200.00 long"]
    assert of(row, "strategy", "lot", "sale", "description") == ("momentum", "fill-1", "fill-3", "10 sh. AAPL")


def test_sale_of_several_lots_has_a_row_for_each() -> None:
    fills = traded("2025-01-06 buy 4 50", "2026-02-02 buy 10 60 hand", "2026-03-02 sell 10 70")
    found = tax_year(tax_history(fills), 2026, Method.FIFO)
    assert brief(found.rows) == [
        "2026-02-02 2026-03-02 6 420.00 360.00 - 0.00 60.00 short",
        "2025-01-06 2026-03-02 4 280.00 200.00 - 0.00 80.00 long",
    ]
    assert [of(total, "term", "rows", "gain_usd") for total in found.totals] == [("short", 1, 60), ("long", 1, 80)]
    assert [row.strategy for row in found.rows] == [FOREIGN, "flow"]


@pytest.mark.parametrize("closed", ["2026-03-02", "2027-06-01"])
def test_short_sale_counts_when_closed_and_is_short_term(closed: str) -> None:
    fills = traded("2025-12-30 sell 10 50", f"{closed} buy 10 45")
    history = tax_history(fills, fee("2025-12-30", "-0.03"))
    assert rows(history, 2025) == []
    (row,) = rows(history, int(closed[:4]))
    assert brief([row]) == [f"{closed} {closed} 10 499.97 450.00 - 0.00 49.97 short"]
    assert of(row, "side", "description", "fees_usd") == (Side.SELL, "10 sh. AAPL sold short", D("0.03"))


def test_trade_that_reverses_a_position_closes_and_opens_a_lot() -> None:
    fills = traded("2026-02-02 buy 10 50", "2026-03-02 sell 15 60", "2026-03-09 buy 5 55")
    assert brief(rows(tax_history(fills))) == [
        "2026-02-02 2026-03-02 10 600.00 500.00 - 0.00 100.00 short",
        "2026-03-09 2026-03-09 5 300.00 275.00 - 0.00 25.00 short",
    ]


def test_fees_of_a_day_are_shared_by_what_was_sold_and_other_fees_are_not() -> None:
    fills = traded("2026-02-02 buy 30 50", "2026-03-02 sell 10 60", "2026-03-02 sell 20 60", "2026-03-03 sell 5 60")
    other = cash_movement(on("2026-03-03"), D("-9"), "PTC", Origin.ACTIVITY, "ptc", "a pass-through charge")
    found = rows(tax_history(fills, fee("2026-03-02", "-0.06"), other))
    assert [of(row, "fees_usd", "proceeds_usd") for row in found] == [
        (D("0.02"), D("599.98")),
        (D("0.04"), D("1199.96")),
    ]


def test_commission_adds_to_the_basis_and_reduces_the_proceeds() -> None:
    bought, sold, short, covered = fills = (
        *traded("2026-03-02 buy 20 50", "2026-03-03 sell 10 60"),
        fill(3, "MSFT", Side.SELL, "10", "30", at=on("2026-03-04")),
        fill(4, "MSFT", Side.BUY, "10", "20", at=on("2026-03-05")),
    )
    borrowed = replace(fee("2026-03-04", "-9"), sub_kind="BRW", meaning=ActivityKind.BORROW_FEE)
    paid = (commission(bought, "-4"), commission(sold, "-1"), commission(short, "-3"), commission(covered, "-0.5"))
    assert [of(row, "basis_usd", "proceeds_usd", "fees_usd") for row in rows(tax_history(fills, *paid, borrowed))] == [
        (D("502.00"), D("599.00"), D("3.00")),
        (D("200.50"), D("297.00"), D("3.50")),
    ]


def test_sale_of_unknown_cost_is_in_no_total() -> None:
    fills = traded("2026-03-02 sell 10 60 hand", "2026-03-02 buy 5 50", "2026-03-09 sell 5 58")
    found = tax_year(tax_history(fills, acknowledged={"AAPL": D(10)}), 2026, Method.FIFO)
    # The ten that were there before are sold first, though nothing but a person's note says that they were.
    assert brief(found.rows) == [
        "2026-03-02 2026-03-09 5 290.00 250.00 - 0.00 40.00 short",
        "None 2026-03-02 10 600.00 None - 0.00 None not known",
    ]
    assert [of(t, "term", "rows", "not_known", "proceeds_usd", "gain_usd") for t in found.totals] == [
        (HoldingPeriod.SHORT, 1, 0, 290, 40),
        (HoldingPeriod.NOT_KNOWN, 1, 1, 0, 0),
    ]


def test_undecided_and_carried_losses_and_sales_near_the_loss_of_a_short_sale_are_counted() -> None:
    fills = traded("2026-01-05 buy 10 50", "2026-01-05 buy 10 30", "2026-03-02 sell 10 40", "2026-03-04 sell 10 40")
    for until, undecided in (("2026-04-01", 1), ("2026-04-02", 0)):
        assert tax_year(tax_history(fills, until=until), 2026, Method.FIFO).undecided == undecided
    fills = traded("2026-02-02 buy 10 50", "2026-03-02 sell 10 42", "2026-03-20 buy 6 40")
    assert tax_year(tax_history(fills), 2026, Method.FIFO).carried_usd == 48
    fills = traded("2026-02-02 sell 10 50", "2026-03-02 buy 10 58", "2026-03-10 buy 10 60", "2026-03-20 sell 10 65")
    assert tax_year(tax_history(fills), 2026, Method.FIFO).near_short_losses == 1
    sold = fill(4, "MSFT", Side.SELL, "10", "65", at=on("2026-03-20"))
    others = tax_history((*fills[:2], fill(3, "MSFT", at=on("2026-03-10")), sold))
    assert tax_year(others, 2026, Method.FIFO).near_short_losses == 0


def test_rows_of_one_strategy_or_symbol_add_up_by_themselves_and_without_sales_there_are_none() -> None:
    fills = traded("2025-01-06 buy 4 50", "2026-02-02 buy 6 60 momentum", "2026-03-02 sell 10 70")
    year = tax_year(tax_history(fills), 2026, Method.FIFO)
    assert [total.gain_usd for total in year.of("momentum", None).totals] == [60]
    assert year.of(None, "MSFT").rows == ()
    assert year.of(None, "AAPL") == year
    assert of(tax_year(tax_history(fills[:2]), 2026, Method.FIFO), "rows", "totals") == ((), ())


def test_half_a_cent_is_rounded_up_and_a_washed_loss_leaves_nothing() -> None:
    fills = traded("2026-02-02 buy 1 10.004", "2026-03-02 sell 1 9.985", "2026-03-03 buy 1 9", "2026-09-01 sell 1 9.5")
    assert brief(rows(tax_history(fills))) == [
        "2026-02-02 2026-03-02 1 9.99 10.00 W 0.01 0.00 short",
        "2026-03-03 2026-09-01 1 9.50 9.02 - 0.00 0.48 short",
    ]


@given(fills=years(), method=st.sampled_from(Method))
def test_rows_and_totals_add_up_to_the_cent_and_to_all_that_was_made(fills: list[OwnedFill], method: Method) -> None:
    history = tax_history(fills)
    whole = sales_of(account_trades(history), (), method, VENUE_DAY)
    gained = sum((s.gain_usd + s.disallowed_usd for s in whole.sales if s.gain_usd is not None), Fraction(0))
    last = max((owned.fill.at for owned in fills), default=on("2026-01-02")) + timedelta(days=1)
    found = [tax_year(history, year, method) for year in range(2025, last.year + 1)]
    every = [row for year in found for row in year.rows]
    assert len(every) == len(whole.sales)
    for row in every:
        assert there(row.gain_usd) == there(row.proceeds_usd) - there(row.basis_usd) + row.adjustment_usd
        assert (row.code == "W") == (row.adjustment_usd > 0)
        assert row.code == "" or there(row.gain_usd) <= 0
    total = sum((total.gain_usd for year in found for total in year.totals), D(0))
    assert total == sum((row.gain_usd or D(0) for row in every), D(0))
    assert abs(Fraction(total) - gained) <= Fraction(len(every), 100)


@given(st.fractions(-1000, 1000))
def test_decimal_is_rounded_to_nine_places(value: Fraction) -> None:
    assert abs(Fraction(decimal(value)) - value) <= Fraction(1, 2 * 10**9)
