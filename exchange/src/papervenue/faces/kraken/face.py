"""Serve Kraken Futures' API: what is public to anybody, and an account to whoever signs for it, within its limits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from papervenue.engine.account import Account
from papervenue.faces.face import Face, Parts, Serving
from papervenue.faces.keys import command_of
from papervenue.faces.kraken import edits, orders, words
from papervenue.faces.kraken.account_log import AccountLog
from papervenue.faces.kraken.charts import Charts
from papervenue.faces.kraken.feeds import PATH, Feeds
from papervenue.faces.kraken.history import HistoryReads
from papervenue.faces.kraken.limits import COSTS, FILLS_SINCE, HISTORY, TRADING, Budget, Limits, log_cost
from papervenue.faces.kraken.orders import V3
from papervenue.faces.kraken.reads import Reads
from papervenue.faces.kraken.signing import Keys, client_secret
from papervenue.faces.kraken.words import error, iso
from papervenue.faces.web import Call, Handler, Reply, Route, ok, route
from papervenue.refusal import Refusal
from papervenue.times import HOUR, SECOND

HISTORIES = ("/api/history/v2", "/api/history/v3")
_RATES = 24 * 7
Signed = Callable[[Account, Call], Reply]


class Api:
    """What answers an exchange's requests."""

    def __init__(self, serving: Serving) -> None:
        exchange = serving.exchange
        self._exchange = exchange
        self._engine = exchange.engine
        self._keys = Keys(exchange.engine)
        self._reads = Reads(exchange)
        self._history = HistoryReads(exchange.engine)
        self._log = AccountLog(self._history)
        self._charts = Charts(exchange.engine)
        self.limits = Limits(lambda: exchange.engine.now_us, lambda: exchange.clock.running)
        self._feeds = Feeds(exchange.engine, self._reads, serving.delivery)
        exchange.listeners.append(self._feeds)
        exchange.moved.append(lambda from_us, to_us: self._feeds.moved())
        exchange.status_parts["most_spent"] = lambda: self.limits.peaks

    def parts(self) -> Parts:
        """Return the routes, the busiest first."""
        reads, history = self._reads, self._history
        statuses = self._signed(self._statuses, lambda call: (TRADING, COSTS["orders/status"]))
        return Parts(
            [
                self._read("openorders", lambda owner, call: reads.open_orders(owner)),
                self._read("openpositions", lambda owner, call: reads.positions(owner)),
                self._read("accounts", lambda owner, call: reads.accounts(owner)),
                route(f"{V3}/tickers", GET=reads.tickers),
                route(orders.SEND, POST=self._command("sendorder")),
                route(orders.CANCEL, POST=self._command("cancelorder")),
                route(orders.CANCEL_ALL, POST=self._command("cancelallorders")),
                route(edits.EDIT, POST=self._command("editorder")),
                route(edits.BATCH, POST=self._command("batchorder")),
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
            ],
            {PATH: self._feeds},
        )

    def _read(self, name: str, handler: Signed) -> Route:
        return route(f"{V3}/{name}", GET=self._signed(handler, lambda call: (TRADING, _cost(name, call))))

    def _histories(self, name: str, handler: Signed) -> list[Route]:
        def spent(call: Call) -> tuple[Budget, int]:
            return HISTORY, log_cost(self._log.count(call)) if name == "account-log" else 1

        signed = self._signed(handler, spent)
        return [route(f"{root}/{name}", GET=signed) for root in HISTORIES]

    def _command(self, name: str) -> Handler:
        def run(owner: Account, call: Call) -> Reply:
            return Reply(*self._exchange.run(command_of(call, owner)))

        return self._signed(run, lambda call: (TRADING, _cost(name, call)))

    def _signed(self, handler: Signed, spent: Callable[[Call], tuple[Budget, int]]) -> Handler:
        """Return the handler of a request that an account's key signs, and that costs something of a budget."""

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
        values = {name: _listed(call, name) for name in ("orderIds", "cliOrdIds")}
        return self._reads.statuses(owner, values["orderIds"], values["cliOrdIds"])

    def _key(self, call: Call) -> Reply:
        """Return what a key may do: trade, and move nothing away. A wrong signature gets a 401 here."""
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
            shown: dict[str, Any] = {"timestamp": iso(hour * HOUR), "fundingRate": words.number(rate)}
            rows.append({**shown, "relativeFundingRate": words.number(relative)})
        return words.told(engine.now_us, rates=rows)


def _rate_limited(wait_us: int) -> dict[str, str]:
    return {"content-type": "text/plain", "rate-limit-reset": str(-(-wait_us // SECOND))}


def _cost(name: str, call: Call) -> int:
    if name == "fills" and call.query.get("lastFillTime"):
        return FILLS_SINCE
    if name == "batchorder":
        return COSTS[name] + len(edits.commands_in(orders.parameters(call.raw_query, call.body)))
    return COSTS[name]


def _listed(call: Call, name: str) -> set[str]:
    """Return the values of a parameter that is repeated, or holds several between commas."""
    sent = [*parse_qsl(call.raw_query), *parse_qsl(call.body)]
    found = [value for key, value in sent if key.removesuffix("[]") == name]
    return {one for value in found for one in value.split(",") if one}


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
    "any change": r"POST /derivatives/api/v3/(?!orders/status).*",
    "any": r"\w+ /derivatives/.*",
}
"""What rules of faults call the requests of this face. Orders are proven over by the history, so `order` is that."""

FACE = Face(
    "plain",
    (*orders.ENTRIES, *edits.ENTRIES),
    lambda serving: Api(serving).parts(),
    orders=orders.SEND,
    kinds=KINDS,
    title="orders and prices (Kraken Futures' API), websockets at the same address",
    secret=client_secret,
)
