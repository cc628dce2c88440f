"""Profit and loss: whatever it is divided by, its rows add up to the change of the account, to the cent."""

import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import NOW, VENUE_DAY, cash_movement, fill, there
from tradebot.model.account import CashMovement
from tradebot.model.candidate import Component, Side
from tradebot.model.instrument import notional
from tradebot.model.order import Fee, fee_id
from tradebot.model.position import FOREIGN, EntryTerms, Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.views.trades.days import DateRange, MarketTime
from tradebot.views.trades.fees import cash_kind
from tradebot.views.trades.history import History
from tradebot.views.trades.pieces import Breakdown, break_down_profit
from tradebot.views.trades.pnl import PARTS, Pnl, ProfitGrouping, ProfitRow, entry_component, fees_not_counted, pnl
from tradebot.views.trades.trade_row import Choice
from tradebot.views.trades.trades import rows_of

D = Decimal
CASH = D(100_000)
LAW = settings(max_examples=max(settings().max_examples // 3, 5))
"""A past is dear to draw; three laws look at each."""
SYMBOLS, KINDS = ("AAPL", "MSFT", "JPM"), ("FEE", "DIV", "INT", "CSD", "CSW", "FUNDING", "")
MULTIPLIERS = {"AAPL": "1", "MSFT": "50", "JPM": "0.001"}
FEES = st.sampled_from([None, Fee(None), Fee(D("1.25")), Fee(D("-0.5")), Fee(D("0.001"), "BTC")])


def on(day: int, hour: float = 0) -> datetime:
    """Return a time so many days and hours after Monday, 16 November 2026, 10 in New York."""
    return NOW + timedelta(days=day, hours=hour)


def paid(amount: str, kind: str, at: datetime = NOW, symbol: str = "") -> CashMovement:
    return cash_movement(at, D(amount), kind, Origin.ACTIVITY if kind else Origin.PLAN, "", kind, symbol)


def end(day: int, marks: Mapping[str, str], equity: str | None = None) -> SessionEnd:
    at = on(day, 5)
    prices = {symbol: D(price) for symbol, price in marks.items()}
    return SessionEnd(at.date(), None if equity is None else D(equity), at if equity else None, prices, at)


def history(
    *fills: OwnedFill, cash: tuple[CashMovement, ...] = (), ends: tuple[SessionEnd, ...] = (), **changes: object
) -> History:
    in_turn = tuple(sorted(fills, key=lambda owned: owned.fill.at))
    whole = History("0001", "sandbox", VENUE_DAY, NOW, CASH, fills=in_turn, cash=cash, ends=ends)
    return replace(whole, **changes)  # type: ignore[arg-type]


@st.composite
def pasts(draw: st.DrawFn) -> History:
    """Return days of fills, of ours and of others, of cash, and of marks, of which some are missing."""
    owners = st.sampled_from(["flow", "momentum", FOREIGN])
    fill_rows = st.tuples(
        *(st.integers(0, 9), st.integers(0, 5), st.sampled_from(SYMBOLS), st.sampled_from(Side)),
        *(st.integers(1, 20), st.integers(1, 40_000), owners, FEES),
    )
    fills = []
    for n, (day, hour, name, side, quantity, cents, owner, fee) in enumerate(draw(st.lists(fill_rows, max_size=16))):
        terms = {"strategy": owner, "at": on(day, hour), "multiplier": MULTIPLIERS[name], "fee": fee}
        fills.append(fill(n, name, side, str(quantity), str(D(cents) / 100), **terms))
    moved = st.tuples(st.integers(0, 9), st.integers(-9999, 9999), st.sampled_from(KINDS), st.sampled_from(SYMBOLS))
    cash = [
        paid(str(D(c) / 100), kind, on(d), s if kind in ("DIV", "FUNDING") else "")
        for d, c, kind, s in draw(st.lists(moved))
    ]
    prices = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 40_000).map(lambda c: str(D(c) / 100)))
    ends = [end(day, marks) for day, marks in sorted(draw(st.dictionaries(st.integers(0, 9), prices)).items())]
    return history(*fills, cash=tuple(cash), ends=tuple(ends))


def parts(row: ProfitRow) -> tuple[Decimal, ...]:
    open_and_realized = row.realized_usd + row.open_usd
    paid = row.fees_usd, row.dividends_usd, row.interest_usd, row.funding_usd, row.other_usd
    return open_and_realized, *paid, row.total_usd


