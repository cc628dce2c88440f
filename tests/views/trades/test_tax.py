"""The rows of a tax year: to the cent, by trade date, with sums that add the rows and say what isn't known.

Tax lots: which shares a sale closes by each method, and when they were held for more than one year.
"""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import brief, commission, fee, of, on, rows, tax_history, traded
from tests.kit.values import VENUE_DAY, cash_movement, fill, there
from tests.model.test_position import histories
from tradebot.model.account import ActivityKind
from tradebot.model.candidate import Side
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.views.trades.account_trades import account_trades
from tradebot.views.trades.lots import lots_of
from tradebot.views.trades.tax import HoldingPeriod, decimal, sales_of, tax_year
from tradebot.views.trades.tax_lots import WINDOW, Method, TaxLot, in_order, is_long_term, take_lots

D = Decimal


@st.composite
def years(draw: st.DrawFn) -> list[OwnedFill]:
    """Return trades of two strategies and a person in two symbols, many of them near each other and at one instant."""
    row = st.tuples(
        st.sampled_from(["AAPL", "MSFT"]),
        st.sampled_from(Side),
        st.integers(1, 12),
        st.integers(90, 110),
        st.sampled_from(["flow", "momentum", ""]),
        st.sampled_from([0, 0, 1, 9, 30, 31, 200]),
    )
    fills, at = list[OwnedFill](), on("2025-06-02")
    for number, (symbol, side, quantity, price, strategy, days) in enumerate(draw(st.lists(row, max_size=16))):
        at += timedelta(days=days)
        fills.append(fill(number, symbol, side, str(quantity), str(price), strategy=strategy, at=at))
    return fills


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


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        pytest.param(
            "2026-02-02 buy 40 50, 2026-03-02 sell 40 45, 2026-03-03 buy 100 46, 2026-09-01 sell 100 50",
            [
                "2026-02-02 2026-03-02 40 1800.00 2000.00 W 200.00 0.00 short",
                "2026-03-03 2026-09-01 40 2000.00 2040.00 - 0.00 -40.00 short",
                "2026-03-03 2026-09-01 60 3000.00 2760.00 - 0.00 240.00 short",
            ],
            id="more shares bought than sold split the lot",
        ),
        # The loss of the first sale, 10 a share, goes to the 5 shares of the 10th and to 5 of the 11th, that of the
        # second, 20 a share, to the other 5. Both were held for 56 days, so the 10 shares carry 50 + 100 together.
        pytest.param(
            "2026-01-05 buy 10 50, 2026-01-06 buy 10 60, 2026-03-02 sell 10 40, 2026-03-03 sell 10 40, "
            "2026-03-10 buy 5 41, 2026-03-11 buy 10 42, 2026-12-01 sell 15 50",
            [
                "2026-01-05 2026-03-02 10 400.00 500.00 W 100.00 0.00 short",
                "2026-01-06 2026-03-03 10 400.00 600.00 W 100.00 -100.00 short",
                "2026-03-10 2026-12-01 5 250.00 255.00 - 0.00 -5.00 short",
                "2026-03-11 2026-12-01 10 500.00 570.00 - 0.00 -70.00 short",
            ],
            id="losses and purchases are matched in order, each share once",
        ),
        pytest.param(
            "2025-06-02 buy 10 50, 2025-06-03 buy 10 60, 2026-02-20 buy 10 45, 2026-03-02 sell 10 40, "
            "2026-03-03 sell 10 40, 2026-09-01 sell 10 50",
            [
                "2025-06-02 2026-03-02 10 400.00 500.00 W 100.00 0.00 short",
                "2025-06-03 2026-03-03 10 400.00 600.00 - 0.00 -200.00 short",
                "2026-02-20 2026-09-01 10 500.00 550.00 - 0.00 -50.00 long",
            ],
            id="shares that replace others replace no more",
        ),
        # Section 1091(e): the loss of 80 makes the second short sale's gain of 50 a loss of 30.
        pytest.param(
            "2026-02-02 sell 10 50, 2026-03-02 buy 10 58, 2026-03-10 sell 10 60, 2026-04-20 buy 10 55",
            [
                "2026-03-02 2026-03-02 10 500.00 580.00 W 80.00 0.00 short",
                "2026-04-20 2026-04-20 10 600.00 630.00 - 0.00 -30.00 short",
            ],
            id="loss of a short sale is carried into the next one",
        ),
    ],
)
def test_sales_have_the_rows_that_were_worked_out_on_paper(trades: str, expected: list[str]) -> None:
    assert brief(rows(tax_history(traded(*trades.split(", "))))) == expected


