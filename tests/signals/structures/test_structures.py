"""All structures of a series: golden bars, the mirror law, the scale law, and what later bars may change.

Breaks of structure: strict, asked of each bar anew, and never across a hole.

Order blocks and gaps at their limits: exact thresholds, ties, holes, and bars without a range.

Changes of structure: what turns it, what confirms it, and what ends it.

Fibonacci levels: golden figures for both directions.

Swings: strict, known one bar later, and never across a hole.
"""

from bisect import bisect_right
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.series import (
    FEW_BARS,
    FOUR_HOURS_S,
    SPEC,
    TICKS,
    Row,
    first,
    in_ticks,
    series_of,
    ticks,
    written,
)
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import BarColumns, Column, Smoothing, bars_of
from tradebot.signals.structures.structures import (
    Direction,
    DraftStructure,
    Extreme,
    FibonacciRange,
    ReadingKind,
    StructureChange,
    StructureReading,
    Structures,
    StructureSettings,
    StructureTurn,
    Swing,
    blocks,
    breaks,
    changes,
    ends,
    fibonacci_range,
    gaps,
    structures,
    swings,
    turns,
)

BLOCK, GAP, BREAK, CHANGE = ReadingKind
LONG, SHORT = Direction
GOLDEN = [
    *((100.0, 101.0, 99.0, close) for close in (99.5, 100.5) * 10),
    *written("100.2 100.8 99.0 99.2 | 99.3 103.4 99.1 103.0 | 103.0 105.0 102.6 104.6 | 104.6 105.2 103.8 104.0"),
]
DEEP = (104.0, 104.2, 102.5, 103.0)
"""A bar that mitigates both gaps."""
NO_TOLERANCE = replace(FEW_BARS, gap_minimum=Decimal(0), hold_tolerance=Decimal(0))
Ticks = list[tuple[int, int, int, int]]


def mirrored(rows: list[Row], middle: str = "100") -> list[Row]:
    twice = 2 * Decimal(middle)
    return [(*(float(twice - Decimal(str(row[place]))) for place in (0, 2, 1, 3)),) for row in rows]  # type: ignore[misc]


def read(rows: list[Row]) -> Structures:
    return structures(series_of(rows), SPEC)


def zone(found: StructureReading | None) -> tuple[int, float, float] | None:
    return found and (found.bar, found.low, found.high)


def close_of(bar: int) -> int:
    return (bar + 1) * FOUR_HOURS_S


def test_golden_bars_show_block_break_and_gaps_when_each_is_known() -> None:
    seen = [
        [zone(read(GOLDEN[:count]).newest(kind, LONG)) for kind in (BLOCK, GAP, BREAK)] for count in (21, 22, 23, 24)
    ]
    block = (20, 99.0, 100.8)
    assert seen == [
        [None, None, None],
        [block, None, (21, 101.0, 103.4)],
        [block, (20, 100.8, 102.6), (22, 101.0, 105.0)],
        [block, (21, 103.4, 103.8), (23, 101.0, 105.2)],
    ]
    assert {reading.direction for reading in read(GOLDEN).readings} == {LONG}


@pytest.mark.parametrize("direction", Direction)
def test_golden_gaps_end_with_the_bar_that_reaches_them_and_the_block_stays(direction: Direction) -> None:
    rows = [*GOLDEN, DEEP]
    found = read(rows if direction is LONG else mirrored(rows))
    assert found.newest(GAP, direction) is None
    assert found.newest(BLOCK, direction) is not None
    ended = [(end.reading.kind, end.reading.bar, end.at) for end in found.ended if end.reading.kind is GAP]
    assert ended == [(GAP, 20, close_of(24)), (GAP, 21, close_of(24))]
    assert {end.reading for end in found.ended} < set(found.readings)


def test_gap_ends_with_a_touch_of_its_upper_edge() -> None:
    assert zone(read([*GOLDEN, (104.0, 104.2, 103.81, 104.1)]).newest(GAP, LONG)) == (21, 103.4, 103.8)
    assert zone(read([*GOLDEN, (104.0, 104.2, 103.8, 104.1)]).newest(GAP, LONG)) == (20, 100.8, 102.6)


