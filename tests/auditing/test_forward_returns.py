"""Forward returns: from the next bar on, net of the benchmark, and never from a price that isn't known yet."""

from array import array
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.auditing.forward_returns import HORIZONS, UNKNOWN, Entry, Returns, SessionReturns, closes_of
from tradebot.model.bar import Session
from tradebot.model.series import Series

FIRST = date(2026, 11, 16)
MINUTES = 390


def session(place: int) -> Session:
    day = FIRST + timedelta(days=place)
    opening = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=14, minutes=30)
    return Session(day, opening, opening + timedelta(minutes=MINUTES))


SESSIONS = [session(place) for place in range(12)]
OPEN, END = SESSIONS[0].open, SESSIONS[-1].close


def minutes(prices: dict[int, tuple[float, float]]) -> Series:
    """Return minute bars by minute of the session, each with its open and close."""
    starts = array("q", [int(OPEN.timestamp()) + 60 * minute for minute in prices])
    opens, closes = (array("d", column) for column in zip(*prices.values(), strict=True))
    return Series("AAPL", "1Min", True, starts, opens, close=closes)


def rising(factor: float = 1.0) -> Series:
    return minutes({minute: (100 + factor * minute, 100 + factor * (minute + 1)) for minute in range(MINUTES)})


def closes(first: float, step: float) -> dict[date, float]:
    return {each.date: first + step * place for place, each in enumerate(SESSIONS)}


def entered(at: datetime, *, until: datetime = END, benchmark: str | None = None, symbol: str = "AAPL") -> Entry | None:
    series = {"AAPL": rising(), "SPY": rising(0.1)}
    daily = {"AAPL": closes(490, 10), "SPY": closes(139, 1)}
    return SessionReturns(SESSIONS, series, daily, until, benchmark).entry(symbol, at)


def by_name(returns: Returns) -> dict[str, float | None]:
    return dict(zip((horizon.name for horizon in HORIZONS), returns, strict=True))


def test_return_runs_from_the_next_bars_open_to_each_horizons_end() -> None:
    entry = entered(OPEN + timedelta(minutes=9, seconds=1))
    assert entry is not None
    assert entry.start_s == (OPEN + timedelta(minutes=10)).timestamp()
    ends = {"1 hour": 170, "close": 490, "1 session": 500, "3 sessions": 520, "5 sessions": 540, "10 sessions": 590}
    assert by_name(entry.returns) == pytest.approx({name: price / 110 - 1 for name, price in ends.items()})


def test_the_benchmarks_return_over_the_same_span_is_taken_off() -> None:
    entry = entered(OPEN, benchmark="SPY")
    assert entry is not None
    assert by_name(entry.returns)["1 hour"] == pytest.approx(160 / 100 - 106 / 100)
    assert by_name(entry.returns)["3 sessions"] == pytest.approx(520 / 100 - 142 / 100)
    itself = entered(OPEN, benchmark="SPY", symbol="SPY")
    assert itself is not None
    assert itself.returns == UNKNOWN


@pytest.mark.parametrize(
    ("until", "known"),
    [
        (OPEN + timedelta(minutes=59, seconds=59), set()),
        (OPEN + timedelta(minutes=60), {"1 hour"}),
        (SESSIONS[0].close, {"1 hour", "close"}),
        (SESSIONS[3].close - timedelta(seconds=1), {"1 hour", "close", "1 session"}),
        (SESSIONS[3].close, {"1 hour", "close", "1 session", "3 sessions"}),
    ],
)
def test_horizon_has_a_return_only_once_it_is_over(until: datetime, known: set[str]) -> None:
    entry = entered(OPEN, until=until)
    assert entry is not None
    assert {name for name, value in by_name(entry.returns).items() if value is not None} == known


def test_in_the_last_hour_there_is_no_return_over_an_hour() -> None:
    entry = entered(SESSIONS[0].close - timedelta(minutes=59))
    assert entry is not None
    assert by_name(entry.returns)["1 hour"] is None
    assert by_name(entry.returns)["close"] is not None


def test_before_the_open_the_first_bar_counts_and_after_the_last_there_is_none() -> None:
    early = entered(OPEN - timedelta(hours=10))
    assert early is not None
    assert early.start_s == OPEN.timestamp()
    assert entered(SESSIONS[0].close - timedelta(seconds=59)) is None
    assert entered(OPEN, symbol="MSFT") is None


def test_thin_symbol_uses_its_last_price_and_a_benchmark_without_one_is_dropped() -> None:
    rare = minutes({0: (100, 101), 30: (102, 103), 200: (110, 111)})
    day = SessionReturns(SESSIONS, {"AAPL": rare, "SPY": minutes({100: (1, 1)})}, {}, END, None)
    entry = day.entry("AAPL", OPEN)
    assert entry is not None
    assert by_name(entry.returns) == {**dict.fromkeys(by_name(UNKNOWN)), "1 hour": pytest.approx(0.03)}
    net = SessionReturns(SESSIONS, {"AAPL": rare, "SPY": minutes({100: (1, 1)})}, {}, END, "SPY").entry("AAPL", OPEN)
    assert net is not None
    assert net.returns == UNKNOWN


@settings(max_examples=40)
@given(st.integers(0, MINUTES - 61), st.floats(1, 1000))
def test_prices_before_the_entry_and_after_the_end_change_nothing(minute: int, price: float) -> None:
    prices = {place: (100.0 + place, 101.0 + place) for place in range(MINUTES)}
    at = OPEN + timedelta(minutes=minute)
    usual = SessionReturns(SESSIONS, {"AAPL": minutes(prices)}, {}, END, None).entry("AAPL", at)
    for place in (*range(minute), *range(minute + 60, MINUTES)):
        prices[place] = price, price
    assert SessionReturns(SESSIONS, {"AAPL": minutes(prices)}, {}, END, None).entry("AAPL", at) == usual


def test_closes_are_named_by_their_dates_in_summer_and_in_winter() -> None:
    midnights = [datetime(2026, 7, 1, 4, tzinfo=UTC), datetime(2026, 12, 1, 5, tzinfo=UTC)]
    days = Series("AAPL", "1Day", True, array("q", [int(at.timestamp()) for at in midnights]), close=array("d", [1, 2]))
    assert closes_of(days) == {date(2026, 7, 1): 1.0, date(2026, 12, 1): 2.0}
