"""Elsewhere's API: orders without groups or edits, a history that says how far it has got, and money in entries."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import LIQUIDATION, Fill, Order, OrderRequest, StopLoss
from papervenue.faces.face import Face, Parts, Serving
from papervenue.faces.guard import account_of, command_of
from papervenue.faces.web import MADE_AT, Call, Handler, Reply, ok, route
from papervenue.jsontext import encode, plain, to_decimal
from papervenue.margined.accounts import NetPosition, equity_and_margins, mark_of, net_positions
from papervenue.margined.admission import refuse
from papervenue.market.bars import Bar
from papervenue.market.venue import Grid
from papervenue.refusal import Refusal, not_found
from papervenue.times import parse_time, rfc3339
from tests.kit.elsewhere.place import TOLD_AFTER

ORDERS = "/v1/orders"
LAG_US = TOLD_AFTER.seconds * 1_000_000
SIDES = {"buy": 1, "sell": -1}
WORDS = {
    "pending_new": "received",
    "accepted": "received",
    "filled": "done",
    "canceled": "pulled",
    "expired": "pulled",
    "rejected": "refused",
    "suspended": "held back",
    "held": "waiting",
}
"""Its own words for the states of orders; in any other state, an order is at work."""
ENTRY_WORDS = {"FEE": "fee", "FUNDING": "funding"}


def _submit(asked: CommandArguments) -> Answer:
    body, engine = asked.body, asked.engine
    _check_time(engine, body.get("good_until"))
    symbol, side = str(body.get("symbol")), SIDES.get(str(body.get("side")))
    qty, client_id = to_decimal(body.get("qty")), body.get("client_order_id")
    if symbol not in engine.market.known or side is None or qty is None or not isinstance(client_id, str):
        raise refuse("not_an_order", "an order has a symbol, a side, a quantity and an id")
    limit, stop = (_units(engine.market.grids[symbol], body.get(name)) for name in ("limit_price", "stop_price"))
    kind, reduce_only = str(body.get("type")), body.get("reduce_only") is True
    request = OrderRequest(symbol, side, kind, "gtc", qty, None, limit, client_id, stop=stop, reduce_only=reduce_only)
    attached = _units(engine.market.grids[symbol], body.get("stop_of_entry"))
    if attached is not None:
        request = request._replace(order_class="oto", stop_loss=StopLoss(attached, None))
    order = engine.submit(asked.account, request, asked.fate, asked.policy)
    answer = encode({**_order(engine, order), "legs": [_order(engine, leg) for leg in order.legs]})
    if asked.acknowledgement is None:
        engine.settle(order)
    else:
        engine.settle_late(order, *asked.acknowledgement)
    return 200, answer


def _cancel(asked: CommandArguments) -> Answer:
    _check_time(asked.engine, asked.query.get("good_until"))
    order = asked.account.orders.get(asked.names["id"])
    if order is None:
        raise Refusal(404, {"error": "unknown_order", "message": "there is no such order"})
    if not order.is_open:
        return 200, encode({"result": "too_late"})
    if asked.fate == "refuse":
        raise refuse("not_now", "the order can't be pulled now")
    order.fate = asked.fate or order.fate
    asked.engine.cancel(asked.account, order.id)
    return 200, encode({"result": "pulled"})


def _check_time(engine: Engine, until: object) -> None:
    """Refuse a request that says nothing of its time, or that comes after it."""
    if not isinstance(until, str):
        raise refuse("no_time", "a request says until when it may arrive")
    if engine.now_us > parse_time(until):
        raise refuse("too_late", "the request came too late")


def _units(grid: Grid, text: object) -> int | None:
    price = to_decimal(text)
    units = None if price is None else grid.of(price)
    if price is not None and units is None:
        raise refuse("tick_size", "the price isn't on a tick")
    return units


def _order(engine: Engine, order: Order, told_us: int | None = None) -> dict[str, Any]:
    """Return an order as it is, or as the history tells it that has got to `told_us`: an end after that is open."""
    request, usd = order.request, engine.market.grids[order.symbol].usd
    untold = told_us is not None and order.updated_us > told_us and not order.is_open
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": "buy" if order.side > 0 else "sell",
        "type": request.type,
        "qty": plain(order.qty or Decimal(0)),
        "filled_qty": plain(order.filled_qty),
        "average": plain(order.filled_usd / order.filled_qty) if order.filled_qty else None,
        "limit_price": None if request.limit is None else plain(usd(request.limit)),
        "stop_price": None if order.stop is None else plain(usd(order.stop)),
        "reduce_only": request.reduce_only,
        "parent": None if order.parent is None else order.parent.id,
        "has_stop": order.parent is None and bool(order.legs),
        "status": "working" if untold else WORDS.get(order.status, "working"),
        "submitted_at": rfc3339(order.submitted_us),
        "updated_at": rfc3339(order.submitted_us if untold else order.updated_us),
    }


class Api:
    """What answers an exchange's requests."""

    def __init__(self, serving: Serving) -> None:
        self._exchange = serving.exchange
        self._engine = serving.exchange.engine

    def parts(self) -> Parts:
        """Return the routes."""
        gets: dict[str, Handler] = {
            "/v1/clock": self.clock,
            "/v1/account": self.account,
            "/v1/positions": self.positions,
            "/v1/positions/{symbol}": self.position,
            "/v1/history": self.history,
            "/v1/executions": self.executions,
            "/v1/entries": self.entries,
            "/v1/instruments": self.instruments,
            "/v1/sessions": self.sessions,
            "/v1/quotes": self.quotes,
            "/v1/bars": self.bars,
        }
        return Parts(
            [
                route(ORDERS, GET=self.orders, POST=self.run),
                route(ORDERS + "/{id}", GET=self.order, DELETE=self.run),
                *(route(path, GET=handler) for path, handler in gets.items()),
            ]
        )

    def _owner(self, call: Call) -> Account:
        return account_of(call, self._engine)

    @property
    def _told_us(self) -> int:
        """Return how far the history has got; one that is shown as it once was has got no further than that."""
        shown = self._engine.shown_us
        return (self._engine.now_us if shown is None else shown) - LAG_US

    def run(self, call: Call) -> Reply:
        """Carry out a command."""
        return Reply(*self._exchange.run(command_of(call, self._owner(call))))

    def clock(self, call: Call) -> Reply:
        """Return the venue's time and sessions."""
        self._owner(call)
        calendar, now_us = self._engine.market.calendar, self._engine.now_us
        moments = {"next_open": calendar.next_open(now_us), "next_close": calendar.next_close(now_us)}
        told = {"timestamp": rfc3339(now_us), "is_open": calendar.is_open(now_us)}
        body = encode({**told, **{name: rfc3339(us) for name, us in moments.items()}})
        return Reply(200, body, {MADE_AT: rfc3339(now_us)})

    def account(self, call: Call) -> Reply:
        """Return the figures of the account at the marks."""
        owner = self._owner(call)
        now = equity_and_margins(self._engine, owner)
        money = {"cash": now.cash, "equity": now.equity, "initial": now.initial, "maintenance": now.maintenance}
        money |= {"available": now.available, "last_equity": owner.closing.equity}
        return ok({"number": owner.number, "status": "open", **{name: plain(value) for name, value in money.items()}})

    def orders(self, call: Call) -> Reply:
        """Return the open orders; what has ended is gone from here at once."""
        return ok([_order(self._engine, order) for order in self._owner(call).open.values()])

    def order(self, call: Call) -> Reply:
        """Return one order by the venue's id, as far as the history has got."""
        order = self._owner(call).orders.get(call.names["id"])
        if order is None or (not order.is_open and order.submitted_us > self._told_us):
            raise not_found("there is no such order")
        legs = [_order(self._engine, leg, self._told_us) for leg in order.legs]
        return ok({**_order(self._engine, order, self._told_us), "legs": legs})

    def history(self, call: Call) -> Reply:
        """Return the orders of a client id, of symbols or since a time, oldest first, and how far it has got."""
        told_us, query = self._told_us, call.query
        wanted = query.get("client_order_id")
        symbols = frozenset(filter(None, query.get("symbols", "").split(",")))
        since_us = parse_time(query["since"]) if "since" in query else 0
        found = [
            _order(self._engine, order, told_us)
            for order in self._owner(call).orders.values()
            if since_us <= order.submitted_us <= told_us
            and (wanted is None or order.client_order_id == wanted)
            and (not symbols or order.symbol in symbols)
        ]
        return ok({"complete_until": rfc3339(told_us), "orders": found})

    def positions(self, call: Call) -> Reply:
        """Return what is held."""
        return ok([self._position(held) for held in net_positions(self._owner(call))])

    def position(self, call: Call) -> Reply:
        """Return what is held of one symbol."""
        found = [held for held in net_positions(self._owner(call)) if held.symbol == call.names["symbol"]]
        if not found:
            raise not_found("there is no such position")
        return ok(self._position(found[0]))

    def _position(self, held: NetPosition) -> dict[str, Any]:
        grid, mark = self._engine.market.grids[held.symbol], mark_of(self._engine, held.symbol)
        return {
            "symbol": held.symbol,
            "qty": plain(held.qty),
            "side": "long" if held.qty > 0 else "short",
            "average": plain(held.average),
            "market_value": plain(grid.notional(held.qty, mark)),
            "mark": plain(grid.usd(mark)),
        }

    def executions(self, call: Call) -> Reply:
        """Return the fills after a time, oldest first; their fees come as entries."""
        after_us = parse_time(call.query["after"]) if "after" in call.query else 0
        made = [one for one in self._owner(call).activities if isinstance(one, Fill) and one.at_us > after_us]
        return ok([self._execution(one) for one in made])

    def _execution(self, made: Fill) -> dict[str, Any]:
        return {
            "id": made.id,
            "order_id": made.order.id,
            "client_order_id": made.order.client_order_id,
            "symbol": made.order.symbol,
            "side": "buy" if made.order.side > 0 else "sell",
            "qty": plain(made.qty),
            "price": plain(self._engine.market.grids[made.order.symbol].usd(made.price)),
            "at": rfc3339(made.at_us),
            "liquidation": made.settled is not None and made.settled.role == LIQUIDATION,
        }

    def entries(self, call: Call) -> Reply:
        """Return what moved cash besides realized profit, after a time, oldest first."""
        after_us = parse_time(call.query["after"]) if "after" in call.query else 0
        made = [one for one in self._owner(call).activities if isinstance(one, Activity) and one.at_us > after_us]
        return ok(
            [
                {
                    "id": one.id,
                    "kind": ENTRY_WORDS.get(one.kind, one.kind),
                    "symbol": one.symbol,
                    "amount": plain(one.net_amount),
                    "at": rfc3339(one.at_us),
                    "fill": one.about or None,
                }
                for one in made
            ]
        )

    def instruments(self, call: Call) -> Reply:
        """Return how symbols are listed."""
        self._owner(call)
        known = self._engine.market.known
        return ok([_listed(self._engine, name) for name in self._symbols(call) if name in known])

    def _symbols(self, call: Call) -> list[str]:
        return list(filter(None, call.query.get("symbols", "").split(",")))

    def sessions(self, call: Call) -> Reply:
        """Return the sessions between two dates."""
        self._owner(call)
        first, last = (date.fromisoformat(call.query[name]).isoformat() for name in ("first", "last"))
        rows = self._engine.market.calendar.hours.between(first, last)
        return ok([{"date": day, "opens": rfc3339(us), "closes": rfc3339(close_us)} for day, us, close_us in rows])

    def quotes(self, call: Call) -> Reply:
        """Return the prices of symbols."""
        self._owner(call)
        return ok(list(self._quotes(self._symbols(call))))

    def _quotes(self, symbols: list[str]) -> Iterator[dict[str, Any]]:
        market, now_us = self._engine.market, self._engine.now_us
        spread = self._exchange.stored.spec.fill.spread_bps
        for symbol in (name for name in symbols if name in market.known):
            bar, grid = market.last_bar(symbol, now_us), market.grids[symbol]
            if bar is None:
                continue
            before = market.previous_close(symbol, now_us)
            prices = {"bid": grid.bid(bar.close, spread), "ask": grid.ask(bar.close, spread), "last": bar.close}
            told: dict[str, str | None] = {name: plain(grid.usd(price)) for name, price in prices.items()}
            told["before"] = None if before is None else plain(grid.usd(before))
            yield {"symbol": symbol, "at": rfc3339(min(now_us, bar.end_us)), **told}

    def bars(self, call: Call) -> Reply:
        """Return the bars of one symbol, of a minute or a day, that begin in a span and are over."""
        self._owner(call)
        query, market = call.query, self._engine.market
        first_us, last_us = (parse_time(query[name]) for name in ("first", "last"))
        symbol, daily = query["symbol"], query["of"] == "day"
        if symbol not in market.known:
            raise not_found("there is no such symbol")
        found = []
        for index, session in enumerate(market.calendar.market):
            if session.open_us > self._engine.now_us or session.open_us > last_us or session.close_us < first_us:
                continue
            whole = market.whole_day(symbol, index) if daily else None
            rows = [whole] if whole else [] if daily else list(market.day(symbol, index).bars)
            ends = session.close_us if daily else 0
            found += [
                _bar(market.grids[symbol], bar)
                for bar in rows
                if first_us <= bar.start_us <= last_us and max(ends, bar.end_us) <= self._engine.now_us
            ]
        return ok(found)


