"""Serve Kraken Futures' API and its limits: public data without a key, and an account for signed requests.

Limits use the exchange's time. While that stands still, nothing is refused, because budgets wouldn't refill.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine import unsolicited
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order, Replacement
from papervenue.faces.face import Face, Parts, Serving
from papervenue.faces.guard import command_of
from papervenue.faces.kraken import orders, wire_format
from papervenue.faces.kraken.feeds import PATH, Feeds
from papervenue.faces.kraken.history import AccountLog, HistoryReads
from papervenue.faces.kraken.orders import (
    V3,
    Params,
    cancel_order,
    check_time,
    find_order,
    parameters,
    refuse_order,
    send_order,
    units_of,
)
from papervenue.faces.kraken.public import PublicReads
from papervenue.faces.kraken.read_routes import Charts, KrakenReads
from papervenue.faces.kraken.wire_format import error, iso, success
from papervenue.faces.web import Call, Handler, Reply, Route, ok, route
from papervenue.jsontext import to_decimal
from papervenue.refusal import Refusal
from papervenue.times import HOUR, MINUTE, SECOND

EDIT, BATCH = f"{V3}/editorder", f"{V3}/batchorder"
MOST_IN_A_BATCH = 10


def _edit(command: CommandArguments) -> Answer:
    params = parameters(command.command.query, command.command.body)
    check_time(command.engine, params)
    return 200, success(command.engine.now_us, editStatus=_edit_order(command, params))


def _edit_order(command: CommandArguments, params: Params) -> dict[str, Any]:
    """Edit one order and return its status; raise a Refusal with the status if the order stays unchanged."""
    engine = command.engine
    order = find_order(command.account, {**params, "order_id": params.get("orderId") or params.get("order_id", "")})
    if order is None or not order.is_open or command.fate == "refuse":
        raise _unchanged_refusal(command, "orderForEditNotFound")
    if params.get("stopPrice") and order.stop is None:
        raise _unchanged_refusal(command, "orderForEditNotAStop")
    old = _order_event(command, order)
    try:
        unsolicited.restate(engine, order, _replacement_of(command, order, params))
    except Refusal as refusal:
        word = wire_format.STATUSES.get(str(refusal.body.get("code")))
        if word is None and "sendStatus" not in refusal.body:
            raise
        raise _unchanged_refusal(command, word or refusal.body["sendStatus"]["status"]) from refusal
    event = {"type": "EDIT", "old": old, "new": _order_event(command, order), "reducedQuantity": None}
    return {"status": "edited", "orderId": order.id, "receivedTime": iso(engine.now_us), "orderEvents": [event]}


def _replacement_of(command: CommandArguments, order: Order, params: Params) -> Replacement:
    engine, grid = command.engine, command.engine.market.grids[order.symbol]
    size = to_decimal(params["size"]) if params.get("size") else None
    if params.get("size") and (size is None or size <= order.filled_qty):
        raise refuse_order(engine, "invalidSize", params)
    limit, stop = (units_of(engine, grid, params, name) for name in ("limitPrice", "stopPrice"))
    return Replacement(size, limit, stop, None, None, None)


def _order_event(command: CommandArguments, order: Order) -> dict[str, Any]:
    grid = command.engine.market.grids[order.symbol]
    return (
        wire_format.trigger_event(grid, order)
        if wire_format.is_untriggered_stop(order)
        else wire_format.order_event(grid, order)
    )


def _unchanged_refusal(command: CommandArguments, word: str) -> Refusal:
    now = iso(command.engine.now_us)
    status = {"status": word, "receivedTime": now, "orderEvents": []}
    return Refusal(200, {"result": "success", "editStatus": status, "serverTime": now})


def _batch(command: CommandArguments) -> Answer:
    """Run commands one after the other; each has its own status, whether or not the others succeed."""
    params = parameters(command.command.query, command.command.body)
    check_time(command.engine, params)
    return 200, success(command.engine.now_us, batchStatus=[_one(command, call) for call in batch_of(command, params)])


def batch_of(command: CommandArguments, params: Params) -> list[Mapping[str, Any]]:
    """Return the commands of a batch; raise a Refusal if the batch is empty, too long, or can't be read."""
    listed = commands_in(params)
    if not listed or len(listed) > MOST_IN_A_BATCH:
        raise error(command.engine.now_us, "invalidArgument: json")
    return listed


