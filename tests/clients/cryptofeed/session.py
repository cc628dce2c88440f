"""A session of cryptofeed at the Kraken face: a book from its first state through its changes, trades and tickers.

It takes addresses of encrypted websockets only, so the address is changed at the moment of connecting. It looks
symbols up in lower case, as the venue once wrote them, so they are given back as they are.
"""

import asyncio
import http.client
import json
import os
import sys
from typing import Any

import cryptofeed.connection
from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import FUNDING, L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import KrakenFutures

ADDRESS = os.environ["EXCHANGE_URL"].rpartition("/")[2]
COIN = "BTC-USD-PERP"
steps: dict[str, object] = {}
heard: dict[str, list[Any]] = {name: [] for name in (TRADES, TICKER, FUNDING, L2_BOOK)}


def ask(method: str, path: str, body: str | None = None) -> Any:
    """Send a request to the exchange, and return its answer."""
    exchange = http.client.HTTPConnection(ADDRESS)
    exchange.request(method, path, body)
    return json.loads(exchange.getresponse().read())


class Feed(KrakenFutures):  # type: ignore[misc] # the library has no types
    def exchange_symbol_to_std_symbol(self, symbol: str) -> str:
        return str(super().exchange_symbol_to_std_symbol(symbol.upper()))


def keep(name: str) -> Any:
    async def hear(message: Any, at: float) -> None:
        heard[name].append(message)

    return hear


async def until(condition: Any) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError({name: len(messages) for name, messages in heard.items()})


async def story() -> None:
    await until(lambda: heard[L2_BOOK] and heard[TICKER] and heard[FUNDING])
    book = heard[L2_BOOK][-1].book
    steps["levels"] = [len(book.bids), len(book.asks), book.bids.index(0)[0] < book.asks.index(0)[0]]
    trades = len(heard[TRADES])
    ask("POST", "/exchange/v1/tick", json.dumps({"seconds": 120}))
    await until(lambda: len(heard[TRADES]) >= trades + 2)
    steps["trades"] = [trade.symbol for trade in heard[TRADES][trades:]]
    shown = ask("GET", "/derivatives/api/v3/orderbook?symbol=PF_XBTUSD")["orderBook"]

    def same() -> bool:
        now = heard[L2_BOOK][-1].book
        return all(
            {float(at): float(size) for at, size in side.to_dict().items()}
            == {float(at): float(size) for at, size in rows}
            for side, rows in ((now.bids, shown["bids"]), (now.asks, shown["asks"]))
        )

    await until(same)
    steps["book after its changes"] = True
    ticker = ask("GET", "/derivatives/api/v3/tickers/PF_XBTUSD")["ticker"]
    await until(lambda: float(heard[TICKER][-1].bid) == ticker["bid"])
    steps["bid"] = True
    steps["funding"] = heard[FUNDING][-1].symbol


def main() -> None:
    connect = cryptofeed.connection.connect
    cryptofeed.connection.connect = lambda address, **named: connect(address.replace("wss:", "ws:"), **named)
    KrakenFutures.websocket_endpoints = [WebsocketEndpoint(f"wss://{ADDRESS}/ws/v1")]
    KrakenFutures.rest_endpoints = [RestEndpoint(f"http://{ADDRESS}", routes=Routes("/derivatives/api/v3/instruments"))]
    steps["symbols"] = sorted(KrakenFutures.symbols())
    handler = FeedHandler(config={"log": {"disabled": True}})
    feed = Feed(symbols=[COIN], channels=[*heard], callbacks={name: keep(name) for name in heard})
    handler.add_feed(feed)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler.run(start_loop=False, install_signal_handlers=False)
    loop.run_until_complete(story())
    sys.stdout.write(json.dumps({"steps": steps}) + "\n")
    sys.stdout.flush()
    os._exit(0)


main()
