"""A session of python-kraken-sdk at the Kraken face: each call of the bot's adapter, what it gets wrong, and feeds.

Its websocket speaks TLS only, so a relay on loopback with a certificate of its own carries it to the exchange.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import json
import os
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kraken import exceptions
from kraken.futures import FuturesWSClient, Market, Trade, User

URL, KEYS = os.environ["EXCHANGE_URL"], {"key": os.environ["KEY"], "secret": os.environ["SECRET"]}
SINCE_MS = int(os.environ["SINCE_MS"])
COIN = "PF_XBTUSD"
ERRORS = tuple(one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, Exception))
steps: dict[str, object] = {}


def refused(attempt: Callable[[], Any]) -> object:
    """Return which error an attempt ended with, or what it returned as if it had succeeded."""
    try:
        return attempt()
    except ERRORS as error:
        return type(error).__name__


def status_of(told: Any) -> object:
    return told["sendStatus"]["status"] if isinstance(told, dict) else told


def reads(market: Market, user: User) -> None:
    """Read what anybody may read, and the account."""
    steps["instruments"] = [one["symbol"] for one in market.get_instruments()["instruments"]]
    steps["tickers"] = len(market.get_tickers()["tickers"])
    steps["book"] = sorted(market.get_orderbook(symbol=COIN)["orderBook"])
    since = str(SINCE_MS // 1000)
    for kind in ("trade", "mark"):
        candles = market.get_ohlc(tick_type=kind, symbol=COIN, resolution="1m", from_=since)["candles"]
        steps[f"{kind} candles"] = [(candles[0]["time"] - SINCE_MS) // 1000, len(candles) >= 30]
    steps["funding"] = sorted(market.get_historical_funding_rates(symbol=COIN)["rates"][0])
    wallets = user.get_wallets()["accounts"]["flex"]
    steps["account"] = [wallets["balanceValue"], wallets["portfolioValue"], wallets["initialMargin"]]


def trades(market: Market, user: User, trade: Trade) -> None:
    """Let an order rest, be changed and canceled; buy; protect what was bought; and be refused."""
    (ticker,) = (one for one in market.get_tickers()["tickers"] if one["symbol"] == COIN)
    below, above = round(ticker["bid"] * 0.9), round(ticker["bid"] * 1.1)

    def limit(name: str, side: str = "buy", price: int = below, size: float = 0.1) -> Any:
        return trade.create_order(orderType="lmt", size=size, symbol=COIN, side=side, limitPrice=price, cliOrdId=name)

    rests = limit("rests")["sendStatus"]
    steps["rests"] = [rests["status"], [one["cliOrdId"] for one in user.get_open_orders()["openOrders"]]]
    steps["id again"] = status_of(refused(lambda: limit("rests")))
    trade.edit_order(orderId=rests["order_id"], size=0.2, limitPrice=below + 5)
    (edited,) = user.get_open_orders()["openOrders"]
    steps["edited"] = [edited["unfilledSize"], edited["limitPrice"] - below]
    steps["canceled"] = trade.cancel_order(order_id=rests["order_id"])["cancelStatus"]["status"]
    steps["canceled again"] = trade.cancel_order(order_id=rests["order_id"])["cancelStatus"]["status"]
    bought = trade.create_order(orderType="mkt", size=0.5, symbol=COIN, side="buy", cliOrdId="bought")["sendStatus"]
    steps["bought"] = [bought["status"], [event["type"] for event in bought["orderEvents"]]]
    told = trade.get_orders_status(orderIds=[bought["order_id"], rests["order_id"]])["orders"]
    steps["statuses"] = sorted(one["status"] for one in told)
    (position,) = user.get_open_positions()["openPositions"]
    steps["position"] = [position["side"], position["size"]]
    owner = Market(**KEYS, url=URL)
    owner.set_leverage_preference(symbol=COIN, maxLeverage=5)
    steps["isolated"] = [
        owner.get_leverage_preference()["leveragePreferences"],
        user.get_open_positions()["openPositions"][0]["maxFixedLeverage"],
    ]
    owner.set_leverage_preference(symbol=COIN)
    steps["shared"] = owner.get_leverage_preference()["leveragePreferences"]
    trade.create_order(
        orderType="stp", size=0.5, symbol=COIN, side="sell", stopPrice=below, triggerSignal="mark", reduceOnly=True
    )
    (stop,) = user.get_open_orders()["openOrders"]
    steps["stop"] = [stop["orderType"], stop["triggerSignal"], stop["reduceOnly"], "unfilledSize" in stop]
    steps["reduces what isn't held"] = status_of(
        refused(
            lambda: trade.create_order(
                orderType="lmt", size=1, symbol="PF_ETHUSD", side="sell", limitPrice=9_000, reduceOnly=True
            )
        )
    )
    past = {"processBefore": "2020-01-01T00:00:00.000Z"}
    late = refused(
        lambda: trade.create_order(
            orderType="lmt", size=0.1, symbol=COIN, side="buy", limitPrice=below, extra_params=past
        )
    )
    steps["only in the past"] = status_of(late)
    steps["too large"] = status_of(
        refused(lambda: trade.create_order(orderType="mkt", size=5_000, symbol=COIN, side="buy"))
    )
    steps["take profit"] = status_of(
        refused(
            lambda: trade.create_order(
                orderType="take_profit", size=0.5, symbol=COIN, side="sell", stopPrice=above, reduceOnly=True
            )
        )
    )
    sends = {"order": "send", "orderType": "lmt", "symbol": COIN, "side": "buy", "size": 0.1, "limitPrice": below}
    batch = trade.create_batch_order(batchorder_list=[{**sends, "order_tag": str(number)} for number in range(2)])
    steps["batch"] = [one["status"] for one in batch["batchStatus"]]
    steps["all canceled"] = len(trade.cancel_all_orders()["cancelStatus"]["cancelledOrders"])
    steps["fills"] = [(one["cliOrdId"], one["size"]) for one in trade.get_fills()["fills"]]


def history(user: User, wrong: User) -> None:
    """Read what the history tells of all that, and be refused with a wrong secret."""
    kinds = {
        "orders": user.get_order_events(),
        "executions": user.get_execution_events(),
        "triggers": user.get_trigger_events(),
    }
    for name, told in kinds.items():
        steps[f"events of {name}"] = sorted({kind for one in told["elements"] for kind in one["event"]})
    rows = user.get_account_log()["logs"]
    steps["account log"] = sorted((row["asset"], row["info"]) for row in rows)
    steps["wrong secret"] = refused(wrong.get_open_orders)


def certificate(folder: Path) -> Path:
    """Write a certificate for loopback with its key; return its path."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")]),
    )
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(text + made.public_bytes(serialization.Encoding.PEM))
    return path


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes until either side ends."""
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            # The other thread waits for bytes of the same two: closing alone wouldn't wake it.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def relay(path: Path) -> int:
    """Carry one connection from TLS to the exchange; return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listens = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(4):
            plain, _ = listens.accept()
            inside = context.wrap_socket(plain, server_side=True)
            outside = socket.create_connection(("127.0.0.1", int(URL.rpartition(":")[2])))
            threading.Thread(target=pump, args=(inside, outside), daemon=True).start()
            threading.Thread(target=pump, args=(outside, inside), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return int(listens.getsockname()[1])


async def heard(messages: list[Any], feed: str, seconds: float = 10) -> Any:
    """Return the first message of a feed."""
    for _ in range(int(seconds / 0.05)):
        found = [one for one in messages if isinstance(one, dict) and one.get("feed") == feed and "event" not in one]
        if found:
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"nothing of {feed} in {messages}")