def test_only_as_many_shares_are_washed_as_were_bought_again() -> None:
    fills = traded("2026-02-02 buy 100 50", "2026-03-02 sell 100 42", "2026-03-20 buy 30 40", "2026-06-01 sell 30 41")
    first, second = rows(tax_history(fills))
    # 30 of 100 shares: 30 x 8 = 240 of the loss of 800 doesn't count. The 30 cost 1,200 + 240.
    assert brief([first, second]) == [
        "2026-02-02 2026-03-02 100 4200.00 5000.00 W 240.00 -560.00 short",
        "2026-03-20 2026-06-01 30 1230.00 1440.00 - 0.00 -210.00 short",
    ]
    assert (first.replaced_by, second.lot) == (("fill-3",), "fill-3")


@pytest.mark.parametrize(
    ("bought_again", "washed"), [("2026-04-01", True), ("2026-04-02", False), ("2026-03-02", True)]
)
def test_wash_window_ends_thirty_days_after_the_sale(bought_again: str, washed: bool) -> None:
    fills = traded("2026-01-05 buy 10 50", "2026-03-02 sell 10 40", f"{bought_again} buy 10 41")
    (row,) = rows(tax_history(fills))
    assert of(row, "code", "gain_usd") == (("W", 0) if washed else ("", -100))


@pytest.mark.parametrize(("bought", "washed"), [("2026-01-31", True), ("2026-01-30", False)])
def test_wash_window_begins_thirty_days_before_the_sale(bought: str, washed: bool) -> None:
    fills = traded("2025-11-03 buy 10 50", f"{bought} buy 10 45", "2026-03-02 sell 10 40", "2026-08-03 sell 10 60")
    first, second = rows(tax_history(fills))
    assert (*of(first, "code", "gain_usd"), second.basis_usd) == (("W", 0, 550) if washed else ("", -100, 450))


def test_rest_of_the_sold_purchase_replaces_no_shares() -> None:
    # Rev. Rul. 56-602: selling a part of one purchase only reduces it. Its two fills are one purchase.
    whole = traded("2026-02-02 buy 60 50", "2026-02-02 buy 40 50", "2026-02-20 sell 70 45")
    of_one_order = [replace(o, fill=replace(o.fill, venue_order_id="one")) for o in whole[:2]]
    assert [row.code for row in rows(tax_history([*of_one_order, whole[2]]))] == ["", ""]
    # As two purchases, the second one stands for as many of the first one's shares as are still held of it.
    assert [of(row, "code", "adjustment_usd") for row in rows(tax_history(whole))] == [("W", 150), ("", 0)]


def test_shares_sold_by_the_same_order_do_not_replace_each_other() -> None:
    bought = traded("2026-02-02 buy 50 50", "2026-02-10 buy 50 48", "2026-02-20 sell 50 45", "2026-02-20 sell 50 45")
    assert [row.code for row in rows(tax_history(bought))] == ["W", ""]
    one = [replace(o, fill=replace(o.fill, venue_order_id="one")) for o in bought[2:]]
    assert [row.code for row in rows(tax_history([*bought[:2], *one]))] == ["", ""]


def test_loss_is_carried_on_from_one_wash_sale_to_the_next_with_its_time() -> None:
    fills = traded(
        "2025-03-03 buy 10 100",
        "2025-12-22 sell 10 90",
        "2026-01-12 buy 10 85",
        "2026-02-02 sell 10 80",
        "2026-02-27 buy 10 82",
        "2026-06-01 sell 10 90",
    )
    (of_december,) = rows(tax_history(fills), 2025)
    assert of(of_december, "code", "adjustment_usd", "gain_usd") == ("W", 100, 0)
    assert of_december.replaced_by == ("fill-3",)
    # 85 + 10 carried: a loss of 15 a share, all of it carried on: 82 + 15 = 97 against 90.
    first, second = rows(tax_history(fills))
    assert of(first, "basis_usd", "code", "adjustment_usd", "gain_usd") == (950, "W", 150, 0)
    # Held for 294 days, then 21 days, then from 2026-02-27: as if from 2025-04-18, so for more than one year.
    assert of(second, "basis_usd", "gain_usd", "term", "held_from") == (970, -70, "long", date(2025, 4, 18))
    assert str(second.acquired) == "2026-02-27"


