"""Serve the trade_updates stream at /stream: what happens to an account's orders, sent once the log holds it.

A client authenticates, then names the streams to listen to; each such message replaces the whole set. There is no
replay: clients learn what happened while they weren't listening from the REST API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from starlette.types import Receive, Scope, Send

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.updates import PastUpdate
from tradebot.exchange.events import Event, Place, Update
from tradebot.exchange.faces.keys import Credentials, account_with
from tradebot.exchange.faces.trading_json import order_json
from tradebot.exchange.faults.streaming import TRADE_UPDATES, Recipient, StreamFaults
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import usd
from tradebot.exchange.streams.frames import Message
from tradebot.exchange.streams.socket import Socket
from tradebot.exchange.streams.window import ulid
from tradebot.exchange.times import stamp, stamp_ns

PATH = "/stream"
_AUTHENTICATE = "authenticate"
_LOGINS = ("auth", _AUTHENTICATE)
_POLICY_VIOLATION = 1008
_SYNTAX = Message({"stream": "error", "data": {"code": 400, "message": "invalid syntax"}})
_SLOW = Message({"stream": "error", "data": {"code": 407, "message": "slow client"}})


class Hearer(Protocol):
    """A client that receives updates."""

    def tell(self, place: Place, messages: Sequence[Message]) -> None: ...


class Captured(NamedTuple):
    """An update as it was when it happened, and the account it belongs to."""

    key_id: str
    account: str
    place: Place
    message: dict[str, Any]


class TradeUpdates:
    """The stream's ASGI application, which also listens to the exchange's events."""

    def __init__(self, engine: Engine, delivery: StreamFaults) -> None:
        self._engine = engine
        self._delivery = delivery
        self._listening: dict[str, set[Hearer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(scope, receive, send, binary=True, farewell=_SLOW)
        client = _Client(socket, self._engine, self.listen)
        try:
            await socket.serve(client.hear)
        finally:
            self.listen(client.key_id, client, False)

    def listen(self, key_id: str, hearer: Hearer, wanted: bool) -> None:
        hearers = self._listening.setdefault(key_id, set())
        if wanted:
            hearers.add(hearer)
        else:
            hearers.discard(hearer)
        if not hearers:
            del self._listening[key_id]
            self._delivery.forget(Recipient("", key_id))

    def capture(self, event: Event, place: Place) -> Captured | None:
        """Return the message of an event in its current state, or None if nobody listens to it."""
        if not self._listening or event.update is None or event.account is None:
            return None
        account = self._engine.accounts.get(event.account)
        if account is None or account.key_id not in self._listening:
            return None
        message = {"stream": TRADE_UPDATES, "data": update_json(event.update, place)}
        return Captured(account.key_id, account.number, place, message)

    def publish(self, captured: Captured) -> None:
        key_id, account, place, given = captured
        delivered = self._delivery.deliver(TRADE_UPDATES, account, given, Recipient("", key_id))
        messages = [Message(one) for one in delivered]
        for hearer in self._listening.get(key_id, ()):
            hearer.tell(place, messages)


class _Client:
    """The conversation on one connection. `key_id` is empty until the client has authenticated."""

    def __init__(self, socket: Socket, engine: Engine, listen: Callable[[str, Hearer, bool], None]) -> None:
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

    def tell(self, place: Place, messages: Sequence[Message]) -> None:
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
        known = [TRADE_UPDATES] if TRADE_UPDATES in streams else []
        self._listen(self.key_id, self, bool(known))
        self._say("listening", streams=known)

    def _say(self, stream: str, **data: object) -> None:
        self._socket.put(Message({"stream": stream, "data": data}))


def _credentials(message: dict[str, Any]) -> Credentials | None:
    """Read both forms of authentication: key and secret beside the action, or both inside its data."""
    data = message.get("data")
    given = (data.get("key_id"), data.get("secret_key")) if isinstance(data, dict) else ()
    key_id, secret = given or (message.get("key"), message.get("secret"))
    return Credentials(key_id, secret) if isinstance(key_id, str) and isinstance(secret, str) else None


def update_json(update: Update | PastUpdate, place: Place) -> dict[str, Any]:
    """Return a streamed update: its order, with the execution if there was one."""
    execution = update.execution
    data = {
        "at": stamp_ns(place.at_ns),
        "event_id": ulid(place.at_us, place.number),
        "event": update.event,
        "timestamp": stamp(place.at_us),
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
