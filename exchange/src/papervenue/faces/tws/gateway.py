"""Manage the clients of an exchange: send each one the changes of its orders, and the prices that it follows.

Prices are quotes and the day's figures, sent as ticks, and the minute that has just ended, sent as a bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Execution, Order
from papervenue.events import Event, EventPosition
from papervenue.exchange import Exchange
from papervenue.faces.tws import order_messages
from papervenue.faces.tws.account_requests import TwsReads
from papervenue.faces.tws.contracts import Contracts
from papervenue.faces.tws.history import TwsHistory
from papervenue.faces.tws.order_messages import error
from papervenue.faces.tws.orders import ids_of
from papervenue.faces.tws.wire import TwsMessage
from papervenue.faults.streaming import TRADE_UPDATES, Recipient, StreamFaults
from papervenue.flow.derived import Headlines
from papervenue.times import SECOND

PRICE, SIZE, TEXT, LIVE_BAR, SNAPSHOT_END, TYPE, PARAMETERS = 1, 2, 46, 50, 57, 58, 81

BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN = 1, 2, 4, 6, 7, 9, 14

_SIZES = {BID: 0, ASK: 3, LAST: 5}

_VOLUME, _TIME = 8, 45

_LIVE = 1

_SHOWN_SIZE = 10

_BAR_SECONDS = 5


class Prices:
    """Builds the messages about a contract's prices."""

    def __init__(self, engine: Engine, contracts: Contracts) -> None:
        self._engine = engine
        self._contracts = contracts

    def begin(self, request: str, symbol: str) -> Iterator[TwsMessage]:
        """Yield the first messages for a request: the tick size, the type of data, and the current ticks."""
        tick = self._contracts.root(symbol).tick
        yield TwsMessage(PARAMETERS, {"reqId": request, "minTick": tick, "exchange": "", "permissions": 3})
        yield TwsMessage(TYPE, {"version": 1, "reqId": request, "type": _LIVE})
        yield from self.ticks(request, symbol)

    def changes(self, request: str, symbol: str) -> Callable[[], list[TwsMessage]]:
        """Return a function that returns the ticks that have changed since its last call."""
        by_key: dict[tuple[int, object], TwsMessage] = {}

        def changed_ticks() -> list[TwsMessage]:
            latest = {(tick.number, tick.fields["type"]): tick for tick in self.ticks(request, symbol)}
            new = [message for key, message in latest.items() if by_key.get(key) != message]
            by_key.update(latest)
            return new

        changed_ticks()
        return changed_ticks

    def ticks(self, request: str, symbol: str) -> Iterator[TwsMessage]:
        """Yield the quote, the last trade, and the figures of the day so far."""
        engine, grid = self._engine, self._engine.market.grids[symbol]
        last, now_us = engine.last_price(symbol), engine.now_us
        if last is None or self._contracts.is_expired(symbol):
            return
        bid, ask = engine.model.around(last, symbol)
        open_now = engine.market.calendars[symbol].is_open(now_us)
        prices = {BID: bid if open_now else -1, ASK: ask if open_now else -1, LAST: last}
        index = engine.market.calendars[symbol].last_begun(now_us)
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
        """Return the last finished minute as if it were a five-second bar, or None before the first minute has
        finished.
        """
        grid, bar = self._engine.market.grids[symbol], self._engine.market.last_bar(symbol, self._engine.now_us)
        if bar is None:
            return None
        prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        shown = {name: grid.usd(units) for name, units in prices.items()}
        head = {"version": 3, "reqId": request, "time": bar.end_us // SECOND - _BAR_SECONDS}
        return TwsMessage(LIVE_BAR, {**head, **shown, "volume": bar.volume, "average": shown["close"], "count": 1})


def _tick(version: int, request: str, kind: int) -> dict[str, object]:
    return {"version": version, "reqId": request, "type": kind}


CONNECTION_LOST, BACK_WITHOUT_DATA, BACK_WITH_DATA = 1100, 1101, 1102

_TEXTS = {
    CONNECTION_LOST: "Connectivity between IBKR and Trader Workstation has been lost.",
    BACK_WITHOUT_DATA: "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
    BACK_WITH_DATA: "Connectivity between IBKR and Trader Workstation has been restored - data maintained.",
}


class GatewayConnection(Protocol):
    """A client's connection."""

    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def record(self) -> None:
        """Write all pending lines into the exchange's log, because clients may only see changes that are logged."""

    def later(self, seconds: float, do: Callable[[], None]) -> None: ...


class Client(Protocol):
    """The gateway's view of a client that has completed its handshake."""

    def tell(self, message: TwsMessage) -> None: ...
    def follow(self) -> None:
        """Send the client what is new in the prices that it subscribes to, because engine time has moved."""

    def forget_prices(self) -> None: ...
    @property
    def holds(self) -> bool:
        """Return True if the client subscribes to position changes."""

    @property
    def binds(self) -> bool:
        """Return True if the client follows the orders that weren't placed by any client."""


class ClientMessage(NamedTuple):
    """A message for one client about an order, and its name in fault rules."""

    client: int
    name: str
    order: Order
    message: TwsMessage


class Gateway:
    """The state that all clients of an exchange share."""

    def __init__(self, exchange: Exchange, delivery: StreamFaults) -> None:
        self.exchange = exchange
        self.engine: Engine = exchange.engine
        self.contracts = Contracts(exchange.engine)
        self.reads = TwsReads(exchange.engine, self.contracts)
        self.history = TwsHistory(exchange.engine, self.contracts)
        self.prices = Prices(exchange.engine, self.contracts)
        self.headlines = Headlines(exchange.market, exchange.stored.spec.seed)
        self.clients: dict[int, Client] = {}
        self._delivery = delivery
        self._lost: tuple[int, int] | None = None
        exchange.listeners.append(self)
        exchange.moved.append(lambda from_us, to_us: self._after_time_moved())

    @property
    def account(self) -> Account:
        return self.engine.main

    @property
    def is_unreachable(self) -> bool:
        """Return True while the venue is unreachable: requests get lost, and clients receive nothing."""
        return self._lost is not None

    def lose(self, for_us: int, code: int) -> None:
        """Simulate a lost connection to the venue for a while.

        The code determines whether price streams resume by themselves.
        """
        self._lost = self.engine.now_us + for_us, code
        self._tell_all(CONNECTION_LOST)

    def _after_time_moved(self) -> None:
        if self._lost is not None:
            until_us, code = self._lost
            if self.engine.now_us < until_us:
                return
            self._lost = None
            if code == BACK_WITHOUT_DATA:
                for client in self.clients.values():
                    client.forget_prices()
            self._tell_all(code)
        for client in self.clients.values():
            client.follow()

    def _tell_all(self, code: int) -> None:
        for client in self.clients.values():
            client.tell(error(-1, code, _TEXTS[code]))

    def capture(self, event: Event, event_place: EventPosition) -> list[ClientMessage] | None:
        """Return the messages about an event, with the current state in them; None if no client needs one."""
        if not self.clients or event.account != self.account.number:
            return None
        if event.update is not None:
            execution = event.update.execution
            if execution is None:
                return self._order_messages(event.update.event, event.update.order)
            return self._execution_messages(event.update.event, execution)
        return self._fee_messages(str(event.fields["fill"])) if "fill" in event.fields else None

    def _order_messages(self, name: str, order: Order) -> list[ClientMessage]:
        book, grid, (client, number) = self.reads.book, self.engine.market.grids[order.symbol], ids_of(order)
        messages = [book.open_order(order), order_messages.status(grid, order)]
        if name == "new" and not order.request.label:
            messages = [order_messages.bound(order), *messages]
        if name in ("canceled", "expired"):
            messages = [order_messages.error(number, 202, order_messages.reason(order)), messages[1]]
        if name == "rejected":
            messages = [order_messages.error(number, 201, order_messages.reason(order)), *messages]
        return [ClientMessage(client, name, order, message) for message in messages]

    def _execution_messages(self, name: str, filled: Execution) -> list[ClientMessage]:
        order, number = filled.order, order_messages.number_of(filled)
        grid, (client, _) = self.engine.market.grids[order.symbol], ids_of(order)
        sent = [ClientMessage(client, name, order, self.reads.book.execution(-1, filled, number))]
        sent.append(ClientMessage(client, "status", order, self.reads.book.open_order(order)))
        sent.append(ClientMessage(client, "status", order, order_messages.status(grid, order, grid.usd(filled.price))))
        tws_message = self.reads.position(self.account, order.symbol)
        return sent + [
            ClientMessage(key, "position", order, tws_message) for key, there in self.clients.items() if there.holds
        ]

    def _fee_messages(self, fill: str) -> list[ClientMessage]:
        newest = reversed(self.account.activities)
        fee = next(activity for activity in newest if isinstance(activity, Activity) and activity.about == fill)
        filled = next((filled for filled in newest if isinstance(filled, Execution) and filled.fill.id == fill), None)
        if filled is None:
            return []
        message = self.reads.book.commission(fee, filled.fill, order_messages.number_of(filled))
        return [ClientMessage(ids_of(filled.order)[0], "commission", filled.order, message)]

    def publish(self, captured: list[ClientMessage]) -> None:
        """Send messages to clients according to the fault rules; events while the venue is unreachable are lost."""
        for client, name, order, message in captured:
            there = self.clients.get(client)
            if there is None or self.is_unreachable or not (order.request.label or there.binds or name == "position"):
                continue
            side = "buy" if order.side > 0 else "sell"
            whom = {"symbol": order.symbol, "side": side, "client_order_id": order.client_order_id}
            about: dict[str, Any] = {"data": {"order": whom, "event": name}, "fields": dict(message.fields)}
            for item in self._delivery.deliver(TRADE_UPDATES, order.account, about, Recipient("", f"tws {client}")):
                there.tell(TwsMessage(message.number, item["fields"]))
