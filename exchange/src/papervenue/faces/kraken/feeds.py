"""Serve the websocket at /ws/v1: prices, trades and, for signed requests, an account's holdings, orders and fills.

A client requests a challenge, and sends it back, signed, with each subscription to an account's feed. There is no
replay: only the REST API has the events from before a subscription.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from starlette.types import Receive, Scope, Send

from papervenue.chance import uuid_of
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import TERMINAL, Fill, Order
from papervenue.events import Event, EventPosition
from papervenue.faces.kraken import wire_format
from papervenue.faces.kraken.history import AccountLog
from papervenue.faces.kraken.public import PublicReads, trade_message
from papervenue.faces.kraken.read_routes import KrakenReads
from papervenue.faces.kraken.wire_format import average, encoded, milliseconds, number, price
from papervenue.faults.streaming import TRADE_UPDATES, Recipient, StreamFaults
from papervenue.margined import accounts
from papervenue.margined.accounts import Margins, NetPosition, funding_due, net_positions
from papervenue.streams.socket import Message, Socket
from papervenue.times import HOUR

PATH = "/ws/v1"
TICKER, LITE, TRADES, BOOK, HEARTBEAT = "ticker", "ticker_lite", "trade", "book", "heartbeat"
ORDERS, VERBOSE, FILLS = "open_orders", "open_orders_verbose", "fills"
POSITIONS, BALANCES, LOG, NOTIFICATIONS = "open_positions", "balances", "account_log", "notifications_auth"
_OF_SYMBOLS = (TICKER, LITE, TRADES, BOOK)
_OF_EVENTS, _OF_ACCOUNT = (ORDERS, VERBOSE, FILLS), (POSITIONS, BALANCES, LOG, NOTIFICATIONS)
_FEEDS = frozenset({*_OF_SYMBOLS, HEARTBEAT, *_OF_EVENTS, *_OF_ACCOUNT})
_SNAPSHOT_FILLS = 100
_PREMIUM, _RELATIVE = Decimal("0.01"), Decimal("1e-15")
_SLOW = Message({"event": "alert", "message": "slow client"})
_GONE = {"filled": "full_fill", "rejected": "rejected"}

Told = dict[str, Any]
Follower = Callable[[], Iterable[Told]]
"""Returns the new messages of a feed since its last call; the first call returns the current state."""


class Feeds:
    """The feeds' application, which also listens to the exchange's events."""

    def __init__(
        self, engine: Engine, reads: KrakenReads, public: PublicReads, log: AccountLog, delivery: StreamFaults
    ) -> None:
        self._engine = engine
        self._reads = reads
        self._public = public
        self._log = log
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
        """Return an event's account and the message for that account's listeners, with the order's current state.

        Return None if the event isn't published.
        """
        # An order is reported when it is accepted, and not again when it reaches the market.
        if event.update is None or event.account is None or event.update.event == "new" or not self._clients:
            return None
        account = self._engine.accounts[event.account]
        order, execution = event.update.order, event.update.execution
        whom = {"symbol": order.symbol, "side": wire_format.side(order.side), "client_order_id": order.client_order_id}
        data: Told = {"order": whom, "event": event.update.event, ORDERS: self._change_message(order)}
        data[VERBOSE] = data[ORDERS] | {"feed": VERBOSE}
        if isinstance(execution, Fill):
            data[FILLS] = {"feed": FILLS, "username": account.name, "fills": [self._fill(execution)]}
        return account, {"data": _plain(data)}

    def publish(self, captured: tuple[Account, Told]) -> None:
        account, captured_messages = captured
        for item in self._delivery.deliver(
            TRADE_UPDATES, account.number, captured_messages, Recipient("", account.key_id)
        ):
            for client in self._clients:
                for feed in _OF_EVENTS:
                    if client.keys.get(feed) == account.key_id and feed in item["data"]:
                        client.socket.put(Message(item["data"][feed]))
                client.say_new(account.key_id)

    def send_prices(self) -> None:
        """Send prices and the time again, because engine time has moved."""
        for client in self._clients:
            client.say_new()
            if client.beats:
                client.say(feed=HEARTBEAT, time=milliseconds(self._engine.now_us))

    def ticker(self, symbol: str) -> Told:
        """Return the prices of a symbol as a message."""
        shown = self._reads.prices(symbol) or {}
        same = {name: shown.get(name) for name in ("tag", "pair", "bid", "ask", "last", "markPrice", "suspended")}
        rate, mark = shown.get("fundingRate"), shown.get("markPrice")
        relative = number((rate / mark).quantize(_RELATIVE)) if rate is not None and mark else None
        other = {
            "bid_size": shown.get("bidSize"),
            "ask_size": shown.get("askSize"),
            "volume": shown.get("vol24h"),
            "volumeQuote": shown.get("volumeQuote"),
            "change": shown.get("change24h"),
            "index": shown.get("indexPrice"),
            "funding_rate": rate,
            "funding_rate_prediction": shown.get("fundingRatePrediction"),
            "relative_funding_rate": relative,
            "relative_funding_rate_prediction": relative,
            "next_funding_rate_time": milliseconds((self._engine.now_us // HOUR + 1) * HOUR),
            "openInterest": shown.get("openInterest"),
        }
        return {"feed": TICKER, "product_id": symbol, "time": milliseconds(self._engine.now_us), **same, **other}

    def of_symbol(self, feed: str, symbol: str) -> Follower:
        """Return the follower of a symbol's feed."""
        return {TICKER: self._tickers, LITE: self._lite_tickers, TRADES: self._trades, BOOK: self._book}[feed](symbol)

    def of_account(self, feed: str, account: Account) -> Follower:
        """Return the follower of an account's feed."""
        if feed == LOG:
            return self._log_entries(account)
        read = {POSITIONS: self._positions, BALANCES: self._balances, NOTIFICATIONS: self._notifications}[feed]
        return _changes(lambda: read(account))

    def _tickers(self, symbol: str) -> Follower:
        return lambda: [self.ticker(symbol)]

    def _lite_tickers(self, symbol: str) -> Follower:
        def tell() -> Iterator[Told]:
            shown = self._reads.prices(symbol) or {}
            mark, index = shown.get("markPrice"), shown.get("indexPrice")
            same = {name: shown.get(name) for name in ("tag", "pair", "bid", "ask", "volumeQuote")}
            own = {"change": shown.get("change24h"), "volume": shown.get("vol24h"), "maturityTime": 0, "dtm": 0}
            premium = number((100 * (mark - index) / index).quantize(_PREMIUM)) if mark and index else None
            yield {"feed": LITE, "product_id": symbol, **same, **own, "premium": premium}

        return tell

    def _trades(self, symbol: str) -> Follower:
        after_us = -1

        def tell() -> Iterator[Told]:
            nonlocal after_us
            before_us, after_us, until_us = after_us, self._engine.now_us, self._engine.now_us + 1
            if before_us < 0:
                newest = islice(self._public.trades(symbol, until_us), _SNAPSHOT_FILLS)
                yield {
                    "feed": f"{TRADES}_snapshot",
                    "product_id": symbol,
                    "trades": [trade_message(symbol, trade) for trade in newest],
                }
            else:
                rows = [*self._public.trades(symbol, until_us, before_us)]
                yield from (trade_message(symbol, trade) for trade in reversed(rows))

        return tell

    def _book(self, symbol: str) -> Follower:
        shown: dict[tuple[str, Decimal], Decimal] = {}
        sequence = 0

        def tell() -> Iterator[Told]:
            nonlocal shown, sequence
            bids, asks = self._reads.levels(symbol)
            levels = {(side, at): size for side, rows in (("buy", bids), ("sell", asks)) for at, size in rows}
            before, shown, at_ms = shown, levels, milliseconds(self._engine.now_us)
            head: Told = {"product_id": symbol, "timestamp": at_ms}
            if not sequence:
                sequence = 1
                sides = (("bids", bids), ("asks", asks))
                rows = {name: [{"price": at, "qty": size} for at, size in side] for name, side in sides}
                yield {"feed": f"{BOOK}_snapshot", **head, "seq": sequence, "tickSize": None, **rows}
                return
            for key in [*before.keys() - levels.keys(), *levels]:
                if before.get(key) != (size := levels.get(key, Decimal(0))):
                    sequence += 1
                    yield {"feed": BOOK, **head, "side": key[0], "seq": sequence, "price": key[1], "qty": size}

        return tell

    def _positions(self, account: Account) -> Told:
        rows = [self._position(each, account.leverages.get(each.symbol)) for each in net_positions(account)]
        return {"feed": POSITIONS, "account": account.number, "positions": rows}

    def _position(self, position: NetPosition, leverage: Decimal | None) -> Told:
        grid, mark = self._engine.market.grids[position.symbol], accounts.mark_of(self._engine, position.symbol)
        return {
            "instrument": position.symbol,
            "balance": number(position.qty),
            "entry_price": average(position.average),
            "mark_price": price(grid, mark),
            "index_price": self._reads.index(position.symbol, self._engine.price(position.symbol)),
            "pnl": number(grid.notional(position.qty, mark) - position.cost),
            "unrealized_funding": number(-funding_due(self._engine, position)),
            "pnl_currency": "USD",
            **({} if leverage is None else {"max_fixed_leverage": number(leverage)}),
        }

    def _balances(self, account: Account) -> Told:
        now, shared = accounts.equity_and_margins(self._engine, account), accounts.margins(self._engine, account)
        cash = {name: number(now.cash) for name in ("quantity", "value", "collateral_value")}
        flex: Told = {"currencies": {"USD": cash | {"available": number(now.available)}}}
        flex |= self._margins(now, now.ordered, net_positions(account)) | _wallet(now, now.available)
        isolated, ordered = {}, now.ordered
        for symbol in account.leverages:
            own = accounts.initial_margin(self._engine, account, symbol)
            ordered -= own
            isolated[symbol] = self._margins(
                accounts.margins(self._engine, account, symbol), own, accounts.sharing(account, symbol)
            )
        cross = self._margins(shared, ordered, accounts.sharing(account)) | _wallet(shared, now.available)
        flex |= {"isolated": isolated, "cross": cross}
        return {"feed": BALANCES, "account": account.number, "holding": {}, "futures": {}, "flex_futures": flex}

    def _margins(self, now: Margins, ordered: Decimal, positions: Iterable[NetPosition]) -> Told:
        """Return the margins and the open profit of positions; `ordered` is their initial margin with open orders."""
        accrued = -sum((funding_due(self._engine, each) for each in positions), Decimal(0))
        amounts = {
            "initial_margin": ordered,
            "initial_margin_without_orders": now.initial,
            "maintenance_margin": now.maintenance,
            "pnl": now.unrealized,
            "unrealized_funding": accrued,
            "total_unrealized": now.unrealized + accrued,
            "total_unrealized_as_margin": now.unrealized,
        }
        return {name: number(amount) for name, amount in amounts.items()}

    def _notifications(self, account: Account) -> Told:
        return {"feed": NOTIFICATIONS, "notifications": []}

    def _log_entries(self, account: Account) -> Follower:
        shown = -1

        def tell() -> Iterator[Told]:
            nonlocal shown
            rows = [row for _, row in self._log.rows(account)]
            before, shown = shown, len(rows)
            if before < 0:
                yield {"feed": f"{LOG}_snapshot", "logs": rows[::-1][:_SNAPSHOT_FILLS]}
            else:
                yield from ({"feed": LOG, "new_entry": row} for row in rows[before:])

        return tell

    def snapshot(self, feed: str, account: Account) -> Told:
        """Return the first message of an account's feed."""
        if feed in (ORDERS, VERBOSE):
            rows = [self._order(order) for order in account.open.values()]
            return {"feed": f"{feed}_snapshot", "account": account.number, "orders": rows}
        newest_first = (settled for settled in reversed(account.activities) if isinstance(settled, Fill))
        fills = [self._fill(settled) for settled in islice(newest_first, _SNAPSHOT_FILLS)]
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


