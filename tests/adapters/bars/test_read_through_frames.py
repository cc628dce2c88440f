"""Timeframes that a source has are stored as they are: closed ones only, asked for when there is something new."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.bars.test_series import AROUND, around
from tests.kit.rows import NOW
from tradebot.adapters.bars.parquet import ParquetBars
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.bars.store import CorporateAction, SqliteBars
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.event import Severity
from tradebot.model.series import PriceKind, width_of
from tradebot.model.view import BarNeed

DAY_S, MINUTE = 86_400, timedelta(minutes=1)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FRAMES = ("15Min", "1Hour", "4Hour", "1Day")


def width_s(timeframe: str) -> int:
    return int((width_of(timeframe) or timedelta(days=1)).total_seconds())


class AroundTheClock:
    """A source of bars around the clock, which also gives the bar that isn't over yet, and counts its requests."""

    name, delay = "around", timedelta(0)
    timeframes = frozenset({"1Min", *FRAMES})
    refused_symbols: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, datetime]] = []
        self.missing: set[int] = set()
        self.listed_s: Mapping[str, int] = {}

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        for symbol in symbols:
            self.asked.append((symbol, timeframe, first))
            step, from_s = width_s(timeframe), max(int(first.timestamp()), self.listed_s.get(symbol, 0))
            starts = range(from_s + -from_s % step, int(last.timestamp()) + 1, step)
            yield {symbol: [self._bar(at, price) for at in starts if at not in self.missing]}

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        return dict.fromkeys(symbols, ())

    def _bar(self, start_s: int, price: PriceKind) -> RawBar:
        at = start_s % 97 + (1000.0 if price is PriceKind.SPOT else 100.0)
        return RawBar(start_s, at, at + 1, at - 1, at, 10.0)


@pytest.fixture
def source() -> AroundTheClock:
    return AroundTheClock()


@pytest.fixture
def bars(tmp_path: Path, source: AroundTheClock) -> Iterator[StoredBars]:
    bars = opened(tmp_path, source)
    yield bars
    bars.close()


def opened(folder: Path, source: AroundTheClock) -> StoredBars:
    return StoredBars(lambda: SqliteBars(folder, MemoryEvents(), NOW), lambda: source, around, AROUND)


@given(st.sampled_from(FRAMES), st.integers(1, 30), st.lists(st.integers(0, 2 * DAY_S), min_size=1, max_size=4))
@settings(max_examples=15)
def test_newest_bars_that_had_ended_are_served_at_any_moment_and_no_others(
    timeframe: str, depth: int, moments: list[int]
) -> None:
    step = width_s(timeframe)
    with TemporaryDirectory() as folder:
        bars = opened(Path(folder), AroundTheClock())
        for second in moments:
            until = NOON + timedelta(seconds=second)
            found = bars.closed(BarNeed(timeframe, depth), ["BTC"], until)["BTC"]
            end_s = int(until.timestamp()) // step * step
            assert list(found.starts) == [end_s - step * (depth - place) for place in range(depth)]
        stored = bars.store.get("BTC", timeframe, 0, 2**40)
        bars.close()
    assert max(bar.start_s for bar in stored) + step <= (NOON + timedelta(seconds=max(moments))).timestamp()


@pytest.mark.parametrize(
    ("timeframe", "asked_at"),
    [
        ("15Min", [-20, -14, 0, 16, 30, 46, 60]),
        ("1Hour", [-20, 0, 16, 60]),
        ("4Hour", [-20, 0, 16]),
        ("1Day", [-20, 0, 16]),
    ],
)
def test_bar_is_asked_for_when_it_has_ended_and_once_more_when_late_trades_are_in(
    tmp_path: Path, source: AroundTheClock, timeframe: str, asked_at: list[int]
) -> None:
    midnight, step, passes = NOON + timedelta(hours=12), timedelta(seconds=width_s(timeframe)), []
    for minute in (-20, -16, -14, -2, 0, 2, 14, 16, 18, 30, 44, 46, 58, 60, 64):
        # Each pass is a process of its own.
        bars, until = opened(tmp_path, source), midnight + minute * MINUTE
        found = bars.closed(BarNeed(timeframe, 9), ["BTC"], until)["BTC"]
        bars.close()
        assert until - step < found.start_of(-1) + step <= until
        passes += [minute] * len(source.asked)
        assert all(first >= until - 2 * step - 15 * MINUTE for _, _, first in source.asked) or minute == -20
        source.asked.clear()
    assert passes == asked_at


def test_bar_that_is_missing_is_asked_for_until_it_is_old(bars: StoredBars, source: AroundTheClock) -> None:
    newest_s = int(NOON.timestamp()) - 4 * 3600
    source.missing = {newest_s}
    need = BarNeed("4Hour", 5)
    assert bars.closed(need, ["BTC"], NOON)["BTC"].starts[-1] == newest_s - 4 * 3600
    bars.closed(need, ["BTC"], NOON + 2 * MINUTE)
    assert len(source.asked) == 2
    source.missing = set()
    assert bars.closed(need, ["BTC"], NOON + 4 * MINUTE)["BTC"].starts[-1] == newest_s
    source.missing = {newest_s}
    again = len(source.asked)
    for passed in (20, 22, 60):
        bars.closed(need, ["BTC"], NOON + passed * MINUTE)
    assert len(source.asked) == again + 1


def test_coin_that_was_listed_yesterday_has_the_bars_that_there_are_and_is_asked_about_once(
    bars: StoredBars, source: AroundTheClock
) -> None:
    source.listed_s = {"NEW": int(NOON.timestamp()) - DAY_S}
    need = BarNeed("4Hour", 600, least=250)
    found = bars.closed(need, ["NEW", "BTC"], NOON)
    assert [len(found[symbol]) for symbol in ("NEW", "BTC")] == [6, 600]
    before = len(source.asked)
    assert bars.closed(need, ["NEW", "BTC"], NOON + 30 * MINUTE)["NEW"] == found["NEW"]
    assert len(source.asked) <= before + 2


