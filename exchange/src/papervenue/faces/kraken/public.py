"""Serve public data other than prices: trades, fee schedules, the states of instruments, and which charts exist.

The market only has minutes, so each minute counts as one trade here: its whole volume, at its close price, when it
ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from papervenue.chance import uuid_of
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Fill
from papervenue.faces.kraken.read_routes import MARK, RESOLUTIONS, SPOT, TRADE
from papervenue.faces.kraken.wire_format import encoded, error, iso, milliseconds, number, price, timed_reply
from papervenue.faces.web import Call, Reply
from papervenue.market.bars import Bar
from papervenue.market.venue import Rules
from papervenue.times import DAY, parse_time

TRADES_A_PAGE = 100
FEES_UID = "7fc4d7c0-464f-4029-a9bb-55856d0c5247"
"""The id of the only fee schedule."""
_CHARTS = (MARK, SPOT, TRADE)
_THIRTY_DAYS = 30 * DAY


class PublicReads:
    """Handles requests that need no key."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self._engine = engine
        self._rules = rules

    def trades(self, symbol: str, until_us: int, after_us: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the trades of a symbol before a moment and after another one, newest first."""
        market, now_us = self._engine.market, min(self._engine.now_us, until_us)
        for index in range(market.calendars[symbol].last_reached(now_us), -1, -1):
            day = market.day(symbol, index)
            for bar in reversed(day.bars[: day.complete(now_us)]):
                if bar.end_us <= after_us:
                    return
                if bar.end_us < until_us:
                    yield self._trade(symbol, bar)

    def _trade(self, symbol: str, bar: Bar) -> dict[str, Any]:
        return {
            "uid": uuid_of("trade", symbol, bar.start_us),
            "side": "buy" if bar.close >= bar.open else "sell",
            "type": "fill",
            "at_us": bar.end_us,
            "price": price(self._engine.market.grids[symbol], bar.close),
            "qty": bar.volume,
        }

    def _symbol(self, text: str) -> str:
        symbol = text.upper()
        if symbol not in self._engine.market.known:
            raise error(self._engine.now_us, "invalidArgument: symbol")
        return symbol

    def history(self, call: Call) -> Reply:
        """Return the newest trades of a symbol or, if a time is named, the newest before that time."""
        symbol, until_us = self._symbol(call.query.get("symbol", "")), self._engine.now_us + 1
        if call.query.get("lastTime"):
            try:
                until_us = parse_time(call.query["lastTime"])
            except ValueError:
                raise error(self._engine.now_us, "invalidArgument: lastTime") from None
        rows = [
            {
                "time": iso(trade["at_us"]),
                "trade_id": trade["at_us"] // 1_000_000,
                "price": trade["price"],
                "size": trade["qty"],
                **{name: trade[name] for name in ("side", "type", "uid")},
            }
            for trade in islice(self.trades(symbol, until_us), TRADES_A_PAGE)
        ]
        return timed_reply(self._engine.now_us, history=rows)

    def executions(self, call: Call) -> Reply:
        """Return the newest trades of a symbol, in the same form as the history."""
        symbol = self._symbol(call.names["symbol"])
        elements = [
            {
                "uid": trade["uid"],
                "timestamp": milliseconds(trade["at_us"]),
                "event": {
                    "Execution": {
                        "execution": {
                            "uid": trade["uid"],
                            "tradeable": symbol,
                            "timestamp": milliseconds(trade["at_us"]),
                            "price": str(trade["price"]),
                            "quantity": str(trade["qty"]),
                        },
                        "takerReducedQuantity": "",
                    }
                },
            }
            for trade in islice(self.trades(symbol, self._engine.now_us + 1), TRADES_A_PAGE)
        ]
        return Reply(200, encoded({"elements": elements, "len": len(elements)}))

    def statuses(self, call: Call) -> Reply:
        """Return the state of each instrument."""
        rows = [self._status(symbol) for symbol in self._engine.market.symbols]
        return timed_reply(self._engine.now_us, instrumentStatus=rows)

    def status(self, call: Call) -> Reply:
        """Return the state of one instrument."""
        return timed_reply(self._engine.now_us, **self._status(self._symbol(call.names["symbol"])))

    def _status(self, symbol: str) -> dict[str, Any]:
        last_us = self._engine.market.grids[symbol].last_us
        ended = last_us is not None and self._engine.now_us >= last_us
        return {
            "tradeable": symbol,
            "experiencingDislocation": False,
            "priceDislocationDirection": None,
            "experiencingExtremeVolatility": False,
            "extremeVolatilityInitialMarginMultiplier": 1,
            "suspended": ended or symbol in self._engine.halted,
        }

    def fee_schedules(self, call: Call) -> Reply:
        """Return the fee schedule, which has one tier here, in percent."""
        fees = {"makerFee": self._rules.maker_fee * 100, "takerFee": self._rules.taker_fee * 100}
        tier = {**{name: number(fee) for name, fee in fees.items()}, "usdVolume": 0}
        return timed_reply(self._engine.now_us, feeSchedules=[{"uid": FEES_UID, "name": "Perpetuals", "tiers": [tier]}])

    def volumes(self, owner: Account, call: Call) -> Reply:
        """Return what an account has traded in thirty days, in USD."""
        since_us, total = self._engine.now_us - _THIRTY_DAYS, Decimal(0)
        for activity in reversed(owner.activities):
            if isinstance(activity, Fill) and activity.at_us >= since_us:
                total += abs(self._engine.market.grids[activity.order.symbol].notional(activity.qty, activity.price))
        return timed_reply(self._engine.now_us, volumesByFeeSchedule={FEES_UID: number(total)})

    def notifications(self, owner: Account, call: Call) -> Reply:
        """Return an empty list, because nothing is announced here."""
        return timed_reply(self._engine.now_us, notifications=[])

    def leverages(self, owner: Account, call: Call) -> Reply:
        """Return the maximum leverage of each symbol with isolated margin."""
        rows = [{"symbol": symbol, "maxLeverage": number(most)} for symbol, most in owner.leverages.items()]
        return timed_reply(self._engine.now_us, leveragePreferences=rows)

    def charts(self, call: Call) -> Reply:
        """Return the kinds of charts, the symbols of a kind, or the resolutions of a symbol."""
        kind, symbol = call.names.get("kind"), call.names.get("symbol")
        if kind is None:
            return Reply(200, encoded(list(_CHARTS)))
        if kind not in _CHARTS or (symbol is not None and symbol.upper() not in self._engine.market.known):
            return Reply(404, encoded({"errors": ["not found"]}))
        return Reply(200, encoded(list(self._engine.market.symbols) if symbol is None else list(RESOLUTIONS)))


def trade_message(symbol: str, trade: dict[str, Any], feed: str = "trade") -> dict[str, Any]:
    """Return a trade in the form in which the websocket sends it."""
    own = {name: trade[name] for name in ("uid", "side", "type", "price", "qty")}
    at = {"seq": trade["at_us"] // 1_000_000, "time": milliseconds(trade["at_us"])}
    return {"feed": feed, "product_id": symbol, **own, **at}
