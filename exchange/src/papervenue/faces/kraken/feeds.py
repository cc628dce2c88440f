"""Serve the websocket at /ws/v1: public tickers, and an account's orders and fills for signed requests.

A client requests a challenge and sends it back signed with each feed of an account. There is no replay: only the REST
API has the events before a subscription.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from itertools import islice
from typing import Any

from starlette.types import Receive, Scope, Send

from papervenue.chance import uuid_of
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import TERMINAL, Fill, Order
from papervenue.events import Event, EventPosition
from papervenue.faces.kraken import wire_format
from papervenue.faces.kraken.read_routes import KrakenReads
from papervenue.faces.kraken.wire_format import encoded, milliseconds, number, price
from papervenue.faults.streaming import TRADE_UPDATES, Recipient, StreamFaults
from papervenue.streams.socket import Message, Socket

PATH = "/ws/v1"
TICKER, HEARTBEAT, ORDERS, FILLS = "ticker", "heartbeat", "open_orders", "fills"
_PUBLIC, _PRIVATE = (TICKER, HEARTBEAT), (ORDERS, FILLS)
_SNAPSHOT_FILLS = 100
_SLOW = Message({"event": "alert", "message": "slow client"})
_GONE = {"filled": "full_fill", "rejected": "rejected"}

Told = dict[str, Any]


class Feeds:
    """The feeds' application, which also listens to the exchange's events."""

    def __init__(self, engine: Engine, reads: KrakenReads, delivery: StreamFaults) -> None:
        self._engine = engine
        self._reads = reads
        self._delivery = delivery
        self._clients: set[_Client] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = _Client(Socket(scope, receive, send, binary=False, farewell=_SLOW), self._engine, self)
        self._clients.add(client)
        try:
            await client.socket.serve(client.hear, client.greet)
        finally:
            self._clients.discard(client)

    def capture(self, event: Event, event_place: EventPosition) -> tuple[Account, Told] | None:
        """Return the message for listeners of an account about an event, with its order's present state, or None."""
        # An order is reported when it is accepted, and not again when it reaches the market.
        if event.update is None or event.account is None or event.update.event == "new" or not self._clients:
            return None
        account = self._engine.accounts[event.account]
        order, execution = event.update.order, event.update.execution
        whom = {"symbol": order.symbol, "side": wire_format.side(order.side), "client_order_id": order.client_order_id}
        data: Told = {"order": whom, "event": event.update.event, ORDERS: self._change_message(order)}
        if isinstance(execution, Fill):
            data[FILLS] = {"feed": FILLS, "username": account.name, "fills": [self._fill(execution)]}
        return account, {"data": _plain(data)}

    def publish(self, captured: tuple[Account, Told]) -> None:
        account, captured_messages = captured
        for item in self._delivery.deliver(
            TRADE_UPDATES, account.number, captured_messages, Recipient("", account.key_id)
        ):
            for client in self._clients:
                for feed in _PRIVATE:
                    if client.keys.get(feed) == account.key_id and feed in item["data"]:
                        client.socket.put(Message(item["data"][feed]))

    def send_prices(self) -> None:
        """Send prices and the time again, because engine time has moved."""
        for client in self._clients:
            for symbol in client.symbols:
                client.say(**self.ticker(symbol))
            if client.beats:
                client.say(feed=HEARTBEAT, time=milliseconds(self._engine.now_us))

    def ticker(self, symbol: str) -> Told:
        """Return the prices of a symbol as a message."""
        shown = self._reads.prices(symbol) or {}
        same = {name: shown.get(name) for name in ("tag", "pair", "bid", "ask", "last", "markPrice", "suspended")}
        other = {
            "bid_size": shown.get("bidSize"),
            "ask_size": shown.get("askSize"),
            "volume": shown.get("vol24h"),
            "volumeQuote": shown.get("volumeQuote"),
            "index": shown.get("indexPrice"),
            "funding_rate": shown.get("fundingRate"),
            "funding_rate_prediction": shown.get("fundingRatePrediction"),
            "openInterest": shown.get("openInterest"),
        }
        return {"feed": TICKER, "product_id": symbol, "time": milliseconds(self._engine.now_us), **same, **other}

    def snapshot(self, feed: str, account: Account) -> Told:
        """Return the first message of a feed of an account."""
        if feed == ORDERS:
            rows = [self._order(order) for order in account.open.values()]
            return {"feed": f"{ORDERS}_snapshot", "account": account.number, "orders": rows}
        settleds = (settled for settled in reversed(account.activities) if isinstance(settled, Fill))
        fills = [self._fill(settled) for settled in islice(settleds, _SNAPSHOT_FILLS)]
        return {"feed": f"{FILLS}_snapshot", "account": account.number, "fills": fills}

    def _change_message(self, order: Order) -> Told:
        name = order.request.client_order_id
        if order.status in TERMINAL:
            reason = order.why or _GONE.get(order.status, "cancelled_by_user")
            return {"feed": ORDERS, "order_id": order.id, "cli_ord_id": name, "is_cancel": True, "reason": reason}
        reason = "partial_fill" if order.filled_qty else "new_placed_order_by_user"
        return {"feed": ORDERS, "order": self._order(order), "is_cancel": False, "reason": reason}

    def _order(self, order: Order) -> Told:
        grid, request = self._engine.market.grids[order.symbol], order.request
        return {
            "instrument": order.symbol,
            "time": milliseconds(order.submitted_us),
            "last_update_time": milliseconds(order.updated_us),
            "qty": number(order.remaining),
            "filled": number(order.filled_qty),
            "limit_price": price(grid, request.limit) or 0,
            "stop_price": price(grid, order.stop) or 0,
            "type": "stop" if wire_format.is_untriggered_stop(order) else "limit",
            "order_id": order.id,
            "cli_ord_id": request.client_order_id,
            "direction": 0 if order.side > 0 else 1,
            "reduce_only": request.reduce_only,
            **({"triggerSignal": request.trigger} if wire_format.is_untriggered_stop(order) else {}),
        }

    def _fill(self, settled: Fill) -> Told:
        fee = settled.settled.fee if settled.settled is not None else None
        return {
            "instrument": settled.order.symbol,
            "time": milliseconds(settled.at_us),
            "price": price(self._engine.market.grids[settled.order.symbol], settled.price),
            "buy": settled.order.side > 0,
            "qty": number(settled.qty),
            "remaining_order_qty": number(settled.leaves_qty),
            "order_id": settled.order.id,
            "cli_ord_id": settled.order.request.client_order_id,
            "fill_id": settled.execution_id,
            "fill_type": wire_format.fill_type(settled),
            "fee_paid": None if fee is None else number(fee),
            "fee_currency": "USD",
        }