def test_hole_in_the_past_stays_one_and_is_not_filled(bars: StoredBars, source: AroundTheClock) -> None:
    hole_s = int(NOON.timestamp()) - 10 * 4 * 3600
    source.missing = {hole_s}
    found = bars.closed(BarNeed("4Hour", 20), ["BTC"], NOON)["BTC"]
    assert (len(found), hole_s in found.starts) == (20, False)


def test_bars_of_two_prices_are_kept_apart(tmp_path: Path, source: AroundTheClock) -> None:
    for opens in (SqliteBars, ParquetBars):
        folder = tmp_path / opens.__name__
        folder.mkdir()
        bars = StoredBars(lambda: opens(folder, MemoryEvents(), NOW), lambda: source, around, AROUND)  # noqa: B023
        spot, trade = (
            bars.closed(BarNeed("1Hour", 40, price=price), ["BTC"], NOON)["BTC"]
            for price in (PriceKind.SPOT, PriceKind.TRADE)
        )
        assert (spot.price, trade.price) == (PriceKind.SPOT, PriceKind.TRADE)
        assert [price - 900.0 for price in spot.close] == list(trade.close)
        assert {(span.timeframe, span.price) for span in bars.store.spans()} == {("1Hour", "spot"), ("1Hour", "trade")}
        bars.close()


def test_what_was_served_is_read_again_only_once_it_may_differ(
    tmp_path: Path, bars: StoredBars, source: AroundTheClock
) -> None:
    need = BarNeed("4Hour", 5)
    first = bars.closed(need, ["BTC"], NOON)["BTC"]
    assert bars.closed(need, ["BTC"], NOON + MINUTE)["BTC"] is first
    other = SqliteBars(tmp_path, MemoryEvents(), NOW)
    changed = source._bar(first.starts[-1], PriceKind.TRADE)._replace(close=7.0, low=6.0)
    other.put("BTC", "4Hour", [changed], "import")
    other.close()
    assert bars.closed(need, ["BTC"], NOON + 2 * MINUTE)["BTC"].close[-1] == 7.0


def test_timeframe_that_the_source_lacks_is_merged_from_minutes(bars: StoredBars, source: AroundTheClock) -> None:
    found = bars.closed(BarNeed("2Hour", 3), ["BTC"], NOON)["BTC"]
    assert [found.start_of(place) for place in range(3)] == [NOON - timedelta(hours=hours) for hours in (6, 4, 2)]
    assert list(found.volume) == [1200.0] * 3
    assert {timeframe for _, timeframe, _ in source.asked} == {"1Min"}


def test_store_of_an_older_version_is_moved_aside_and_fetched_again(
    tmp_path: Path, bars: StoredBars, source: AroundTheClock
) -> None:
    first = bars.closed(BarNeed("4Hour", 5), ["BTC"], NOON)
    assert isinstance(bars.store, SqliteBars)
    bars.store._database.execute("PRAGMA user_version = 1")
    bars.close()
    events = MemoryEvents()
    again = StoredBars(lambda: SqliteBars(tmp_path, events, NOW), lambda: source, around, AROUND)
    assert again.closed(BarNeed("4Hour", 5), ["BTC"], NOON) == first
    (event,) = events.emitted
    assert (event.event_type, event.severity) == ("BARS_OF_EARLIER_VERSION", Severity.INFO)
    assert event.details["why"] == "bars of version 1, but this program has 2"
    assert (tmp_path / "bars.db.earlier-1").exists()
    assert not list(tmp_path.glob("*damaged*"))
    again.close()


def test_bars_that_are_altered_or_appended_later_do_not_reach_an_earlier_moment(tmp_path: Path) -> None:
    until, source = NOON + timedelta(hours=13, minutes=7), AroundTheClock()
    bars = opened(tmp_path, source)
    before = {frame: bars.closed(BarNeed(frame, 6), ["BTC"], until)["BTC"] for frame in FRAMES}
    for frame in FRAMES:
        step = width_s(frame)
        end_s = int(until.timestamp()) // step * step
        # The one that isn't over at that moment, and those after it.
        later = [RawBar(end_s + step * place, 7.0, 9.0, 5.0, 7.0, 3.0) for place in range(4)]
        assert bars.store.put("BTC", frame, later, source.name) == len(later)
    bars.close()
    for again in (bars, opened(tmp_path, source)):
        found = {frame: again.closed(BarNeed(frame, 6), ["BTC"], until)["BTC"] for frame in FRAMES}
        again.close()
        assert found == before


@given(st.sampled_from(FRAMES), st.integers(0, 400), st.sampled_from([-1, 0, 1]))
@settings(max_examples=15)
def test_no_bar_of_the_spot_price_ends_after_the_moment_asked_for_also_at_a_boundary(
    timeframe: str, quarters: int, microseconds: int
) -> None:
    until = NOON + quarters * timedelta(minutes=15) + timedelta(microseconds=microseconds)
    with TemporaryDirectory() as folder:
        bars = opened(Path(folder), AroundTheClock())
        # What was served later must not be served to someone who asks about an earlier moment.
        for asked in (until + timedelta(days=1), until):
            found = bars.closed(BarNeed(timeframe, 5, price=PriceKind.SPOT), ["BTC"], asked)["BTC"]
        bars.close()
    end = found.start_of(-1) + timedelta(seconds=width_s(timeframe))
    assert until - timedelta(seconds=width_s(timeframe)) < end <= until
    assert len(found) == 5
