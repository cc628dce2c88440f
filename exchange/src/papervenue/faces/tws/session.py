"""Serve one client: greet it, start it under its id, and handle its requests according to the fault rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from papervenue.commands.command import Command
from papervenue.engine.orders import Order
from papervenue.faces.tws import place_order
from papervenue.faces.tws.contracts import CONTRACT_FIELDS, contract_query
from papervenue.faces.tws.faults import RequestHandling
from papervenue.faces.tws.gateway import Gateway, GatewayConnection
from papervenue.faces.tws.order_messages import error, time_of
from papervenue.faces.tws.orders import (
    CANCEL,
    CANCEL_ALL,
    CHANGE,
    MARGINS,
    PLACE,
    SIDES,
    find_by_label,
    ids_of,
    label_of,
    perm_id,
)
from papervenue.faces.tws.place_order import OrderError, Placed, UntransmittedOrders
from papervenue.faces.tws.wire import FIRST, LAST, PROFILES_UNTIL, Frames, TwsMessage, WireError, frame
from papervenue.faults.fault_state import late_us
from papervenue.faults.kinds import Facts
from papervenue.jsontext import decode_object, encode
from papervenue.times import MINUTE

_VERSIONS = re.compile(r"v(\d{1,4})\.\.(\d{1,4})(?: .*)?")
_NEXT_ID, _ACCOUNTS = 9, 15
START, PLACE_ORDER, CANCEL_ORDER = 71, 3, 4
CONTRACT_AT = {PLACE_ORDER: 2, 9: 3, 1: 3, 20: 2, 50: 3}
"""Where the fields of the contract begin in the messages that name one."""
_IN_USE, _ALREADY, _NOT_THERE, _UNKNOWN = 326, 501, 504, 505
_NO_ORDER, _FILLED, _NOT_CANCELABLE, _DUPLICATE, _REFUSED = 10147, 10148, 161, 103, 201
_NO_MATCH, _INVALID, _NO_ALLOCATION = 105, 321, 436
_WELCOME = {
    2104: "Market data farm connection is OK:usfuture",
    2106: "HMDS data farm connection is OK:ushmds",
    2158: "Sec-def data farm connection is OK:secdefil",
}
_KEPT_FOR_US = 2 * MINUTE
"""A message that a gateway hasn't passed on after this many microseconds is dropped."""
_NOTHING: tuple[TwsMessage, ...] = ()

Fields = list[str]
Answer = Iterable[TwsMessage]


class Request(NamedTuple):
    """A type of request: its name for fault rules, its handler, and where its id is among the fields."""

    target: str
    handler: Callable[[TwsSession, Fields], Answer]
    least: int = 1
    id_at: int | None = None


