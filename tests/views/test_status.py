"""The values of `tradebot status`: what a pass did, what a comparison found, and which orders still work.

The profit of the last day of the books: what `status` and `summary` read, equal to that of `pnl`.
"""

import io
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from rich.console import Console

from commands.status.report import _show_today
from tests.kit.rows import NOW, make_cycle, make_order
from tests.kit.values import VENUE_DAY, fill, there
from tests.views.trades.test_pnl import LAW, end, history, on, paid, pasts
from tradebot.model.account import EquityPeak
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.flow import Intake
from tradebot.model.order import Fee, OrderStatus
from tradebot.model.position import FOREIGN
from tradebot.model.reasons import Reason
from tradebot.model.record import Job, StrategyRefusal
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import ReconcileMark
from tradebot.views.status import (
    DayProfit,
    Status,
    belongs_to_position,
    day_profit,
    day_return,
    drawdown,
    equity,
    exposure,
    last_pass,
    last_reconcile,
    open_order,
    opening_times,
)
from tradebot.views.trades.days import DateRange
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import trades
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl
from tradebot.views.trades.trade_row import Choice

BROKEN = StrategyRefusal("flow", Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED))
ANSWERS = tuple(Intake("flow_alerts", symbol, NOW, rows, (), 0, 0, ()) for symbol, rows in (("A", 2), ("B", 0)))


def test_last_pass_says_what_it_did_and_names_a_broken_strategy_or_its_own_refusal() -> None:
    done = {
        Job.FETCH_FLOW: "2 answers, 2 rows",
        Job.SCORE: "2 scored, 0 candidates",
        Job.TRADE_ONCE: "2 looked at, 0 sent",
    }
    for job, did in done.items():
        assert last_pass(replace(make_cycle("c", job=job), job_decision=None), ANSWERS).did == did
    failed = replace(make_cycle("c"), job_decision=None, refused_strategies=(BROKEN,))
    assert last_pass(failed).did == "2 looked at, 0 sent; strategy flow is BROKEN (STRATEGY_FAILED)"
    assert last_pass(make_cycle("c")).did == f"refused: {make_cycle('c').job_decision.reason}"  # type: ignore[union-attr]
    assert last_reconcile(ReconcileMark(NOW, blocking=1, findings=3)).did == "3 findings, 1 blocking"


def test_open_order_shows_its_open_quantity_and_a_sent_cancel() -> None:
    order = replace(make_order(status=OrderStatus.PARTIALLY_FILLED), quantity=Decimal(10), filled_quantity=Decimal(4))
    shown = open_order(order, ending=False)
    assert shown.quantity == 6
    assert shown.status == "partially_filled"
    assert open_order(order, ending=True).status == "cancel sent"


@pytest.mark.parametrize(("highest", "fallen"), [("1000", "0.1"), ("900", "0"), ("800", "0"), ("0", None)])
def test_drawdown_is_measured_from_the_highest_equity(highest: str, fallen: str | None) -> None:
    seen = equity([replace(make_cycle("pass", NOW), equity=Decimal(900))])
    found = drawdown(seen, EquityPeak(Decimal(highest), Decimal(0)))
    assert found == (None if fallen is None else Decimal(fallen))
    assert drawdown(seen, None) is None
    assert drawdown(None, EquityPeak(Decimal(1), Decimal(0))) is None


def test_day_profit_has_funding_among_the_rest_and_counts_fees_that_are_not_known_yet() -> None:
    bought = fill(1, at=on(0), fee=Fee(None))
    found = there(of_last_day(history(bought, cash=(paid("-1.50", "FUNDING", on(0, 1), "AAPL"),), ends=(end(0, {}),))))
    assert (found.other_usd, found.fees_usd, found.unknown_fees) == (Decimal("-1.50"), Decimal(0), 1)
    assert found.funding_usd == Decimal("-1.50")
    shown = Console(file=io.StringIO(), width=200)
    _show_today(
        shown, cast(Status, SimpleNamespace(today=found, realized_usd=Decimal(0), realized_elsewhere_usd=Decimal(0)))
    )
    text = cast(io.StringIO, shown.file).getvalue()
    assert "-1.50 funding" in text
    assert "dividends" not in text


