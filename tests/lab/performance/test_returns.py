"""Returns of an account: by session, without transfers, and with every session that nobody saw.

How much an account was invested and traded, beside which rates, and what that cost: by hand, and along a path.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import CASH, past, rotated, sessions, spy
from tests.kit.values import VENUE_DAY, cash_movement, fill, there
from tradebot.lab.performance import statistics
from tradebot.lab.performance.activity import (
    Charge,
    CostKind,
    Exposure,
    average,
    average_equity,
    cost_kinds,
    costs_of,
    exposures,
    measure,
    paid_usd,
    traded_usd,
)
from tradebot.lab.performance.curve import BenchmarkPrices, Rates
from tradebot.lab.performance.report import TradingCosts
from tradebot.lab.performance.returns import Path, account_steps
from tradebot.model.account import CashMovement
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.order import Fee, Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trade import FilledOrder, OrderRequested, OrderSent
from tradebot.views.trades.days import DateRange, MarketTime
from tradebot.views.trades.history import History

FIRST = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
D = Decimal


def days_of_sessions(count: int) -> list[Session]:
    opens = (FIRST + timedelta(days=place) for place in range(count))
    return [Session(at.date(), at, at + timedelta(hours=6, minutes=30)) for at in opens]


def end(place: int, equity: Decimal | None) -> SessionEnd:
    at = FIRST + timedelta(days=place, hours=6)
    return SessionEnd(at.date(), equity, None if equity is None else at, {}, None)


def history(*ends: SessionEnd, cash: str = "1000", **changed: object) -> History:
    return History("A1", "sandbox", VENUE_DAY, FIRST - timedelta(hours=1), D(cash), ends=ends, **changed)  # type: ignore[arg-type]


def day(place: int) -> date:
    return (FIRST + timedelta(days=place)).date()


def test_first_return_starts_at_the_opening_of_the_books() -> None:
    found = account_steps(history(end(0, D(1100)), end(1, D(990))), [], days_of_sessions(2))
    assert found.returns == pytest.approx((0.1, -0.1))
    assert there(found.start).is_start
    assert (found.sessions, found.missing, found.per_year) == ((day(0), day(1)), (), 252)


def test_unseen_session_is_named_and_covered_by_the_next_return() -> None:
    found = account_steps(history(end(0, D(1000)), end(1, None), end(3, D(1210))), [], days_of_sessions(4))
    assert found.returns == pytest.approx((0.0, 0.21))
    assert found.missing == (day(1), day(2))
    assert found.per_year == pytest.approx(252 / 2)


def test_close_that_the_venue_tells_in_the_next_session_counts() -> None:
    looks = (end(0, D(1000)), end(1, D(1005)), end(3, D(1210)))
    told = [replace(each, last_close=D(close)) for each, close in zip(looks, (900, 1100, 1320), strict=True)]
    found = account_steps(history(*told), [], days_of_sessions(4))
    assert [step.after.equity_usd for step in found.steps] == [1100, 1005, 1320, 1210]
    assert found.steps[0].after.at == days_of_sessions(1)[0].close
    assert found.missing == (), "the one that nobody saw is known by its close"


@pytest.mark.parametrize("close", [None, D(0)])
def test_close_that_the_venue_does_not_tell_is_as_a_pass_saw_the_account(close: Decimal | None) -> None:
    past = history(end(0, D(1100)), replace(end(1, D(990)), last_close=close))
    assert account_steps(past, [], days_of_sessions(2)) == account_steps(
        history(end(0, D(1100)), end(1, D(990))), [], days_of_sessions(2)
    )


def test_span_begins_at_the_end_of_the_session_before_it() -> None:
    past = history(end(0, D(1100)), end(1, D(990)), end(2, D(1089)), end(3, D(1000)))
    found = account_steps(past, [], days_of_sessions(4), DateRange(day(2), day(2)))
    assert found.returns == pytest.approx((0.1,))
    assert found.sessions == (day(2),)
    assert account_steps(past, [], days_of_sessions(4), DateRange(day(9))).steps == ()
    assert account_steps(past, [], days_of_sessions(4), DateRange(None, day(-5))) == Path(None, (), (), ())


def test_books_opened_after_a_close_do_not_cover_that_session() -> None:
    past = History("A1", "paper", VENUE_DAY, FIRST + timedelta(hours=7), D(1000), ends=(end(1, D(1010)),))
    assert account_steps(past, [], days_of_sessions(2)).sessions == (day(1),)


@pytest.mark.parametrize("origin", [Origin.PLAN, Origin.ADOPTION, Origin.TAKEN_OVER])
def test_opening_cash_is_no_equity_when_the_account_held_shares(origin: Origin) -> None:
    past = history(end(0, D(1500)), end(1, D(1650)), fills=(replace(fill(1), origin=origin),))
    assert account_steps(past, [], days_of_sessions(2)).returns == pytest.approx((0.1,))
    past = history(end(0, D(1500)), end(1, D(1650)), acknowledged={"IBM": D(5)})
    assert account_steps(past, [], days_of_sessions(2)).returns == pytest.approx((0.1,))


def test_empty_account_has_no_return() -> None:
    deposit = transfer(FIRST + timedelta(hours=1), D(1000))
    found = account_steps(history(end(0, D(1000)), end(1, D(1010)), cash="0"), [deposit], days_of_sessions(2))
    assert [step.value for step in found.steps] == [None, pytest.approx(0.01)]
    assert found.returns == pytest.approx((0.01,))


def transfer(at: datetime, usd: Decimal) -> CashMovement:
    return CashMovement(at, usd, "CSD", Origin.ACTIVITY, "id", "")


RETURNS = st.lists(st.integers(-300, 300).map(lambda bps: D(bps) / 10_000), min_size=1, max_size=20)
FLOWS = st.lists(st.integers(-200, 500).map(D), min_size=20, max_size=20)


def played(returns: list[Decimal], flows: list[Decimal], cash: Decimal) -> tuple[History, list[CashMovement]]:
    """Return an account that earns these returns, and whose owner moves amounts before each session's end."""
    equity, ends, moved = cash, list[SessionEnd](), list[CashMovement]()
    for place, (value, flow) in enumerate(zip(returns, flows, strict=False)):
        equity = equity * (1 + value) + flow
        ends.append(end(place, equity))
        moved.append(transfer(FIRST + timedelta(days=place, hours=2), flow))
    return history(*ends, cash=str(cash)), moved


