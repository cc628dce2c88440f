"""Bars from a real embedded exchange, through the same adapter as from Alpaca; its own answers are the judge."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import requests

from papervenue.market.spec import MarketSpec
from papervenue.process import create, ensure_running, stop
from tests.kit.bot.folder import KEYS
from tests.kit.rows import NOW
from tests.kit.values import VENUE_DAY
from tradebot.adapters.bars.parquet import open_bars
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.time.clock import LockStepClock
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.model.view import BarNeed
from tradebot.venues.alpaca.bars import AlpacaBars
from tradebot.venues.alpaca.reader import AlpacaReader
from tradebot.venues.alpaca.wire import AlpacaVenue

SYMBOLS = ("AAPL", "NFLX", "SPY", "THIN")
FIRST, EVENTFUL, HALF = date(2026, 11, 17), date(2026, 11, 25), date(2026, 11, 27)
"""With this seed, AAPL pays and NFLX splits on the second day, and NFLX gets another name on the half day."""


class Market:
    """A running exchange, and what a bot reads from it."""

    def __init__(self, url: str, folder: Path, feed: str = "sandbox") -> None:
        self.venue = replace(AlpacaVenue(url, url, "sandbox", "sandbox", "sandbox", Mode.SANDBOX), feed=feed)
        self.folder = folder
        self.clock = LockStepClock(url)
        self.tally = DriftTally()
        self.reader = AlpacaReader(self.venue, self.tally)

    def to(self, day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
        """Tick to a time in UTC and return it."""
        at = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
        self.clock.tick_to(at.isoformat())
        return at

    def bars(self) -> StoredBars:
        return StoredBars(
            lambda: open_bars(self.folder, MemoryEvents(), NOW),
            lambda: AlpacaBars(self.venue, self.tally),
            self.reader.calendar,
            VENUE_DAY,
        )

    def answer(self, symbol: str, timeframe: str, start: datetime, adjustment: str = "all") -> list[dict[str, Any]]:
        params = {"timeframe": timeframe, "start": start.isoformat(), "limit": "10000", "adjustment": adjustment}
        asked = requests.get(f"{self.venue.data_url}/v2/stocks/{symbol}/bars", params, headers=KEYS, timeout=60)
        return list(asked.json()["bars"])


@contextmanager
def running(folder: Path, plan: Literal["free", "paid"], feed: str) -> Iterator[Market]:
    spec = MarketSpec(symbols=SYMBOLS, sessions=8, start=FIRST, seed=22, corporate_actions=True, data_plan=plan)
    create(folder / "exchange", spec)
    try:
        yield Market(ensure_running(folder / "exchange").url, folder, feed)
    finally:
        stop(folder / "exchange")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with running(tmp_path_factory.mktemp("paid"), "paid", "sandbox") as market:
        yield market


def same(found: Series, answer: list[dict[str, Any]], tolerance: float = 2e-4) -> bool:
    """Tell whether a series is the newest part of an answer of the exchange, which rounds what it adjusts."""
    newest = answer[-len(found) :]
    assert [found.start_of(place) for place in range(len(found))] == [
        datetime.fromisoformat(bar["t"]) for bar in newest
    ]
    for column, name in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c")):
        assert list(getattr(found, column)) == pytest.approx([bar[name] for bar in newest], abs=tolerance)
    assert list(found.volume) == pytest.approx([bar["v"] for bar in newest], abs=1.0 if tolerance else 0)
    return True


def test_a_strategy_has_half_a_year_of_days_before_the_first_session(market: Market) -> None:
    now = market.reader.clock().now
    with closing(market.bars()) as bars:
        found = bars.closed(BarNeed("1Day", 253), SYMBOLS, now)
    assert {symbol: len(series) for symbol, series in found.items()} == dict.fromkeys(SYMBOLS, 253)
    assert same(found["AAPL"], market.answer("AAPL", "1Day", now - timedelta(days=400), "raw"), 0)


def test_bar_in_progress_is_never_served(market: Market) -> None:
    now = market.to(FIRST, 15, 2, 30)
    with closing(market.bars()) as bars:
        day, five = (bars.closed(BarNeed(tf, 6, adjusted=False), ["AAPL"], now)["AAPL"] for tf in ("1Day", "5Min"))
    assert (
        day.start_of(-1).date()
        < FIRST
        == datetime.fromisoformat(market.answer("AAPL", "1Day", now - timedelta(9))[-1]["t"]).date()
    )
    assert five.start_of(-1) == now.replace(minute=55, hour=14, second=0)
    assert same(five, market.answer("AAPL", "5Min", now - timedelta(hours=1), "raw")[:-1], 0)


@pytest.mark.parametrize(
    ("day", "hour", "names"),
    [(EVENTFUL, 13, ("AAPL", "NFLX", "THIN")), (EVENTFUL, 16, ("AAPL", "NFLX", "THIN")), (HALF, 19, ("AAPL", "NFLXX"))],
    ids=["before the open", "in the session", "after a half day, under a new name"],
)
def test_adjusted_bars_equal_the_exchanges_own(market: Market, day: date, hour: int, names: tuple[str, ...]) -> None:
    now = market.to(day, hour, 0, 0)
    with closing(market.bars()) as bars:
        days, fives = (bars.closed(BarNeed(tf, 200), names, now) for tf in ("1Day", "5Min"))
        minutes = bars.closed(BarNeed("1Min", 300, adjusted=False), names, now)
        after_open = hour >= 15
        again = bars.closed(BarNeed("1Day", 200), names, now)
    assert again == days
    for name in names:
        answer = market.answer(name, "1Day", now - timedelta(days=400))
        assert same(days[name], answer[:-1] if after_open and day != HALF else answer)
        regular = [bar for bar in market.answer(name, "5Min", datetime(2026, 11, 17, tzinfo=UTC)) if in_hours(bar)]
        assert same(fives[name], regular)
        raw = [bar for bar in market.answer(name, "1Min", datetime(2026, 11, 17, tzinfo=UTC), "raw") if in_hours(bar)]
        assert same(minutes[name], raw, 0)
    assert market.tally.counts == {}


def in_hours(bar: dict[str, Any]) -> bool:
    """Tell whether a bar lies in the regular session: half past nine to four, or to one on the half day."""
    at = datetime.fromisoformat(bar["t"])
    return (14, 30) <= (at.hour, at.minute) < (18 if at.date() == HALF else 21, 0)


def test_free_plan_serves_no_bar_that_its_feed_has_only_in_part(tmp_path: Path) -> None:
    with running(tmp_path, "free", "sip") as market, closing(market.bars()) as bars:
        day, five = BarNeed("1Day", 3), BarNeed("5Min", 3)
        now = market.to(FIRST, 17, 2)
        assert bars.closed(day, ["AAPL"], now)["AAPL"].start_of(-1).date() < FIRST
        assert market.tally.counts == {}
        assert bars.closed(five, ["AAPL"], now)["AAPL"].start_of(-1) == datetime(2026, 11, 17, 16, 40, tzinfo=UTC)
        assert bars.closed(day, ["AAPL"], market.to(FIRST, 21, 5))["AAPL"].start_of(-1).date() < FIRST
        closed = bars.closed(day, ["AAPL"], market.to(FIRST, 21, 20))["AAPL"]
        market.to(FIRST, 23, 59)
        assert closed.close[-1] == market.answer("AAPL", "1Day", datetime(2026, 11, 17, tzinfo=UTC))[-1]["c"]
