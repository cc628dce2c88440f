"""Serve Alpaca's market-data API: map every path of its OpenAPI document to a handler."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from papervenue.exchange import Exchange
from papervenue.faces.data.history import DataHistory
from papervenue.faces.data.params import bad_parameter, params_of, read_token, token_of
from papervenue.faces.data.rows import Row
from papervenue.faces.data.stocks import Stocks
from papervenue.faces.guard import account_of
from papervenue.faces.unsupported_paths import DATA_LEFT_OUT, left_out_routes
from papervenue.faces.web import Call, Handler, Reply, Route, ok, route
from papervenue.market.actions import (
    CASH_MERGER,
    DIVIDEND,
    FORWARD_SPLIT,
    KINDS,
    NAME_CHANGE,
    REVERSE_SPLIT,
    Action,
    cusip_of,
)
from papervenue.market.bars import UNITS, Market
from papervenue.params import Params
from papervenue.times import MINUTE, new_york_date, rfc3339

_TYPES = (
    *KINDS,
    *("unit_split", "stock_dividend", "spin_off", "stock_merger", "stock_and_cash_merger", "redemption"),
    *("worthless_removal", "rights_distribution", "partial_call", "reorganization"),
)
_DEFAULT_LIMIT, _MOST_ACTIONS = 100, 1000


def corporate_actions(market: Market, now_us: Callable[[], int]) -> Handler:
    """Return the handler for requests for a market's corporate actions."""

    def answer(call: Call) -> Reply:
        params, now = params_of(call), now_us()
        limit = params.count("limit", _DEFAULT_LIMIT, _MOST_ACTIONS)
        newest_first = params.choice("sort", ("asc", "desc")) == "desc"
        matches = _matcher(params, new_york_date(now))
        actions = sorted(filter(matches, market.actions.declared_by(now)), key=attrgetter("process_date", "id"))
        rows = _after(actions[::-1] if newest_first else actions, params.read("page_token", read_token))
        page, more = rows[:limit], rows[limit:]
        grouped: dict[str, list[Row]] = {}
        for action in page:
            grouped.setdefault(f"{action.kind}s", []).append(action_json(action))
        return ok({"corporate_actions": grouped, "next_page_token": token_of(page[-1].id, 0) if more else None})

    return answer


def _after(actions: list[Action], token: tuple[str, int] | None) -> list[Action]:
    if token is None:
        return actions
    places = [index for index, action in enumerate(actions) if action.id == token[0]]
    if not places:
        raise bad_parameter("page_token")
    return actions[places[0] + 1 :]


def _matcher(params: Params, today: str) -> Callable[[Action], bool]:
    """Return the test for a request's filters; ids exclude all other filters."""
    ids, symbols, types = params.words("ids"), params.words("symbols"), params.words("types")
    unknown = [kind for kind in types if kind not in _TYPES]
    if unknown:
        raise bad_parameter(f"types: {unknown[0][:30]}")
    region = params.choice("region", ("us", "non_us", "all"))
    cusips = params.words("cusips")
    if ids:
        if symbols or types or params.text("start") or params.text("end"):
            raise bad_parameter("ids: it excludes symbols, types, start and end")
        return lambda action: action.id in ids
    start, end = params.date("start") or today, params.date("end") or today
    return lambda action: (
        region != "non_us"
        and start <= action.process_date <= end
        and (not symbols or bool({action.symbol, action.new_symbol} & set(symbols)))
        and (not types or action.kind in types)
        and (not cusips or cusip_of(action.symbol) in cusips)
    )


def action_json(action: Action) -> Row:
    return {"id": action.id, "process_date": action.process_date, **_BY_KIND[action.kind](action)}


def _dividend(action: Action) -> Row:
    return {
        **_shares(action),
        "rate": float(action.rate),
        "special": False,
        "foreign": False,
        "payable_date": action.payable_date,
    }


def _forward_split(action: Action) -> Row:
    return {**_shares(action), **_rates(action), "payable_date": action.payable_date}


def _reverse_split(action: Action) -> Row:
    rest = {name: value for name, value in _shares(action).items() if name != "cusip"}
    cusip = cusip_of(action.symbol)
    return {**rest, **_rates(action), "old_cusip": cusip, "new_cusip": cusip}


def _shares(action: Action) -> Row:
    record = {"record_date": action.record_date} if action.record_date else {}
    return {"symbol": action.symbol, "cusip": cusip_of(action.symbol), "ex_date": action.ex_date, **record}


def _rates(action: Action) -> Row:
    return {"new_rate": float(action.new_rate), "old_rate": float(action.old_rate)}


def _name_change(action: Action) -> Row:
    return {
        "old_symbol": action.symbol,
        "old_cusip": cusip_of(action.symbol),
        "new_symbol": action.new_symbol,
        "new_cusip": cusip_of(action.new_symbol),
    }


def _cash_merger(action: Action) -> Row:
    return {
        "acquiree_symbol": action.symbol,
        "acquiree_cusip": cusip_of(action.symbol),
        "rate": float(action.rate),
        "effective_date": action.ex_date,
        "payable_date": action.payable_date,
    }


_BY_KIND: dict[str, Callable[[Action], Row]] = {
    DIVIDEND: _dividend,
    FORWARD_SPLIT: _forward_split,
    REVERSE_SPLIT: _reverse_split,
    NAME_CHANGE: _name_change,
    CASH_MERGER: _cash_merger,
}


