"""Serve the trade_updates stream at /stream: the events of an account's orders, sent once the log contains them.

A client authenticates, and then names the streams to subscribe to; each such message replaces the whole set. There is
no replay: clients get missed events from the REST API, or from the event streams over HTTP. The bounds in requests for
those streams follow Alpaca's documentation.

The ids of events are ULIDs, which sort as text in the order of the events. The first 48 bits are milliseconds of engine
time; the other 80 bits distinguish events in the same millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from starlette.types import Receive, Scope, Send

from papervenue.engine.account_lists import PastUpdate
from papervenue.engine.engine import Engine
from papervenue.events import Event, EventPosition, Update
from papervenue.faces.guard import Credentials, account_with
from papervenue.faces.trading_json import order_json
from papervenue.faults.streaming import TRADE_UPDATES, Recipient, StreamFaults
from papervenue.jsontext import plain
from papervenue.market.bars import usd
from papervenue.params import Params
from papervenue.refusal import invalid
from papervenue.streams.socket import Message, Socket
from papervenue.times import stamp, stamp_ns

_NANOSECONDS = re.compile(r"\.\d{6}(\d{1,3})", re.ASCII)
_NS = 1_000
_BASE_32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NUMBER_BITS = 80
_LENGTH = 26
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


class StreamEvent(NamedTuple):
    """A streamed event: its id, its time in microseconds and in nanoseconds, and a function that returns its JSON."""

    id: str
    at_us: int
    at_ns: int
    encoded: Callable[[], bytes]


class Window(NamedTuple):
    """The range of events that a request names, by time or by id; None means that the range is open on that side."""

    since_ns: int | None
    until_ns: int | None
    since_id: str | None
    until_id: str | None

    @property
    def wants_past(self) -> bool:
        return self.since_ns is not None or self.since_id is not None

    def has_begun(self, event_id: str, at_ns: int) -> bool:
        """Return True if this event meets the lower bounds; every later event then meets them too."""
        return (self.since_ns is None or at_ns >= self.since_ns) and (self.since_id is None or event_id > self.since_id)

    def has_ended(self, event_id: str, at_ns: int) -> bool:
        """Return True if this event is beyond the upper bounds; every later event is then beyond them too."""
        return (self.until_ns is not None and at_ns > self.until_ns) or (
            self.until_id is not None and event_id > self.until_id
        )

    def holds(self, event_id: str, at_ns: int) -> bool:
        return self.has_begun(event_id, at_ns) and not self.has_ended(event_id, at_ns)

    def is_over(self, now_us: int, newest_id: str) -> bool:
        """Return True if no further event can be within the bounds, by the current time and the highest id so far."""
        if self.until_ns is not None:
            return now_us >= self.until_ns // _NS
        return self.until_id is not None and newest_id >= self.until_id


def read_window(query: Params) -> Window:
    """Read the bounds in a query; raise the 422 Refusal for combinations that Alpaca rules out."""
    since_ns, until_ns = _moment(query, "since", 0), _moment(query, "until", _NS - 1)
    since_id, until_id = query.read("since_id", read_ulid), query.read("until_id", read_ulid)
    if since_ns is not None and since_id is not None:
        raise invalid("since and since_id cannot be used together")
    if until_ns is not None and since_ns is None:
        raise invalid("since is required if until is specified")
    if until_id is not None and since_id is None:
        raise invalid("since_id is required if until_id is specified")
    return Window(since_ns, until_ns, since_id, until_id)


def _moment(query: Params, name: str, unsaid_ns: int) -> int | None:
    """Return a time in nanoseconds, so that a client can continue right after its last event.

    If a time has no nanoseconds, `unsaid_ns` decides between the first and the last of its microsecond.
    """
    at_us = query.moment(name)
    finer = _NANOSECONDS.search(query.text(name))
    return None if at_us is None else at_us * _NS + (int(finer[1].ljust(3, "0")) if finer else unsaid_ns)


def ulid(at_us: int, number: int) -> str:
    """Return an event's id, from its time and its number among all events."""
    bits = at_us // 1_000 << _NUMBER_BITS | number
    return "".join(_BASE_32[bits >> 5 * index & 31] for index in reversed(range(_LENGTH)))


def read_ulid(text: str) -> str:
    """Return an event id in capital letters; raise ValueError for text that isn't a ULID."""
    if not _ULID.fullmatch(text.upper()):
        raise ValueError(text)
    return text.upper()


PATH = "/stream"
_AUTHENTICATE = "authenticate"
_LOGINS = ("auth", _AUTHENTICATE)
_POLICY_VIOLATION = 1008
_SYNTAX = Message({"stream": "error", "data": {"code": 400, "message": "invalid syntax"}})
_SLOW = Message({"stream": "error", "data": {"code": 407, "message": "slow client"}})