class _Client:
    """The conversation on one connection: the key whose feed it listens to by feed, and the symbols of its tickers."""

    def __init__(self, socket: Socket, engine: Engine, feeds: Feeds) -> None:
        self.socket = socket
        self.keys: dict[str, str] = {}
        self.symbols: dict[str, None] = {}
        self.beats = False
        self._engine = engine
        self._feeds = feeds
        self._challenges: set[str] = set()

    def greet(self) -> None:
        self.say(event="info", version=1)

    def say(self, **body: object) -> None:
        self.socket.put(Message(_plain(body)))

    def hear(self, message: dict[str, Any] | None) -> None:
        event, feed = (str((message or {}).get(name)) for name in ("event", "feed"))
        if message is not None and event == "challenge" and isinstance(message.get("api_key"), str):
            challenge = uuid_of("challenge", id(self), len(self._challenges), self._engine.now_us)
            self._challenges.add(challenge)
            self.say(event="challenge", message=challenge)
        elif event == "ping":
            self.say(event="pong")
        elif message is not None and event in ("subscribe", "unsubscribe") and feed in (*_PUBLIC, *_PRIVATE):
            self._follow(message, feed, wanted=event == "subscribe")
        else:
            self.say(event="error", message="Invalid feed" if "subscribe" in event else "Json Error")

    def _follow(self, message: dict[str, Any], feed: str, *, wanted: bool) -> None:
        done = "subscribed" if wanted else "unsubscribed"
        if feed == HEARTBEAT:
            self.beats = wanted
            self.say(event=done, feed=feed)
        elif feed == TICKER:
            self._follow_prices(message, done, wanted=wanted)
        elif (account := self._signing_account(message)) is None:
            self.say(event="alert", message="Failed to subscribe to authenticated feed")
        else:
            self.keys[feed] = account.key_id if wanted else ""
            self.say(event=done, feed=feed, api_key=account.key_id)
            if wanted:
                self.say(**self._feeds.snapshot(feed, account))

    def _follow_prices(self, message: dict[str, Any], done: str, *, wanted: bool) -> None:
        product_ids = message.get("product_ids")
        names = [str(name).upper() for name in product_ids] if isinstance(product_ids, list) else []
        if not names or not self._engine.market.known.issuperset(names):
            self.say(event="error", message="Invalid product id")
            return
        self.say(event=done, feed=TICKER, product_ids=names)
        for symbol in names:
            self.symbols.pop(symbol, None)
            if wanted:
                self.symbols[symbol] = None
                self.say(**self._feeds.ticker(symbol))

    def _signing_account(self, message: dict[str, Any]) -> Account | None:
        """Return the account whose key has signed a challenge of this connection."""
        key, challenge, signed = (message.get(name) for name in ("api_key", "original_challenge", "signed_challenge"))
        if challenge not in self._challenges or not isinstance(signed, str):
            return None
        opened = (account for account in self._engine.accounts.values() if account.key_id == key)
        return next((own for own in opened if hmac.compare_digest(_signature(own, challenge), signed.encode())), None)


def _signature(account: Account, challenge: str) -> bytes:
    digest = hashlib.sha256(challenge.encode()).digest()
    return base64.b64encode(hmac.new(account.secret.encode(), digest, hashlib.sha512).digest())


def _plain(item: Told) -> Told:
    """Return a message with its numbers as JSON numbers."""
    shown: Told = json.loads(encoded(item))
    return shown
