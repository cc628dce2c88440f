"""The real SDK's data clients against the real server: every kind of request, each answer parsed by its own models."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import CorporateActionsType, DataFeed, MarketType, MostActivesBy
from alpaca.data.historical import CryptoHistoricalDataClient, NewsClient, OptionHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.screener import ScreenerClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import (
    CorporateActionsRequest,
    CryptoLatestQuoteRequest,
    MarketMoversRequest,
    MostActivesRequest,
    NewsRequest,
    OptionChainRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from exchange.tests.kit.served import Served, served

SYMBOLS = ["AAPL", "SPY"]
START, NOON = datetime(2025, 3, 3, 14, 30, tzinfo=UTC), datetime(2025, 3, 3, 17, tzinfo=UTC)
TIMEFRAMES = [
    (TimeFrame.Minute, 150),
    (TimeFrame(7, TimeFrameUnit.Minute), 21),
    (TimeFrame.Hour, 2),
    (TimeFrame(2, TimeFrameUnit.Hour), 1),
    (TimeFrame.Day, 40),
    (TimeFrame.Week, 9),
    (TimeFrame.Month, 3),
    (TimeFrame(6, TimeFrameUnit.Month), 1),
]


@pytest.fixture(scope="module")
def server(new_folder: Callable[[], Path]) -> Iterator[Served]:
    """Serve an exchange on its first day at noon, with a dividend announced for the second."""
    with served(new_folder()) as server:
        server.tick(to=NOON.isoformat())
        dividend = {"type": "cash_dividend", "symbol": "AAPL", "rate": "0.25", "date": "2025-03-04"}
        assert server.ask("POST", "/exchange/v1/actions", dividend).status_code == 200
        yield server


def client(server: Served, kind: Any) -> Any:
    """Return one of the SDK's clients; its methods are typed to return raw JSON too, which it is not asked for."""
    client = kind("sandbox", "sandbox", url_override=server.url)
    client._session.trust_env = False
    return client


@pytest.mark.parametrize(("timeframe", "count"), TIMEFRAMES, ids=[str(frame) for frame, _ in TIMEFRAMES])
def test_bars_of_every_timeframe(server: Served, timeframe: TimeFrame, count: int) -> None:
    start = START if timeframe.unit_value in (TimeFrameUnit.Minute, TimeFrameUnit.Hour) else datetime(2025, 1, 1)  # noqa: DTZ001
    request = StockBarsRequest(symbol_or_symbols=SYMBOLS, timeframe=timeframe, start=start, end=NOON, feed=DataFeed.SIP)
    bars = client(server, StockHistoricalDataClient).get_stock_bars(request)
    assert {symbol: len(rows) for symbol, rows in bars.data.items()} == dict.fromkeys(SYMBOLS, count)
    assert all(bar.low <= bar.vwap <= bar.high and bar.trade_count for rows in bars.data.values() for bar in rows)


def test_trades_and_quotes_of_the_past_are_read_page_by_page(server: Served) -> None:
    stocks = client(server, StockHistoricalDataClient)
    span: Any = {"symbol_or_symbols": SYMBOLS, "start": START, "end": NOON, "feed": DataFeed.IEX}
    trades = stocks.get_stock_trades(StockTradesRequest(**span))
    quotes = stocks.get_stock_quotes(StockQuotesRequest(**span))
    bars = stocks.get_stock_bars(StockBarsRequest(timeframe=TimeFrame.Minute, **span))
    for symbol in SYMBOLS:
        inside = bars.data[symbol][:-1]
        traded = [trade for trade in trades.data[symbol] if trade.timestamp < inside[-1].timestamp]
        assert sum(trade.size for trade in traded) == sum(bar.volume for bar in inside[:-1])
        assert len(quotes.data[symbol]) == 150 * 8
        assert all(quote.bid_price < quote.ask_price for quote in quotes.data[symbol])


def test_the_latest_and_snapshots(server: Served) -> None:
    stocks = client(server, StockHistoricalDataClient)
    for feed in (None, DataFeed.IEX, DataFeed.SIP, DataFeed.DELAYED_SIP):
        request: Any = {"symbol_or_symbols": SYMBOLS, "feed": feed}
        trades = stocks.get_stock_latest_trade(StockLatestTradeRequest(**request))
        quotes = stocks.get_stock_latest_quote(StockLatestQuoteRequest(**request))
        bars = stocks.get_stock_latest_bar(StockLatestBarRequest(**request))
        shots = stocks.get_stock_snapshot(StockSnapshotRequest(**request))
        for symbol in SYMBOLS:
            shot = shots[symbol]
            assert (shot.latest_trade, shot.latest_quote) == (trades[symbol], quotes[symbol])
            assert (shot.minute_bar, shot.daily_bar.timestamp.date()) == (bars[symbol], START.date())
            assert quotes[symbol].bid_price < trades[symbol].price < quotes[symbol].ask_price


def test_snapshots_before_the_first_session_show_the_last_days(new_folder: Callable[[], Path]) -> None:
    with served(new_folder()) as server:
        shots = client(server, StockHistoricalDataClient).get_stock_snapshot(
            StockSnapshotRequest(symbol_or_symbols="AAPL")
        )
    days = (shots["AAPL"].daily_bar, shots["AAPL"].previous_daily_bar)
    assert [str(day.timestamp.date()) for day in days] == ["2025-02-28", "2025-02-27"]


def test_corporate_actions(server: Served) -> None:
    request = CorporateActionsRequest(
        symbols=["AAPL"], types=[CorporateActionsType.CASH_DIVIDEND], start=date(2025, 3, 1), end=date(2025, 4, 1)
    )
    (dividend,) = client(server, CorporateActionsClient).get_corporate_actions(request).data["cash_dividends"]
    assert (dividend.symbol, dividend.rate, dividend.ex_date) == ("AAPL", 0.25, date(2025, 3, 4))


def test_the_screener(server: Served) -> None:
    screener = client(server, ScreenerClient)
    for by in MostActivesBy:
        assert len(screener.get_most_actives(MostActivesRequest(top=2, by=by)).most_actives) == 2
    movers = screener.get_market_movers(MarketMoversRequest(top=3, market_type=MarketType.STOCKS))
    assert 1 <= len(movers.gainers) + len(movers.losers) <= 3
    assert all(row.change > 0 for row in movers.gainers)
    assert all(row.percent_change < 0 for row in movers.losers)


@pytest.mark.parametrize(
    ("kind", "method", "sdk_request"),
    [
        (CryptoHistoricalDataClient, "get_crypto_latest_quote", CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD")),
        (OptionHistoricalDataClient, "get_option_chain", OptionChainRequest(underlying_symbol="AAPL")),
        (NewsClient, "get_news", NewsRequest()),
        (ScreenerClient, "get_market_movers", MarketMoversRequest(market_type=MarketType.CRYPTO)),
    ],
)
def test_what_is_left_out_is_an_api_error_with_its_code(
    server: Served, kind: Any, method: str, sdk_request: Any
) -> None:
    with pytest.raises(APIError) as refused:
        getattr(client(server, kind), method)(sdk_request)
    assert (refused.value.status_code, refused.value.code) == (403, 40310000)