def of_last_day(past: History) -> DayProfit | None:
    totals, day = Totals.of(past.fills), VENUE_DAY.date_of(past.fills[-1].fill.at)
    since = opening_times(totals, day, VENUE_DAY, past.fills)
    few = [owned for owned in past.fills if since and owned.fill.at >= min(since.values())]
    before = [one for one in past.ends if one.session <= day][-2:]
    return day_profit(totals, day, VENUE_DAY, since, few, past.cash, before)


@LAW
@given(pasts())
def test_day_profit_from_few_records_equals_that_from_all(past: History) -> None:
    ours = past
    if not ours.fills:
        return
    day = VENUE_DAY.date_of(ours.fills[-1].fill.at)
    marks = dict.fromkeys(("AAPL", "MSFT", "JPM"), "50")
    ends = [one for one in ours.ends if one.session < day and len(one.marks) == len(marks)][-1:]
    ours = replace(ours, ends=(*ends, end((day - on(0).date()).days, marks)))
    found = of_last_day(ours)
    if found is not None:
        whole = pnl(break_down_profit(ours), ProfitGrouping.DAY, Choice(DateRange(day, day))).total
        for name in ("realized_usd", "fees_usd", "trades_closed"):
            assert getattr(found, name) == getattr(whole, name)
        if ends or day == VENUE_DAY.date_of(ours.fills[0].fill.at):
            assert (found.open_usd, found.total_usd) == (whole.open_usd, whole.total_usd)


