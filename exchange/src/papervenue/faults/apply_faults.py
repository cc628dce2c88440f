"""Execute a request on which rules fire, and change the data in its response as the rules say.

The rows of a response are falsified: orders, positions, activities, and flow. Each fault takes a row and returns its
replacement. A response without rows stays unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope

from papervenue.engine.account import Account, Position
from papervenue.engine.account_lists import History, OrderTable
from papervenue.engine.engine import Engine
from papervenue.engine.orders import TERMINAL, Execution, Fill, Order
from papervenue.exchange import Exchange
from papervenue.faces.market_data import DataFace
from papervenue.faces.web import EFFECTS, PathEndpoint, Paths
from papervenue.faults import fault_bodies
from papervenue.faults.armed_rules import RuleFiring
from papervenue.faults.connection_faults import Connection
from papervenue.faults.fault_state import effects_of
from papervenue.faults.kinds import Facts, is_of_kind
from papervenue.margined.accounts import NetPosition
from papervenue.market.bars import usd
from papervenue.times import nanoseconds

_STATUSES = ("new", "accepted", "pending_replace")
_ENVELOPE = "serverTime"
_KRAKENS = {"limit_price": "limitPrice", "qty": "unfilledSize", "updated_at": "lastUpdateTime"}
_ALSO = {"symbol": "contract", "client_order_id": "cliOrdId"}
"""Kraken's names for the fields that faults change."""
_ITS_STATUSES = ("untouched", "partiallyFilled")
_CENT = Decimal("0.01")
_OTHER_SIDE = {"long": "short", "short": "long"}
_SIGNED = ("qty", "qty_available", "market_value", "cost_basis")
_TICKERS = ("ticker", "underlying_symbol", "symbol")
_CONTRACTS = ("option_chain", "option_symbol")
_AFTER_ROOT = len("250321C00240000")

Row = dict[str, Any]
Settings = Mapping[str, Any]


def corrupt_rows(fault: str, value: Any, settings: Settings, number: int) -> Any:
    """Return a response's JSON with falsified rows; `number` counts how often the fault has fired."""
    if isinstance(value, dict) and _ENVELOPE in value:
        # Kraken wraps its lists in an object.
        lists = {name: corrupt_rows(fault, rows, settings, number) for name, rows in value.items() if _are_rows(rows)}
        return value | lists
    if fault == "missing_rows":
        return [row for row in value if not _matches(row, settings)] if isinstance(value, list) else value
    if fault == "repeated_rows":
        return _repeat_rows(value, settings) if isinstance(value, list) else value
    if fault in _OF_ACCOUNTS:
        return _each(value, settings, lambda row: _OF_ACCOUNTS[fault](row, settings, number))
    return _each_of_flow(value, settings, lambda row: _OF_FLOW[fault](row, settings.get("value", "")))


def _repeat_rows(rows: list[Row], settings: Settings) -> list[Row]:
    """Return the rows with each matching one repeated; the copy has 1 added to a field that contains a number."""
    field, repeated = settings["value"], list[Row]()
    for row in rows:
        repeated.append(row)
        if _matches(row, settings):
            old = row.get(field)
            repeated.append(row if old is None else row | {field: old + 1 if isinstance(old, float | int) else old})
    return repeated


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _reverse_row(row: Row, settings: Settings, number: int) -> Row:
    # Another rule may have removed a field or changed its value.
    signed = {name: str(-Decimal(row[name])) for name in _SIGNED if name in row}
    return row | signed | {"side": _OTHER_SIDE.get(str(row.get("side")), "short")}


def _restless(row: Row, settings: Settings, number: int) -> Row:
    """Return an order with one field that varies with the number of the reading, so that no two readings agree."""
    field: str = settings["value"]
    if "unfilledSize" in row:
        return _restless_there(row, field, number)
    old: str | None = row.get(field)
    if not old:
        return row | {field: old}
    if field == "status":
        new = _STATUSES[number % len(_STATUSES)]
    elif field == "updated_at":
        new = nanoseconds(datetime.fromisoformat(old) + timedelta(milliseconds=number))
    else:
        new = str(Decimal(old) + number * (_CENT if field == "limit_price" else 1))
    return row | {field: new}


