"""Exposure is market value over equity, session by session: SPY held at any share has no excess over itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import CASH, past, sessions
from tests.kit.values import VENUE_DAY, there
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.values import replace
from tradebot.views.performance.activity import Exposure, average, exposures, measure
from tradebot.views.performance.curve import Benchmark, Rates
from tradebot.views.performance.days import MarketTime
from tradebot.views.performance.history import History
from tradebot.views.performance.returns import Path, path

D = Decimal
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
    return list(there(exposures(history, path(history, [], known), MarketTime(known))))


def test_exposure_is_market_value_over_the_equity_before() -> None:
    days = sessions(3)[1:]
    history = account(days, [D(110), D(220), D(110)], [(days[0].open, D(500), D(100))])
    before = [50_000 / 100_000, 55_000 / 105_000, 110_000 / 160_000]
    assert [each.gross for each in exposed(history, days)] == pytest.approx(before)
    assert [each.net for each in exposed(history, days)] == pytest.approx(before)


def test_exposure_counts_what_is_bought_at_its_price_while_it_is_held() -> None:
    days = sessions(1)[1:]
    middle, later = days[0].open + timedelta(hours=3.25), days[0].open + timedelta(hours=4.875)
    history = account(days, [D(100)], [(middle, D(-400), D(100)), (later, D(400), D(100))])
    (found,) = exposed(history, days)
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
    assert exposures(history, path(history, [], sessions(20)), MarketTime(())) is None
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
def test_spy_held_at_any_share_has_no_excess_over_spy_at_that_share(
    moves: list[int], share: Decimal, every: int
) -> None:
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
    spy = Benchmark("SPY", {day.date: float(close) for day, close in zip(days, closes, strict=True)}, opens)
    history = account(days, closes, trades)
    known = sessions(len(moves))
    rows = there(measure(history, path(history, [], known), known, spy, Rates()).rows)
    excess = [log1p(own) - log1p(leveled) for own, leveled in zip(rows["value"][1:], rows["leveled"][1:], strict=True)]
    assert excess == pytest.approx([0] * len(moves), abs=1e-9)