def test_purchase_by_anybody_washes_a_loss_but_not_of_another_symbol_or_that_closes_a_short() -> None:
    for owner in ("momentum", "hand"):
        again = f"2026-03-03 buy 10 41 {owner}"
        (row,) = rows(tax_history(traded("2026-01-05 buy 10 50", "2026-03-02 sell 10 40", again)))
        assert of(row, "code", "gain_usd") == ("W", 0)
    other = fill(9, "MSFT", Side.BUY, "10", "41", at=on("2026-03-03"))
    fills = traded("2026-01-05 buy 10 50", "2026-03-02 sell 10 40")
    assert [row.code for row in rows(tax_history((*fills, other)))] == [""]
    fills = traded("2026-01-05 buy 10 50", "2026-03-02 sell 20 40", "2026-03-10 buy 10 41")
    assert [of(row, "code", "gain_usd") for row in rows(tax_history(fills))] == [("", -100), ("", -10)]
    gained = traded("2026-01-05 buy 10 50", "2026-03-02 sell 10 60", "2026-03-03 buy 10 61")
    assert [of(row, "code", "gain_usd") for row in rows(tax_history(gained))] == [("", 100)], (
        "gains are never disallowed"
    )
    # A loss of December stays until a purchase is in the books.
    fills = traded("2025-11-03 buy 10 100", "2025-12-22 sell 10 90")
    assert [of(row, "code", "gain_usd") for row in rows(tax_history(fills, until="2025-12-31"), 2025)] == [("", -100)]


def test_fee_of_the_sale_is_part_of_the_washed_loss() -> None:
    fills = traded("2026-02-02 buy 10 50", "2026-03-02 sell 10 40", "2026-03-03 buy 10 41", "2026-09-01 sell 10 60")
    assert brief(rows(tax_history(fills, fee("2026-03-02", "-0.02")))) == [
        "2026-02-02 2026-03-02 10 399.98 500.00 W 100.02 0.00 short",
        "2026-03-03 2026-09-01 10 600.00 510.02 - 0.00 89.98 short",
    ]


@given(fills=years(), method=st.sampled_from(Method))
def test_wash_sales_move_gains_in_time_and_neither_make_nor_lose_any(fills: list[OwnedFill], method: Method) -> None:
    commissions = [commission(owned, "-1.03") for owned in fills]
    found = sales_of(account_trades(tax_history(fills)), (fee("2025-06-03", "-0.07"), *commissions), method, VENUE_DAY)
    made = sum((s.gain_usd + s.disallowed_usd for s in found.sales if s.gain_usd is not None), Fraction(0))
    carried = sum((lot.carried_usd for lot in found.lots), Fraction(0))
    spent = sum((Fraction(o.fill.notional) for o in fills), Fraction(0))
    held = sum((lot.quantity * lot.share_usd for lot in found.lots if lot.share_usd is not None), Fraction(0))
    charged = sum(((sale.fee_usd + sale.lot.fee_usd) * sale.shares for sale in found.sales), Fraction(0))
    charged += sum((lot.fee_usd * abs(lot.quantity) for lot in found.lots), Fraction(0))
    assert made - carried == held - spent - charged
    assert charged - Fraction(103, 100) * len(fills) in (0, Fraction(7, 100))


@given(fills=years(), method=st.sampled_from(Method))
def test_every_share_is_counted_once_and_replaces_at_most_one_share(fills: list[OwnedFill], method: Method) -> None:
    found = sales_of(account_trades(tax_history(fills)), (), method, VENUE_DAY)
    used = defaultdict[str, Fraction](Fraction)
    days = {trade.fill.activity_id: trade.day for trade in account_trades(tax_history(fills)).trades}
    for sale in found.sales:
        assert all(abs(days[name] - sale.closing.day) <= WINDOW for name in sale.replacements)
        assert not {there(sale.lot.opening).fill.activity_id, sale.closing.fill.activity_id} & set(sale.replacements)
        assert 0 <= sale.washed <= sale.shares
        assert sale.washed == 0 or (sale.gain_usd or 0) < 0
        used[sale.closing.fill.activity_id] += sale.shares
    for lot in (*(sale.lot for sale in found.sales), *found.lots):
        used[there(lot.opening).fill.activity_id] += abs(lot.quantity)
        assert bool(lot.carried_usd) == lot.replaced
    assert used == {owned.fill.activity_id: owned.fill.quantity for owned in fills}
    washed = sum((sale.washed for sale in found.sales), Fraction(0))
    lots = (*(sale.lot for sale in found.sales), *found.lots)
    assert washed == sum((abs(lot.quantity) for lot in lots if lot.replaced), Fraction(0))


