"""Serve Alpaca's APIs: trading, market data, and their streams."""

from __future__ import annotations

from papervenue.commands import orders, owner
from papervenue.faces.face import Face, Parts, Serving
from papervenue.faces.market_data import DataFace
from papervenue.faces.trading.face import TradingFace
from papervenue.streams.market_data import FEEDS, MarketStreams
from papervenue.streams.server_sent import ServerSent
from papervenue.streams.trade_updates import PATH, TradeUpdates


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
