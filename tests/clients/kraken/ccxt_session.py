"""A session of ccxt at the Kraken face: markets, an order's whole life, what protects a position, and streams."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import ccxt.pro

URL, KEYS = os.environ["EXCHANGE_URL"], {"apiKey": os.environ["KEY"], "secret": os.environ["SECRET"]}
SINCE_MS = int(os.environ["SINCE_MS"])
COIN = "BTC/USD:USD"
steps: dict[str, object] = {}


def at_loopback(client: Any) -> Any:
    """Return a client whose addresses are all the exchange's."""
    client.urls["api"] = {
        name: url.replace("https://futures.kraken.com", URL).replace("wss://futures.kraken.com", f"ws{URL[4:]}")
        for name, url in client.urls["api"].items()
    }
    return client


def refused(attempt: Callable[[], object]) -> str:
    """Return which error an attempt ended with."""
    try:
        attempt()
    except ccxt.BaseError as error:
        return type(error).__name__
    return "done"


def reads(client: Any) -> None:
    """Read what anybody may read, and the account."""
    markets = client.load_markets()
    steps["markets"] = sorted(markets)
    steps["market"] = {name: markets[COIN][name] for name in ("id", "linear", "contractSize", "precision")}
    ticker, book = client.fetch_ticker(COIN), client.fetch_order_book(COIN)
    steps["quote"] = ticker["bid"] == book["bids"][0][0] < book["asks"][0][0] == ticker["ask"]
    candles = client.fetch_ohlcv(COIN, "1m", since=SINCE_MS, limit=30)
    steps["candles"] = [(candles[0][0] - SINCE_MS) // 1000, len(candles) >= 30]
    steps["by its own clock"] = client.fetch_ohlcv(COIN, "1m", limit=5)
    steps["tiers"] = client.fetch_leverage_tiers([COIN])[COIN][0]["maxLeverage"]
    steps["funding"] = len(client.fetch_funding_rate_history(COIN, since=SINCE_MS)) > 0
    steps["balance"] = client.fetch_balance({"type": "flex"})["USD"]["total"]


def trades(client: Any) -> None:
    """Let an order rest, be changed and canceled; buy; protect what was bought; and be refused."""
    bid = client.fetch_ticker(COIN)["bid"]
    rests = client.create_order(COIN, "limit", "buy", 0.1, round(bid * 0.9), {"clientOrderId": "rests"})
    steps["rests"] = [order["clientOrderId"] for order in client.fetch_open_orders(COIN)]
    again = {"clientOrderId": "rests"}
    steps["id again"] = refused(lambda: client.create_order(COIN, "limit", "buy", 0.1, round(bid * 0.9), again))
    client.edit_order(rests["id"], COIN, "limit", "buy", 0.2, round(bid * 0.91))
    (edited,) = client.fetch_open_orders(COIN)
    steps["edited"] = [edited["amount"], edited["info"]["limitPrice"] == round(bid * 0.91), edited["price"]]
    steps["canceled"] = client.cancel_order(rests["id"], COIN)["info"]["status"]
    steps["canceled again"] = refused(lambda: client.cancel_order(rests["id"], COIN))
    client.create_order(COIN, "market", "buy", 0.5, None, {"clientOrderId": "bought"})
    (position,) = client.fetch_positions([COIN])
    steps["position"] = [position["side"], position["contracts"]]
    down = {"stopLossPrice": round(bid * 0.9), "triggerSignal": "mark", "reduceOnly": True}
    stop = client.create_order(COIN, "market", "sell", 0.5, None, down)
    client.create_order(COIN, "limit", "sell", 0.5, round(bid * 1.1), {"reduceOnly": True})
    steps["protected"] = sorted(order["info"]["orderType"] for order in client.fetch_open_orders(COIN))
    up = {"takeProfitPrice": round(bid * 1.1), "triggerSignal": "mark", "reduceOnly": True}
    steps["take profit"] = refused(lambda: client.create_order(COIN, "market", "sell", 0.5, None, up))
    steps["too large"] = refused(lambda: client.create_order(COIN, "market", "buy", 5_000))
    steps["post only"] = refused(
        lambda: client.create_order(COIN, "limit", "buy", 0.1, round(bid * 1.1), {"postOnly": True})
    )
    steps["stop canceled"] = client.cancel_order(stop["id"], COIN)["info"]["status"]
    many = [{"symbol": COIN, "type": "limit", "side": "buy", "amount": 0.1, "price": round(bid * 0.8)}] * 2
    steps["batch"] = [order["status"] for order in client.create_orders(many)]
    steps["all canceled"] = len(client.cancel_all_orders(COIN))
    steps["fills"] = [(one["side"], one["amount"]) for one in client.fetch_my_trades(COIN)]
    steps["closed"] = [order["clientOrderId"] for order in client.fetch_closed_orders(COIN)]
    steps["canceled orders"] = "rests" in [order["clientOrderId"] for order in client.fetch_canceled_orders(COIN)]
    marks = client.fetch_ohlcv(COIN, "1m", since=SINCE_MS, limit=30, params={"price": "mark"})
    steps["mark candles"] = len(marks) >= 30
    triggers, executions, log = (
        client.historyGetTriggers()["elements"],
        client.historyGetExecutions()["elements"],
        client.historyGetAccountLog()["logs"],
    )
    steps["history"] = [len(triggers), len(executions), sorted(row["asset"] for row in log)]
    steps["others' trades"] = refused(lambda: client.fetch_trades(COIN))


def isolates(client: Any) -> None:
    """Isolate the margin of a position, and let it share the account's collateral again."""
    steps["leverage too high"] = refused(lambda: client.set_leverage(1_000, COIN))
    client.set_leverage(5, COIN)
    (position,) = client.fetch_positions([COIN])
    steps["isolated"] = [client.fetch_leverage(COIN)["longLeverage"], position["marginMode"], position["leverage"]]
    client.privatePutLeveragepreferences({"symbol": client.market_id(COIN)})
    (position,) = client.fetch_positions([COIN])
    steps["shared"] = [position["marginMode"], client.fetch_leverages([COIN])]


async def within(seconds: float, wanted: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(wanted, seconds)


async def streams() -> None:
    """Hear a ticker, and an order that is sent meanwhile."""
    client = at_loopback(ccxt.pro.krakenfutures(KEYS | {"enableRateLimit": False}))
    try:
        await client.load_markets()
        ticker = await within(10, client.watch_ticker(COIN))
        steps["streamed ticker"] = ticker["symbol"]
        heard = asyncio.create_task(client.watch_orders(COIN))
        await asyncio.sleep(1)
        price = round((await client.fetch_ticker(COIN))["bid"] * 0.9)
        sent = await client.create_order(COIN, "limit", "buy", 0.1, price, {"clientOrderId": "heard"})
        steps["streamed orders"] = [order["id"] == sent["id"] for order in await within(10, heard)]
        await client.cancel_order(sent["id"], COIN)
    finally:
        await client.close()


def main() -> None:
    client = at_loopback(ccxt.krakenfutures(KEYS | {"enableRateLimit": False}))
    reads(client)
    trades(client)
    isolates(client)
    asyncio.run(streams())
    sys.stdout.write(json.dumps({"steps": steps}) + "\n")


if __name__ == "__main__":
    main()