def test_fills_that_belong_make_the_trades_of_the_day_even_if_earlier_fills_are_cut_off() -> None:
    sides = [(name, side) for name, side in zip(("AAPL", "MSFT") + ("AAPL",) * 3 + ("MSFT",), "bbsbss", strict=True)]
    past = [
        fill(hour, name, Side.BUY if side == "b" else Side.SELL, at=on(hour // 4) + timedelta(minutes=hour))
        for hour, (name, side) in enumerate(sides)
    ]
    starts = opening_times(Totals.of(past), VENUE_DAY.date_of(past[-1].fill.at), VENUE_DAY)
    cut = [one for one in past if one.fill.at >= min(starts.values())]
    found = trades(one for one in cut if belongs_to_position(one, starts))
    assert len(cut) == len(past) - 1
    assert sorted(one.key for one in found) == sorted(one.key for one in trades(past))[1:]


def test_day_profit_splits_realized_open_fees_and_other() -> None:
    past = history(
        fill(1, "JPM", at=on(0)),
        fill(2, "JPM", Side.SELL, at=on(0, 1)),
        fill(3, quantity="10", price="100", at=on(0)),
        fill(4, "MSFT", quantity="10", price="50", at=on(0)),
        fill(5, side=Side.SELL, quantity="10", price="107", at=on(1)),
        cash=(paid("-0.02", "FEE", on(1)), paid("1.25", "DIV", on(1)), paid("500", "CSD", on(1)), paid("9", "INT")),
        ends=(end(0, {"AAPL": "104", "MSFT": "50"}), end(1, {"MSFT": "53"})),
    )
    money = (Decimal(70), Decimal(-10), Decimal("-0.02"), Decimal("1.25"), Decimal("61.23"))
    assert of_last_day(past) == DayProfit(date(2026, 11, 17), *money, 1, ())


def test_day_profit_is_by_the_brokers_equity_from_the_opening_on_or_the_close_before() -> None:
    of_day = replace(end(1, {"AAPL": "107"}, "1070.50"), last_close=Decimal(1041))
    totals, fills, of = Totals.of([fill(1, at=on(0))]), [fill(1, at=on(0))], date(2026, 11, 17)
    since = opening_times(totals, of, VENUE_DAY)
    ends = (end(0, {"AAPL": "104"}, "1040"), of_day)
    found = there(day_profit(totals, of, VENUE_DAY, since, fills, (), ends, (on(0), Decimal(1000))))
    assert (found.open_usd, found.total_usd, found.difference_usd) == (Decimal(30), Decimal("29.50"), Decimal("-0.50"))
    first = there(day_profit(totals, of, VENUE_DAY, since, fills, (), (of_day,), (on(1), Decimal(1060))))
    assert first.total_usd == Decimal("10.50")


def test_day_profit_names_positions_without_a_price_and_is_missing_when_records_do_not_match() -> None:
    found = there(of_last_day(history(fill(1, at=on(0)), ends=(end(0, {}, "1"),))))
    assert (found.unpriced, found.open_usd) == (("AAPL",), Decimal(0))
    past = history(fill(1, at=on(0)), fill(2, at=on(1)))
    totals, day = Totals.of(past.fills), date(2026, 11, 17)
    since = opening_times(totals, day, VENUE_DAY)
    assert day_profit(totals, day, VENUE_DAY, since, past.fills[1:], (), ()) is None


@pytest.mark.parametrize("bought_on", [0, 1])
def test_day_profit_has_a_round_trip_by_hand_beside_ours_and_alone(bought_on: int) -> None:
    by_hand = [
        fill(1, "MSFT", strategy=FOREIGN, quantity="10", price="50", at=on(bought_on)),
        fill(2, "MSFT", Side.SELL, strategy=FOREIGN, quantity="10", price="48", at=on(1, 1)),
    ]
    ours = [fill(3, at=on(1, 2), quantity="10"), fill(4, side=Side.SELL, quantity="10", price="103", at=on(1, 3))]
    again = fill(5, "MSFT", strategy=FOREIGN, quantity="10", price="49", at=on(1, 4))
    ends = (end(0, {"MSFT": "50"}), end(1, {"MSFT": "49"}))
    alone, beside = (there(of_last_day(history(*some, ends=ends))) for some in (by_hand, [*by_hand, *ours, again]))
    assert (alone.realized_usd, alone.total_usd, alone.trades_closed) == (Decimal(-20), Decimal(-20), 0)
    assert (beside.realized_usd, beside.total_usd, beside.trades_closed) == (Decimal(10), Decimal(10), 1)


def test_day_profit_counts_both_trades_in_one_symbol() -> None:
    prices = enumerate(("100", "103", "101", "102"))
    made = [fill(n, side=Side.SELL if n % 2 else Side.BUY, price=price, at=on(0, n)) for n, price in prices]
    found = there(of_last_day(history(*made, ends=(end(0, {}, "1"),))))
    assert (found.realized_usd, found.trades_closed) == (Decimal(40), 2)


def status_with(positions: object = (), equity_usd: int | None = None, total_usd: int | None = None) -> Status:
    """Return the parts of a status that its figures are computed from."""
    account = None if equity_usd is None else SimpleNamespace(last_usd=Decimal(equity_usd))
    today = None if total_usd is None else SimpleNamespace(total_usd=Decimal(total_usd))
    return cast("Status", SimpleNamespace(positions=positions, equity=account, today=today))


@pytest.mark.parametrize(
    ("equity_usd", "total_usd", "fraction"),
    [(110, 10, "0.1"), (90, -10, "-0.1"), (10, 10, None), (None, 10, None), (110, None, None)],
)
def test_day_return_is_of_equity_before_it(equity_usd: int | None, total_usd: int | None, fraction: str | None) -> None:
    assert day_return(status_with((), equity_usd, total_usd)) == (None if fraction is None else Decimal(fraction))


def test_exposure_counts_longs_and_shorts_alike_and_only_what_the_broker_still_has() -> None:
    values = (300, -200, None, 1000)
    held = [
        SimpleNamespace(value_usd=None if value is None else Decimal(value), is_held=value != 1000) for value in values
    ]
    seen = exposure(status_with(held, 1000))
    assert (seen.gross_usd, seen.unpriced) == (Decimal(500), 1)
    assert seen.fraction == Decimal("0.5")
    assert exposure(status_with(held)).fraction is None