async def feeds(trade: Trade) -> None:
    """Hear a ticker, and an order and its fill that are sent meanwhile."""
    messages: list[Any] = []

    async def hear(message: Any) -> None:
        messages.append(message)

    with tempfile.TemporaryDirectory() as folder:
        path = certificate(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(path)
        client = FuturesWSClient(**KEYS, url=f"127.0.0.1:{relay(path)}/ws/v1", callback=hear)
        await client.start()
        try:
            await client.subscribe(feed="ticker", products=[COIN])
            steps["streamed ticker"] = (await heard(messages, "ticker"))["product_id"]
            await client.subscribe(feed="open_orders")
            await client.subscribe(feed="fills")
            await heard(messages, "fills_snapshot")
            trade.create_order(orderType="mkt", size=0.1, symbol=COIN, side="sell", cliOrdId="heard")
            told = await heard(messages, "fills")
            steps["streamed fill"] = [(one["cli_ord_id"], one["qty"]) for one in told["fills"]]
        finally:
            await client.close()


def main() -> None:
    at = {**KEYS, "url": URL}
    market, user, trade = Market(url=URL), User(**at), Trade(**at)
    reads(market, user)
    trades(market, user, trade)
    history(user, User(key=KEYS["key"], secret="d3Jvbmc=", url=URL))
    asyncio.run(feeds(trade))
    sys.stdout.write(json.dumps({"steps": steps}) + "\n")


if __name__ == "__main__":
    main()
