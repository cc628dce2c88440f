"""Raw prices rebuilt from adjusted ones equal those that were traded, whatever came later."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SHARED
from papervenue.market.daily_file import FileEvent, Rebuilt, Rows, on_ticks, read_daily, rebuild, to_exact_units

PARQUET = SHARED / "market" / "etf_daily_adj.parquet"
RATIOS = (Fraction(2), Fraction(3), Fraction(3, 2), Fraction(1, 2), Fraction(1231, 1000))


class Traded(NamedTuple):
    """A day as it was traded: its close in cents, and a dividend in 1/10,000 USD and a split at its beginning."""

    cents: int
    dividend: int
    ratio: Fraction


def days(count: int) -> st.SearchStrategy[list[Traded]]:
    """Draw days whose prices move by a few percent, with the odd dividend and split."""
    quiet = st.tuples(st.integers(-30, 30), st.just(0), st.just(Fraction(1)))
    paying = st.tuples(st.integers(-30, 30), st.integers(1, 9_999), st.just(Fraction(1)))
    split = st.tuples(st.integers(-30, 30), st.sampled_from((0, 0, 4_321)), st.sampled_from(RATIOS))
    moves = st.lists(st.one_of(quiet, quiet, quiet, paying, split), min_size=count, max_size=count)
    return st.tuples(st.integers(4_000, 20_000), moves).map(lambda drawn: _traded(*drawn))


def _traded(cents: int, moves: Sequence[tuple[int, int, Fraction]]) -> list[Traded]:
    traded, splits = list[Traded](), 0
    for move, dividend, wanted in moves:
        splits += wanted != 1
        ratio = wanted if splits <= 2 else Fraction(1)
        cents = round(Fraction(cents * (1_000 + move), 1_000) / ratio)
        traded.append(Traded(cents, dividend, ratio))
    return traded


def dated(count: int) -> list[str]:
    return [f"{2001 + index // 336}-{index // 28 % 12 + 1:02}-{index % 28 + 1:02}" for index in range(count)]


def vendors(traded: Sequence[Traded]) -> tuple[list[float], list[FileEvent]]:
    """Return the adjusted closes, to four decimals, and the dividends and splits that a vendor would tell."""
    closes, events, dates = list[float](), list[FileEvent](), dated(len(traded))
    factor = shares = Fraction(1)
    for index in range(len(traded) - 1, -1, -1):
        day = traded[index]
        closes.append(float(round(Fraction(day.cents, 100) / shares * factor, 4)))
        shares *= day.ratio
        dividend = Fraction(day.dividend, 10_000) / shares
        if index and (dividend or day.ratio != 1):
            events.append(FileEvent(dates[index], float(round(dividend, 6)), float(day.ratio)))
            before = Fraction(traded[index - 1].cents, 100) / shares
            factor *= (before - dividend) / before
    return closes[::-1], events[::-1]


def raw(rebuilt: Rebuilt, closes: Sequence[float]) -> list[int]:
    """Return the rebuilt closes in units, oldest first."""
    return [units for one in reversed(rebuilt.segments) for units in on_ticks(closes[one.first : one.end], one.price)]


def adjusted_again(rebuilt: Rebuilt, dates: Sequence[str], units: Sequence[int]) -> list[float]:
    """Adjust raw closes for what happened, by CRSP's definition."""
    happened, factor, closes = {one.date: one for one in rebuilt.happened}, 1.0, list[float]()
    for index in range(len(units) - 1, -1, -1):
        closes.append(units[index] / 10_000 * factor)
        one = happened.get(dates[index])
        if one is not None:
            before = units[index - 1] / 10_000
            factor *= (before - float(one.rate)) / before / float(one.ratio)
    return closes[::-1]


@given(days(40))
@settings(max_examples=40)
def test_raw_prices_are_rebuilt_to_the_cent_and_adjust_to_the_same_closes(traded: list[Traded]) -> None:
    (closes, events), dates = vendors(traded), dated(len(traded))
    rebuilt = rebuild(dates, closes, events)
    units = raw(rebuilt, closes)
    assert units == [day.cents * 100 for day in traded]
    actions = [(day, row.dividend, row.ratio) for day, row in zip(dates, traded, strict=True)][1:]
    expected = [(day, Decimal(paid) / 10_000, ratio) for day, paid, ratio in actions if paid or ratio != 1]
    assert list(rebuilt.happened) == expected[::-1]
    again = adjusted_again(rebuilt, dates, units)
    assert max(abs(one - other) for one, other in zip(again, closes, strict=True)) < 0.01


@given(st.integers(5, 30), days(40), days(40))
@settings(max_examples=30)
def test_later_days_change_no_rebuilt_price_dividend_or_split(known: int, one: list[Traded], two: list[Traded]) -> None:
    shifted = [day._replace(cents=round(day.cents * one[known - 1].cents / two[known - 1].cents)) for day in two]
    other = [*one[:known], *shifted[known:]]
    seen = []
    for traded in (one, other, one[:known]):
        (closes, events), dates = vendors(traded), dated(len(traded))
        rebuilt = rebuild(dates, closes, events)
        happened = [event for event in rebuilt.happened if event.date < dated(41)[known]]
        seen.append((raw(rebuilt, closes)[:known], happened))
    assert seen[0] == seen[1] == seen[2]


def test_rebuild_skips_an_event_before_the_first_row_and_counts_one_between_rows() -> None:
    dates = ["2025-01-02", "2025-01-06"]
    rebuilt = rebuild(dates, [99.0, 100.0], [FileEvent("2024-12-30", 5.0), FileEvent("2025-01-03", 1.0)])
    assert raw(rebuilt, [99.0, 100.0]) == [100_0000, 100_0000]
    assert [one.date for one in rebuilt.happened] == ["2025-01-03"]


def test_prices_below_a_dollar_keep_a_hundredth_of_a_cent_and_stay_above_zero() -> None:
    assert on_ticks([0.12344, 1.23456, 0.000_01], 1.0) == [1234, 1_2300, 1]
    assert to_exact_units([0.12344, 1.23456, 0.000_01]) == [1234, 1_2346, 1]


@pytest.mark.skipif(not PARQUET.exists(), reason="needs ../shared/data/market/etf_daily_adj.parquet")
def test_rebuilt_prices_of_the_shipped_funds_are_whole_cents() -> None:
    pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    daily = read_daily(Path(PARQUET), frozenset(("TLT", "XLF", "XLK", "BIL")))
    assert set(daily.skipped.counts) == {"symbol not requested"}
    for symbol, rows in daily.rows.items():
        rebuilt = rebuild(rows.dates, rows.close, rows.events)
        again = adjusted_again(rebuilt, rows.dates, raw(rebuilt, rows.close))
        assert max(abs(one - other) for one, other in zip(again, rows.close, strict=True)) < 0.01
        # Before 2001 prices were in sixteenths.
        off = [cents for cents in _cents(rows, rebuilt, since="2001-04-10") if abs(cents - round(cents)) > 0.2]
        assert len(off) <= 1, symbol
    rows = daily.rows["TLT"]
    day = rows.dates.index("2020-01-02")
    assert (round(rows.close[day], 2), raw(rebuild(rows.dates, rows.close, rows.events), rows.close)[day]) == (
        115.44,
        137_0100,
    )


def _cents(rows: Rows, rebuilt: Rebuilt, since: str) -> list[float]:
    spans = [(one.price, index) for one in rebuilt.segments for index in range(one.first, one.end)]
    return [rows.close[index] * price * 100 for price, index in spans if rows.dates[index] >= since]
