"""Route all websockets of an exchange by path, and pass on its events and its time."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.flow import FlowSource
from tradebot.exchange.faults.streaming import StreamFaults
from tradebot.exchange.refusal import not_found
from tradebot.exchange.streams.flow_alerts import PATH as FLOW_PATH
from tradebot.exchange.streams.flow_alerts import FlowAlertStream
from tradebot.exchange.streams.market_data import FEEDS, MarketStreams
from tradebot.exchange.streams.socket import refuse
from tradebot.exchange.streams.trade_updates import PATH, TradeUpdates


class Streams:
    def __init__(self, exchange: Exchange, feed: FlowSource, delivery: StreamFaults) -> None:
        self.updates = TradeUpdates(exchange.engine, delivery)
        market = MarketStreams(exchange.engine, exchange.stored.spec.data_plan == "free", delivery)
        exchange.listeners.append(self.updates)
        flow = FlowAlertStream(exchange.engine, feed, delivery)
        exchange.moved.append(lambda from_us, to_us: market.wake())
        exchange.moved.append(lambda from_us, to_us: flow.wake())
        self._applications: dict[str, ASGIApp] = {
            PATH: self.updates,
            FLOW_PATH: flow,
            **dict.fromkeys(FEEDS, market),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse its handshake with a 404."""
        # Older clients end the path with a slash, and the real host accepts it.
        application = self._applications.get(scope["path"].rstrip("/"))
        if application is None:
            await refuse(receive, send, 404, not_found("endpoint not found.").body)
        else:
            await application(scope, receive, send)
