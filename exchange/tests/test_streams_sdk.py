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


def place_order(place: Served) -> None:
    place.order("AAPL", "buy", 1, limit_price="1")


def begin(place: Served) -> None:
    place.tick(to="open")
    place.tick(seconds=300)


def test_sdk_parses_every_trade_update_and_reconnects_after_a_restart(
    new_folder: Callable[[], Path],
) -> None:
    folder = new_folder()
    heard: list[TradeUpdate] = []

    async def hear(update: TradeUpdate) -> None:
        heard.append(update)

    async def story() -> None:
        with served(folder) as place:
            begin(place)
            stream = TradingStream("sandbox", "sandbox", url_override=f"{place.ws}/stream")
            stream.subscribe_trade_updates(hear)
            async with running(stream):
                await until(lambda: place_order(place), lambda: bool(heard))
                await asyncio.to_thread(place.order, "SPY", "buy", 2)
                await until(lambda: place.tick(seconds=60), lambda: _words(heard) >= {"fill", "new"})
                await asyncio.to_thread(place.ask, "DELETE", "/v2/orders")
                await until(lambda: None, lambda: "canceled" in _words(heard))
                await asyncio.to_thread(place.end)
                place_offline = len(heard)
                with served(folder, place.port) as again:
                    await until(lambda: place_order(again), lambda: len(heard) > place_offline)

    asyncio.run(asyncio.wait_for(story(), 30))
    fill = next(update for update in heard if update.event == TradeEvent.FILL)
    assert (fill.qty, fill.position_qty, fill.order.symbol) == (2, 2, "SPY")
    assert fill.execution_id is not None
    assert all(isinstance(update, TradeUpdate) for update in heard)


def _words(heard: list[TradeUpdate]) -> set[str]:
    return {update.event.value if isinstance(update.event, TradeEvent) else update.event for update in heard}


def test_sdk_parses_every_data_point_and_reconnects_after_a_restart(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    heard: list[Bar | Quote | Trade] = []

    async def hear(point: Any) -> None:
        heard.append(point)

    async def story() -> None:
        with served(folder) as place:
            begin(place)
            stream: Any = StockDataStream("sandbox", "sandbox", url_override=f"{place.ws}/v2/iex")
            for subscribe in (stream.subscribe_bars, stream.subscribe_daily_bars):
                subscribe(hear, "*")
            for subscribe in (stream.subscribe_trades, stream.subscribe_quotes, stream.subscribe_trading_statuses):
                subscribe(hear, "AAPL", "SPY")
            async with running(stream):
                await until(lambda: place.tick(seconds=60), lambda: len({type(point) for point in heard}) == 3)
                await asyncio.to_thread(place.end)
                heard.clear()
                with served(folder, place.port) as again:
                    await until(lambda: again.tick(seconds=60), lambda: len({type(point) for point in heard}) == 3)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert {point.symbol for point in heard} >= {"AAPL", "SPY"}
    assert all(point.timestamp.tzinfo is not None for point in heard)


@pytest.mark.parametrize("path", ["/v2/sip", "/stream"])
def test_sdk_raises_its_auth_error_for_wrong_keys(new_folder: Callable[[], Path], path: str) -> None:
    async def story() -> None:
        with served(new_folder()) as place:
            kind: Any = TradingStream if path == "/stream" else StockDataStream
            stream = kind("sandbox", "wrong", url_override=place.ws + path)
            await stream._connect()
            with pytest.raises(ValueError, match="auth"):
                await stream._auth()
            await stream.close()

    asyncio.run(asyncio.wait_for(story(), 10))