@given(fills=years(), method=st.sampled_from(Method), data=st.data())
def test_tax_rows_do_not_depend_on_the_order_of_simultaneous_fills(
    fills: list[OwnedFill], method: Method, data: st.DataObject
) -> None:
    shuffled = sorted(data.draw(st.permutations(fills)), key=lambda owned: owned.fill.at)
    for year in (2025, 2026):
        assert rows(tax_history(shuffled), year, method) == rows(tax_history(fills), year, method)


@pytest.mark.parametrize(
    ("method", "lots", "short"),
    [
        (Method.FIFO, ["fill-1", "fill-2"], "fill-1"),
        (Method.LIFO, ["fill-3"], "fill-3"),
        (Method.HIFO, ["fill-2"], "fill-2"),
    ],
)
def test_method_decides_which_lots_are_sold_and_hifo_closes_the_short_sale_that_brought_least(
    method: Method, lots: list[str], short: str
) -> None:
    fills = traded("2024-01-03 buy 5 50", "2025-01-06 buy 10 90", "2025-06-02 buy 10 70", "2026-06-01 sell 10 100")
    assert [row.lot for row in rows(tax_history(fills), method=method)] == lots
    fills = traded("2026-01-05 sell 5 60", "2026-01-06 sell 5 50", "2026-01-07 sell 5 70", "2026-06-01 buy 5 65")
    assert [row.lot for row in rows(tax_history(fills), method=method)] == [short]


def test_carried_loss_counts_as_cost_for_hifo() -> None:
    bought = ("2026-01-13 buy 10 60", "2026-03-02 buy 10 70")
    fills = traded("2026-01-05 buy 10 90", "2026-01-12 sell 10 50", *bought, "2026-06-01 sell 10 80")
    # 60 + 40 carried is more than 70.
    assert [row.lot for row in rows(tax_history(fills), method=Method.HIFO)][-1] == "fill-3"


def test_shares_of_unknown_cost_were_there_first_and_are_the_last_that_hifo_picks() -> None:
    known = account_trades(tax_history(traded("2026-01-05 buy 10 90"))).trades[0]
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
def test_long_term_begins_after_365_or_366_days(bought: date, days: int) -> None:
    sold = bought + timedelta(days=days)
    assert is_long_term(bought, sold) >= (days > 367)
    assert is_long_term(bought, sold) <= (days > 365)
    assert is_long_term(bought, sold) <= is_long_term(bought, sold + timedelta(days=1))


def test_trade_date_is_the_date_in_new_york() -> None:
    late = traded("2026-01-05 buy 1 50")[0].fill.at.replace(month=1, day=1, hour=2)
    bought, sold = traded("2025-06-02 buy 1 50", "2026-01-01 sell 1 60")
    fills = [bought, replace(sold, fill=replace(sold.fill, at=late))]
    assert [str(row.sold) for row in rows(tax_history(fills), 2025)] == ["2025-12-31"]
    assert rows(tax_history(fills), 2026) == []


quantities = st.integers(1, 9).map(Fraction)


parts = st.integers(0, 21).map(lambda number: Fraction(number, 21))


@given(held=st.lists(quantities, min_size=1, max_size=6), part=parts, method=st.sampled_from(Method))
def test_taken_and_remaining_lots_add_up_to_all_lots(held: list[Fraction], part: Fraction, method: Method) -> None:
    lots = [TaxLot("AAPL", -quantity, None, carried_usd=quantity) for quantity in held]
    pieces, left = take_lots(lots, part * sum(held), method)
    assert sum(abs(piece.quantity) for piece in pieces) == part * sum(held)
    assert sum(lot.quantity for lot in (*pieces, *left)) == -sum(held)
    assert sum(lot.carried_usd for lot in (*pieces, *left)) == sum(held)


@given(fills=histories())
def test_account_with_one_strategy_sells_the_lots_of_that_strategy(fills: list[OwnedFill]) -> None:
    one = [OwnedFill("flow", owned.fill) for owned in fills if owned.strategy != FOREIGN]
    ours = [
        (s.lot.opening.fill.activity_id, s.closing.fill.activity_id, s.shares)
        for s in sales_of(account_trades(tax_history(one)), (), Method.FIFO, VENUE_DAY).sales
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
