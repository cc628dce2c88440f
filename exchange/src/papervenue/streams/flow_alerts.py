"""Serve the flow API of Unusual Whales, and its websocket at /socket, which sends alerts as engine time passes.

The token is part of the address. A client joins the channel `flow-alerts`, and gets every alert from then on as
`[channel, row]`. There is no replay, so the client has to request missed alerts from the REST API. Messages are created
when the client has room for them, so a slow client uses no extra memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from math import isfinite
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from papervenue.chance import uuid_of
from papervenue.engine.engine import Engine
from papervenue.faces.face import Face, Login, Parts, Serving
from papervenue.faces.flow import FlowFace, FlowSource
from papervenue.faults.streaming import DROPPED, FLOW_ALERTS, STALLED, Recipient, StreamFaults
from papervenue.streams.socket import Message, Socket, refuse_handshake

_SAME = (
    "rule_id", "ticker", "option_chain", "volume", "total_size", "start_time", "end_time", "has_multileg", "has_sweep",
    "has_floor", "open_interest", "all_opening_trades", "id", "has_singleleg", "trade_count", "expiry_count", "bid",
    "ask",
)  # fmt: skip

"""Fields that the REST API and the websocket have in the same form."""

_NUMBERS = (
    "underlying_price", "total_premium", "total_ask_side_prem", "total_bid_side_prem", "price", "volume_oi_ratio",
)  # fmt: skip

"""Fields that the REST API sends as text and the websocket as numbers."""

_MOST_TRADES = 500


def stream_row(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return an alert as a row of the websocket, without absent fields."""
    row = {name: alert[name] for name in _SAME if name in alert}
    row |= {name: _number(alert[name]) for name in _NUMBERS if name in alert}
    row |= {"rule_name": alert.get("alert_rule"), "url": "", "executed_at": alert.get("end_time")}
    return row | _trades(alert) | _volumes(alert)


def _trades(alert: Mapping[str, Any]) -> dict[str, Any]:
    count = alert.get("trade_count")
    count_wanted = min(count, _MOST_TRADES) if isinstance(count, int) else 0
    return {
        "trade_ids": [uuid_of("trade", alert.get("id"), number) for number in range(count_wanted)],
        "upstream_condition_details": ["auto", "isoi"] if alert.get("has_sweep") else ["auto"],
        "exchanges": ["XCBO", "MPRL"] if count_wanted > 1 else ["XCBO"],
    }


def _volumes(alert: Mapping[str, Any]) -> dict[str, int]:
    """Split the alert's contracts by side as its premium is split."""
    size, total = max(0, int(_float(alert.get("total_size")))), _float(alert.get("total_premium"))
    sides = (_float(alert.get(f"total_{side}_side_prem")) for side in ("ask", "bid"))
    ask, bid = (int(size * min(1.0, side / total)) if total > 0 else 0 for side in sides)
    multi = size if alert.get("has_multileg") else 0
    return {
        "ask_vol": ask,
        "bid_vol": bid,
        "mid_vol": max(0, size - ask - bid),
        "no_side_vol": 0,
        "multi_vol": multi,
        "stock_multi_vol": 0,
    }


def _number(value: Any) -> Any:
    """Return text as an integer or a fraction; leave it unchanged if it can't be read, for the client to count."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    if not isfinite(number):
        return value
    return int(number) if number.is_integer() else number


def _float(value: Any) -> float:
    number = _number(value)
    return float(number) if isinstance(number, int | float) else 0.0


PATH = "/socket"

CHANNEL = "flow-alerts"

_UNAUTHORIZED = {"message": "unauthorized"}

_SLOW = Message(["error", {"response": {"reason": "slow client"}, "status": "error"}])


class FlowAlertStream:
    """The stream's ASGI application; call `wake` whenever engine time has moved."""

    def __init__(self, engine: Engine, source: FlowSource, delivery: StreamFaults) -> None:
        self.engine = engine
        self.source = source
        self.delivery = delivery
        self._sockets: set[Socket] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse its handshake with a 401 if no account has its token."""
        (token,) = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1:]
        if token not in {account.key_id for account in self.engine.accounts.values()}:
            await refuse_handshake(receive, send, 401, _UNAUTHORIZED)
            return
        socket = Socket(scope, receive, send, binary=False, farewell=_SLOW)
        client = _Client(socket, token, self)
        socket.news = client.news
        self._sockets.add(socket)
        try:
            await socket.serve(client.hear)
        finally:
            self._sockets.discard(socket)
            self.delivery.forget(client.recipient)

    def wake(self) -> None:
        for socket in self._sockets:
            socket.wake()


class _Client:
    """One connection: whether it joined, and the engine time up to which it has received alerts."""

    def __init__(self, socket: Socket, token: str, stream: FlowAlertStream) -> None:
        self.recipient = Recipient(CHANNEL, token)
        self._socket = socket
        self._stream = stream
        self._told_us: int | None = None

    def hear(self, message: dict[str, Any] | None) -> None:
        """Answer one message: a request to join, or a message that this API doesn't support."""
        channel = None if message is None else message.get("channel")
        if message is None or message.get("msg_type") != "join" or channel != CHANNEL:
            reason = {"response": {"reason": "unknown channel or message"}, "status": "error"}
            self._socket.put(Message([str(channel or "error")[:80], reason]))
            return
        self._socket.put(Message([CHANNEL, {"response": {}, "status": "ok"}]))
        if self._told_us is None:
            self._told_us = self._stream.engine.now_us

    def news(self) -> Iterator[Message]:
        """Yield the alerts that became known since the last call, oldest first."""
        from_us, now_us = self._told_us, self._stream.engine.now_us
        if from_us is None or from_us >= now_us:
            return
        self._told_us = now_us
        stream = self._stream
        alerts = stream.source.alerts((), now_us)
        for alert in reversed(list(takewhile(lambda row: row.at_us > from_us, alerts))):
            for message in stream.delivery.deliver(FLOW_ALERTS, "", stream_row(alert.fields), self.recipient):
                if message is DROPPED:
                    self._socket.drop()
                    return
                if message is STALLED:
                    self._socket.stall()
                    return
                yield Message([CHANNEL, message])


def _serve(serving: Serving) -> Parts:
    exchange, feed = serving.exchange, serving.feed
    assert feed is not None
    alerts = FlowAlertStream(exchange.engine, feed, serving.delivery)
    exchange.moved.append(lambda from_us, to_us: alerts.wake())
    return Parts(FlowFace(exchange.engine, feed, serving.flow_limits).routes(), {PATH: alerts})


FACE = Face("alpaca", (), _serve, title="options flow (Unusual Whales' API)", login=Login.BEARER)