_CODES = Path(__file__).parent / "data" / "codes.json"
_PLANS = {"A": "CTA", "B": "CTA", "C": "UTP"}
"""The plan that defines the condition codes of each tape."""


@cache
def codes() -> Mapping[str, Any]:
    """Return the exchange codes, and the condition codes by type of tick and by tape."""
    return json.loads(_CODES.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def routes() -> list[tuple[str, Handler]]:
    return [
        ("/v2/stocks/meta/exchanges", lambda call: ok(codes()["exchanges"])),
        ("/v2/stocks/meta/conditions/{ticktype}", _conditions),
    ]


def _conditions(call: Call) -> Reply:
    ticks, tape = call.names["ticktype"], params_of(call).text("tape")
    if ticks not in ("trade", "quote"):
        raise bad_parameter(f"ticktype: {ticks[:20]}")
    if tape not in _PLANS:
        raise bad_parameter(f"tape: {tape[:5]}" if tape else "tape: it is required")
    return ok(codes()[ticks][_PLANS[tape]])


_MOST_ACTIVE, _MOST_MOVERS, _DEFAULT_TOP = 100, 50, 10
_STOCKS = "stocks"


class Move(NamedTuple):
    """One symbol's move since the previous close: its current price and the difference, in units."""

    symbol: str
    price: int
    change: int

    @property
    def percent(self) -> float:
        return round(100 * self.change / (self.price - self.change), 2)


class Screener:
    def __init__(self, market: Market, history: DataHistory, now_us: Callable[[], int]) -> None:
        self._market = market
        self._history = history
        self._now_us = now_us

    def routes(self) -> Iterator[tuple[str, Handler]]:
        yield "/v1beta1/screener/stocks/most-actives", self._most_actives
        yield "/v1beta1/screener/{market_type}/movers", self._movers

    def _most_actives(self, call: Call) -> Reply:
        params, now = params_of(call), self._now_us()
        top, key = params.count("top", _DEFAULT_TOP, _MOST_ACTIVE), params.choice("by", ("volume", "trades"))
        days = ((symbol, self._history.day(symbol, self._session_shown(now), now)) for symbol in self._market.symbols)
        active = [(symbol, day) for symbol, day in days if day]
        active.sort(key=lambda pair: (-(pair[1].volume if key == "volume" else pair[1].trades), pair[0]))
        rows = [{"symbol": symbol, "volume": day.volume, "trade_count": day.trades} for symbol, day in active[:top]]
        return ok({"most_actives": rows, "last_updated": rfc3339(now)})

    def _movers(self, call: Call) -> Reply:
        kind = call.names["market_type"]
        if kind != _STOCKS:
            raise bad_parameter(f"market_type: {kind[:20]}")
        top, now = params_of(call).count("top", _DEFAULT_TOP, _MOST_MOVERS), self._now_us()
        moves = sorted(self._moves(now), key=lambda move: (-move.percent, move.symbol))
        gainers = [_mover_json(move) for move in moves if move.change > 0][:top]
        losers = [_mover_json(move) for move in reversed(moves) if move.change < 0][:top]
        return ok({"gainers": gainers, "losers": losers, "market_type": _STOCKS, "last_updated": rfc3339(now)})

    def _moves(self, now_us: int) -> Iterator[Move]:
        index = self._session_shown(now_us)
        for symbol in self._market.symbols if index is not None else ():
            day = self._history.day(symbol, index, now_us)
            before = self._market.close_before(symbol, index or 0)
            if day and before:
                yield Move(symbol, day.close, day.close - before)

    def _session_shown(self, now_us: int) -> int | None:
        """Return the session to show: the last one that opened, once its first minute is over."""
        return self._market.calendar.last_begun(now_us - MINUTE)


def _mover_json(move: Move) -> Row:
    return {
        "symbol": move.symbol,
        "percent_change": move.percent,
        "change": move.change / UNITS,
        "price": move.price / UNITS,
    }


class DataFace:
    """Handlers of the market-data API; the key of any account is accepted.

    They serve the data that is complete at the time `now_us` returns: engine time, or an earlier time for a stale
    response.
    """

    def __init__(self, exchange: Exchange, now_us: Callable[[], int] | None = None) -> None:
        self._engine = engine = exchange.engine
        market, now = exchange.market, now_us or (lambda: engine.now_us)
        stocks = Stocks(market, now, exchange.stored.spec.data_plan, engine.model.around)
        screener = Screener(market, stocks.history, now)
        self._stocks = list(stocks.routes())
        self._others = [("/v1/corporate-actions", corporate_actions(market, now)), *screener.routes(), *routes()]

    def routes(self) -> list[Route]:
        """Return the routes, busiest first; unsupported paths come before paths with named parts."""
        stocks, others = self._keyed_routes(self._stocks), self._keyed_routes(self._others)
        return [*stocks, *left_out_routes(self._engine, DATA_LEFT_OUT), *others]

    def _keyed_routes(self, handlers: Iterable[tuple[str, Handler]]) -> list[Route]:
        return [route(path, GET=self._keyed_handler(handler)) for path, handler in handlers]

    def _keyed_handler(self, handler: Handler) -> Handler:
        def answer(call: Call) -> Reply:
            account_of(call, self._engine)
            return handler(call)

        return answer