def worth(past: History, last: date) -> Decimal:
    """Return cash and positions at the end of a day, counted from the fills alone, if every mark of it is known."""
    fills = [owned.fill for owned in past.fills if owned.fill.at.date() <= last]
    marks = next(end.marks for end in past.ends if end.session == last)
    cash = sum((one.amount_usd for one in past.cash if one.at.date() <= last), CASH)
    charged = sum((f.fee.usd for f in fills if f.fee), D(0))
    gained = (notional(f.signed_quantity, marks[f.symbol] - f.price, f.multiplier) for f in fills)
    return cash - charged + sum(gained, D(0))


@LAW
@given(pasts(), st.sampled_from(ProfitGrouping), st.integers(0, 5), st.integers(0, 9))
def test_rows_of_every_cut_sum_to_the_accounts_change(past: History, by: ProfitGrouping, lo: int, hi: int) -> None:
    known = break_down_profit(past)
    every_cut_is_the_same_whole(known)
    for days in (DateRange(), DateRange(on(lo).date(), on(lo + hi).date())):
        found = pnl(known, by, Choice(days))
        for name in (*(f"{part}_usd" for part in PARTS), "total_usd"):
            assert sum(getattr(row, name) for row in found.rows) == getattr(found.total, name)
        assert sum(row.trades_closed for row in found.rows) == found.total.trades_closed
        if found.before_usd is not None and found.after_usd is not None:
            assert found.after_usd - found.before_usd - found.transfers_usd == found.total.total_usd


@LAW
@given(pasts(), st.data())
def test_total_profit_is_the_change_in_cash_and_positions(past: History, data: st.DataObject) -> None:
    marks = {symbol: str(data.draw(st.integers(1, 999))) for symbol in SYMBOLS}
    first, last = sorted(data.draw(st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True)))
    ends = {e.session: e for e in (*past.ends, end(first, marks), end(last, {**marks, "AAPL": "7"}))}
    past = replace(past, ends=tuple(ends[day] for day in sorted(ends)))
    after_first = DateRange(on(first).date() + timedelta(days=1), on(last).date())
    found = pnl(break_down_profit(past), ProfitGrouping.DAY, Choice(after_first))
    moved = [
        one.amount_usd for one in past.cash if cash_kind(one).value == "transfer" and after_first.has(one.at, VENUE_DAY)
    ]
    change = worth(past, on(last).date()) - worth(past, on(first).date())
    assert found.total.total_usd == change - sum(moved, D(0))


def every_cut_is_the_same_whole(known: Breakdown) -> None:
    """Assert that days make weeks and months, and that each strategy makes its symbols."""
    whole = pnl(known, ProfitGrouping.DAY)
    for by in ProfitGrouping:
        assert parts(pnl(known, by).total) == parts(whole.total)
    strategies = [row.name for row in pnl(known, ProfitGrouping.STRATEGY).rows]
    alone = [pnl(known, ProfitGrouping.SYMBOL, Choice(strategy=name)).total.total_usd for name in strategies]
    assert sum(alone, D(0)) == whole.total.total_usd


@LAW
@given(pasts(), st.randoms(use_true_random=False))
def test_profit_ignores_the_order_of_simultaneous_fills(past: History, chance: random.Random) -> None:
    days = {VENUE_DAY.date_of(owned.fill.at) for owned in past.fills}
    marks = {symbol: D(50) for symbol in SYMBOLS}
    past = replace(past, ends=tuple(SessionEnd(day, None, None, marks, None) for day in sorted(days)))
    mixed = list(past.fills)
    chance.shuffle(mixed)
    other = break_down_profit(replace(past, fills=tuple(sorted(mixed, key=lambda owned: owned.fill.at))))
    for by in (ProfitGrouping.DAY, ProfitGrouping.WEEK, ProfitGrouping.MONTH):
        ours, theirs = pnl(break_down_profit(past), by), pnl(other, by)
        assert [parts(row) for row in ours.rows] == [parts(row) for row in theirs.rows]
        assert (ours.before_usd, ours.after_usd) == (theirs.before_usd, theirs.after_usd)


def one_day() -> History:
    """Return a long closed by half at 15:00, a fee for it, and marks of two days."""
    return history(
        fill(1, quantity="10", price="100", at=on(0)),
        fill(2, side=Side.SELL, quantity="4", price="110", at=on(0, 5)),
        fill(3, side=Side.SELL, quantity="6", price="120", at=on(1, 1)),
        cash=(paid("-0.04", "FEE", on(0, 7)), paid("1000", "CSD", on(1))),
        ends=(end(0, {"AAPL": "105"}), end(1, {})),
        kept={("flow", "AAPL", on(0)): EntryTerms(components=(Component("sweeps", 0.5, 0.4, ""),))},
    )


