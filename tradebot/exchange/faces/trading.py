"""Alpaca's trading API under /v2: account, orders, positions, activities, assets, clock, calendar."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from itertools import islice, pairwise

from starlette.routing import Route

from tradebot.exchange.commands import Command, position_symbol
from tradebot.exchange.engine.engine import Fill
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.trading_json import (
    account_json,
    asset_id,
    asset_json,
    calendar_json,
    clock_json,
    fill_json,
    order_json,
    position_json,
)
from tradebot.exchange.faces.web import Call, Handler, Reply, ok, route
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import Refusal, invalid, not_found
from tradebot.exchange.times import new_york_date

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOST_ORDERS = 500
_MOST_ACTIVITIES = 100


def require_key(call: Call) -> None:
    """Refuse a request without both key headers; any non-empty key opens this exchange's one account."""
    if not (call.headers.get("apca-api-key-id") and call.headers.get("apca-api-secret-key")):
        raise Refusal(401, {"message": "unauthorized."})


def keyed(handler: Handler) -> Handler:
    """Return a handler that asks for the key first."""

    def answer(call: Call) -> Reply:
        require_key(call)
        return handler(call)

    return answer


def params(call: Call) -> Params:
    """Return a request's parameters, refused as Alpaca's trading API refuses them."""
    return Params(call.query, lambda name: invalid(f"invalid {name}"))


class TradingFace:
    """Handlers of the trading API."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._engine = exchange.engine
        self._market = exchange.market

    def routes(self) -> list[Route]:
        """Return the face's routes, the busiest first."""
        run, get = keyed(self._run), keyed
        return [
            route("/v2/orders", GET=get(self._orders), POST=run, DELETE=run),
            route("/v2/account", GET=get(self._account)),
            route("/v2/positions", GET=get(self._positions), DELETE=run),
            route("/v2/clock", GET=get(self._clock)),
            route("/v2/orders:by_client_order_id", GET=get(self._order_by_client_id)),
            route("/v2/orders/{id}", GET=get(self._order), DELETE=run),
            route("/v2/positions/{name}", GET=get(self._position), DELETE=run),
            route("/v2/account/activities", GET=get(self._activities)),
            route("/v2/account/activities/{type}", GET=get(self._activities)),
            route("/v2/calendar", GET=get(self._calendar)),
            route("/v2/assets", GET=get(self._assets)),
            route("/v2/assets/{name}", GET=get(self._asset)),
        ]

    def _run(self, call: Call) -> Reply:
        return Reply(*self._exchange.run(Command(call.method, call.raw_path, call.raw_query, call.body)))

    def _account(self, call: Call) -> Reply:
        return ok(account_json(self._engine))

    def _clock(self, call: Call) -> Reply:
        return ok(clock_json(self._engine))

    def _order(self, call: Call) -> Reply:
        if not _UUID.fullmatch(call.names["id"]):
            raise invalid("order_id is not a valid uuid")
        return ok(order_json(self._engine.order(call.names["id"].lower())))

    def _order_by_client_id(self, call: Call) -> Reply:
        wanted = call.query.get("client_order_id", "")
        found = self._engine.by_client_id.get(wanted)
        if found is None:
            raise not_found(f"order not found for {wanted}")
        return ok(order_json(found))

    def _orders(self, call: Call) -> Reply:
        query = params(call)
        status = query.choice("status", ("open", "closed", "all"))
        rows = self._engine.open.values() if status == "open" else self._engine.orders.values()
        chosen = list(self._chosen(rows, status, query))
        if query.choice("direction", ("desc", "asc")) == "desc":
            chosen.reverse()
        return ok([order_json(order) for order in chosen[: query.count("limit", 50, _MOST_ORDERS)]])

    def _chosen(self, rows: Iterable[Order], status: str, query: Params) -> Iterable[Order]:
        after, until, symbols = query.moment("after"), query.moment("until"), query.words("symbols")
        side = {"any": 0, "buy": 1, "sell": -1}[query.choice("side", ("any", "buy", "sell"))]
        for order in rows:
            if (
                (status != "closed" or order.id not in self._engine.open)
                and (after is None or order.submitted_us > after)
                and (until is None or order.submitted_us < until)
                and (not symbols or order.symbol in symbols)
                and side in (0, order.request.side)
            ):
                yield order

    def _positions(self, call: Call) -> Reply:
        return ok([position_json(self._engine, held) for held in self._engine.account.positions.values()])

    def _position(self, call: Call) -> Reply:
        symbol = position_symbol(self._engine, call.names["name"])
        return ok(position_json(self._engine, self._engine.account.positions[symbol]))

    def _activities(self, call: Call) -> Reply:
        query = params(call)
        kinds = query.words("activity_types") or [call.names.get("type", "FILL")]
        if "FILL" not in kinds:
            return ok([])
        fills = [fill for fill in self._engine.fills if _wanted(fill, query)]
        if query.choice("direction", ("desc", "asc")) == "desc":
            fills.reverse()
        return ok([fill_json(fill) for fill in _page(fills, query)])

    def _calendar(self, call: Call) -> Reply:
        query, sessions = params(call), self._market.calendar.all
        start, end = _day(query, "start", "0000"), _day(query, "end", "9999")
        return ok(
            [
                calendar_json(session, following.date)
                for session, following in pairwise(sessions)
                if start <= session.date <= end
            ]
        )

    def _assets(self, call: Call) -> Reply:
        query = params(call)
        other_class = query.text("asset_class", "us_equity") != "us_equity"
        if query.choice("status", ("active", "inactive", "all")) == "inactive" or other_class:
            return ok([])
        rows = [asset_json(self._market, symbol) for symbol in self._market.symbols]
        exchange = query.text("exchange")
        return ok([row for row in rows if not exchange or row["exchange"] == exchange])

    def _asset(self, call: Call) -> Reply:
        name = call.names["name"]
        for symbol in self._market.symbols:
            if name in (symbol, asset_id(symbol)):
                return ok(asset_json(self._market, symbol))
        raise not_found(f"asset not found for {name}")


def _wanted(fill: Fill, query: Params) -> bool:
    after, until, day = query.moment("after"), query.moment("until"), _day(query, "date", "")
    return (
        (after is None or fill.at_us > after)
        and (until is None or fill.at_us < until)
        and (not day or new_york_date(fill.at_us) == day)
    )


def _page(fills: list[Fill], query: Params) -> Iterable[Fill]:
    token, size = query.text("page_token"), query.count("page_size", _MOST_ACTIVITIES, _MOST_ACTIVITIES)
    positions = {fill.id: place for place, fill in enumerate(fills)}
    if token and token not in positions:
        raise invalid("invalid page_token")
    start = positions[token] + 1 if token else 0
    return islice(fills, start, start + size)


def _day(query: Params, name: str, default: str) -> str:
    text = query.text(name)
    if not text:
        return default
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise invalid(f"invalid {name}") from error
