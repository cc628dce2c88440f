"""Bars that are joined over rolls: by the ratio of both closes, and causal up to one constant factor."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import there
from tradebot.adapters.bars.roll_adjusted import join_over_rolls
from tradebot.model.series import DAY, Series
from tradebot.model.view import BarNeed
from tradebot.signals.roll_dates import roll_out_date
from tradebot.venues.ibkr.capabilities import IBKR
from tradebot.venues.ibkr.contracts import months_of, root_of

ON = date(2026, 12, 8)
NEED = BarNeed(DAY, 12)
ONE_DAY = timedelta(days=1)
VENUE = IBKR.day


class Days:
    """Daily bars of contracts, by their closes and volumes; all days are traded."""

    def __init__(self, closes: Mapping[str, Mapping[date, tuple[float, float]]]) -> None:
        self.closes = closes

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        found = dict[str, Series]()
        for symbol in symbols:
            rows = [(day, row) for day, row in self.closes.get(symbol, {}).items() if day < VENUE.date_of(until)]
            rows = sorted(rows)[-need.depth :]
            if rows:
                prices = array("d", [close for _, (close, _) in rows])
                starts = array("q", [VENUE.begins_s(day) for day, _ in rows])
                volume = array("d", [count for _, (_, count) in rows])
                found[symbol] = Series(symbol, DAY, need.adjusted, starts, prices, prices, prices, prices, volume)
        return found


def root(symbol: str) -> str:
    return root_of(symbol).name


def days(closes: Sequence[float], volume: float, first: date = date(2026, 12, 1)) -> dict[date, tuple[float, float]]:
    return {first + place * ONE_DAY: (close, volume) for place, close in enumerate(closes)}


def seen(source: Days, symbol: str, day: date, need: BarNeed = NEED) -> Series | None:
    return join_over_rolls(source, months_of, root, VENUE).closed(need, [symbol], VENUE.begins(day)).get(symbol)


def test_history_before_a_roll_is_multiplied_by_the_ratio_of_both_closes() -> None:
    old, new = [6_000.0] * 6 + [6_020.25, 1.0], [6_060.0] * 6 + [6_078.50, 6_080.0]
    source = Days({"ESZ6": days(old, 9), "ESH7": days(new, 1)})
    found = there(seen(source, "ESH7", ON + ONE_DAY))
    assert found.close[-1] == 6_080.0
    assert found.close[-2] == pytest.approx(6_078.50)
    assert found.close[0] / 6_000 == pytest.approx(1.009675678, abs=1e-9)
    assert [*found.volume] == [9.0] * 7 + [1.0]
    assert [*there(seen(source, "ESH7", ON + ONE_DAY, BarNeed(DAY, 12, adjusted=False))).close] == new


def test_a_roll_by_volume_joins_where_volume_said_so() -> None:
    old = {**days([100.0] * 3, 9), **days([100.0] * 5, 1, date(2026, 12, 4))}
    found = there(seen(Days({"ESZ6": old, "ESH7": days([110.0] * 8, 5)}), "ESH7", date(2026, 12, 8)))
    assert [*found.volume] == [9.0] * 3 + [1.0] * 2 + [5.0] * 2


@pytest.mark.parametrize("gone", ["ESZ6", "ESH7"])
def test_without_bars_of_one_month_the_other_stands_alone(gone: str) -> None:
    every = {"ESZ6": days([100.0] * 9, 9), "ESH7": days([110.0] * 9, 1)}
    found = seen(Days({symbol: rows for symbol, rows in every.items() if symbol != gone}), "ESH7", ON + ONE_DAY)
    assert (found and [*found.close]) == (None if gone == "ESH7" else [110.0] * 8)


def test_what_has_no_months_is_left_alone() -> None:
    assert seen(Days({"AAPL": days([100.0] * 3, 9)}), "AAPL", ON) is not None
    bars = Days({})
    assert join_over_rolls(bars, None, root, VENUE) is bars


prices = st.lists(st.floats(50, 150), min_size=20, max_size=20)
volumes = st.lists(st.sampled_from((1.0, 2.0)), min_size=20, max_size=20)


@settings(max_examples=10)
@given(prices, prices, volumes, volumes, st.integers(1, 18))
def test_a_series_seen_before_a_roll_is_later_the_same_up_to_one_factor(
    old: list[float], new: list[float], of_old: list[float], of_new: list[float], count: int
) -> None:
    dates = [date(2026, 11, 25) + place * ONE_DAY for place in range(20)]
    each = {"ESZ6": (old, of_old), "ESH7": (new, of_new)}
    source = Days({symbol: dict(zip(dates, zip(*rows, strict=True), strict=True)) for symbol, rows in each.items()})
    (month, _) = months_of("ES", date(2026, 12, 1), date(2026, 12, 10))
    rolled = roll_out_date(month.rolling, *(dict(zip(dates, rows, strict=True)) for rows in (of_old, of_new))).on
    then = seen(source, "ESZ6", min(dates[count], rolled), BarNeed(DAY, 20))
    later = seen(source, "ESH7", dates[-1], BarNeed(DAY, 20))
    assert then is not None
    assert later is not None
    factors = [after / before for after, before in zip(later.close, then.close, strict=False)]
    assert factors == pytest.approx([factors[0]] * len(then))
    assert [*later.close[dates.index(rolled) :]] == new[dates.index(rolled) : -1]