def lines(found: Pnl) -> dict[str, tuple[float, float, float, int]]:
    return {
        row.name: (float(row.realized_usd), float(row.open_usd), float(row.fees_usd), row.trades_closed)
        for row in found.rows
    }


def test_realized_profit_is_dated_by_exit_and_open_profit_by_gain() -> None:
    found = pnl(break_down_profit(one_day()), ProfitGrouping.DAY)
    assert lines(found) == {"2026-11-16": (40, 30, -0.04, 0), "2026-11-17": (120, -30, 0, 1)}
    assert (found.before_usd, found.after_usd, found.transfers_usd) == (CASH, D("101159.96"), D(1000))
    assert (found.total.total_usd, found.first, found.last) == (D("159.96"), date(2026, 11, 16), date(2026, 11, 17))


def test_every_cut_shows_the_same_profit() -> None:
    whole, hours = (160, 0, -0.04, 1), {"11:00": (120, 0, 0, 1), "15:00": (40, 0, -0.04, 0)}
    names = {"WEEK": "2026-W47", "MONTH": "2026-11", "STRATEGY": "flow", "SYMBOL": "AAPL", "REASON": "unknown"}
    rows = {by: {name: whole} for by, name in names.items()} | {"HOUR": hours, "COMPONENT": {"sweeps": whole}}
    known = break_down_profit(one_day())
    assert {by: lines(pnl(known, ProfitGrouping[by])) for by in rows} == rows


def test_gain_without_a_price_moves_to_the_next_priced_day() -> None:
    ends = (end(0, {"AAPL": "105"}), end(1, {"MSFT": "1"}), end(2, {"AAPL": "108"}))
    found = pnl(break_down_profit(history(fill(1, at=on(0)), ends=ends)), ProfitGrouping.DAY)
    assert [(float(row.open_usd), row.unpriced) for row in found.rows] == [(50, ()), (0, ("AAPL",)), (30, ())]


def test_unpriced_purchases_are_at_cost_and_sales_take_their_gain() -> None:
    past = history(
        fill(1, quantity="10", price="100", at=on(0)),
        fill(2, quantity="10", price="200", at=on(1)),
        fill(3, side=Side.SELL, quantity="5", price="150", at=on(1, 1)),
        ends=(end(0, {"AAPL": "104"}),),
    )
    found = pnl(break_down_profit(past), ProfitGrouping.DAY)
    assert lines(found) == {"2026-11-16": (0, 40, 0, 0), "2026-11-17": (250, -20, 0, 0)}
    assert found.rows[1].unpriced == found.total.unpriced == ("AAPL",)


def test_dividend_goes_to_the_only_holder_or_else_to_the_account() -> None:
    cash = (paid("3", "DIV", on(1), "AAPL"), paid("5", "DIV", on(1), "MSFT"), paid("7", "DIV", on(1)))
    held = fill(1, at=on(0)), fill(2, "MSFT", at=on(0)), fill(3, "MSFT", at=on(0), strategy="momentum")
    known = break_down_profit(history(*held, cash=cash))
    by_strategy = {row.name: float(row.dividends_usd) for row in pnl(known, ProfitGrouping.STRATEGY).rows}
    assert by_strategy == {"flow": 3, "account": 12}
    by_symbol = {row.name: float(row.dividends_usd) for row in pnl(known, ProfitGrouping.SYMBOL).rows}
    assert by_symbol == {"MSFT": 5, "AAPL": 3, "account": 7}


def test_trades_by_hand_are_kept_apart_from_the_bots() -> None:
    bought, sold = fill(1, at=on(0)), fill(2, side=Side.SELL, price="103", at=on(0, 1))
    known = break_down_profit(history(*(replace(owned, strategy=FOREIGN) for owned in (bought, sold))))
    for by in (ProfitGrouping.STRATEGY, ProfitGrouping.REASON, ProfitGrouping.COMPONENT):
        assert lines(pnl(known, by)) == {"not the bot's": (30, 0, 0, 0)}


def test_day_fee_is_shared_with_sales_of_others() -> None:
    theirs = [replace(fill(n, "MSFT", side, at=on(0)), strategy=FOREIGN) for n, side in enumerate(Side)]
    ours = fill(8, at=on(0)), fill(9, side=Side.SELL, price="300", at=on(0))
    past = history(*theirs, *ours, cash=(paid("-0.04", "FEE", on(0, 7)),))
    rows = {row.name: row.fees_usd for row in pnl(break_down_profit(past), ProfitGrouping.STRATEGY).rows}
    assert rows == {"flow": D("-0.03"), "not the bot's": D("-0.01")}
    (trade,) = rows_of(past, MarketTime(())).trades
    assert trade.fees_usd == D("-0.03")