@given(RETURNS, FLOWS, st.integers(100, 100_000).map(D))
def test_returns_ignore_transfers_and_account_size(returns: list[Decimal], flows: list[Decimal], size: Decimal) -> None:
    expected = pytest.approx([float(each) for each in returns], abs=1e-12)
    for cash, moves in ((D(100_000), flows), (size, [D(0)] * len(flows))):
        past, moved = played(returns, moves, cash)
        assert account_steps(past, moved, days_of_sessions(20)).returns == expected


def way(history: History, count: int) -> Path:
    return account_steps(history, [], sessions(count))


def test_path_without_a_session_has_no_average_equity_and_no_frame() -> None:
    nothing = Path(None, (), (), ())
    assert average_equity(nothing) is None
    found = measure(rotated(1, 3), nothing, (), spy(2, 3), Rates())
    assert (found.rows, found.exposed, found.exposures) == (None, None, None)


def test_turnover_counts_purchases_and_sales_within_the_span() -> None:
    history = past(1, 20)
    first = history.fills[0].fill.at
    bought = sum(owned.fill.quantity * owned.fill.price for owned in history.fills)
    assert traded_usd(history.fills, way(history, 20)) == bought
    assert traded_usd(history.fills, Path(None, (), (), ())) == 0
    early = way(history, 20)
    assert there(early.start).at < first - timedelta(hours=1)
    assert traded_usd((), early) == Decimal(0)


