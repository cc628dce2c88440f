"""The requests that change the exchange: read from their text, so that a replay of the log is the same road.

A command is (method, path, query, body); `Commands.run` answers it with a status and JSON bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Order, OrderRequest, read_order
from tradebot.exchange.faces.trading_json import asset_id, order_json
from tradebot.exchange.jsontext import decode_object, encode, to_decimal
from tradebot.exchange.refusal import Refusal, invalid, malformed, not_found
from tradebot.exchange.times import DAY, SECOND, parse_time, rfc3339

_NINE_PLACES = Decimal("1e-9")
_LONGEST_TICK_S = 10_000 * DAY // SECOND
_TRUE = ("true", "1", "t")

Answer = tuple[int, bytes]


class Command(NamedTuple):
    """One request that may change the exchange, exactly as it came."""

    method: str
    path: str
    query: str = ""
    body: str = ""


class Commands:
    """Runs commands against an engine. `status` renders the answer to a tick."""

    def __init__(self, engine: Engine, status: Callable[[], dict[str, Any]]) -> None:
        self._engine = engine
        self._status = status

    def run(self, command: Command) -> tuple[Answer, Refusal | None]:
        """Answer a command; the refusal, if any, comes along so that it can be logged."""
        try:
            return self._route(command), None
        except Refusal as refusal:
            return (refusal.status, encode(refusal.body)), refusal

    def _route(self, command: Command) -> Answer:
        target = (command.method, command.path)
        if target == ("POST", "/v2/orders"):
            return self._submit(command)
        if target == ("POST", "/exchange/v1/tick"):
            return self._tick(command)
        if target == ("DELETE", "/v2/orders"):
            return 207, encode(self._cancel_all())
        if target == ("DELETE", "/v2/positions"):
            return self._close_all(command)
        if command.method == "DELETE":
            return self._delete_one(command)
        raise not_found("endpoint not found")

    def _submit(self, command: Command) -> Answer:
        request = read_order(decode_object(command.body))
        return 200, encode(order_json(self._engine.submit(request)))

    def _delete_one(self, command: Command) -> Answer:
        _, _, collection, name = command.path.split("/", 3)
        if collection == "orders":
            self._engine.cancel(unquote(name))
            return 204, b""
        return self._close_one(unquote(name), _query(command))

    def _cancel_all(self) -> list[dict[str, Any]]:
        ids = list(self._engine.open)
        for order_id in ids:
            self._engine.cancel(order_id)
        return [{"id": order_id, "status": 200} for order_id in ids]

    def _close_one(self, name: str, query: dict[str, str]) -> Answer:
        symbol = position_symbol(self._engine, name)
        return 200, encode(order_json(self._close(symbol, query.get("qty"), query.get("percentage"))))

    def _close(self, symbol: str, qty: str | None = None, percentage: str | None = None) -> Order:
        held = self._engine.account.qty(symbol)
        return self._engine.submit(_closing(symbol, held, _closing_qty(abs(held), qty, percentage)))

    def _close_all(self, command: Command) -> Answer:
        if _query(command).get("cancel_orders", "").lower() in _TRUE:
            self._cancel_all()
        return 207, encode([self._closed(symbol) for symbol in list(self._engine.account.positions)])

    def _closed(self, symbol: str) -> dict[str, Any]:
        try:
            return {"symbol": symbol, "status": 200, "body": order_json(self._close(symbol))}
        except Refusal as refusal:
            return {"symbol": symbol, "status": refusal.status, "body": refusal.body}

    def _tick(self, command: Command) -> Answer:
        self._engine.tick(self._tick_target(decode_object(command.body)))
        return 200, encode(self._status())

    def _tick_target(self, body: dict[str, Any]) -> int:
        if set(body) == {"seconds"}:
            return self._after(body["seconds"])
        if set(body) == {"to"} and isinstance(body["to"], str):
            return self._moment(body["to"])
        raise malformed('a tick is {"seconds": n} or {"to": "<ISO time>|open|close|next_open"}')

    def _after(self, given: object) -> int:
        seconds = to_decimal(given)
        if seconds is None or not 0 <= seconds <= _LONGEST_TICK_S:
            raise malformed(f"seconds must be a number from 0 to {_LONGEST_TICK_S}")
        return self._bounded(self._engine.now_us + int(seconds * SECOND))

    def _bounded(self, to_us: int) -> int:
        """Time runs on to the last close; beyond it, it moves only when an exact moment is asked for."""
        return min(to_us, max(self._engine.now_us, self._engine.market.calendar.last_close_us))

    def _moment(self, text: str) -> int:
        calendar, now = self._engine.market.calendar, self._engine.now_us
        if text == "open":
            return now if calendar.is_open(now) else self._bounded(calendar.next_open(now))
        if text == "next_open":
            return self._bounded(calendar.next_open(now))
        if text == "close":
            return self._bounded(calendar.next_close(now))
        return self._instant(text)

    def _instant(self, text: str) -> int:
        try:
            to_us = parse_time(text)
        except (ValueError, OverflowError) as error:
            raise malformed(f"not an ISO time: {text[:40]!r}") from error
        if to_us < self._engine.now_us:
            raise malformed(f"time never runs backwards: it is {rfc3339(self._engine.now_us)}")
        horizon = self._engine.market.calendar.horizon_us
        if to_us > horizon:
            raise malformed(f"the market ends: time can go to {rfc3339(horizon)} at the latest")
        return to_us


def position_symbol(engine: Engine, name: str) -> str:
    """Return the held symbol that a symbol or asset id names; raises a 404 Refusal."""
    for symbol in engine.account.positions:
        if name in (symbol, asset_id(symbol)):
            return symbol
    raise not_found("position does not exist")


def _closing_qty(held: Decimal, qty: str | None, percentage: str | None) -> Decimal:
    if qty is not None and percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    if qty is not None:
        return _positive(qty, "qty")
    if percentage is None:
        return held
    share = _positive(percentage, "percentage")
    if share > 100:
        raise invalid("percentage must be between 0 and 100")
    part = (held * share / 100).quantize(_NINE_PLACES, ROUND_DOWN)
    # A whole position is closed in whole shares: only a fractional one may leave a fraction behind.
    whole = part.to_integral_value(ROUND_DOWN) if held == held.to_integral_value() else part
    if not whole:
        raise invalid("qty must be > 0")
    return whole


def _positive(text: str, name: str) -> Decimal:
    value = to_decimal(text)
    if value is None or value <= 0 or value != value.quantize(_NINE_PLACES):
        raise invalid(f"invalid {name}")
    return value


def _closing(symbol: str, held: Decimal, qty: Decimal) -> OrderRequest:
    return OrderRequest(symbol, -1 if held > 0 else 1, "market", "day", qty, None, None, None, None)


def _query(command: Command) -> dict[str, str]:
    return dict(parse_qsl(command.query, keep_blank_values=True))
