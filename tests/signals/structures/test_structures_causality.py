"""The causality figure: no later bar rewrites a reading, in drawn windows of 600 bars, and a look-ahead is caught."""

import random
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.signals.series import first
from tests.signals.structures import causality
from tests.signals.structures.causality import WINDOW, Reader, generated, play, structures_and_swings
from tests.suite import tiers
from tradebot.model.series import Series

ROOT = Path(__file__).resolve().parents[3]
MINUTES = [
    path
    for parent in ROOT.parents[:2]
    for path in sorted((parent / "shared" / "data" / "market").glob("us_minute_*.parquet"))
]
"""The recorded files that are here."""
SEED = f"{tiers.seed()} causality"
PREFIXES = 100
"""Drawn of each window."""
WINDOWS = 50 if MINUTES else 100
"""Of each part; there are two parts of each kind, so all parts together read 20,000 prefixes."""
LOOKING_AHEAD: tuple[Reader, ...] = (
    causality.stamped_a_bar_early,
    causality.ends_stamped_a_bar_early,
    causality.with_the_ranges_of_today,
    causality.without_what_has_ended,
    causality.swings_of_three_bars_known_at_the_second,
)


@pytest.mark.sampled
@pytest.mark.parametrize("part", range(2))
def test_no_reading_of_a_generated_window_is_rewritten(part: int, record_property: Callable[[str, int], None]) -> None:
    windows, prefixes = tiers.sized((1, 20), (WINDOWS, PREFIXES))
    count = play(structures_and_swings, generated, f"{SEED} {part}", windows, prefixes)
    record_property("prefixes of generated bars read", windows * prefixes)
    record_property("readings of generated bars rewritten", count)
    assert count == 0


@pytest.fixture(scope="module")
def minutes() -> list[Series]:
    """Return every symbol's minutes in the recorded files, if it has enough of them."""
    if not MINUTES:
        pytest.skip("shared/data has no us_minute_*.parquet")
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    found = []
    for path in MINUTES:
        query = f"SELECT symbol, epoch(ts)::BIGINT - 60, open, high, low, close, volume FROM '{path}' ORDER BY 1, 2"  # noqa: S608
        rows: dict[str, list[tuple[float, ...]]] = {}
        for symbol, *bar in duckdb.sql(query).fetchall():
            rows.setdefault(symbol, []).append(tuple(bar))
        found += [_series(symbol, bars) for symbol, bars in rows.items() if len(bars) >= WINDOW]
    return found


def _series(symbol: str, bars: list[tuple[float, ...]]) -> Series:
    starts, *prices = zip(*bars, strict=True)
    opens, highs, lows, closes, volume = (array("d", column) for column in prices)
    return Series(symbol, "1Min", False, array("q", starts), opens, highs, lows, closes, volume)


@pytest.mark.campaign(weeks="even")
@pytest.mark.parametrize("part", range(2))
def test_no_reading_of_recorded_minutes_is_rewritten(
    part: int, minutes: list[Series], record_property: Callable[[str, int], None]
) -> None:
    def window(chance: random.Random) -> Series:
        series = chance.choice(minutes)
        return first(series.last(len(series) - chance.randint(0, len(series) - WINDOW)), WINDOW)

    count = play(structures_and_swings, window, f"{SEED} {part}", WINDOWS, PREFIXES)
    record_property("prefixes of recorded minutes read", WINDOWS * PREFIXES)
    record_property("readings of recorded minutes rewritten", count)
    assert count == 0


@pytest.mark.parametrize("read", LOOKING_AHEAD, ids=lambda read: read.__name__)
def test_look_ahead_put_in_on_purpose_is_counted(read: Reader) -> None:
    assert play(read, generated, "control", 1, 10) > 0