def test_benchmark_is_leveled_by_the_accounts_exposure_in_each_session() -> None:
    history, days = rotated(1, 60), sessions(60)
    found = measure(history, account_steps(history, [], days), days, spy(2, 60), Rates())
    assert found.exposed
    assert found.exposed.gross == pytest.approx(1.25, abs=0.03)
    assert found.rows is not None
    gross = [each.gross for each in there(found.exposures)]
    assert found.exposed.gross == pytest.approx(sum(gross) / len(gross))
    leveled = [share * value for share, value in zip(gross, found.rows["benchmark"][1:], strict=True)]
    assert list(found.rows["leveled"])[1:] == pytest.approx(leveled)


YEAR = 252


def costs(history: History, count: int) -> TradingCosts | None:
    way = account_steps(history, [], sessions(count))
    return costs_of(cost_kinds(history), way, traded_usd(history.fills, way))


def paid(history: History, kind: str, usd: str, sub_kind: str, session: int = 5) -> History:
    """Return a past with one more movement of cash, in which equity is as it was."""
    at = sessions(10)[session].open
    movement = cash_movement(at, Decimal(usd), kind, Origin.ACTIVITY, f"{kind}-{usd}", "", sub_kind=sub_kind)
    return replace(history, cash=(*history.cash, movement))


def test_cash_movements_are_sorted_into_kinds_of_cost() -> None:
    history = past(1, 10)
    fees = [("FEE", "-9", "COM"), ("FEE", "2", "COM"), ("FEE", "-1", "NRC"), ("FEE", "-2", "REG"), ("FEE", "-1", "")]
    others = [("FEE", "-4", "BRW"), ("INT", "-5", "MGN"), ("INT", "100", "CDT"), ("FUNDING", "-6", "")]
    for kind, usd, sub_kind in (*fees, *others, ("FUNDING", "2", ""), ("DIV", "50", "CDIV"), ("CSD", "1000", "")):
        history = paid(history, kind, usd, sub_kind)
    with_fee = replace(history.fills[0], fill=replace(history.fills[0].fill, fee=Fee(Decimal(2))))
    history = replace(history, fills=(with_fee, *history.fills[1:]))
    found = there(costs(history, 10))
    said = {row.name: row.usd for row in found.rows}
    assert said == {"commission": 10, "fees": 3, "borrow": 4, "interest": 5, "funding": 4}
    assert (found.total.usd, found.total.drag, found.before.value, found.before.lacks) == (26, None, None, 242)
    traded = float(sum(owned.fill.quantity * owned.fill.price for owned in history.fills))
    assert found.total.bps == pytest.approx(26 / traded * 10_000)


@pytest.mark.parametrize(
    ("arrival", "send", "decision", "usd"), [("99", "98", "97", 300), (None, None, "97", 300), ("99", "98", None, None)]
)
def test_slippage_is_against_a_midpoint(
    arrival: str | None, send: str | None, decision: str | None, usd: int | None
) -> None:
    history = past(1, 10)
    bought = history.fills[0].fill
    middles = [None if each is None else Decimal(each) for each in (arrival, send, decision)]
    order = FilledOrder("a", None, middles[0])
    asked = OrderRequested(
        "a", bought.at, "", protects=False, decision_mid=middles[2], send_mid=middles[1], send_mid_at=None
    )
    found = costs(replace(history, sent={bought.venue_order_id: OrderSent(order, (asked,))}), 10)
    assert (found and [(row.name, row.usd) for row in found.rows]) == (None if usd is None else [("slippage", usd)])
    resting = OrderSent(order, (asked._replace(protects=True),))
    assert costs(replace(history, sent={bought.venue_order_id: resting}), 10) is None


def test_costs_are_missing_when_nothing_was_paid() -> None:
    assert costs(past(1, 10), 10) is None
    kind = CostKind("fees", "Other fees", (Charge(sessions(1)[1].open, 1.0),))
    assert costs_of([kind], Path(None, (), (), ()), Decimal(1)) is None