class UpdateReceiver(Protocol):
    """A client that receives updates."""

    def tell(self, event_place: EventPosition, messages: Sequence[Message]) -> None: ...


Captured = tuple[str, str, EventPosition, dict[str, Any]]
"""An update as it was when it happened: its account's key and number, its position among events, and its message."""


class TradeUpdates:
    """The ASGI application of the trade_updates stream, which also listens to the exchange's events."""

    def __init__(self, engine: Engine, delivery: StreamFaults) -> None:
        self._engine = engine
        self._delivery = delivery
        self._listening: dict[str, set[UpdateReceiver]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(scope, receive, send, binary=True, farewell=_SLOW)
        client = _Client(socket, self._engine, self.listen)
        try:
            await socket.serve(client.hear)
        finally:
            self.listen(client.key_id, client, False)

    def listen(self, key_id: str, hearer: UpdateReceiver, wanted: bool) -> None:
        hearers = self._listening.setdefault(key_id, set())
        if wanted:
            hearers.add(hearer)
        else:
            hearers.discard(hearer)
        if not hearers:
            del self._listening[key_id]
            self._delivery.forget(Recipient("", key_id))

    def capture(self, event: Event, event_place: EventPosition) -> Captured | None:
        """Return the message about an event, with the current state in it, or None if no client subscribes to it."""
        if not self._listening or event.update is None or event.account is None:
            return None
        account = self._engine.accounts.get(event.account)
        if account is None or account.key_id not in self._listening:
            return None
        return (
            account.key_id,
            account.number,
            event_place,
            {"stream": TRADE_UPDATES, "data": update_json(event.update, event_place)},
        )

    def publish(self, captured: Captured) -> None:
        key_id, account, event_place, content = captured
        delivered = self._delivery.deliver(TRADE_UPDATES, account, content, Recipient("", key_id))
        messages = [Message(item) for item in delivered]
        for hearer in self._listening.get(key_id, ()):
            hearer.tell(event_place, messages)


class _Client:
    """The conversation on one connection. `key_id` is empty until the client has authenticated."""

    def __init__(self, socket: Socket, engine: Engine, listen: Callable[[str, UpdateReceiver, bool], None]) -> None:
        self.key_id = ""
        self._socket = socket
        self._engine = engine
        self._listen = listen

    def hear(self, message: dict[str, Any] | None) -> None:
        action = message and message.get("action")
        if message is None or not isinstance(action, str):
            self._socket.put(_SYNTAX)
        elif action in _LOGINS:
            self._authenticate(message)
        elif not self.key_id:
            self._say("authorization", status="unauthorized", action=action)
        elif action == "listen":
            self._listen_to(message.get("data"))
        else:
            self._socket.put(_SYNTAX)

    def tell(self, event_place: EventPosition, messages: Sequence[Message]) -> None:
        for message in messages:
            self._socket.put(message)

    def _authenticate(self, message: dict[str, Any]) -> None:
        account = account_with(_credentials(message), self._engine)
        status = "unauthorized" if account is None else "authorized"
        self._say("authorization", status=status, action=_AUTHENTICATE)
        if account is None:
            self._socket.close(_POLICY_VIOLATION, status)
        elif account.key_id != self.key_id:
            self._listen(self.key_id, self, False)
            self.key_id = account.key_id

    def _listen_to(self, data: object) -> None:
        streams = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(streams, list):
            self._socket.put(_SYNTAX)
            return
        names = [TRADE_UPDATES] if TRADE_UPDATES in streams else []
        self._listen(self.key_id, self, bool(names))
        self._say("listening", streams=names)

    def _say(self, stream: str, **data: object) -> None:
        self._socket.put(Message({"stream": stream, "data": data}))


def _credentials(message: dict[str, Any]) -> Credentials | None:
    """Read both forms of authentication: key and secret beside the action, or both inside its data."""
    data = message.get("data")
    pair = (data.get("key_id"), data.get("secret_key")) if isinstance(data, dict) else ()
    key_id, secret = pair or (message.get("key"), message.get("secret"))
    return Credentials(key_id, secret) if isinstance(key_id, str) and isinstance(secret, str) else None


def update_json(update: Update | PastUpdate, event_place: EventPosition) -> dict[str, Any]:
    """Return an update as streamed: its order, and the execution if there was one."""
    execution = update.execution
    data = {
        "at": stamp_ns(event_place.at_ns),
        "event_id": ulid(event_place.at_us, event_place.number),
        "event": update.event,
        "timestamp": stamp(event_place.at_us),
        "order": order_json(update.order),
    }
    if execution is None:
        return data
    amended = {} if execution.previous_id is None else {"previous_execution_id": execution.previous_id}
    return data | {
        "execution_id": execution.execution_id,
        **amended,
        "price": plain(usd(execution.price)),
        "qty": plain(execution.qty),
        "position_qty": plain(execution.position_qty),
    }