def test_reading_is_known_at_the_close_of_the_bar_that_proves_it() -> None:
    known = [(reading.kind, reading.bar, reading.start_s, reading.known_at) for reading in read(GOLDEN).readings]
    assert known == [
        (BLOCK, 20, 20 * FOUR_HOURS_S, close_of(21)),
        (BREAK, 21, 21 * FOUR_HOURS_S, close_of(21)),
        (GAP, 20, 20 * FOUR_HOURS_S, close_of(22)),
        (BREAK, 22, 22 * FOUR_HOURS_S, close_of(22)),
        (GAP, 21, 21 * FOUR_HOURS_S, close_of(23)),
        (BREAK, 23, 23 * FOUR_HOURS_S, close_of(23)),
    ]


def test_block_ends_with_a_close_below_its_low_and_not_with_a_touch() -> None:
    touch, below = (100.0, 101.0, 98.0, 99.0), (100.0, 101.0, 98.0, 98.9)
    assert read([*GOLDEN, touch]).newest(BLOCK, LONG) is not None
    found = read([*GOLDEN, below])
    assert found.newest(BLOCK, LONG) is None
    assert [end.at for end in found.ended if end.reading.kind is BLOCK] == [close_of(24)]


def test_block_is_looked_at_for_fifty_bars_and_stays_a_reading() -> None:
    after = [(104.0, 104.5, 103.9, 104.2)] * 47
    assert zone(read([*GOLDEN, *after][:70]).newest(BLOCK, LONG)) == (20, 99.0, 100.8)
    old = read([*GOLDEN, *after])
    assert old.newest(BLOCK, LONG) is None
    assert BLOCK in {reading.kind for reading in old.living}


def test_break_is_over_with_the_next_bar() -> None:
    still = [(104.0, 104.5, 103.9, 104.2)] * 10
    found = read([*GOLDEN, *still])
    assert found.newest(BREAK, LONG) is None
    first_break = next(end for end in found.ended if end.reading.kind is BREAK)
    assert (first_break.reading.bar, first_break.at) == (21, close_of(22))


def test_bars_out_of_order_are_refused_and_none_and_those_without_range_or_volume_show_nothing() -> None:
    with pytest.raises(ValueError, match="the bar that starts at 0 s appears twice"):
        structures(series_of(GOLDEN[:2], [0, 0]), SPEC)
    series = series_of([(0.00001,) * 4] * 60)
    empty = replace(series, volume=type(series.volume)("d", [0.0] * 60))
    assert structures(empty, SPEC).readings == structures(series_of([]), SPEC).readings == ()


@given(TICKS, st.sampled_from(Smoothing))
def test_reflected_prices_give_reflected_readings(drawn: Ticks, smoothing: Smoothing) -> None:
    settings = replace(NO_TOLERANCE, smoothing=smoothing)
    one = structures(series_of(in_ticks(drawn, Decimal(1))), settings)
    upside_down = [tuple(20_000 - row[place] for place in (0, 2, 1, 3)) for row in drawn]
    other = structures(series_of(in_ticks(upside_down, Decimal(1))), settings)

    def reflected(reading: StructureReading) -> StructureReading:
        direction = SHORT if reading.direction is LONG else LONG
        return reading._replace(direction=direction, low=20_000 - reading.high, high=20_000 - reading.low)

    assert {reflected(reading) for reading in one.readings} == set(other.readings)
    assert {(reflected(end.reading), end.at) for end in one.ended} == set(other.ended)


@given(TICKS, st.sampled_from(["0.00001", "0.01", "0.1"]))
def test_ten_times_the_prices_give_the_same_readings(drawn: Ticks, tick: str) -> None:
    """At 10,000 ticks a gap of 7 is exactly the minimum, and ranges of 3 and 2 are exactly the impulse's multiple."""
    one, other = (structures(series_of(in_ticks(drawn, Decimal(tick) * by)), FEW_BARS) for by in (1, 10))
    for old, new in zip(one.readings, other.readings, strict=True):
        assert new._replace(low=old.low, high=old.high) == old
        assert (new.low, new.high) == pytest.approx((10 * old.low, 10 * old.high))
    assert [end.at for end in one.ended] == [end.at for end in other.ended]


@given(TICKS, st.sampled_from(Smoothing))
def test_later_bars_add_readings_and_ends_and_change_none(drawn: Ticks, smoothing: Smoothing) -> None:
    series, settings = series_of(in_ticks(drawn, Decimal("0.01"))), replace(FEW_BARS, smoothing=smoothing)
    whole = structures(series, settings)
    for count in range(len(series)):
        part, now = structures(first(series, count), settings), count * FOUR_HOURS_S
        assert part.readings == whole.readings[: bisect_right(whole.readings, now, key=lambda one: one.known_at)]
        assert part.ended == whole.ended[: bisect_right(whole.ended, now, key=lambda end: end.at)]