def test_costs_outside_the_span_do_not_count() -> None:
    way = account_steps(past(1, 10), [], sessions(10))
    first, last = there(way.start).at, way.steps[-1].after.at
    moments = (first, first + timedelta(seconds=1), last, last + timedelta(1))
    assert paid_usd([CostKind("fees", "Other fees", tuple(Charge(at, 1.0) for at in moments))], way) == 2


def test_drag_is_the_growth_lost_to_a_cost() -> None:
    # The equity of each session is what it was, and 100 USD more if the fee of that session hadn't been paid.
    history = past(1, YEAR)
    days = sessions(YEAR)
    for place in (10, 200):
        at = days[place].open
        fee = cash_movement(at, Decimal(-100), "FEE", Origin.ACTIVITY, f"{place}", "", sub_kind="COM")
        history = replace(history, cash=(*history.cash, fee))
    found = there(costs(history, YEAR))
    way = account_steps(history, [], days)
    without = [
        step.value + (100 / float(step.before.equity_usd) if place in (9, 199) else 0)
        for place, step in enumerate(way.steps)
        if step.value is not None
    ]
    assert found.after.value == pytest.approx(statistics.cagr(way.returns, 1))
    assert found.before.value == pytest.approx(statistics.cagr(without, 1))
    assert found.rows[0].drag == found.total.drag == pytest.approx((found.before.value or 0) - (found.after.value or 0))


def test_growth_before_costs_equals_growth_without_paying() -> None:
    # Borrowing and commissions are given back to the equity of each session, with the same shares.
    history, days = rotated(1, YEAR), sessions(YEAR)
    found = there(costs(history, YEAR))
    back, ends = Decimal(0), []
    left = list(history.cash)
    for end in history.ends:
        while left and left[0].at <= there(end.equity_at):
            back -= left.pop(0).amount_usd
        ends.append(replace(end, equity=there(end.equity) + back))
    free = account_steps(replace(history, ends=tuple(ends)), [], days)
    assert found.before.value == pytest.approx(statistics.cagr(free.returns, 1), abs=0.005)
    assert {row.name for row in found.rows} == {"commission", "interest"}
    assert sum(row.drag or 0 for row in found.rows) == pytest.approx(found.total.drag, rel=0.02)
    assert float(ends[-1].equity or 0) - float(history.ends[-1].equity or 0) == pytest.approx(found.total.usd)
    assert CASH


EARLY = timedelta(hours=1)


def trade(at: datetime, shares: Decimal, price: Decimal, number: int) -> OwnedFill:
    side = Side.BUY if shares > 0 else Side.SELL
    return OwnedFill("hold", Fill(f"{number}", f"order-{number}", "SPY", side, abs(shares), price, at))


def account(
    days: Sequence[Session], closes: Iterable[Decimal], trades: Iterable[tuple[datetime, Decimal, Decimal]]
) -> History:
    """Return an account with these trades in SPY (when, signed shares, price), valued at each close."""
    fills = [trade(*one, number) for number, one in enumerate(trades)]
    ends = []
    for day, close in zip(days, closes, strict=True):
        done = [one.fill for one in fills if one.fill.at <= day.close]
        held = sum((fill.side.sign * fill.quantity for fill in done), D(0))
        cash = CASH - sum((fill.side.sign * fill.quantity * fill.price for fill in done), D(0))
        ends.append(SessionEnd(day.date, cash + held * close, day.close, {"SPY": close}, day.close))
    return History(
        "0001", "backtest", VENUE_DAY, days[0].open - EARLY, CASH, tuple(fills), ends=tuple(ends), at=days[-1].close
    )


def exposed(history: History, days: Sequence[Session]) -> list[Exposure]:
    known = sessions(len(days))
    return list(there(exposures(history, account_steps(history, [], known), MarketTime(known))))


