"""Route all websockets of an exchange by path, and pass on its events and its time."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.jsontext import encode
from tradebot.exchange.refusal import not_found
from tradebot.exchange.streams.delivery import AS_IT_IS, Delivery
from tradebot.exchange.streams.market_data import FEEDS, MarketStreams
from tradebot.exchange.streams.trade_updates import PATH, TradeUpdates


class Streams:
    """The ASGI application of every websocket."""

    def __init__(self, exchange: Exchange, delivery: Delivery = AS_IT_IS) -> None:
        self.updates = TradeUpdates(exchange.engine, delivery)
        market = MarketStreams(exchange.engine, exchange.stored.spec.data_plan == "free", delivery)
        exchange.listeners.append(self.updates)
        exchange.moved.append(lambda from_us, to_us: market.wake())
        self._applications: dict[str, ASGIApp] = {PATH: self.updates, **dict.fromkeys(FEEDS, market)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse its handshake with a 404."""
        # Older clients end the path with a slash, and the real host accepts it.
        application = self._applications.get(scope["path"].rstrip("/"))
        if application is None:
            await _refuse(receive, send)
        else:
            await application(scope, receive, send)


async def _refuse(receive: Receive, send: Send) -> None:
    await receive()
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode(not_found("endpoint not found.").body)})
    # uvicorn considers a refused handshake unanswered until the connection is over, which is its second event.
    await receive()
    await receive()
