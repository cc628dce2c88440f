"""The causality figure: no later bar rewrites a reading, in drawn windows of 600 bars, and a look-ahead is caught."""

import random
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from pathlib import Path

import pytest

from tests.kit.signals.series import FOUR_HOURS_S, SPEC, first, walk
from tests.suite import tiers
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import bars_of, outranges
from tradebot.signals.structures.structures import (
    ReadingKind,
    StructureEnd,
    StructureReading,
    Swing,
    structures,
    swings,
)

# Counting readings that later bars rewrite, over prefixes of drawn windows, and broken ways of reading as controls.

WINDOW = 600
Facts = tuple[Sequence[StructureReading | Swing], Sequence[StructureEnd]]
"""What is known of a series, in the order in which it became known, and the ends of it, in order too."""
Reader = Callable[[Series], Facts]
known_at, ended_at = attrgetter("known_at"), attrgetter("at")


def structures_and_swings(series: Series) -> Facts:
    found = structures(series, SPEC)
    # Both are in order already, and sorting what is in order takes little.
    return sorted([*found.readings, *swings(series)], key=known_at), found.ended


def rewritten(read: Reader, series: Series, counts: Iterable[int]) -> int:
    """Return how many readings and ends of these prefixes differ from what all bars say was known by then.

    One that is missing on either side counts, and so does one with another price or time. Two prefixes that both agree
    with the whole series agree with each other.
    """
    whole = read(series)
    ends_s = bars_of(series).ends_s
    return sum(_differences(whole, read(first(series, count)), ends_s[count - 1]) for count in counts)


def _differences(whole: Facts, part: Facts, now: int) -> int:
    different = 0
    for longer, shorter, moment in zip(whole, part, (known_at, ended_at), strict=True):
        before, then = (
            longer[: bisect_right(longer, now, key=moment)],
            shorter[: bisect_right(shorter, now, key=moment)],
        )
        if list(before) != list(then):
            old, new = Counter(then), Counter(before)
            different += max((old - new).total(), (new - old).total())
    return different


def generated(chance: random.Random) -> Series:
    return walk(chance, WINDOW)


def play(read: Reader, draw: Callable[[random.Random], Series], seed: str, windows: int, prefixes: int) -> int:
    """Return how many readings were rewritten over so many drawn prefixes of each of these drawn windows."""
    chance = random.Random(seed)  # noqa: S311 - replayable
    return sum(
        rewritten(read, series, chance.sample(range(1, len(series)), prefixes))
        for series in (draw(chance) for _ in range(windows))
    )


def stamped_a_bar_early(series: Series) -> Facts:
    """Look one bar ahead: say of each reading that it was known when the bar before its last one closed."""
    found, ended = structures_and_swings(series)
    return [reading._replace(known_at=reading.known_at - FOUR_HOURS_S) for reading in found], ended


def ends_stamped_a_bar_early(series: Series) -> Facts:
    found, ended = structures_and_swings(series)
    return found, [end._replace(at=end.at - FOUR_HOURS_S) for end in ended]


def with_the_ranges_of_today(series: Series) -> Facts:
    """Compare the impulse of every block with the last ranges of today, as the bot before this one did."""
    bars, multiple, count = bars_of(series), SPEC.impulse_multiple, SPEC.impulse_bars
    today = (bars.high[-count:], bars.low[-count:])

    def large(block: StructureReading) -> bool:
        place = block.bar + 1
        high, low = [*today[0], bars.high[place]], [*today[1], bars.low[place]]
        return outranges(high, low, float(multiple), multiple)

    found = structures(series, replace(SPEC, impulse_multiple=Decimal(0))).readings
    return [one for one in found if one.kind is not ReadingKind.BLOCK or large(one)], ()


def without_what_has_ended(series: Series) -> Facts:
    """Withdraw a reading once it has ended, instead of writing its end down."""
    return sorted(structures(series, SPEC).living, key=known_at), ()


def swings_of_three_bars_known_at_the_second(series: Series) -> Facts:
    return [swing._replace(known_at=swing.known_at - FOUR_HOURS_S) for swing in swings(series)], ()


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
    stamped_a_bar_early,
    ends_stamped_a_bar_early,
    with_the_ranges_of_today,
    without_what_has_ended,
    swings_of_three_bars_known_at_the_second,
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


@pytest.mark.campaign
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