@given(TICKS)
def test_every_reading_lives_or_has_one_end_after_it_was_known(drawn: Ticks) -> None:
    found = structures(series_of(in_ticks(drawn, Decimal("0.01"))), FEW_BARS)
    over = [end.reading for end in found.ended]
    assert sorted([*over, *found.living]) == sorted(found.readings)
    assert len(set(found.readings)) == len(found.readings)
    assert all(end.at > end.reading.known_at >= end.reading.start_s for end in found.ended)


def test_drawn_bars_show_every_kind_of_reading_and_of_end() -> None:
    """The laws above would hold for readings that never happen."""
    drawn = [structures(series_of(in_ticks(ticks(seed), Decimal("0.01"))), FEW_BARS) for seed in range(16)]
    seen = {(reading.kind, reading.direction) for found in drawn for reading in found.readings}
    over = {(end.reading.kind, end.reading.direction) for found in drawn for end in found.ended}
    every = {(kind, direction) for kind in ReadingKind for direction in Direction}
    assert (seen, over) == (every, every)


HIGHS = [5.0, 9.0, 5.0, 5.0, 5.0, 5.0, 5.0, 9.0, 5.0, 5.0, 9.5, 5.0, 5.0, 5.0]


def rows(highs: list[float]) -> list[Row]:
    return [(4.0, high, 3.0, 4.0) for high in highs]


def test_break_is_true_while_the_last_three_bars_are_higher_than_the_seven_before_or_as_many_as_are_set() -> None:
    # A high of 9 that equals the one before it breaks nothing.
    found = breaks(bars_of(series_of(rows(HIGHS))), SPEC)
    assert found == [DraftStructure(bar, bar, 9.0, 9.5) for bar in (10, 11, 12)]
    settings = replace(SPEC, break_bars=1, break_before=1)
    assert [found.bar for found in breaks(bars_of(series_of(rows(HIGHS))), settings)] == [1, 7, 10]
    assert breaks(bars_of(series_of(rows([1.0] * 8 + [2.0]))), SPEC) == breaks(bars_of(series_of([])), SPEC) == []


def test_no_break_where_one_of_the_bars_is_missing() -> None:
    highs = [1.0] * 9 + [2.0, 3.0]
    for hole in range(1, 11):
        starts = [FOUR_HOURS_S * (place + (place >= hole)) for place in range(11)]
        bars = [found.bar for found in breaks(bars_of(series_of(rows(highs), starts)), SPEC)]
        assert bars == ([9] if hole == 10 else [10] if hole == 1 else [])


SCALES = pytest.mark.parametrize("scale", ["0.0000001", "0.01", "1", "1000"])
CALM = [("100", "101", "99", "100")] * 18
Written = tuple[str, str, str, str]


def scaled(rows: list[Written], scale: str) -> list[Row]:
    return [(*(float(Decimal(price) * Decimal(scale)) for price in row),) for row in rows]  # type: ignore[misc]


def blocks_in(rows: list[Row], settings: StructureSettings = SPEC) -> list[int]:
    return [block.bar for block in blocks(bars_of(series_of(rows)), settings)]


def gaps_in(rows: list[Row], starts: list[int] | None = None) -> list[int]:
    return [gap.bar for gap in gaps(bars_of(series_of(rows, starts)), SPEC)]


@SCALES
def test_gap_of_exactly_the_minimum_counts_and_a_smaller_one_does_not(scale: str) -> None:
    for low, expected in (("100.07", [0]), ("100.0699", []), ("100", []), ("99", [])):
        rows: list[Written] = [("99", "100", "98", "99.5"), ("99.5", "101", "99", "100"), ("101", "102", low, "101")]
        assert gaps_in(scaled(rows, scale)) == expected


def test_bars_that_touch_leave_no_gap_even_if_any_width_would_do() -> None:
    rows = [(99.0, 100.0, 98.0, 99.5), (99.5, 101.0, 99.0, 100.0), (101.0, 102.0, 100.0, 101.0)]
    assert gaps(bars_of(series_of(rows)), replace(SPEC, gap_minimum=Decimal(0))) == []


