"""The trade_updates stream at /stream: what happens to an account's orders, told once the log holds it.

A client authenticates, then says what it listens to; each such message names the whole set anew. There is no
replay: what happens while nobody listens is told by the REST API alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.events import Event, Update
from tradebot.exchange.faces.keys import Credentials, account_with
from tradebot.exchange.faces.trading_json import order_json
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import usd
from tradebot.exchange.streams.delivery import AS_IT_IS, TRADE_UPDATES, Delivery, Recipient
from tradebot.exchange.streams.frames import Message
from tradebot.exchange.streams.socket import Socket
from tradebot.exchange.times import stamp

PATH = "/stream"
_AUTHENTICATE = "authenticate"
_LOGINS = ("auth", _AUTHENTICATE)
_POLICY_VIOLATION = 1008
_SYNTAX = Message({"stream": "error", "data": {"code": 400, "message": "invalid syntax"}})
_SLOW = Message({"stream": "error", "data": {"code": 407, "message": "slow client"}})
_BASE_32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


class Captured(NamedTuple):
    """An update as it was when it happened, and whose it is."""

    key_id: str
    account: str
    message: dict[str, Any]


class TradeUpdates:
    """The stream's ASGI application, and the listener that the exchange tells its events."""

    def __init__(self, engine: Engine, delivery: Delivery = AS_IT_IS) -> None:
        self._engine = engine
        self._delivery = delivery
        self._listening: dict[str, set[Socket]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        socket = Socket(scope, receive, send, binary=True, farewell=_SLOW)
        client = _Client(socket, self._engine, self._listen)
        try:
            await socket.serve(client.hear)
        finally:
            self._listen(client.key_id, socket, False)

    def _listen(self, key_id: str, socket: Socket, wanted: bool) -> None:
        sockets = self._listening.setdefault(key_id, set())
        if wanted:
            sockets.add(socket)
        else:
            sockets.discard(socket)
        if not sockets:
            del self._listening[key_id]
            self._delivery.forget(Recipient("", key_id))

    def capture(self, event: Event) -> Captured | None:
        """Return the message of an event as things stand now, or None where nobody listens to it."""
        if not self._listening or event.update is None or event.account is None:
            return None
        account = self._engine.accounts.get(event.account)
        if account is None or account.key_id not in self._listening:
            return None
        return Captured(
            account.key_id, account.number, {"stream": TRADE_UPDATES, "data": _data(event.at_us, event.update)}
        )

    def publish(self, captured: Captured) -> None:
        """Tell the account's listening clients."""
        key_id, account, given = captured
        delivered = self._delivery.deliver(TRADE_UPDATES, account, given, Recipient("", key_id))
        messages = [Message(one) for one in delivered]
        for socket in self._listening.get(key_id, ()):
            for message in messages:
                socket.put(message)


class _Client:
    """What one connection says, and what it is answered. `key_id` is empty until it has authenticated."""

    def __init__(self, socket: Socket, engine: Engine, listen: Callable[[str, Socket, bool], None]) -> None:
        self.key_id = ""
        self._socket = socket
        self._engine = engine
        self._listen = listen

    def hear(self, message: dict[str, Any] | None) -> None:
        """Answer one message."""
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

    def _authenticate(self, message: dict[str, Any]) -> None:
        account = account_with(_credentials(message), self._engine)
        status = "unauthorized" if account is None else "authorized"
        self._say("authorization", status=status, action=_AUTHENTICATE)
        if account is None:
            self._socket.close(_POLICY_VIOLATION, status)
        elif account.key_id != self.key_id:
            self._listen(self.key_id, self._socket, False)
            self.key_id = account.key_id

    def _listen_to(self, data: object) -> None:
        streams = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(streams, list):
            self._socket.put(_SYNTAX)
            return
        known = [TRADE_UPDATES] if TRADE_UPDATES in streams else []
        self._listen(self.key_id, self._socket, bool(known))
        self._say("listening", streams=known)

    def _say(self, stream: str, **data: object) -> None:
        self._socket.put(Message({"stream": stream, "data": data}))


def _credentials(message: dict[str, Any]) -> Credentials | None:
    """Read either form of authentication: key and secret beside the action, or both inside of its data."""
    data = message.get("data")
    given = (data.get("key_id"), data.get("secret_key")) if isinstance(data, dict) else ()
    key_id, secret = given or (message.get("key"), message.get("secret"))
    return Credentials(key_id, secret) if isinstance(key_id, str) and isinstance(secret, str) else None


def _data(at_us: int, update: Update) -> dict[str, Any]:
    order, execution = update.order, update.execution
    at = stamp(at_us)
    execution_id = "" if execution is None else execution.id.rpartition("::")[2]
    data = {
        "at": at,
        "event_id": _ulid(at_us, order.id, update.event, execution_id),
        "event": update.event,
        "timestamp": at,
        "order": order_json(order),
    }
    if execution is None:
        return data
    return data | {
        "execution_id": execution_id,
        "price": plain(usd(execution.price)),
        "qty": plain(execution.qty),
        "position_qty": plain(execution.position_qty),
    }


def _ulid(at_us: int, *names: str) -> str:
    """Return the sortable id of an event: 48 bits of milliseconds and 80 that follow from what it is."""
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    bits = (at_us // 1000 << _RANDOM_BITS) | int.from_bytes(digest[: _RANDOM_BITS // 8])
    return "".join(_BASE_32[bits >> shift & 31] for shift in range(125, -1, -5))