def _bar(grid: Grid, bar: Bar) -> dict[str, Any]:
    prices = dict(zip(("open", "high", "low", "close"), bar[1:5], strict=True))
    return {"at": rfc3339(bar.start_us), **{k: plain(grid.usd(p)) for k, p in prices.items()}, "volume": bar.volume}


def _listed(engine: Engine, symbol: str) -> dict[str, Any]:
    listed = engine.market.grids[symbol].instrument
    return {
        "symbol": symbol,
        "ticks": [[plain(price), plain(tick)] for price, tick in listed.ticks],
        "lot": plain(listed.lot),
        "minimum": plain(max(listed.minimum, listed.lot)),
        "multiplier": plain(listed.multiplier),
        "currency": listed.currency,
        "margins": [[plain(one.quantity), plain(one.initial), plain(one.maintenance)] for one in listed.margin_levels],
        "read_at": rfc3339(engine.now_us),
    }


FACE = Face(
    "plain",
    (Entry("POST", ORDERS, _submit), Entry("DELETE", ORDERS + "/{id}", _cancel)),
    lambda serving: Api(serving).parts(),
    orders=ORDERS,
    kinds={
        "submit": r"POST /v1/orders",
        "cancel": r"DELETE /v1/orders/[^/]+",
        "order": r"GET /v1/(orders/[^/]+|history)",
        "orders": r"GET /v1/orders",
        "account": r"GET /v1/account",
        "positions": r"GET /v1/positions(/[^/]+)?",
        "activities": r"GET /v1/(executions|entries)",
        "clock": r"GET /v1/clock",
        "snapshots": r"GET /v1/quotes",
    },
)