def test_chosen_part_has_no_change_of_the_account_and_unknown_days_no_rows() -> None:
    known = break_down_profit(one_day())
    found = pnl(known, ProfitGrouping.DAY, Choice(symbol="MSFT"))
    assert (found.rows, found.total.total_usd) == ((), D(0))
    assert (found.before_usd, found.after_usd, found.compared) == (None, None, None)
    assert pnl(known, ProfitGrouping.DAY, Choice(strategy="flow")).total.total_usd == D("159.96")
    found = pnl(known, ProfitGrouping.DAY, Choice(DateRange(date(2027, 1, 1))))
    assert (found.rows, found.first, found.before_usd, found.after_usd, found.compared) == ((), None, None, None, None)


def test_books_are_compared_with_the_brokers_last_equity() -> None:
    ends = (end(0, {"AAPL": "105"}, "100050.25"), end(1, {"AAPL": "106"}))
    found = there(
        pnl(break_down_profit(history(fill(1, at=on(0)), fill(2, at=on(1)), ends=ends)), ProfitGrouping.DAY).compared
    )
    assert (found.at, found.books_usd, found.difference_usd) == (on(0, 5), D(100_050), D("0.25"))


def test_component_with_the_largest_vote_for_the_entry_is_named() -> None:
    def named(*values: float | None, side: Side = Side.BUY) -> str:
        components = tuple(Component(one, value, 0.5, "") for one, value in zip("ab", values, strict=False))
        return entry_component(EntryTerms(components=components), side)

    assert (named(0.2, 0.9), named(0.2, -0.9), named(0.2, -0.9, side=Side.SELL)) == ("b", "a", "b")
    assert (named(-0.2, -0.9), named(None, None), named()) == ("none agreed", "not known", "not known")


def test_funding_is_a_kind_of_its_own_and_belongs_to_who_held_the_contract() -> None:
    fills = [fill(1, multiplier="50"), fill(2, "MSFT"), fill(3, "MSFT", strategy="momentum")]
    cash = paid("-1.50", "FUNDING", on(0, 1), "AAPL"), paid("0.25", "FUNDING", on(0, 2), "MSFT")
    known = break_down_profit(history(*fills, cash=cash))
    found = {row.name: row.funding_usd for row in pnl(known, ProfitGrouping.STRATEGY).rows}
    # Two strategies hold the second one, so its funding is the account's.
    assert found == {"flow": D("-1.50"), "account": D("0.25")}
    total = pnl(known, ProfitGrouping.DAY).total
    assert total.funding_usd == total.total_usd == D("-1.25")
    assert not total.other_usd


def test_fees_that_are_unknown_or_in_another_currency_are_counted_and_in_no_amount() -> None:
    fees = (Fee(None), Fee(D("0.0002"), "BTC"), Fee(D("0.0003"), "BTC"), Fee(D("1.25")))
    fills = [fill(2, "MSFT", fee=Fee(None)), *(fill(n, fee=fee) for n, fee in zip((1, 3, 4, 5), fees, strict=True))]
    found = pnl(break_down_profit(history(*fills)), ProfitGrouping.SYMBOL)
    assert (found.unknown_fees, found.other_fees, found.total.fees_usd) == (2, {"BTC": D("0.0005")}, D("-1.25"))
    assert list(fees_not_counted(found.unknown_fees, found.other_fees)) == [
        "Not known yet: the fees of 2 fills. Profit doesn't include them.",
        "Fees of 0.0005 BTC were charged too; no amount in USD includes them.",
    ]
    only = Choice(symbol="MSFT")
    assert pnl(break_down_profit(history(*fills)), ProfitGrouping.SYMBOL, only).unknown_fees == 1
    later = cash_movement(on(3), D("-2.50"), "FEE", Origin.ACTIVITY, fee_id("fill-2"), "", "MSFT")
    known = break_down_profit(history(*fills, cash=(later,)))
    assert pnl(known, ProfitGrouping.SYMBOL, only).unknown_fees == 0
    charged = {row.name: row.fees_usd for row in pnl(known, ProfitGrouping.SYMBOL).rows}
    assert charged == {"AAPL": D("-1.25"), "MSFT": D("-2.50")}
