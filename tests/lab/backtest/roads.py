"""Two roads to one exchange: through its API, answered in this process, and straight to its engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from exchange.tests.kit.app import World
from exchange.tests.kit.wire import URL, lead
from papervenue.times import to_datetime
from tests.kit.values import VENUE_DAY, there
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.bars.store import SqliteBars
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.venue_connection import ANSWER_MADE_AT
from tradebot.lab.backtest.run import BacktestRun
from tradebot.model.order import Order
from tradebot.model.trading import Mode
from tradebot.model.view import NOTHING, Needs, StrategyView, Want
from tradebot.ports.broker import BrokerReader, Market
from tradebot.venues.alpaca.bars import AlpacaBars
from tradebot.venues.alpaca.orders import AlpacaOrders
from tradebot.venues.alpaca.reader import AlpacaReader
from tradebot.venues.alpaca.wire import AlpacaVenue


def play_to_end(run: BacktestRun) -> BacktestRun:
    """Play all sessions of a run, and compare books and exchange."""
    try:
        while not run.is_complete:
            run.step()
    finally:
        run.made.close()
    return run


class Stub(Struct, frozen=True):
    """A strategy that wants nothing."""

    name: str
    times: str = ""
    needs: Needs = NOTHING

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return ()


ANSWERED = frozenset({"created", "request", "ticked"})
"""Lines of the log that say what was asked of an exchange."""


class Road:
    """The bot's own adapters on an exchange's API; use it within `road_to`."""

    def __init__(self, world: World, folder: Path) -> None:
        self.venue = AlpacaVenue(URL, URL, "sandbox", "sandbox", "sandbox", Mode.SANDBOX)
        self.tally = DriftTally()
        self.reader = AlpacaReader(self.venue, self.tally)
        self.orders = AlpacaOrders(self.venue, self.tally)
        source = AlpacaBars(self.venue, self.tally)
        at = to_datetime(world.engine.now_us)
        self.flow = UnusualWhales(
            URL,
            "sandbox",
            now=lambda: to_datetime(world.engine.now_us),
            told_at=lambda answer: parse_time(answer.headers[ANSWER_MADE_AT]),
        )
        self.bars = StoredBars(
            lambda: SqliteBars(folder, MemoryEvents(), at), lambda: source, self.reader.calendar, VENUE_DAY
        )


@contextmanager
def road_to(world: World, folder: Path) -> Iterator[Road]:
    """Let requests of the block end in a world, and yield the adapters for it."""

    with pytest.MonkeyPatch.context() as patch:
        lead(patch, world.send)
        yield Road(world, folder)


def seen(reader: BrokerReader, market: Market, symbols: tuple[str, ...], which: int | None = None) -> dict[str, Any]:
    """Return what can be read of an account now, each value with its digits.

    Besides what every pass reads, it is one way of asking, by its number, or all of them.
    """
    always: dict[str, Callable[[], object]] = {
        "view": reader.view,
        "fills": lambda: list(reader.fills(None)),
        "quotes": lambda: dict(market.quotes(symbols)),
        "rejected": lambda: sorted(market.rejected_quotes.items()),
    }
    others = _other_ways(reader, market, symbols)
    chosen = others if which is None else dict([[*others.items()][which % len(others)]])
    # Equal decimals may have different digits, and what is shown and stored of them would differ.
    return {name: repr(ask()) for name, ask in (always | chosen).items()}


def _other_ways(reader: BrokerReader, market: Market, symbols: tuple[str, ...]) -> dict[str, Callable[[], object]]:
    now, listed = reader.clock().now, reader.orders_of(symbols)
    earlier = [now - timedelta(seconds=seconds) for seconds in (0, 60, 86_400)]
    return {
        "clock": reader.clock,
        "account": reader.account,
        "positions": lambda: [reader.position(symbol) for symbol in symbols],
        "orders": lambda: listed,
        "ended": lambda: [reader.ended(at) for at in earlier],
        "one by one": lambda: [_ways_to(reader, order) for order in listed.orders[:3]],
        "fills since": lambda: [list(reader.fills(at)) for at in earlier],
        "unreadable": lambda: reader.unreadable_fills,
        "activities": lambda: [list(reader.activities(at)) for at in earlier],
        "again": lambda: _again(market, [*market.quotes(symbols)]),
        "calendar": lambda: _calendars(reader),
        "lives": lambda: (reader.capabilities, [_lives(reader, order) for order in listed.orders[:3]]),
        "listings": lambda: [*reader.listings((*symbols, "BTC/USD", "AAPL261218C00300000")).items()],
    }


def _again(market: Market, quoted: list[str]) -> object:
    return dict(market.quotes_again(quoted)) if quoted else None


def _ways_to(reader: BrokerReader, order: Order) -> object:
    return reader.order(order.client_order_id), reader.follower(order.venue_id), tuple(reader.legs(order.venue_id))


def _lives(reader: BrokerReader, order: Order) -> list[str]:
    sent = there(order.submitted_at)
    sessions = reader.calendar(sent.date(), sent.date() + timedelta(days=4))
    return [reader.has_outlived(order, sessions, sent + timedelta(hours=hours)) for hours in (1, 10, 96)]


def _calendars(reader: BrokerReader) -> list[object]:
    today = reader.clock().now.date()
    spans = ((-30, 30), (-3, -1), (0, 0), (-900, -895), (5, 4))
    return [list(reader.calendar(today + timedelta(first), today + timedelta(last))) for first, last in spans]


def lines_of(world: World) -> list[dict[str, Any]]:
    """Return what an exchange's log says has happened, without its numbers and without the requests."""
    rows = ({name: value for name, value in row.items() if name != "seq"} for row in world.events())
    return [row for row in rows if row["event"] not in ANSWERED and not row.get("note")]
