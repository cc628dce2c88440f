"""An exchange in this process gives the bars and answers that its server gives to the venue's own adapter."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from papervenue import process
from papervenue.faces.kraken.read_routes import Charts
from papervenue.market.coins import kraken_venue
from papervenue.market.spec import MarketSpec
from papervenue.state import read_market
from papervenue.times import from_datetime
from tests.kit.values import ACCOUNT
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.memory.bars import MemoryBars
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.calendar import BEHIND
from tradebot.app.settings import load
from tradebot.lab.backtest.http_exchange import ChartedBars, InProcess, OverHttp, ports_at
from tradebot.lab.backtest.setup import assemble
from tradebot.model.bar import Session
from tradebot.model.series import PriceKind
from tradebot.model.trading import Mode
from tradebot.model.view import BarNeed
from tradebot.venues.kraken.bars import KrakenBars
from tradebot.venues.kraken.client import sandbox_secret, venue_of
from tradebot.venues.kraken.reader import KrakenReader

COINS = ("PF_XBTUSD", "PF_PEPEUSD")
BEGINS = datetime(2026, 11, 16, tzinfo=UTC)
NEEDS = [
    BarNeed("1Day", 90, price=PriceKind.SPOT),
    BarNeed("4Hour", 200, price=PriceKind.SPOT),
    BarNeed("15Min", 4, price=PriceKind.SPOT),
    BarNeed("1Min", 32, adjusted=False),
    BarNeed("1Hour", 30, price=PriceKind.MARK),
]
DAY = timedelta(days=1)


def sessions(first: date, last: date) -> list[Session]:
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [Session(day, at, at + DAY) for day in days for at in [datetime(day.year, day.month, day.day, tzinfo=UTC)]]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    venue = kraken_venue(7, COINS)
    folder = tmp_path / "exchange"
    process.create(folder, MarketSpec(start=BEGINS.date(), symbols=COINS, sessions=2, seed=7, venue=venue))
    yield folder
    process.stop(folder)


def reader_of(exchange: InProcess | OverHttp) -> tuple[KrakenReader, KrakenBars]:
    connection = exchange if isinstance(exchange, InProcess) else None
    venue = venue_of(
        Mode.SANDBOX, exchange.url, "sandbox", sandbox_secret("sandbox"), None, lambda: None, lambda answer: None,
        connection=connection,
    )  # fmt: skip
    return KrakenReader(venue, DriftTally()), KrakenBars(venue, DriftTally())


def test_charts_give_the_bars_that_the_adapter_reads_and_answers_are_those_of_the_server(place: Path) -> None:
    here = InProcess(place)
    reader, adapter = reader_of(here)
    charted = ChartedBars(Charts(here.engine))
    day = reader.capabilities.day
    quick = StoredBars(MemoryBars, lambda: charted, sessions, day, final=True)
    asked = StoredBars(MemoryBars, lambda: adapter, sessions, day)
    for minutes in (1, 17, 243, 1_441):
        now = BEGINS + timedelta(minutes=minutes)
        here.tick_to(from_datetime(now))
        for need in NEEDS:
            found = quick.closed(need, COINS, now)
            assert found == asked.closed(need, COINS, now)
            assert found.keys() == set(COINS)
    said = reader.clock(), reader.view(), reader.quotes(COINS), reader.depth(COINS[0]), reader.listings(COINS)
    del here
    other, _ = reader_of(OverHttp(place))
    assert said == (other.clock(), other.view(), other.quotes(COINS), other.depth(COINS[0]), other.listings(COINS))


def test_bars_from_before_the_calendar_of_the_books_are_seen_as_the_bot_sees_them(place: Path) -> None:
    traded = {"venue": "kraken_futures", "universe": COINS, "strategies": {"rotation": None, "smart_money": {}}}
    settings, need = load(None, {}, traded).settings, BarNeed("4Hour", 600, price=PriceKind.SPOT)
    books = MemoryLedger(ACCOUNT)
    books.put_sessions(sessions((BEGINS - BEHIND).date(), BEGINS.date()))
    _, _, replayed, _ = ports_at(place, settings, books)
    with closing(assemble(settings, read_market(place).spec, [], MemoryFacts())) as made:
        for bars in (replayed, made.world.bars):
            assert {len(series) for series in bars.closed(need, COINS, BEGINS).values()} == {600}