@SCALES
def test_impulse_of_exactly_the_multiple_counts_and_a_smaller_one_does_not(scale: str) -> None:
    for high, expected in (("102.6", [18]), ("102.5999", [])):
        impulse = ("99.7", high, "99.6", "102.5")
        assert blocks_in(scaled([*CALM, ("100", "101", "99", "99.5"), impulse], scale)) == expected


def test_impulse_is_measured_with_the_ranges_up_to_itself_of_which_there_have_to_be_enough() -> None:
    block, impulse = (100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 103.0)
    wild = [(103.0, 120.0, 90.0, 104.0)] * 20
    calm = scaled(CALM, "1")
    assert blocks_in([*calm, block, impulse, *wild]) == [18]
    assert blocks_in([*wild, block, impulse, *calm]) == blocks_in([*calm[1:], block, impulse]) == []


def test_block_falls_and_the_next_bar_closes_above_its_high() -> None:
    calm, impulse = scaled(CALM, "1"), (99.5, 103.5, 99.4, 103.0)
    assert blocks_in([*calm, (100.0, 101.0, 99.0, 100.0), impulse]) == [], "it doesn't fall"
    assert blocks_in([*calm, (100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 101.0)]) == [], "not closed above"


def test_jump_without_a_range_is_no_impulse_even_where_nothing_has_one() -> None:
    still: list[Row] = [(1.0, 1.0, 1.0, 1.0)] * 18
    assert blocks_in([*still, (1.0, 1.0, 0.9, 0.9), (1.5, 1.5, 1.5, 1.5)]) == []


def test_no_block_and_no_gap_reach_across_a_hole() -> None:
    rows = [*scaled(CALM, "1"), (100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 103.0), (103.5, 105.0, 103.0, 104.0)]
    for hole, expected in ((None, ([18], [18])), (18, ([18], [18])), (19, ([], [])), (20, ([18], []))):
        starts = [FOUR_HOURS_S * (place + (hole is not None and place >= hole)) for place in range(21)]
        bars = bars_of(series_of(rows, starts))
        assert ([found.bar for found in blocks(bars, SPEC)], gaps_in(rows, starts)) == expected


def test_zone_ends_with_the_first_price_below_its_level_after_it_was_known() -> None:
    prices = [1.0, 5.0, 3.0, 2.0, 2.5, 0.5]
    assert ends([1, 1, 2], [3.0, 2.0, 2.5], prices, touching=False) == [3, 5, 3]
    assert ends([1, 1, 2], [3.0, 2.0, 2.5], prices, touching=True) == [2, 3, 3]
    assert ends([5], [3.0], prices, touching=True) == [None]


def test_zones_are_named_after_their_first_bar_with_the_prices_of_both_edges() -> None:
    rows = [*scaled(CALM, "1"), (100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 103.0), (103.5, 105.0, 103.0, 104.0)]
    bars = bars_of(series_of(rows))
    assert blocks(bars, SPEC) == [DraftStructure(18, 19, 99.0, 101.0)]
    assert gaps(bars, SPEC) == [DraftStructure(18, 20, 101.0, 103.0)]
    assert gaps(bars, replace(SPEC, gap_minimum=Decimal("0.02"))) == []


FALLING = [110.0, 100.0, 106.0, 96.0, 102.0, 92.0]
"""Prices at which the market turns: highs and lows that fall."""
RISING = [104.0, 94.0, 106.0]
EVEN_RANGES: Column = [1.0] * 80
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
    bars: BarColumns, ranges: Column = EVEN_RANGES, broken: float = 94.0, tolerance: str = "0.005"
) -> list[StructureChange]:
    """Return the changes of these bars, with a level that the low after the turn can keep or miss."""
    turned = [turn._replace(broken=broken) for turn in turns(bars)]
    return changes(bars, turned, ranges, replace(SPEC, hold_tolerance=Decimal(tolerance)))


def test_change_is_known_when_the_bar_after_the_turn_has_kept_the_level_and_never_below_it() -> None:
    assert confirmed(UP) == [StructureChange(DraftStructure(TURN, TURN + 1, 94.0, 105.0), None)]
    assert changes(UP, turns(UP), EVEN_RANGES, SPEC) == []


@pytest.mark.parametrize(("broken", "kept"), [(100.0, True), (100.01, False)])
def test_low_of_exactly_the_tolerance_below_the_level_keeps_it(broken: float, kept: bool) -> None:
    # The bar after the turn has a low of 97, which is 3 % below 100.
    assert UP.low[TURN + 1] == 97.0
    assert bool(confirmed(UP, broken=broken, tolerance="0.03")) is kept