def _wallet(now: Margins, available: Decimal) -> Told:
    """Return the cash and the equity behind positions, and the margin that is available."""
    amounts = {
        "balance_value": now.cash,
        "portfolio_value": now.equity,
        "collateral_value": now.cash,
        "margin_equity": now.equity,
        "available_margin": available,
    }
    return {name: number(amount) for name, amount in amounts.items()}


def _changes(read: Callable[[], Told]) -> Follower:
    """Return a follower that returns a message whenever it has changed since the last call."""
    last: Told | None = None

    def tell() -> Iterator[Told]:
        nonlocal last
        before, last = last, read()
        if last != before:
            yield last

    return tell


class _Client:
    """The conversation on one connection.

    `keys` has the key of an account for each feed of events that the client listens to, and `followed` has the
    followers of the other feeds.
    """

    def __init__(self, socket: Socket, engine: Engine, feeds: Feeds) -> None:
        self.socket = socket
        self.keys: dict[str, str] = {}
        self.followed: dict[tuple[str, str], Follower] = {}
        self.beats = False
        self._engine = engine
        self._feeds = feeds
        self._challenges: set[str] = set()

    def greet(self) -> None:
        self.say(event="info", version=1)

    def say(self, **body: object) -> None:
        self.socket.put(Message(_plain(body)))

    def say_new(self, key: str | None = None) -> None:
        """Send the new messages of all followed feeds, or only of the feeds of the account with a key."""
        for (feed, of), tell in [*self.followed.items()]:
            if key is None or (feed in _OF_ACCOUNT and of == key):
                for message in tell():
                    self.say(**message)

    def hear(self, message: dict[str, Any] | None) -> None:
        event, feed = (str((message or {}).get(name)) for name in ("event", "feed"))
        if message is not None and event == "challenge" and isinstance(message.get("api_key"), str):
            challenge = uuid_of("challenge", id(self), len(self._challenges), self._engine.now_us)
            self._challenges.add(challenge)
            self.say(event="challenge", message=challenge)
        elif event == "ping":
            self.say(event="pong")
        elif message is not None and event in ("subscribe", "unsubscribe") and feed in _FEEDS:
            self._follow(message, feed, wanted=event == "subscribe")
        else:
            self.say(event="error", message="Invalid feed" if "subscribe" in event else "Json Error")

    def _follow(self, message: dict[str, Any], feed: str, *, wanted: bool) -> None:
        done = "subscribed" if wanted else "unsubscribed"
        if feed == HEARTBEAT:
            self.beats = wanted
            self.say(event=done, feed=feed)
        elif feed in _OF_SYMBOLS:
            self._follow_symbols(message, feed, done, wanted=wanted)
        elif (account := self._signing_account(message)) is None:
            self.say(event="alert", message="Failed to subscribe to authenticated feed")
        elif feed in _OF_ACCOUNT:
            self.say(event=done, feed=feed, api_key=account.key_id)
            self._follow_one((feed, account.key_id), self._feeds.of_account(feed, account) if wanted else None)
        else:
            self.keys[feed] = account.key_id if wanted else ""
            self.say(event=done, feed=feed, api_key=account.key_id)
            if wanted:
                self.say(**self._feeds.snapshot(feed, account))

    def _follow_one(self, what: tuple[str, str], tell: Follower | None) -> None:
        """Start to follow a feed of a symbol or an account, and send its first messages; stop if `tell` is None."""
        self.followed.pop(what, None)
        if tell is not None:
            self.followed[what] = tell
            for message in tell():
                self.say(**message)

    def _follow_symbols(self, message: dict[str, Any], feed: str, done: str, *, wanted: bool) -> None:
        product_ids = message.get("product_ids")
        names = [str(name).upper() for name in product_ids] if isinstance(product_ids, list) else []
        if not names or not self._engine.market.known.issuperset(names):
            self.say(event="error", message="Invalid product id")
            return
        self.say(event=done, feed=feed, product_ids=names)
        for symbol in names:
            self._follow_one((feed, symbol), self._feeds.of_symbol(feed, symbol) if wanted else None)

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
