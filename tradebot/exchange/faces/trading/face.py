"""Serve Alpaca's trading API: map every path of its OpenAPI document to a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tradebot.exchange.commands.command import Command
from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.keys import account_of
from tradebot.exchange.faces.trading import account, announcements, assets, history, orders, sessions, watchlists
from tradebot.exchange.faces.trading.left_out import left_out_routes
from tradebot.exchange.faces.web import MADE_AT, Call, Handler, Reply, Route, ok, route
from tradebot.exchange.times import rfc3339

Show = Callable[[Engine, Account, Call], Any]
"""Returns what a path shows for an account, as JSON-compatible data."""


class TradingFace:
    """Handlers of the trading API: reads are answered here; requests that change something run as commands."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._engine = exchange.engine

    def routes(self) -> list[Route]:
        return [
            *self._order_routes(),
            *self._account_routes(),
            # The paths that are left out come before those that match any name.
            *left_out_routes(self._engine),
            *self._position_routes(),
            *self._market_routes(),
            *self._watchlist_routes(),
        ]

    def _order_routes(self) -> list[Route]:
        run, show = self._run, self._show
        return [
            route("/v2/orders", GET=show(orders.list_orders), POST=run, DELETE=run),
            route("/v2/orders:by_client_order_id", GET=show(orders.order_by_client_id)),
            route("/v2/orders/{order_id}", GET=show(orders.one_order), PATCH=run, DELETE=run),
        ]

    def _account_routes(self) -> list[Route]:
        run, show = self._run, self._show
        return [
            route("/v2/account", GET=show(account.show_account)),
            route("/v2/account/configurations", GET=show(account.show_configuration), PATCH=run),
            route("/v2/account/activities", GET=show(account.list_activities)),
            route("/v2/account/activities/{activity_type}", GET=show(account.list_activities)),
            route("/v2/account/portfolio/history", GET=show(history.portfolio_history)),
        ]

    def _position_routes(self) -> list[Route]:
        run, show = self._run, self._show
        return [
            route("/v2/positions", GET=show(account.list_positions), DELETE=run),
            route("/v2/positions/{symbol_or_asset_id:path}", GET=show(account.one_position), DELETE=run),
        ]

    def _market_routes(self) -> list[Route]:
        show, announced = self._show, "/v2/corporate_actions/announcements"
        return [
            route("/v2/clock", GET=self._clock),
            route("/v2/calendar", GET=show(sessions.show_calendar)),
            route("/v3/clock", GET=show(sessions.show_clocks)),
            route("/v3/calendar/{market}", GET=show(sessions.show_market_calendar)),
            route("/v2/assets", GET=show(assets.list_assets)),
            route("/v2/assets/{symbol_or_asset_id:path}", GET=show(assets.one_asset)),
            route(announced, GET=show(announcements.list_announcements)),
            route(announced + "/{id}", GET=show(announcements.one_announcement)),
        ]

    def _watchlist_routes(self) -> list[Route]:
        run, show = self._run, self._show
        one, named = "/v2/watchlists/{watchlist_id}", "/v2/watchlists:by_name"
        return [
            route("/v2/watchlists", GET=show(watchlists.list_watchlists), POST=run),
            route(named, GET=show(watchlists.named_watchlist), PUT=run, POST=run, DELETE=run),
            route(one, GET=show(watchlists.one_watchlist), PUT=run, POST=run, DELETE=run),
            route(one + "/{symbol}", DELETE=run),
        ]

    def _show(self, show: Show) -> Handler:
        def answer(call: Call) -> Reply:
            return ok(show(self._engine, account_of(call, self._engine), call))

        return answer

    def _clock(self, call: Call) -> Reply:
        return self._show(sessions.show_clock)(call)._replace(headers={MADE_AT: rfc3339(self._engine.now_us)})

    def _run(self, call: Call) -> Reply:
        number = account_of(call, self._engine).number
        command = Command(call.method, call.raw_path, call.raw_query, call.body, number, call.effects)
        return Reply(*self._exchange.run(command))