class TwsSession:
    """The connection of one client; none of its state is kept after the connection."""

    def __init__(self, gateway: Gateway, line: GatewayConnection, requests: Mapping[int, Request]) -> None:
        self.gateway = gateway
        self._requests = requests
        self.line = line
        self.client: int | None = None
        self.holds = self.binds = False
        self.effects = ""
        self._frames = Frames()
        self.version = 0
        self._ended = False
        self._kept = UntransmittedOrders()
        self._highest = 0
        self.followed: dict[str, Callable[[], Answer]] = {}
        self.answering = RequestHandling(self)

    def receive(self, data: bytes) -> None:
        """Process the client's data."""
        try:
            for fields in self._frames.read(data):
                if self._ended:
                    return
                self._take(fields)
        except WireError:
            self.end()

    def closed(self) -> None:
        """Remove the disconnected client and its untransmitted orders."""
        self._ended = True
        if self.client is not None:
            self.gateway.clients.pop(self.client, None)

    def end(self) -> None:
        self._ended = True
        self.line.close()

    def tell(self, message: TwsMessage) -> None:
        if not self._ended and not self.answering.mute:
            self.line.send(frame(message.payload(self.version)))

    def follow(self) -> None:
        """Send the client the prices and the account that it follows, because engine time has moved."""
        for tell in [*self.followed.values()]:
            for message in tell():
                self.tell(message)

    def forget_prices(self) -> None:
        self.followed.clear()

    def _take(self, fields: Fields) -> None:
        if not self.version:
            self._agree(fields[0])
            return
        try:
            number = int(fields[0])
        except ValueError as wrong:
            raise WireError("a message begins with its number") from wrong
        if number == PLACE_ORDER and self.version <= PROFILES_UNTIL:
            del fields[place_order.PROFILE_AT : place_order.PROFILE_AT + 1]
        request = self._requests.get(number)
        if request is None or len(fields) < request.least:
            self.tell(error(-1, _UNKNOWN, f"Fatal Error: Unknown message id {number} or too few fields"))
        elif self.client is None and number != START:
            self.tell(error(-1, _NOT_THERE, "Not connected"))
        else:
            target = f"GET {MARGINS}" if number == PLACE_ORDER and place_order.only_asks(fields) else request.target
            self.answering.answer(target, number, fields, self._of(request, fields))

    def _of(self, request: Request, fields: Fields) -> Callable[[], Answer]:
        def carried_out() -> Answer:
            try:
                return [*request.handler(self, fields)]
            except (ValueError, KeyError, ArithmeticError):
                where = fields[request.id_at] if request.id_at is not None else -1
                return [error(where, 320, "Error reading request: a field can't be read")]

        return carried_out

    def _agree(self, text: str) -> None:
        """Take the newest version that both sides speak; without one, the client can't be answered."""
        versions = _VERSIONS.fullmatch(text)
        newest = 0 if versions is None else min(int(versions[2]), LAST)
        if versions is None or not max(int(versions[1]), FIRST) <= newest:
            raise WireError(f"only versions {FIRST} to {LAST} are spoken here")
        self.version = newest
        self.line.send(frame(f"{newest}\0{time_of(self.gateway.engine.now_us)}\0".encode()))

    def facts(self, target: str, number: int, fields: Fields) -> Facts:
        """Return what fault rules can match on for a request."""
        owner = self.gateway.account
        who = (owner.number, owner.name)
        if number == CANCEL_ORDER and fields[2].isdecimal():
            order = find_by_label(owner, label_of(self.client or 0, int(fields[2])))
            if order is not None:
                return Facts(target, (order.symbol,), "buy" if order.side > 0 else "sell", order.client_order_id, who)
        start = CONTRACT_AT.get(number)
        if start is None:
            return Facts(target, account=who)
        months = tuple(self.gateway.contracts.find(contract_query(fields[start : start + CONTRACT_FIELDS])))
        if number != PLACE_ORDER:
            return Facts(target, months, account=who)
        rest = fields[2 + CONTRACT_FIELDS :]
        target = f"PATCH {CHANGE}" if self._changes(int(fields[1])) else target
        return Facts(target, months, rest[2].lower(), rest[12], who)

    # Each of the following answers one kind of request.

    def start(self, fields: Fields) -> Iterator[TwsMessage]:
        client = int(fields[2])
        if self.client is not None:
            yield error(-1, _ALREADY, "Already connected.")
            return
        if client in self.gateway.clients:
            yield error(
                -1, _IN_USE, "Unable to connect as the client id is already in use. Retry with a unique client id."
            )
            self.answering.end_after = True
            return
        self.client = client
        self.gateway.clients[client] = self
        used = (ids_of(order) for order in self.gateway.account.orders.values())
        self._highest = max((0, *(number for owner, number in used if owner == client)))
        yield from self.accounts(fields)
        yield from self.ids(fields)
        for code, text in _WELCOME.items():
            yield error(-1, code, text)

    def accounts(self, fields: Fields) -> Iterator[TwsMessage]:
        yield TwsMessage(_ACCOUNTS, {"version": 1, "accounts": self.gateway.account.number})

    def ids(self, fields: Fields) -> Iterator[TwsMessage]:
        yield TwsMessage(_NEXT_ID, {"version": 1, "id": self._highest + 1})

    def nothing(self, fields: Fields) -> Answer:
        """Accept a request that has no effect on this exchange."""
        return _NOTHING

    def place_order(self, fields: Fields) -> Answer:
        """Place an order, change it, or store it until its bracket is complete."""
        number = int(fields[1])
        try:
            order = place_order.read_order(fields, self.gateway.contracts)
        except OrderError as wrong:
            return [error(number, wrong.code, str(wrong))]
        if place_order.only_asks(fields):
            return self._previews(order)
        if order["account"] not in ("", self.gateway.account.number):
            return [error(number, _NO_ALLOCATION, "You must specify an allocation: this account isn't one of yours.")]
        if self._changes(number):
            if not _is_same(self._order_by_id(number), order):
                return [error(number, _NO_MATCH, "Order being modified does not match original order.")]
            return self._run("PATCH", CHANGE, [order])
        if number <= self._highest and number not in self._kept:
            return [error(number, _DUPLICATE, "Duplicate order id")]
        self._highest = max(self._highest, number)
        if not order["transmit"]:
            self._keep(order)
            return _NOTHING
        return self._run("POST", PLACE, self._kept.taken_with(order))

    def _previews(self, order: Placed) -> Iterator[TwsMessage]:
        if not self.gateway.is_unreachable:
            for impact in place_order.impacts(self.gateway.engine, order):
                yield self.gateway.reads.book.preview(self.client or 0, self.gateway.account, order, impact)

    def _changes(self, number: int) -> bool:
        """Return True if an order with this id is open, so that placing it again changes it."""
        order = self._order_by_id(number)
        return number not in self._kept and order is not None and order.is_open

    def _order_by_id(self, number: int) -> Order | None:
        """Return the client's order with this id at the exchange."""
        return find_by_label(self.gateway.account, label_of(self.client or 0, number))

    def _keep(self, order: Placed) -> None:
        self._kept.keep(order)
        self.gateway.exchange.note("order_kept", {"label": label_of(self.client or 0, order["id"]), **order})

    def _run(self, method: str, path: str, orders: list[Placed]) -> Answer:
        body = encode({"client": self.client, "orders": orders}).decode()
        refused = self.run(Command(method, path, body=body))
        if refused is None:
            return _NOTHING
        number, text = refused.get("id", orders[-1]["id"]), str(refused.get("message", ""))
        code = 110 if refused.get("code") == "tick_size" else 135 if "id" not in refused else _REFUSED
        text_sent = text if code != _REFUSED else f"Order rejected - reason:{text}"
        messages = [error(number, code, text_sent)]
        if method == "PATCH":
            return messages
        return messages + [_inactive(self.client or 0, order["id"], order["parent"]) for order in orders]

    def run(self, command: Command) -> dict[str, object] | None:
        """Run a command, unless the venue is unreachable; return the fields of the error if the command is refused."""
        if self.gateway.is_unreachable:
            return None
        number = self.gateway.account.number
        if late_us(self.effects) > _KEPT_FOR_US:
            self.gateway.exchange.note("message_lost", {"account": number, "path": command.path, "body": command.body})
            return None
        command = command._replace(account=number, effects=self.effects)
        status, body = self.gateway.exchange.run(command)
        return decode_object(body.decode()) if status >= 400 else None  # as HTTP says

    def cancel(self, fields: Fields) -> Answer:
        number = int(fields[2])
        if self._kept.forget(number):
            return [error(number, 202, "Order Canceled - reason:")]
        order = self._order_by_id(number)
        if order is not None and not order.is_open and not self.gateway.is_unreachable:
            return [_too_late(number, order)]
        body = encode({"client": self.client, "id": number}).decode()
        refused = self.run(Command("DELETE", CANCEL, body=body))
        if refused is None:
            return _NOTHING
        code = _NO_ORDER if refused.get("code") == "no_order" else _NOT_CANCELABLE
        return [error(number, code, str(refused.get("message", "")))]

    def cancel_all(self, fields: Fields) -> Answer:
        for order in self._kept.all():
            self._kept.forget(order["id"])
        self.run(Command("DELETE", CANCEL_ALL))
        return _NOTHING


def _is_same(order: Order | None, wanted: Placed) -> bool:
    return order is not None and (order.symbol, order.side) == (wanted["symbol"], SIDES[wanted["action"]])


def _too_late(number: int, order: Order) -> TwsMessage:
    """Return the error for the cancel of an order that has ended."""
    if order.status == "filled":
        text = f"OrderId {number} that needs to be cancelled can not be cancelled, state: Filled."
        return error(number, _FILLED, text)
    text = f"Cancel attempted when order is not in a cancellable state. Order permId = {perm_id(order)}"
    return error(number, _NOT_CANCELABLE, text)


def _inactive(client: int, number: int, parent: int) -> TwsMessage:
    """Return the status of an order that the venue hasn't accepted."""
    figures = {"filled": 0, "remaining": 0, "avgFillPrice": 0, "permId": 0, "parentId": parent, "lastFillPrice": 0}
    return TwsMessage(
        3, {"orderId": number, "status": "Inactive", **figures, "clientId": client, "whyHeld": "", "mktCapPrice": 0}
    )
