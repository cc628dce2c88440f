"""Market tide: the market's call premium minus its put premium, from the last tick."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW, ago, known_of
from tradebot.signals.components.market_tide import COMPONENT
from tradebot.signals.kinds import market_tide
from tradebot.signals.kinds.market_tide import TideTick

signed = st.decimals(-(10**9), 10**9, places=2)


def value(*ticks: TideTick) -> float | None:
    return COMPONENT.value(known_of(market_tide.KIND, ticks))


def tick(calls: Decimal, puts: Decimal) -> TideTick:
    return TideTick("t", NOW, calls, puts, 0)


@given(calls=signed, puts=signed)
def test_it_is_in_range_and_mirrors_calls_with_puts(calls: Decimal, puts: Decimal) -> None:
    found = value(tick(calls, puts))
    assert found is not None
    assert -1 <= found <= 1
    assert value(tick(puts, calls)) == -found


def test_it_reads_the_last_tick_with_both_sides_signed() -> None:
    found = value(tick(Decimal(5), Decimal(1)), tick(Decimal("-180.8"), Decimal("-113.6")))
    assert found == pytest.approx(-67.2 / 294.4)


def test_a_last_tick_older_than_the_lookback_is_absent_data() -> None:
    late, too_late = (TideTick("t", ago(seconds), Decimal(1), Decimal(0), 0) for seconds in (1799, 1800))
    assert (value(late), value(too_late)) == (1, None)
