"""Serve Alpaca's APIs: trading, market data, and their streams.

The trading API is here: every path of its OpenAPI document, and the function that answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from papervenue.commands import orders, owner
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.exchange import Exchange
from papervenue.faces.face import Face, Parts, Serving
from papervenue.faces.guard import account_of, command_of
from papervenue.faces.market_data import DataFace
from papervenue.faces.trading import account, assets, history, sessions
from papervenue.faces.trading_json import account_json, clock_json, configuration_json
from papervenue.faces.unsupported_paths import left_out_routes
from papervenue.faces.web import MADE_AT, Call, Handler, Reply, Route, ok, route
from papervenue.streams.market_data import FEEDS, MarketStreams
from papervenue.streams.server_sent import ServerSent
from papervenue.streams.trade_updates import PATH, TradeUpdates
from papervenue.times import rfc3339

Show = Callable[[Engine, Account, Call], Any]
"""Returns what a path shows for an account, as JSON-compatible data."""
Rows = tuple[tuple[str, Show | None, str], ...]
"""Paths, what a GET of each shows, and the methods that run a command."""

_ANNOUNCEMENTS, _WATCHLIST = "/v2/corporate_actions/announcements", "/v2/watchlists/{watchlist_id}"
_BUSIEST: Rows = (
    ("/v2/orders", account.list_orders, "POST DELETE"),
    ("/v2/orders:by_client_order_id", account.order_by_client_id, ""),
    ("/v2/orders/{order_id}", account.one_order, "PATCH DELETE"),
    ("/v2/account", lambda engine, account, call: account_json(engine, account), ""),
    ("/v2/account/configurations", lambda engine, account, call: configuration_json(account.configuration), "PATCH"),
    ("/v2/account/activities", account.list_activities, ""),
    ("/v2/account/activities/{activity_type}", account.list_activities, ""),
    ("/v2/account/portfolio/history", history.portfolio_history, ""),
)
_OTHERS: Rows = (
    ("/v2/positions", account.list_positions, "DELETE"),
    ("/v2/positions/{symbol_or_asset_id:path}", account.one_position, "DELETE"),
    ("/v2/calendar", sessions.show_calendar, ""),
    ("/v3/clock", sessions.show_clocks, ""),
    ("/v3/calendar/{market}", sessions.show_market_calendar, ""),
    ("/v2/assets", assets.list_assets, ""),
    ("/v2/assets/{symbol_or_asset_id:path}", assets.one_asset, ""),
    (_ANNOUNCEMENTS, assets.list_announcements, ""),
    (_ANNOUNCEMENTS + "/{id}", assets.one_announcement, ""),
    ("/v2/watchlists", assets.list_watchlists, "POST"),
    ("/v2/watchlists:by_name", assets.one_watchlist, "PUT POST DELETE"),
    (_WATCHLIST, assets.one_watchlist, "PUT POST DELETE"),
    (_WATCHLIST + "/{symbol}", None, "DELETE"),
)


class TradingFace:
    """Handlers of the trading API. Reads are served here; requests that change something run as commands."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._engine = exchange.engine

    def routes(self) -> list[Route]:
        # Unsupported paths come before paths with named parts.
        left_out, clock = left_out_routes(self._engine), route("/v2/clock", GET=self._clock)
        return [*self._routes(_BUSIEST), *left_out, clock, *self._routes(_OTHERS)]

    def _routes(self, rows: Rows) -> Iterable[Route]:
        for path, show, methods in rows:
            shown = {} if show is None else {"GET": self._show(show)}
            yield route(path, **shown, **dict.fromkeys(methods.split(), self._run))

    def _show(self, show: Show) -> Handler:
        def answer(call: Call) -> Reply:
            return ok(show(self._engine, account_of(call, self._engine), call))

        return answer

    def _clock(self, call: Call) -> Reply:
        account_of(call, self._engine)
        return ok(clock_json(self._engine))._replace(headers={MADE_AT: rfc3339(self._engine.now_us)})

    def _run(self, call: Call) -> Reply:
        return Reply(*self._exchange.run(command_of(call, account_of(call, self._engine))))


def _serve(serving: Serving) -> Parts:
    exchange, engine = serving.exchange, serving.exchange.engine
    updates = TradeUpdates(engine, serving.delivery)
    market = MarketStreams(engine, exchange.stored.spec.data_plan == "free", serving.delivery)
    exchange.listeners.append(updates)
    exchange.moved.append(lambda from_us, to_us: market.wake())
    events = ServerSent(exchange, updates)
    routes = [*DataFace(exchange).routes(), *TradingFace(exchange).routes(), *events.routes()]
    return Parts(routes, {PATH: updates, **dict.fromkeys(FEEDS, market)})


FACE = Face(
    "alpaca",
    (*orders.ENTRIES, *owner.ENTRIES),
    _serve,
    orders="/v2/orders",
    title="orders and prices (Alpaca's API), trading and data at the same address",
)
