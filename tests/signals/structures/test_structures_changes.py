"""Changes of structure: what turns it, what confirms it, and what ends it."""

from decimal import Decimal

import pytest

from tests.kit.signals.series import FOUR_HOURS_S, SPEC, Row, series_of
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import BarColumns, Column, bars_of
from tradebot.signals.structures.structures import DraftStructure, StructureChange, StructureTurn, changes, turns

FALLING = [110.0, 100.0, 106.0, 96.0, 102.0, 92.0]
"""Prices at which the market turns: highs and lows that fall."""
RISING = [104.0, 94.0, 106.0]
CALM: Column = [1.0] * 80
ROW = 2.0
"""How far a bar goes on each side of its close."""


def through(*points: float) -> list[Row]:
    """Return bars that go from point to point in steps of 2."""
    closes = [points[0]]
    for point in points[1:]:
        step = 2.0 if point > closes[-1] else -2.0
        while closes[-1] != point:
            closes.append(closes[-1] + step)
    return [(close, close + ROW / 2, close - ROW / 2, close) for close in closes]


def made(*points: float) -> BarColumns:
    return bars_of(series_of(through(*points)))


UP = made(*FALLING, *RISING, 100.0)
"""Falls, and turns at the close that shows the low of 94, with the high of 104 above the one of 102."""
TURN = max(place for place, low in enumerate(UP.low) if low == 93.0) + 1


def test_structure_turns_once_both_swings_go_the_other_way_and_the_first_trend_is_no_turn() -> None:
    assert turns(UP) == [StructureTurn(TURN, True, 103.0, 105.0)]
    assert turns(UP.mirror()) == [turn.mirror() for turn in turns(UP)]
    assert turns(made(*FALLING)) == turns(bars_of(series_of([]))) == []


def test_bar_that_swings_at_both_ends_is_looked_at_once() -> None:
    # Its high alone would turn the structure, because the lows already rise; its low says that they don't.
    before, outside, after = through(*FALLING, 98.0, 94.0, 96.0), (96.0, 104.0, 80.0, 96.0), through(96.0, 94.0)
    assert turns(bars_of(series_of([*before, outside, *after]))) == []
    only_high = (96.0, 104.0, 95.5, 96.0)
    assert [turn.rising for turn in turns(bars_of(series_of([*before, only_high, *after])))] == [True]


def confirmed(
    bars: BarColumns, ranges: Column = CALM, broken: float = 94.0, tolerance: str = "0.005"
) -> list[StructureChange]:
    """Return the changes of these bars, with a level that the low after the turn can keep or miss."""
    turned = [turn._replace(broken=broken) for turn in turns(bars)]
    return changes(bars, turned, ranges, replace(SPEC, hold_tolerance=Decimal(tolerance)))


def test_change_is_known_when_the_bar_after_the_turn_has_kept_the_level_and_never_below_it() -> None:
    assert confirmed(UP) == [StructureChange(DraftStructure(TURN, TURN + 1, 94.0, 105.0), None)]
    assert changes(UP, turns(UP), CALM, SPEC) == []


@pytest.mark.parametrize(("broken", "kept"), [(100.0, True), (100.01, False)])
def test_low_of_exactly_the_tolerance_below_the_level_keeps_it(broken: float, kept: bool) -> None:
    # The bar after the turn has a low of 97, which is 3 % below 100.
    assert UP.low[TURN + 1] == 97.0
    assert bool(confirmed(UP, broken=broken, tolerance="0.03")) is kept


def test_market_that_is_wilder_than_usual_or_perhaps_so_needs_two_bars() -> None:
    def known(*ranges: float | None) -> list[int]:
        return [one.found.known for one in confirmed(UP, [*ranges])]

    calm_until = [1.0] * TURN
    assert known(*calm_until, 1.6, *CALM) == [TURN + 2]
    assert known(*calm_until, 1.5, *CALM) == [TURN + 1]
    # The mean is 3.42, and 1.5 times that is 5.13, but a little less in floats.
    assert known(*[3.33] * TURN, 5.13, *CALM) == [TURN + 1]
    since = TURN - 18
    assert known(*[None] * since, *CALM) == [TURN + 2], "nobody knows how wild it is"
    assert known(*[None] * (since - 1), *CALM) == [TURN + 1]


def test_change_with_a_missing_bar_stays_unconfirmed() -> None:
    rows = through(*FALLING, *RISING, 100.0)
    for missing, count in ((TURN + 1, 0), (TURN + 2, 1)):
        starts = [FOUR_HOURS_S * (place + (place >= missing)) for place in range(len(rows))]
        bars = bars_of(series_of(rows, starts))
        assert len(turns(bars)) == 1
        assert len(confirmed(bars)) == count


def test_change_ends_when_the_structure_turns_back() -> None:
    bars = made(*FALLING, *RISING, 100.0, 104.0, 90.0, 96.0)
    turned = turns(bars)
    assert [turn.rising for turn in turned] == [True, False]
    assert confirmed(bars) == [StructureChange(DraftStructure(TURN, TURN + 1, 94.0, 105.0), turned[1].bar)]


def test_change_that_turns_back_before_it_is_confirmed_is_none() -> None:
    bars, turn = UP, turns(UP)[0]
    for waited, count in ((1, 0), (2, 1)):
        turned = [turn._replace(broken=94.0), StructureTurn(turn.bar + waited, False, 94.0, 92.0)]
        assert len(changes(bars, turned, CALM, SPEC)) == count
