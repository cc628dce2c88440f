"""Show prices: quotes and the day's figures as ticks, and the minute that has just ended as a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from papervenue.engine.engine import Engine
from papervenue.faces.tws.contracts import Contracts
from papervenue.faces.tws.wire import TwsMessage
from papervenue.times import SECOND

PRICE, SIZE, TEXT, LIVE_BAR, SNAPSHOT_END, TYPE, PARAMETERS = 1, 2, 46, 50, 57, 58, 81
BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN = 1, 2, 4, 6, 7, 9, 14
_SIZES = {BID: 0, ASK: 3, LAST: 5}
_VOLUME, _TIME = 8, 45
_LIVE = 1
_SHOWN_SIZE = 10
_BAR_SECONDS = 5


class Prices:
    """Makes the messages about a contract's prices."""

    def __init__(self, engine: Engine, contracts: Contracts) -> None:
        self._engine = engine
        self._contracts = contracts

    def begin(self, request: str, symbol: str) -> Iterator[TwsMessage]:
        """Yield what comes before the first price."""
        tick = self._contracts.root(symbol).tick
        yield TwsMessage(PARAMETERS, {"reqId": request, "minTick": tick, "exchange": "", "permissions": 3})
        yield TwsMessage(TYPE, {"version": 1, "reqId": request, "type": _LIVE})
        yield from self.ticks(request, symbol)

    def changes(self, request: str, symbol: str) -> Callable[[], list[TwsMessage]]:
        """Return what returns the ticks that have changed since it was called last."""
        told: dict[tuple[int, object], TwsMessage] = {}

        def changed() -> list[TwsMessage]:
            made = {(one.number, one.fields["type"]): one for one in self.ticks(request, symbol)}
            new = [one for place, one in made.items() if told.get(place) != one]
            told.update(made)
            return new

        changed()
        return changed

    def ticks(self, request: str, symbol: str) -> Iterator[TwsMessage]:
        """Yield the quote, the last trade, and the figures of the day so far."""
        engine, grid = self._engine, self._engine.market.grids[symbol]
        last, now_us = engine.last_price(symbol), engine.now_us
        if last is None or self._contracts.is_expired(symbol):
            return
        bid, ask = engine.model.around(last, symbol)
        open_now = engine.market.calendars[symbol].is_open(now_us)
        prices = {BID: bid if open_now else -1, ASK: ask if open_now else -1, LAST: last}
        index = engine.market.calendars[symbol].begun(now_us)
        day = None if index is None else engine.market.day(symbol, index).until(now_us, 0)
        if day is not None:
            prices |= {HIGH: day.high, LOW: day.low, OPEN: day.open}
        before = engine.market.previous_close(symbol, now_us)
        if before is not None:
            prices[CLOSE] = before
        for kind, units in prices.items():
            size = _SHOWN_SIZE if kind in _SIZES and units > 0 else 0
            price = grid.usd(units) if units > 0 else Decimal(-1)
            yield TwsMessage(PRICE, _tick(6, request, kind) | {"price": price, "size": size, "attributes": 0})
            if kind in _SIZES:
                yield TwsMessage(SIZE, _tick(6, request, _SIZES[kind]) | {"size": size})
        yield TwsMessage(SIZE, _tick(6, request, _VOLUME) | {"size": 0 if day is None else day.volume})
        bar = engine.market.last_bar(symbol, now_us)
        if bar is not None:
            yield TwsMessage(TEXT, _tick(6, request, _TIME) | {"text": bar.end_us // SECOND})

    def live_bar(self, request: str, symbol: str) -> TwsMessage | None:
        """Return the minute that ended last as the bar of its last five seconds, or None before there is one."""
        grid, bar = self._engine.market.grids[symbol], self._engine.market.last_bar(symbol, self._engine.now_us)
        if bar is None:
            return None
        prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        shown = {name: grid.usd(units) for name, units in prices.items()}
        head = {"version": 3, "reqId": request, "time": bar.end_us // SECOND - _BAR_SECONDS}
        return TwsMessage(LIVE_BAR, {**head, **shown, "volume": bar.volume, "average": shown["close"], "count": 1})


def _tick(version: int, request: str, kind: int) -> dict[str, object]:
    return {"version": version, "reqId": request, "type": kind}
