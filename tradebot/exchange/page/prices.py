"""Build one row of the page's book: best bid and offer, last price, and a line for the session so far."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import UNITS, usd
from tradebot.exchange.times import MINUTE

_POINTS = 78
_RATIO = Decimal("1e-6")


def book_row(engine: Engine, symbol: str) -> dict[str, Any]:
    """Return a symbol's prices; the line is (part of the session, USD), `base` the previous session's close."""
    price = engine.market.price(symbol, engine.now_us)
    before = engine.market.previous_close(symbol, engine.now_us)
    return {
        "symbol": symbol,
        "bid": None if price is None else plain(usd(engine.model.bid(price))),
        "ask": None if price is None else plain(usd(engine.model.ask(price))),
        "last": None if price is None else plain(usd(price)),
        "change": None if price is None or before is None else plain((usd(price) / usd(before) - 1).quantize(_RATIO)),
        "base": None if before is None else before / UNITS,
        "line": _line(engine, symbol),
    }


def _line(engine: Engine, symbol: str) -> list[tuple[float, float]]:
    """Return about as many points as a line of that size can show, always including the newest."""
    calendar, now = engine.market.calendar, engine.now_us
    index = calendar.begun(now)
    if index is None:
        return []
    session, day = calendar.market[index], engine.market.day(symbol, index)
    length_us = session.close_us - session.open_us
    bars = day.bars[: day.complete(now)]
    step = max(1, length_us // MINUTE // _POINTS)
    kept = bars[(len(bars) - 1) % step :: step]
    return [(round((bar.end_us - session.open_us) / length_us, 4), bar.close / UNITS) for bar in kept]
