"""Files of the minutes of a generated market of contracts, as a vendor would tell them."""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from tradebot.app.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.futures import futures_venue
from tradebot.exchange.market.spec import MarketSpec
from tradebot.exchange.times import rfc3339
from tradebot.model.values import replace

HEADER = "ts,symbol,open,high,low,close,volume"


def generated(start: date, sessions: int, *roots: str) -> MarketSpec:
    """Return a market of these roots."""
    venue = futures_venue(start, sessions, roots)
    symbols = tuple(one.symbol for one in venue.instruments)
    return MarketSpec(start=start, sessions=sessions, symbols=symbols, seed=5, venue=venue)


def lines_of(market: Market, symbols: Iterable[str], places: Sequence[int]) -> list[str]:
    """Return the rows of some contracts in some sessions, which count back from the market's first if negative."""
    found = []
    for symbol in symbols:
        usd = market.grids[symbol].usd
        for bar in (bar for place in places for bar in market.day(symbol, place).bars):
            prices = (str(usd(units)) for units in bar[1:5])
            found.append(",".join((rfc3339(bar.start_us), symbol, *prices, str(bar.volume))))
    return found


def written(path: Path, rows: Iterable[str]) -> Path:
    """Write a file of bars."""
    path.write_text("\n".join((HEADER, *rows, "")))
    return path


def opened_from(path: Path, spec: MarketSpec) -> OpenedMarket:
    """Return the market of a file in place of a generated one."""
    return open_market_in_memory(replace(spec, source="csv", path=str(path), bar_stamp="start"))
