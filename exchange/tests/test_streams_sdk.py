"""The real SDK's two streams against a served exchange: it parses every message and reconnects after a restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from alpaca.data.live import StockDataStream
from alpaca.data.models import Bar, Quote, Trade
from alpaca.trading.enums import TradeEvent
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream

from exchange.tests.kit.served import Served, served

_TRIES = 100


@contextlib.asynccontextmanager
async def running(stream: Any) -> AsyncIterator[None]:
    """Run one of the SDK's streams for as long as the block runs; it would wait a second between its attempts."""
    stream._reconnect_min_backoff = stream._reconnect_max_backoff = 0.02
    task = asyncio.create_task(stream._run_forever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await stream.close()


async def until(act: Callable[[], object], done: Callable[[], bool]) -> None:
    """Act again and again until something has come of it: the SDK does not say when it has subscribed."""
    for _ in range(_TRIES):
        await asyncio.to_thread(act)
        await asyncio.sleep(0.02)
        if done():
            return
    raise AssertionError("nothing came")


def place_order(server: Served) -> None:
    server.order("AAPL", "buy", 1, limit_price="1")


def begin(server: Served) -> None:
    server.tick(to="open")
    server.tick(seconds=300)


def test_sdk_parses_every_trade_update_and_reconnects_after_a_restart(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    updates: list[TradeUpdate] = []

    async def hear(update: TradeUpdate) -> None:
        updates.append(update)

    async def story() -> None:
        with served(folder) as server:
            begin(server)
            stream = TradingStream("sandbox", "sandbox", url_override=f"{server.ws}/stream")
            stream.subscribe_trade_updates(hear)
            async with running(stream):
                await until(lambda: place_order(server), lambda: bool(updates))
                await asyncio.to_thread(server.order, "SPY", "buy", 2)
                await until(lambda: server.tick(seconds=60), lambda: _words(updates) >= {"fill", "new"})
                await asyncio.to_thread(server.ask, "DELETE", "/v2/orders")
                await until(lambda: None, lambda: "canceled" in _words(updates))
                await asyncio.to_thread(server.end)
                place_offline = len(updates)
                with served(folder, server.port) as again:
                    await until(lambda: place_order(again), lambda: len(updates) > place_offline)

    asyncio.run(asyncio.wait_for(story(), 30))
    fill = next(update for update in updates if update.event == TradeEvent.FILL)
    assert (fill.qty, fill.position_qty, fill.order.symbol) == (2, 2, "SPY")
    assert fill.execution_id is not None
    assert all(isinstance(update, TradeUpdate) for update in updates)


def _words(updates: list[TradeUpdate]) -> set[str]:
    return {update.event.value if isinstance(update.event, TradeEvent) else update.event for update in updates}


def test_sdk_parses_every_data_point_and_reconnects_after_a_restart(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    points: list[Bar | Quote | Trade] = []

    async def hear(point: Any) -> None:
        points.append(point)

    async def story() -> None:
        with served(folder) as server:
            begin(server)
            stream: Any = StockDataStream("sandbox", "sandbox", url_override=f"{server.ws}/v2/iex")
            for subscribe in (stream.subscribe_bars, stream.subscribe_daily_bars):
                subscribe(hear, "*")
            for subscribe in (stream.subscribe_trades, stream.subscribe_quotes, stream.subscribe_trading_statuses):
                subscribe(hear, "AAPL", "SPY")
            async with running(stream):
                await until(lambda: server.tick(seconds=60), lambda: len({type(point) for point in points}) == 3)
                await asyncio.to_thread(server.end)
                points.clear()
                with served(folder, server.port) as again:
                    await until(lambda: again.tick(seconds=60), lambda: len({type(point) for point in points}) == 3)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert {point.symbol for point in points} >= {"AAPL", "SPY"}
    assert all(point.timestamp.tzinfo is not None for point in points)


@pytest.mark.parametrize("path", ["/v2/sip", "/stream"])
def test_sdk_raises_its_auth_error_for_wrong_keys(new_folder: Callable[[], Path], path: str) -> None:
    async def story() -> None:
        with served(new_folder()) as server:
            kind: Any = TradingStream if path == "/stream" else StockDataStream
            stream = kind("sandbox", "wrong", url_override=server.ws + path)
            await stream._connect()
            with pytest.raises(ValueError, match="auth"):
                await stream._auth()
            await stream.close()

    asyncio.run(asyncio.wait_for(story(), 10))
