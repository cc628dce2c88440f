"""A face of a plain venue for tests: orders, an account and its history in as few words as possible."""

from dataclasses import asdict
from typing import Any

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine_state import order_fields
from papervenue.engine.orders import Order, OrderRequest
from papervenue.faces.face import Face, Parts, Serving
from papervenue.faces.guard import account_of, command_of
from papervenue.faces.web import Call, Reply, ok, route
from papervenue.jsontext import encode, plain, to_decimal
from papervenue.margined.accounts import equity_and_margins
from papervenue.margined.admission import refuse
from papervenue.refusal import not_found

ORDERS = "/v1/orders"
_SIDES = {"buy": 1, "sell": -1}


def _submit(api_request: CommandArguments) -> Answer:
    body, engine = api_request.body, api_request.engine
    symbol = str(body.get("symbol"))
    if symbol not in engine.market.known:
        raise refuse("unknown_symbol", "there is no such instrument")
    grid, prices = engine.market.grids[symbol], dict[str, int]()
    for name in ("limit", "stop"):
        price = to_decimal(body.get(name))
        units = None if price is None else grid.of(price)
        if units is not None:
            prices[name] = units
        elif price is not None:
            raise refuse("tick_size", "the price isn't on a tick")
    qty, side = to_decimal(body.get("qty")), _SIDES[str(body.get("side"))]
    kind, tif, client_id = str(body.get("type", "market")), str(body.get("tif", "gtc")), body.get("client_order_id")
    request = OrderRequest(symbol, side, kind, tif, qty, None, prices.get("limit"), client_id, stop=prices.get("stop"))
    request = request._replace(reduce_only=body.get("reduce_only") is True)
    order = engine.submit(api_request.account, request, api_request.fate, api_request.policy)
    answer = encode(_shown(api_request, order))
    engine.settle(order)
    return 200, answer


def _cancel(api_request: CommandArguments) -> Answer:
    api_request.engine.cancel(api_request.account, api_request.names["id"])
    return 204, b""


def _shown(api_request: CommandArguments, order: Order) -> dict[str, Any]:
    return order_fields(order, api_request.engine.market.grids)


def _serve(serving: Serving) -> Parts:
    exchange, engine = serving.exchange, serving.exchange.engine

    def run(call: Call) -> Reply:
        return Reply(*exchange.run(command_of(call, account_of(call, engine))))

    def orders(call: Call) -> Reply:
        return ok([order_fields(order, engine.market.grids) for order in account_of(call, engine).orders.values()])

    def one(call: Call) -> Reply:
        order = account_of(call, engine).orders.get(call.names["id"])
        if order is None:
            raise not_found("there is no such order")
        return ok(order_fields(order, engine.market.grids))

    def account(call: Call) -> Reply:
        owner = account_of(call, engine)
        now = equity_and_margins(engine, owner)
        money = {name: plain(value) for name, value in asdict(now).items()}
        return ok(money | {"equity": plain(now.equity), "positions": _positions(owner)})

    def entries(call: Call) -> Reply:
        activities = [one for one in account_of(call, engine).activities if isinstance(one, Activity)]
        return ok([[one.kind, one.symbol, plain(one.net_amount), one.about] for one in activities])

    return Parts(
        [
            route(ORDERS, GET=orders, POST=run),
            route(ORDERS + "/{id}", GET=one, DELETE=run),
            route("/v1/account", GET=account),
            route("/v1/entries", GET=entries),
        ]
    )


def _positions(account: Account) -> dict[str, str]:
    return {symbol: plain(position.qty) for symbol, position in sorted(account.positions.items())}


FACE = Face(
    "plain",
    (Entry("POST", ORDERS, _submit), Entry("DELETE", ORDERS + "/{id}", _cancel)),
    _serve,
    orders=ORDERS,
    kinds={
        "submit": r"POST /v1/orders",
        "cancel": r"DELETE /v1/orders/[^/]+",
        "order": r"GET /v1/orders/[^/]+",
        "orders": r"GET /v1/orders",
        "account": r"GET /v1/account",
    },
)
FOREIGN = FACE._replace(dialect="alpaca")
