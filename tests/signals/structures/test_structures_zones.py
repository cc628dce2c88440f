"""Order blocks and gaps at their limits: exact thresholds, ties, holes, and bars without a range."""

from decimal import Decimal

import pytest

from tests.kit.signals.series import FOUR_HOURS_S, SPEC, Row, series_of
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import bars_of
from tradebot.signals.structures.structures import DraftStructure, StructureSettings, blocks, ends, gaps

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


def test_impulse_is_measured_with_the_ranges_up_to_itself() -> None:
    block, impulse = (100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 103.0)
    wild = [(103.0, 120.0, 90.0, 104.0)] * 20
    calm = scaled(CALM, "1")
    assert blocks_in([*calm, block, impulse, *wild]) == [18]
    assert blocks_in([*wild, block, impulse, *calm]) == []


def test_no_block_before_there_are_enough_ranges() -> None:
    block, impulse = (100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 103.0)
    assert blocks_in([*scaled(CALM[1:], "1"), block, impulse]) == []


@pytest.mark.parametrize(
    ("block", "impulse"),
    [
        ((100.0, 101.0, 99.0, 100.0), (99.5, 103.5, 99.4, 103.0)),
        ((100.0, 101.0, 99.0, 99.5), (99.5, 103.5, 99.4, 101.0)),
    ],
    ids=["does not fall", "not closed above"],
)
def test_block_falls_and_the_next_bar_closes_above_its_high(block: Row, impulse: Row) -> None:
    assert blocks_in([*scaled(CALM, "1"), block, impulse]) == []


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
