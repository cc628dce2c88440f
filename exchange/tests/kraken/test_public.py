"""What anybody may read besides prices, and the feeds that follow symbols and an account."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import KEY, PEPE, SECRET, V3, XBT, KrakenExchange, signature, spec
from exchange.tests.kit.served import Client, Served, served
from exchange.tests.kraken.test_feeds import FEEDS, challenged, send
from papervenue.times import DAY


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(folders_of(spec((XBT,)), tmp_path_factory)()) as server:
        server.tick(seconds=3600)
        yield server


def following(server: Served, client: Client, feed: str, **signed: str) -> Any:
    """Subscribe to a feed, and return its first message."""
    client.get()
    where = {} if signed else {"product_ids": [XBT]}
    assert client.ask({"event": "subscribe", "feed": feed, **where, **signed})["event"] == "subscribed"
    return client.get()


def test_the_day_behind_has_its_extremes_and_its_change(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=26 * 3600)
    ticker, now_us, grid = desk.v3(f"tickers/{XBT}")["ticker"], desk.engine.now_us, desk.engine.market.grids[XBT]
    every = (*desk.engine.market.day(XBT, 0).bars, *desk.engine.market.day(XBT, 1).bars)
    bars = [bar for bar in every if now_us - DAY <= bar.start_us and bar.end_us <= now_us]
    assert len(bars) == 24 * 60
    assert Decimal(str(ticker["high24h"])) == grid.usd(max(bar.high for bar in bars))
    assert Decimal(str(ticker["low24h"])) == grid.usd(min(bar.low for bar in bars))
    change = (Decimal(str(ticker["last"])) / Decimal(str(ticker["open24h"])) - 1) * 100
    assert abs(Decimal(str(ticker["change24h"])) - change) < Decimal("0.00001")


def test_trades_are_the_minutes_and_pages_go_back_in_time(desk: KrakenExchange) -> None:
    first = desk.v3("history", symbol=XBT)["history"]
    day = desk.engine.market.day(XBT, 0)
    newest = day.bars[day.complete(desk.engine.now_us) - 1]
    assert (first[0]["size"], Decimal(str(first[0]["price"]))) == (
        newest.volume,
        desk.engine.market.grids[XBT].usd(newest.close),
    )
    times = [row["time"] for row in first]
    assert times == sorted(times, reverse=True)
    later = desk.v3("history", symbol=XBT, lastTime=times[9])["history"]
    assert later[0] == first[10]
    elements = desk.get(f"/api/history/v2/market/{XBT}/executions")["elements"]
    assert [one["uid"] for one in elements] == [row["uid"] for row in first]
    assert desk.v3("history", symbol="PF_NONE")["error"] == "invalidArgument: symbol"
    assert desk.v3("history", symbol=XBT, lastTime="noon")["error"] == "invalidArgument: lastTime"


def test_charts_instruments_fees_and_notifications_say_what_there_is(desk: KrakenExchange) -> None:
    assert desk.get("/api/charts/v1/") == ["mark", "spot", "trade"]
    assert desk.get("/api/charts/v1/mark") == [XBT, PEPE]
    assert desk.get(f"/api/charts/v1/trade/{XBT}")[:3] == ["1m", "5m", "15m"]
    assert desk.ask("GET", "/api/charts/v1/gossip").status == 404
    assert [row["tradeable"] for row in desk.v3("instruments/status")["instrumentStatus"]] == [XBT, PEPE]
    assert desk.v3(f"instruments/{XBT}/status")["suspended"] is False
    (schedule,) = desk.v3("feeschedules")["feeSchedules"]
    assert schedule["tiers"] == [{"makerFee": 0.02, "takerFee": 0.05, "usdVolume": 0}]
    desk.send(size="0.5")
    ((uid, volume),) = desk.v3("feeschedules/volumes")["volumesByFeeSchedule"].items()
    (fill,) = desk.v3("fills")["fills"]
    assert (uid, volume) == (schedule["uid"], fill["size"] * fill["price"])
    assert desk.v3("notifications")["notifications"] == []


def test_an_order_that_fills_whole_or_not_at_all_is_refused_unless_it_fills_at_once(desk: KrakenExchange) -> None:
    far = round(desk.price() * Decimal("0.9"))
    assert desk.send("fok", limitPrice=far)["status"] == "fokWouldNotExecute"
    assert desk.send("fok", limitPrice=round(desk.price() * Decimal("1.01")))["status"] == "placed"
    assert [row["size"] for row in desk.v3("fills")["fills"]] == [0.1]


def test_trades_and_the_book_are_told_whole_and_then_by_their_changes(server: Served) -> None:
    with server.connect(FEEDS) as trades, server.connect(FEEDS) as book, server.connect(FEEDS) as lite:
        shown = following(server, trades, "trade")
        assert (shown["feed"], len(shown["trades"])) == ("trade_snapshot", 60)
        levels = following(server, book, "book")
        assert (levels["feed"], levels["seq"], len(levels["bids"])) == ("book_snapshot", 1, 5)
        first = following(server, lite, "ticker_lite")
        server.tick(seconds=120)
        new = [trades.get(), trades.get()]
        assert [one["time"] - shown["trades"][0]["time"] for one in new] == [60_000, 120_000]
        known = {("buy", row["price"]): row["qty"] for row in levels["bids"]}
        known |= {("sell", row["price"]): row["qty"] for row in levels["asks"]}
        answer = server.get(f"{V3}/orderbook?symbol={XBT}")["orderBook"]
        wanted = {("buy", at): size for at, size in answer["bids"]} | {
            ("sell", at): size for at, size in answer["asks"]
        }
        for _ in range(200):
            if known == wanted:
                break
            change = book.get()
            known[change["side"], change["price"]] = change["qty"]
            known = {key: size for key, size in known.items() if size}
        assert known == wanted
        again = lite.get()
        assert (first["feed"], again["product_id"], again["volume"] > first["volume"]) == ("ticker_lite", XBT, True)


def test_what_an_account_has_is_told_whole_and_again_when_it_changes(server: Served) -> None:
    feeds = ("open_positions", "balances", "account_log", "notifications_auth", "open_orders_verbose")
    with server.connect(FEEDS) as client:
        client.get()
        signed, shown = challenged(client), {}
        for feed in feeds:
            assert client.ask({"event": "subscribe", "feed": feed, **signed})["feed"] == feed
            shown[feed] = client.get()
        assert [message["feed"] for message in shown.values()] == [
            *feeds[:2], "account_log_snapshot", "notifications_auth", "open_orders_verbose_snapshot",
        ]  # fmt: skip
        send(server, orderType="mkt", symbol=XBT, side="buy", size="0.5", cliOrdId="more")
        told: dict[str, Any] = {}
        while len(told) < 4:
            message = client.get()
            told.setdefault(message["feed"], message)
        (position,) = told["open_positions"]["positions"]
        assert (position["instrument"], position["balance"]) == (XBT, 0.5)
        flex = server_accounts(server)
        assert told["account_log"]["new_entry"]["info"] == "futures trade"
        assert told["open_orders_verbose"]["order"]["cli_ord_id"] == "more"
        last = told["balances"]["flex_futures"]
        while last["portfolio_value"] != flex["portfolioValue"]:
            message = client.get()
            last = message["flex_futures"] if message["feed"] == "balances" else last
        assert (last["margin_equity"], last["available_margin"]) == (flex["marginEquity"], flex["availableMargin"])


def server_accounts(server: Served) -> Any:
    """Return the figures of the margin account."""
    return send_read(server, "accounts")["accounts"]["flex"]


def send_read(server: Served, name: str) -> Any:
    """Send a signed request that only reads."""
    signed = signature(SECRET, f"{V3}/{name}".removeprefix("/derivatives"), "", "")
    return server.ask("GET", f"{V3}/{name}", None, APIKey=KEY, Authent=signed).json()
