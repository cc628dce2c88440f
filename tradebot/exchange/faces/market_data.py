"""Serve Alpaca's market-data API: map every path of its OpenAPI document to a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.data import meta
from tradebot.exchange.faces.data.corporate import corporate_actions
from tradebot.exchange.faces.data.left_out import LEFT_OUT
from tradebot.exchange.faces.data.screener import Screener
from tradebot.exchange.faces.data.stocks import Stocks
from tradebot.exchange.faces.keys import account_of
from tradebot.exchange.faces.trading.left_out import left_out_routes
from tradebot.exchange.faces.web import Call, Handler, Reply, Route, route


class DataFace:
    """Handlers of the market-data API; the key of any account is accepted.

    They show what was complete at the moment returned by `now_us`: engine time, or an earlier time for a stale answer.
    """

    def __init__(self, exchange: Exchange, now_us: Callable[[], int] | None = None) -> None:
        self._engine = engine = exchange.engine
        market, now = exchange.market, now_us or (lambda: engine.now_us)
        stocks = Stocks(market, now, exchange.stored.spec.data_plan, engine.model.around)
        screener = Screener(market, stocks.history, now)
        self._stocks = list(stocks.routes())
        self._others = [("/v1/corporate-actions", corporate_actions(market, now)), *screener.routes(), *meta.routes()]

    def routes(self) -> list[Route]:
        """Return the routes, busiest first; paths that are left out come before those that match any name."""
        stocks, others = self._routed(self._stocks), self._routed(self._others)
        return [*stocks, *left_out_routes(self._engine, LEFT_OUT), *others]

    def _routed(self, handlers: Iterable[tuple[str, Handler]]) -> list[Route]:
        return [route(path, GET=self._keyed(handler)) for path, handler in handlers]

    def _keyed(self, handler: Handler) -> Handler:
        def answer(call: Call) -> Reply:
            account_of(call, self._engine)
            return handler(call)

        return answer
