"""The real SDK against the real server in a process of its own: one order's life, and the prices around it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
)

from tradebot.exchange.process import ensure, stop

SYMBOLS = ["AAPL", "SPY"]


class Clients:
    """Both SDK clients of one exchange, and its clock."""

    def __init__(self, url: str) -> None:
        # The SDK's methods are typed to return raw JSON as well, which these clients do not ask for.
        self.trading: Any = TradingClient("sandbox", "sandbox", url_override=url)
        self.data: Any = StockHistoricalDataClient("sandbox", "sandbox", url_override=url)
        for client in (self.trading, self.data):
            client._session.trust_env = False
        self._url = url

    def tick(self, **body: object) -> None:
        answer = self.trading._session.post(f"{self._url}/exchange/v1/tick", json=body, timeout=60)
        assert answer.status_code == 200

    def close(self) -> None:
        self.trading._session.close()
        self.data._session.close()


@pytest.fixture(scope="module")
def clients(new_folder: Callable[[], Path]) -> Iterator[Clients]:
    folder = new_folder()
    clients = Clients(ensure(folder, idle_exit_s=60).url)
    clients.tick(to="open")
    clients.tick(seconds=600)
    yield clients
    clients.close()
    stop(folder)


def market(symbol: str, side: OrderSide, qty: float) -> MarketOrderRequest:
    return MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.DAY)


def test_an_order_lives_from_submission_to_position_to_close(clients: Clients) -> None:
    limit = LimitOrderRequest(
        symbol="AAPL",
        qty=2,
        side=OrderSide.BUY,
        time_in_force=TimeInForce.GTC,
        limit_price=1.0,
        client_order_id="sdk-1",
    )
    resting = clients.trading.submit_order(limit)
    assert clients.trading.get_order_by_client_id("sdk-1").id == resting.id
    assert [o.id for o in clients.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN))] == [resting.id]
    with pytest.raises(APIError) as duplicate:
        clients.trading.submit_order(limit)
    assert (duplicate.value.status_code, duplicate.value.code) == (422, 40010001)
    clients.trading.cancel_order_by_id(resting.id)
    assert clients.trading.get_order_by_id(resting.id).status is OrderStatus.CANCELED
    bought = clients.trading.submit_order(market("AAPL", OrderSide.BUY, 2.5))
    clients.trading.submit_order(market("SPY", OrderSide.SELL, 3))
    clients.tick(seconds=60)
    assert clients.trading.get_order_by_id(bought.id).status is OrderStatus.FILLED
    held = {position.symbol: position.qty for position in clients.trading.get_all_positions()}
    assert held == {"AAPL": "2.5", "SPY": "-3"}
    assert clients.trading.get_open_position("SPY").side.value == "short"
    rows = clients.trading.get("/account/activities/FILL")
    assert {(row["symbol"], row["type"]) for row in rows} == {("AAPL", "fill"), ("SPY", "fill")}
    clients.trading.close_position("AAPL", ClosePositionRequest(percentage="50"))
    clients.tick(seconds=60)
    assert clients.trading.get_open_position("AAPL").qty == "1.25"
    closed = clients.trading.close_all_positions(cancel_orders=True)
    assert {row.symbol: row.status for row in closed} == {"AAPL": 200, "SPY": 200}
    assert [row.status for row in clients.trading.cancel_orders()] == [200, 200]


def test_bars_quotes_trades_and_snapshots_are_parsed(clients: Clients) -> None:
    start = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
    bars = clients.data.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=SYMBOLS, timeframe=TimeFrame.Minute, start=start)
    )
    assert bars.data["AAPL"][0].timestamp == start
    days = clients.data.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=SYMBOLS, timeframe=TimeFrame.Day, start=datetime(2025, 3, 1, tzinfo=UTC))
    )
    assert len(days.data["SPY"]) == 1
    quotes = clients.data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=SYMBOLS))
    trades = clients.data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=SYMBOLS))
    latest = clients.data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=SYMBOLS))
    shots = clients.data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=SYMBOLS))
    for symbol in SYMBOLS:
        assert quotes[symbol].bid_price < trades[symbol].price < quotes[symbol].ask_price
        assert shots[symbol].minute_bar == latest[symbol]
        assert shots[symbol].latest_quote == quotes[symbol]


def test_snapshots_before_the_first_session_are_parsed(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    clients = Clients(ensure(folder, idle_exit_s=30).url)
    shots = clients.data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=SYMBOLS))
    clients.close()
    stop(folder)
    last, before = shots["AAPL"].daily_bar, shots["AAPL"].previous_daily_bar
    assert (str(last.timestamp.date()), str(before.timestamp.date())) == ("2025-02-28", "2025-02-27")