def _restless_there(row: Row, field: str, number: int) -> Row:
    """Return Kraken's order with one field that varies with the number of the reading; its numbers aren't text."""
    if field == "status":
        return row | {field: _ITS_STATUSES[number % len(_ITS_STATUSES)]}
    name = _KRAKENS[field]
    if field == "updated_at":
        return row | {name: nanoseconds(datetime.fromisoformat(row[name]) + timedelta(milliseconds=number))}
    return row | {name: row[name] + number}


_OF_ACCOUNTS: Mapping[str, Callable[[Row, Settings, int], Row]] = {
    "opposite_side": _reverse_row,
    "position_value": lambda row, settings, number: row | {"market_value": str(settings["value"])},
    "restless_orders": _restless,
}


def _foreign(row: Row, ticker: str) -> list[Row]:
    contracts = {name: ticker + str(row[name])[-_AFTER_ROOT:] for name in _CONTRACTS if name in row}
    return [row | {name: ticker for name in _TICKERS if name in row} | contracts]


def _other_type(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return [value]


_OF_FLOW: Mapping[str, Callable[[Row, str], list[Row]]] = {
    "foreign_rows": _foreign,
    "duplicate_rows": lambda row, field: [row, row],
    "null_field": lambda row, field: [row | {field: None} if field in row else row],
    "retyped_field": lambda row, field: [row | {field: _other_type(row[field])} if field in row else row],
    "new_field": lambda row, field: [row | {field: "unheard of"}],
}
FALSIFYING = frozenset({"missing_rows", "repeated_rows", *_OF_ACCOUNTS, *_OF_FLOW})
"""The faults that change rows."""


def _each(value: Any, settings: Settings, change: Callable[[Row], Row]) -> Any:
    if isinstance(value, list):
        return [_each(row, settings, change) for row in value]
    return change(value) if _matches(value, settings) else value


def _matches(row: Row, settings: Settings) -> bool:
    fields = [field for field in ("symbol", "client_order_id") if field in settings]
    return all(fnmatchcase(_name_of_row(row, field), settings[field]) for field in fields)


def _name_of_row(row: Row, field: str) -> str:
    """Return a row's symbol or client id, whatever the venue calls it."""
    if row.get(field):
        return str(row[field])
    value = str(row.get(_ALSO[field]) or "")
    return value.upper() if field == "symbol" else value


def _each_of_flow(value: Any, settings: Settings, change: Callable[[Row], list[Row]]) -> Any:
    """Return a response with its data changed in a share of its rows, spread evenly."""
    if not isinstance(value, dict) or "data" not in value:
        return value
    data, share = value["data"], Decimal(settings["share"])
    if not isinstance(data, list):
        return value | {"data": change(data)[0]} if isinstance(data, dict) and data else value
    changed: list[Any] = []
    for index, row in enumerate(data):
        chosen = int((index + 1) * share) > int(index * share)
        changed += change(row) if chosen and isinstance(row, dict) else [row]
    return value | {"data": changed}


@contextmanager
def earlier_account(engine: Engine, number: str, then_us: int) -> Iterator[None]:
    """Replace an account with its earlier state inside the `with` block, which must not await anything."""
    now = engine.accounts[number]
    engine.accounts[number], engine.shown_us = account_at(now, then_us), then_us
    try:
        yield
    finally:
        engine.accounts[number], engine.shown_us = now, None


def account_at(account: Account, then_us: int) -> Account:
    """Return a copy of an account without the orders, fills and cash movements after `then_us`."""
    then = copy(account)
    then.activities = History(activity for activity in account.activities if activity.at_us <= then_us)
    later = [activity for activity in account.activities if activity.at_us > then_us]
    fills = [fill for fill in later if isinstance(fill, Execution)]
    then.cash -= sum((fill.net_amount for fill in later), start=0 * then.cash)
    then.positions = _positions_at(account, fills)
    orders = {
        each.id: _order_at(each, then_us, fills) for each in account.orders.values() if each.submitted_us <= then_us
    }
    for order in account.orders.values():
        if (order.replaced_us or 0) > then_us and order.replaced_by in orders:
            orders[order.replaced_by] = _on_its_way(orders[order.replaced_by])
    then.orders = OrderTable({**orders})
    then.open = {order.id: order for order in then.orders.values() if order.is_open}
    then.by_client_id = OrderTable({order.client_order_id: order for order in then.orders.values()})
    # The cached valuations of the account don't apply to the copy.
    then._valued, then._values, then._stale = (-1, -1), {}, set()
    return then


def _positions_at(account: Account, later: list[Execution]) -> dict[str, Position]:
    """Return the positions before some fills; show one that was closed since at the price that closed it."""
    positions = {symbol: copy(position) for symbol, position in account.positions.items()}
    for fill in reversed(later):
        symbol = fill.order.symbol
        position = positions.setdefault(symbol, Position(symbol, 0 * fill.qty, usd(fill.price)))
        position.qty -= fill.shares
        if isinstance(fill, Fill) and fill.settled is not None:
            qty, average, _ = fill.before
            positions[symbol] = NetPosition(symbol, qty, average, cost=fill.settled.cost, since_us=fill.at_us)
    return {symbol: position for symbol, position in positions.items() if position.qty}


def _order_at(order: Order, then_us: int, later: list[Execution]) -> Order:
    """Return an order as it was: open if it ended later, and without later fills."""
    if order.updated_us <= then_us:
        return order
    then = copy(order)
    for fill in (fill for fill in later if fill.order is order):
        then.filled_qty -= fill.shares * order.side
        settled = fill.settled if isinstance(fill, Fill) else None
        then.filled_usd -= -fill.net_amount * order.side if settled is None else settled.value
    for moment in ("filled_us", "canceled_us", "expired_us", "failed_us", "replaced_us"):
        if (getattr(order, moment) or 0) > then_us:
            setattr(then, moment, None)
    then.replaced_by = order.replaced_by if then.replaced_us else None
    if order.status in TERMINAL:
        then.status = "partially_filled" if then.filled_qty else "new"
    then.updated_us = then.filled_us or order.submitted_us
    return then


def _on_its_way(replacement: Order) -> Order:
    """Return a replacement order as it was before it took effect, without the fills it took over."""
    then = copy(replacement)
    then.status = "held" if replacement.status == "held" else "pending_new"
    then.filled_qty = then.filled_usd = 0 * replacement.filled_qty
    return then


_QUOTES = {"crossed_quotes": fault_bodies.cross_quote, "wrong_quotes": fault_bodies.scale_quote}


class CapturedReply:
    def __init__(self) -> None:
        self._status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", []))
        else:
            self._body += message.get("body", b"")

    def build_reply(self) -> fault_bodies.PendingReply:
        return fault_bodies.PendingReply(self._status, self._headers, self._body)


class InnerApplications:
    """The applications behind the fault middleware: the exchange, and a second market-data API for past data."""

    def __init__(self, inner: ASGIApp, exchange: Exchange) -> None:
        self.inner = inner
        self.engine = exchange.engine
        self._exchange = exchange
        self._at_us = 0

    @cached_property
    def _paths(self) -> Paths:
        # Few exchanges ever show old data, so it is created on first use.
        return Paths(DataFace(self._exchange, lambda: self._at_us).routes(), PathEndpoint({}))

    async def older(self, scope: Scope, receive: Receive, at_us: int) -> fault_bodies.PendingReply:
        """Return the response to a data request at an earlier engine time, without changing any state."""
        self._at_us, caught = at_us, CapturedReply()
        # The handler never awaits, so no other request sees the earlier time.
        await self._paths({**scope}, receive, caught)
        return caught.build_reply()


class FaultedRequest:
    """One request on which rules fire; `target` is its method and path."""

    def __init__(
        self, behind: InnerApplications, connection: Connection, facts: Facts, firings: list[RuleFiring], body: bytes
    ) -> None:
        self.connection = connection
        self.target = facts.target
        self._behind = behind
        self._facts = facts
        self._firings = firings
        self._body: bytes | None = body

    async def again(self) -> Message:
        """Return the request's body, which was already read, and afterward the client's further messages."""
        if self._body is None:
            return await self.connection.receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer(self) -> fault_bodies.PendingReply:
        """Execute the request, and return its response with the changes that the firing rules make to its data."""
        effects = effects_of(self._firings, self._facts, self._behind.engine.now_us)
        caught = CapturedReply()
        await self._behind.inner({**self.connection.scope, EFFECTS: effects}, self.again, caught)
        answered = caught.build_reply()
        for firing in self._firings:
            if firing.role == "data":
                answered = await self._tint_reply(firing, answered)
        return answered

    async def _tint_reply(self, firing: RuleFiring, answered: fault_bodies.PendingReply) -> fault_bodies.PendingReply:
        settings, fault = firing.rule.settings, firing.rule.fault
        if fault == "clock_skew":
            self.connection.shift_date(settings["value"])
        if fault == "stale_account":
            return await self._as_then(firing, answered)
        if answered.status != 200:
            return answered
        if fault == "stale_quotes":
            return await self._older(firing, answered)
        return answered.with_body(self._change_body(firing, answered.body))

    def _change_body(self, firing: RuleFiring, body: bytes) -> bytes:
        fault, settings = firing.rule.fault, firing.rule.settings
        if fault in _QUOTES:
            matches, dollars, change = _symbol_matcher(firing), float(settings["value"]), _QUOTES[fault]
            return fault_bodies.change_body(
                body, lambda value: fault_bodies.change_quotes(value, matches, lambda quote: change(quote, dollars))
            )
        if fault == "false_end":
            return fault_bodies.change_body(
                body,
                lambda value: fault_bodies.false_ends(
                    value, lambda name: fnmatchcase(name, settings["client_order_id"])
                ),
            )
        if fault in ("unknown_enum", "missing_field", "wrong_value"):
            return fault_bodies.change_body(body, lambda value: fault_bodies.in_fields(fault, value, settings))
        if fault in FALSIFYING:
            return fault_bodies.change_body(body, lambda value: corrupt_rows(fault, value, settings, firing.number))
        if is_of_kind(self.target, "clock"):
            return fault_bodies.change_body(body, lambda value: fault_bodies.shifted_clock(value, settings["value"]))
        return body

    async def _older(self, firing: RuleFiring, answered: fault_bodies.PendingReply) -> fault_bodies.PendingReply:
        """Return an answer with older values for the rule's symbols, or an older error as a whole."""
        matches = _symbol_matcher(firing)
        status, _, older = await self._behind.older(self.connection.scope, self.again, self._then_us(firing))
        if status == 200:
            merged = fault_bodies.change_body(
                answered.body, lambda value: fault_bodies.replace_values(value, json.loads(older), matches)
            )
            return answered.with_body(merged)
        # An error replaces the whole answer, so it may only be used if the rule covers every symbol in the request.
        all_match = all(matches(symbol) for symbol in self._facts.symbols)
        return answered._replace(status=status).with_body(older) if all_match else answered

    async def _as_then(self, firing: RuleFiring, answered: fault_bodies.PendingReply) -> fault_bodies.PendingReply:
        """Return the response that the account's owner would have received back then, or this one for unknown keys."""
        if not self._facts.account:
            return answered
        self._body, caught = b"", CapturedReply()
        with earlier_account(self._behind.engine, self._facts.account[0], self._then_us(firing)):
            await self._behind.inner({**self.connection.scope}, self.again, caught)
        return caught.build_reply()

    def _then_us(self, firing: RuleFiring) -> int:
        age_us = firing.rule.settings["value"]
        return firing.since_us if age_us is None else self._behind.engine.now_us - age_us


def _symbol_matcher(firing: RuleFiring) -> fault_bodies.Matches:
    patterns = firing.rule.when.symbol or ("*",)
    return lambda symbol: any(fnmatchcase(symbol, pattern) for pattern in patterns)
