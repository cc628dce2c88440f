"""Options flow straight from the exchange's own feed: its answers, read as those of the real source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode

from tradebot.adapters.flow.unusual_whales import quota_of, request_of, rows_of
from tradebot.adapters.wire.http import Answer
from tradebot.app.sandbox import explained
from tradebot.exchange.faces.flow import FlowFace
from tradebot.exchange.faces.web import Call, Endpoint, Route
from tradebot.exchange.flow.captured import CapturedFlow
from tradebot.exchange.flow.derived import DerivedFlow
from tradebot.exchange.times import to_datetime
from tradebot.model.flow import FlowPage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from tradebot.exchange.engine.engine import Engine
    from tradebot.exchange.market.bars import Market
    from tradebot.exchange.market.spec import MarketSpec
    from tradebot.model.kind import AnyKind

_HEADERS = {"authorization": "Bearer backtest"}


class EngineFlow:
    """The flow feed of a market at engine time; what is generated predicts the market's prices, or `predicted`'s.

    It has no limits and never fails.
    """

    def __init__(self, engine: Engine, spec: MarketSpec, predicted: Market | None = None) -> None:
        self._engine = engine
        with explained():
            captured = CapturedFlow(Path(spec.uw_folder)) if spec.uw_folder is not None else None
        self._routes = FlowFace(
            engine, captured or DerivedFlow(predicted or engine.market, spec.seed, spec.edge)
        ).routes()
        self._found: dict[str, tuple[Endpoint, Mapping[str, str]]] = {}

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Return the feed's reply about one kind of facts, symbol (None if the kind is market-wide) and session."""
        request = request_of(kind, symbol, session)
        endpoint, names = self._endpoint(request.path)
        reply = endpoint.answer(Call("GET", request.path, urlencode(request.params), names, _HEADERS, ""))
        answer = Answer(reply.status, reply.headers, reply.body)
        rows = rows_of(request.path, answer, single=kind.single)
        now = to_datetime(self._engine.now_us)
        return FlowPage(kind.name, symbol, rows, quota_of(reply.headers), now, reply.status, reply.body)

    def calls_left(self) -> int | None:
        """Return None: there is no limit."""
        return None

    def _endpoint(self, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        """Return what answers a path, and what the path has for the names of its route."""
        if path not in self._found:
            self._found[path] = _route_of(self._routes, unquote(path))
        return self._found[path]


def _route_of(routes: list[Route], path: str) -> tuple[Endpoint, Mapping[str, str]]:
    """Return the first route that matches a path; one without names comes before the others."""
    for one in sorted(routes, key=lambda one: "{" in one.path):
        names = one.names(path)
        if names is not None and isinstance(one.app, Endpoint):
            return one.app, names
    raise AssertionError(f"the feed has no {path}")