def test_market_that_is_wilder_than_usual_or_perhaps_so_needs_two_bars() -> None:
    def known(*ranges: float | None) -> list[int]:
        return [one.found.known for one in confirmed(UP, [*ranges])]

    calm_until = [1.0] * TURN
    assert known(*calm_until, 1.6, *EVEN_RANGES) == [TURN + 2]
    assert known(*calm_until, 1.5, *EVEN_RANGES) == [TURN + 1]
    # The mean is 3.42, and 1.5 times that is 5.13, but a little less in floats.
    assert known(*[3.33] * TURN, 5.13, *EVEN_RANGES) == [TURN + 1]
    since = TURN - 18
    assert known(*[None] * since, *EVEN_RANGES) == [TURN + 2], "nobody knows how wild it is"
    assert known(*[None] * (since - 1), *EVEN_RANGES) == [TURN + 1]


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
        assert len(changes(bars, turned, EVEN_RANGES, SPEC)) == count


LEG = FibonacciRange(Decimal(90), Decimal(110))
NEAR, FAR = Decimal("0.618"), Decimal("0.786")


def test_levels_of_the_golden_range() -> None:
    ratios = map(Decimal, ("0.236", "0.382", "0.5", "0.618", "0.786", "1.272", "1.618"))
    levels = [[LEG.level(ratio, direction) for direction in Direction] for ratio in ratios]
    long = map(Decimal, ("105.28", "102.36", "100", "97.64", "94.28", "84.56", "77.64"))
    assert levels == [[level, 200 - level] for level in long], "a short's are mirrored at the middle, 100"


def test_entry_zone_is_the_cheap_half_for_a_long_and_the_dear_half_for_a_short() -> None:
    assert LEG.zone(NEAR, FAR, Direction.LONG) == (Decimal("94.28"), Decimal("97.64"))
    assert LEG.zone(NEAR, FAR, Direction.SHORT) == (Decimal("102.36"), Decimal("105.72"))


def test_range_is_that_of_the_last_bars_only() -> None:
    series = series_of([(5, 9, 0.1, 5), (5, 6.3, 4, 5), (5, 6, 3.7, 5)])
    assert fibonacci_range(series, 2) == FibonacciRange(Decimal("3.7"), Decimal("6.3"))
    assert fibonacci_range(series, 3) == FibonacciRange(Decimal("0.1"), Decimal(9))


def test_there_is_no_range_of_too_few_bars() -> None:
    assert fibonacci_range(series_of([(5, 6, 4, 5)] * 99), 100) is None
    assert fibonacci_range(series_of([]), 0) is None


PEAK = [(1.0, 2.0, 0.9, 1.5), (1.5, 3.0, 1.4, 2.0), (2.0, 2.5, 1.0, 1.2), (1.2, 2.0, 1.1, 1.5)]


def test_swing_is_known_when_the_bar_after_it_closes() -> None:
    high = Swing(Extreme.HIGH, 1, FOUR_HOURS_S, 3.0, 3 * FOUR_HOURS_S)
    low = Swing(Extreme.LOW, 2, 2 * FOUR_HOURS_S, 1.0, 4 * FOUR_HOURS_S)
    series = series_of(PEAK)
    assert [swings(first(series, count)) for count in range(5)] == [[], [], [], [high], [high, low]]


def test_bar_outside_both_neighbors_is_a_swing_at_both_ends() -> None:
    outside = series_of([(2, 3, 1.5, 2), (2, 4, 1, 2), (2, 3, 1.5, 2)])
    assert [(swing.extreme, swing.price) for swing in swings(outside)] == [(Extreme.HIGH, 4), (Extreme.LOW, 1)]


def test_three_bars_with_a_hole_between_them_are_no_swing() -> None:
    for starts in ([0, 2, 3, 4], [0, 1, 3, 4]):
        found = swings(series_of(PEAK, [FOUR_HOURS_S * start for start in starts]))
        assert Extreme.HIGH not in {swing.extreme for swing in found}
    found = swings(series_of(PEAK, [0, FOUR_HOURS_S, 2 * FOUR_HOURS_S, 4 * FOUR_HOURS_S]))
    assert [swing.extreme for swing in found] == [Extreme.HIGH]