def commands_in(params: Params) -> list[Mapping[str, Any]]:
    """Return the commands that the JSON in a request's parameters lists, or none if it can't be read."""
    try:
        value = json.loads(params.get("json", ""), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return []
    listed = value.get("batchOrder") if isinstance(value, dict) else None
    return [call for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []


def _one(command: CommandArguments, call: Mapping[str, Any]) -> dict[str, Any]:
    params = {name: str(value) for name, value in call.items() if value is not None}
    tag = {"order_tag": params["order_tag"]} if "order_tag" in params else {}
    try:
        if call.get("order") == "send":
            return {**send_order(command, params), **tag}
        if call.get("order") == "cancel":
            return {**cancel_order(command, command.account, params), **tag}
        if call.get("order") == "edit":
            return {**_edit_order(command, params), **tag}
        return {"status": "invalidArgument", "orderEvents": [], **tag}
    except Refusal as refusal:
        state = refusal.body.get("sendStatus") or refusal.body.get("editStatus")
        status = state or {"status": str(refusal.body.get("error", "")).partition(":")[0], "orderEvents": []}
        return {**status, **tag}


ENTRIES = (
    Entry("POST", EDIT, _edit),
    Entry("POST", BATCH, _batch),
)


PREFIX = "/derivatives"
"""The part of a path that isn't signed."""


def client_secret(secret: str) -> str:
    """Return the secret that a client signs with, in base64, as the client expects it."""
    return base64.b64encode(secret.encode()).decode()


class Keys:
    """The keys of an exchange's accounts; the secret of a key is the account's secret in base64.

    The last nonces are only kept in memory, so a restarted exchange accepts any nonce. The real venue remembers them,
    so a client must keep them across its own restarts.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._nonces: dict[str, int] = {}

    def owner(self, call: Call) -> Account:
        """Return the account whose key has signed a request; raise a Refusal with the reason otherwise."""
        key, nonce = call.headers.get("apikey", ""), call.headers.get("nonce", "")
        opened = (account for account in self._engine.accounts.values() if account.key_id == key)
        account = next((account for account in opened if _is_signed(call, account.secret, nonce)), None)
        if account is None or not (nonce.isdecimal() or not nonce):
            raise error(self._engine.now_us, "authenticationError")
        # A script that shows an account as it was requests it a second time, with the same nonce.
        if nonce and self._engine.shown_us is None:
            self._check_nonce(key, int(nonce))
        return account

    def _check_nonce(self, key: str, nonce: int) -> None:
        last = self._nonces.get(key, -1)
        if nonce <= last:
            word = "nonceDuplicate" if nonce == last else "nonceBelowThreshold"
            raise error(self._engine.now_us, word)
        self._nonces[key] = nonce


def _is_signed(call: Call, secret: str, nonce: str) -> bool:
    """Return True if a request has the right signature: over its query and body as sent, its nonce, and its path."""
    path = call.raw_path.removeprefix(PREFIX)
    digest = hashlib.sha256(f"{call.raw_query}{call.body}{nonce}{path}".encode()).digest()
    signature = base64.b64encode(hmac.new(secret.encode(), digest, hashlib.sha512).digest())
    return hmac.compare_digest(signature, call.headers.get("authent", "").encode(errors="replace"))


HISTORIES = ("/api/history/v2", "/api/history/v3")
_RATES = 24 * 7
Signed = Callable[[Account, Call], Reply]


class Api:
    """Handles requests to Kraken's API."""

    def __init__(self, serving: Serving) -> None:
        exchange = serving.exchange
        self._exchange = exchange
        self._engine = exchange.engine
        self._keys = Keys(exchange.engine)
        self._reads = KrakenReads(exchange)
        self._history = HistoryReads(exchange.engine)
        self._log = AccountLog(self._history)
        self._charts = Charts(exchange.engine)
        self._public = PublicReads(exchange.engine, exchange.stored.spec.venue.rules)
        self.limits = Limits(lambda: exchange.engine.now_us, lambda: exchange.clock.running)
        self._feeds = Feeds(exchange.engine, self._reads, self._public, self._log, serving.delivery)
        exchange.listeners.append(self._feeds)
        exchange.moved.append(lambda from_us, to_us: self._feeds.send_prices())
        exchange.status_parts["most_spent"] = lambda: self.limits.peaks

    def parts(self) -> Parts:
        """Return the routes, the busiest first."""
        reads, history, public = self._reads, self._history, self._public
        statuses = self._signed_handler(self._statuses, lambda call: (TRADING, COSTS["orders/status"]))
        return Parts(
            [
                self._read("openorders", lambda owner, call: reads.open_orders(owner)),
                self._read("openpositions", lambda owner, call: reads.positions(owner)),
                self._read("accounts", lambda owner, call: reads.accounts(owner)),
                route(f"{V3}/tickers", GET=reads.tickers),
                route(orders.SEND, POST=self._command("sendorder")),
                route(orders.CANCEL, POST=self._command("cancelorder")),
                route(orders.CANCEL_ALL, POST=self._command("cancelallorders")),
                route(orders.CANCEL_LATER, POST=self._command("cancelallordersafter")),
                route(EDIT, POST=self._command("editorder")),
                route(BATCH, POST=self._command("batchorder")),
                self._read("fills", reads.fills),
                route(
                    f"{V3}/orders/status",
                    GET=statuses,
                    POST=statuses,
                ),
                *self._histories("orders", history.orders),
                *self._histories("triggers", history.triggers),
                *self._histories("executions", history.executions),
                *self._histories("account-log", self._log.log),
                route(f"{V3}/instruments", GET=reads.instruments),
                route(f"{V3}/tickers/{{symbol}}", GET=reads.ticker),
                route(f"{V3}/orderbook", GET=reads.book),
                route("/derivatives/api/v4/historicalfundingrates", GET=self._rates),
                route("/api/auth/v1/api-keys/v3/check", GET=self._key),
                route("/api/charts/v1/{kind}/{symbol}/{span}", GET=self._charts.candles),
                *(route(f"/api/charts/v1/{rest}", GET=public.charts) for rest in ("{kind}/{symbol}", "{kind}", "")),
                route(f"{V3}/instruments/status", GET=public.statuses),
                route(f"{V3}/instruments/{{symbol}}/status", GET=public.status),
                route(f"{V3}/history", GET=public.history),
                *(route(f"{root}/market/{{symbol}}/executions", GET=public.executions) for root in HISTORIES),
                route(f"{V3}/feeschedules", GET=public.fee_schedules),
                self._read("feeschedules/volumes", public.volumes),
                self._read("notifications", public.notifications),
                route(
                    orders.LEVERAGES,
                    GET=self._signed_handler(public.leverages, lambda call: (TRADING, COSTS["leveragepreferences"])),
                    PUT=self._command("leveragepreferences"),
                ),
            ],
            {PATH: self._feeds},
        )

    def _read(self, name: str, handler: Signed) -> Route:
        return route(f"{V3}/{name}", GET=self._signed_handler(handler, lambda call: (TRADING, _cost(name, call))))

    def _histories(self, name: str, handler: Signed) -> list[Route]:
        def cost_of(call: Call) -> tuple[Budget, int]:
            return HISTORY, log_cost(self._log.count(call)) if name == "account-log" else 1

        signed = self._signed_handler(handler, cost_of)
        return [route(f"{root}/{name}", GET=signed) for root in HISTORIES]

    def _command(self, name: str) -> Handler:
        def run(owner: Account, call: Call) -> Reply:
            return Reply(*self._exchange.run(command_of(call, owner)))

        return self._signed_handler(run, lambda call: (TRADING, _cost(name, call)))

    def _signed_handler(self, handler: Signed, spent: Callable[[Call], tuple[Budget, int]]) -> Handler:
        """Return the handler of a request that is signed by an account's key and uses up some of a budget."""

        def handle(call: Call) -> Reply:
            owner = self._keys.owner(call)
            budget, cost = spent(call)
            wait_us = self.limits.spend(owner.key_id, budget, cost) if self._engine.shown_us is None else 0
            if not wait_us:
                return handler(owner, call)
            if budget is HISTORY:
                return Reply(429, b"Rate limited.", _rate_limited(wait_us))
            raise error(self._engine.now_us, "apiLimitExceeded")

        return handle

    def _statuses(self, owner: Account, call: Call) -> Reply:
        values = {name: _listed_values(call, name) for name in ("orderIds", "cliOrdIds")}
        return self._reads.statuses(owner, values["orderIds"], values["cliOrdIds"])

    def _key(self, call: Call) -> Reply:
        """Return a key's permissions: trading, but no transfers. A wrong signature gets a 401 here."""
        try:
            owner = self._keys.owner(call)
        except Refusal as refusal:
            body = {"error": refusal.body["error"], "message": "the key can't be used", "suberror": None}
            raise Refusal(401, body) from refusal
        return ok(
            {
                "apiKey": owner.key_id,
                "accountUid": owner.number,
                "iiban": None,
                "createdAt": iso(owner.created_us),
                "permissions": {"general": "FULL_ACCESS", "transfer": "NO_ACCESS"},
                "allowedCidrBlock": None,
                "allowedCidrBlocks": [],
            }
        )

    def _rates(self, call: Call) -> Reply:
        """Return the funding rates of the last hours, each of the hour that ended at its time."""
        engine, symbol = self._engine, call.query.get("symbol", "").upper()
        if symbol not in engine.market.known:
            raise error(engine.now_us, "invalidArgument: symbol")
        last, grid = engine.now_us // HOUR, engine.market.grids[symbol]
        first = max(last - _RATES, engine.start_us // HOUR)
        rows = []
        for hour in range(first, last + 1):
            rate, mark = self._history.rate(symbol, hour * HOUR), self._history.mark(symbol, hour * HOUR)
            relative = Decimal(0) if mark is None else (rate / grid.usd(mark)).quantize(Decimal("1e-15"))
            shown: dict[str, Any] = {"timestamp": iso(hour * HOUR), "fundingRate": wire_format.number(rate)}
            rows.append({**shown, "relativeFundingRate": wire_format.number(relative)})
        return wire_format.timed_reply(engine.now_us, rates=rows)


def _rate_limited(wait_us: int) -> dict[str, str]:
    return {"content-type": "text/plain", "rate-limit-reset": str(-(-wait_us // SECOND))}


def _cost(name: str, call: Call) -> int:
    if name == "fills" and call.query.get("lastFillTime"):
        return FILLS_SINCE
    if name == "batchorder":
        return COSTS[name] + len(commands_in(orders.parameters(call.raw_query, call.body)))
    return COSTS[name]


def _listed_values(call: Call, name: str) -> set[str]:
    """Return the values of a parameter that is repeated or has several values separated by commas."""
    sent = [*parse_qsl(call.raw_query), *parse_qsl(call.body)]
    texts = [value for key, value in sent if key.removesuffix("[]") == name]
    return {part for value in texts for part in value.split(",") if part}


KINDS = {
    "submit": r"POST /derivatives/api/v3/sendorder",
    "cancel": r"POST /derivatives/api/v3/cancelorder",
    "cancel_all": r"POST /derivatives/api/v3/cancelallorders",
    "replace": r"POST /derivatives/api/v3/editorder",
    "orders": r"GET /derivatives/api/v3/openorders",
    "order": r"(GET /api/history/v[23]/(orders|triggers|executions)|(GET|POST) /derivatives/api/v3/orders/status)",
    "account": r"GET /derivatives/api/v3/accounts",
    "positions": r"GET /derivatives/api/v3/openpositions",
    "activities": r"GET (/derivatives/api/v3/fills|/api/history/v[23]/account-log)",
    "clock": r"GET /derivatives/api/v3/openpositions",
    "assets": r"GET /derivatives/api/v3/instruments",
    "snapshots": r"GET /derivatives/api/v3/(tickers(/[^/]+)?|orderbook)",
    "bars": r"GET /api/charts/v1/.*",
    "any trading": r"\w+ (/derivatives/.*|/api/history/.*)",
    "any data": r"GET /api/charts/.*",
    "any read": r"GET /derivatives/.*",
    "any change": r"(POST|PUT) /derivatives/api/v3/(?!orders/status).*",
    "any": r"\w+ /derivatives/.*",
}
"""What fault rules call the requests of this face.

Clients confirm orders through the history, so it counts as `order`.
"""

FACE = Face(
    "plain",
    (*orders.ENTRIES, *ENTRIES),
    lambda serving: Api(serving).parts(),
    orders=orders.SEND,
    kinds=KINDS,
    title="orders and prices (Kraken Futures' API), websockets at the same address",
    secret=client_secret,
)


class Budget(NamedTuple):
    """A request budget: at most `most` units of cost within `span_us` microseconds."""

    most: int
    span_us: int


TRADING, HISTORY = Budget(500, 10 * SECOND), Budget(100, 10 * MINUTE)
COSTS: Mapping[str, int] = MappingProxyType(
    {
        "sendorder": 10,
        "editorder": 10,
        "cancelorder": 10,
        "batchorder": 9,
        "cancelallorders": 25,
        "cancelallordersafter": 25,
        "accounts": 2,
        "openpositions": 2,
        "openorders": 2,
        "fills": 2,
        "orders/status": 1,
        "feeschedules/volumes": 1,
        "notifications": 1,
        "leveragepreferences": 2,
    }
)
"""The costs of requests for trading. A batch costs one more for each of its orders."""
FILLS_SINCE = 25
_LOG_COSTS = ((25, 1), (50, 2), (1_000, 3), (5_000, 6))
_MOST_LOG = 10


def log_cost(count: int) -> int:
    """Return the cost of a page with this many rows of the account log."""
    return next((cost for most, cost in _LOG_COSTS if count <= most), _MOST_LOG)


class Limits:
    """How much of its budget each key has used. `peaks` has the highest use by any key, by the budget's name."""

    def __init__(self, now_us: Callable[[], int], enforced: Callable[[], bool]) -> None:
        self._now_us = now_us
        self._enforced = enforced
        self._spent: dict[tuple[str, Budget], deque[tuple[int, int]]] = {}
        self.peaks = {"trading": 0, "history": 0}

    def spend(self, key: str, budget: Budget, cost: int) -> int:
        """Spend `cost` from a key's budget and return 0.

        If the budget is enforced and too small, spend nothing, and return how many microseconds to wait.
        """
        now_us, spent = self._now_us(), self._spent.setdefault((key, budget), deque())
        while spent and spent[0][0] <= now_us - budget.span_us:
            spent.popleft()
        total = sum(cost for _, cost in spent) + cost
        if total > budget.most and self._enforced():
            return self._until(spent, budget, total - budget.most) - now_us
        spent.append((now_us, cost))
        name = "trading" if budget is TRADING else "history"
        self.peaks[name] = max(self.peaks[name], total)
        return 0

    def _until(self, spent: deque[tuple[int, int]], budget: Budget, over: int) -> int:
        for at_us, cost in spent:
            over -= cost
            if over <= 0:
                return at_us + budget.span_us
        return self._now_us() + budget.span_us