def test_exposure_is_market_value_over_the_equity_before() -> None:
    days = sessions(3)[1:]
    history = account(days, [D(110), D(220), D(110)], [(days[0].open, D(500), D(100))])
    before = [50_000 / 100_000, 55_000 / 105_000, 110_000 / 160_000]
    assert [each.gross for each in exposed(history, days)] == pytest.approx(before)
    assert [each.net for each in exposed(history, days)] == pytest.approx(before)


def test_exposure_counts_what_is_bought_at_its_price_while_it_is_held() -> None:
    days = sessions(1)[1:]
    middle, later = days[0].open + timedelta(hours=3.25), days[0].open + timedelta(hours=4.875)
    (found,) = exposed(account(days, [D(100)], [(middle, D(-400), D(100)), (later, D(400), D(100))]), days)
    assert (found.gross, found.net) == pytest.approx((0.1, -0.1))


def test_exposure_follows_a_position_through_a_part_sale_and_a_reversal() -> None:
    days = sessions(2)[1:]
    first, second = days[0].open, days[1].open
    trades = [(first, D(100), D(100)), (second, D(-50), D(300)), (second, D(-150), D(300))]
    history = account(days, [D(200), D(300)], trades)
    assert [each.net for each in exposed(history, days)] == pytest.approx([0.1, -100 * 300 / 110_000])


def test_split_changes_no_exposure() -> None:
    days = sessions(2)[1:]
    history = account(days, [D(100), D(50)], [(days[0].open, D(100), D(100))])
    more = replace(trade(days[1].open - EARLY, D(100), D(0), 9), origin=Origin.ACTIVITY)
    found = exposed(replace(history, fills=(*history.fills, more)), days)
    assert [each.gross for each in found] == pytest.approx([0.1, 0.1])


def test_exposure_is_unknown_without_calendar_or_session() -> None:
    history = past(1, 20)
    assert exposures(history, account_steps(history, [], sessions(20)), MarketTime(())) is None
    assert exposures(history, Path(None, (), (), ()), MarketTime(sessions(20))) is None
    assert average(None) is None


def test_exposure_is_zero_while_there_is_no_equity() -> None:
    days = sessions(2)[1:]
    history = account(days, [D(100), D(101)], [(days[0].open, D(10), D(100))])
    poor = (replace(history.ends[0], equity=D(0)), history.ends[1])
    assert exposed(replace(history, ends=poor), days)[1] == Exposure(0, 0)


MOVES = st.lists(st.integers(-400, 400), min_size=2, max_size=12)
SHARES = st.integers(5, 190).map(lambda percent: D(percent) / 100)


@given(MOVES, SHARES, st.sampled_from((1, 3, 99)))
def test_spy_at_any_share_has_no_excess_over_spy_at_that_share(moves: list[int], share: Decimal, every: int) -> None:
    """Buy a share of the equity in SPY at the first open, and restore it at the close of each so many sessions."""
    days = sessions(len(moves))[1:]
    price, closes = D(500), list[Decimal]()
    trades = [(days[0].open, CASH * share / price, price)]
    held, cash = trades[0][1], CASH * (1 - share)
    for number, move in enumerate(moves):
        price *= 1 + D(move) / 10_000
        closes.append(price)
        if number % every == every - 1:
            change = (cash + held * price) * share / price - held
            trades.append((days[number].close, change, price))
            held, cash = held + change, cash - change * price
    opens = {day.date: float(close) for day, close in zip(days, [D(500), *closes], strict=False)}
    spy = BenchmarkPrices("SPY", {day.date: float(close) for day, close in zip(days, closes, strict=True)}, opens)
    history = account(days, closes, trades)
    known = sessions(len(moves))
    rows = there(measure(history, account_steps(history, [], known), known, spy, Rates()).rows)
    excess = [log1p(own) - log1p(leveled) for own, leveled in zip(rows["value"][1:], rows["leveled"][1:], strict=True)]
    assert excess == pytest.approx([0] * len(moves), abs=1e-9)
