"""Measure POST /v2/orders against a plain GET /v2/clock on the same server, with one client and with many at once.

Each order is in the synced log before its response; orders that arrive together share the write. The engine alone is
measured in memory, without HTTP and without a log.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from papervenue import process
from papervenue.engine.engine import Engine
from papervenue.engine.orders import OrderRequest
from papervenue.market.bars import UNITS
from papervenue.market.spec import NEXT_BAR, PAPER, MarketSpec, default_symbols
from papervenue.market_loader import open_market
from papervenue.shares.dialect import ALPACA
from papervenue.state import read_market

ROUNDS = sized(300, 2)
CLIENTS = 16
BOUND = 2
IN_MEMORY = sized(20_000, 2_000)
ENGINE_BOUND_US = 50
STATE = Path(__file__).parents[1] / "state"
KEYS = "APCA-API-KEY-ID: sandbox\r\nAPCA-API-SECRET-KEY: sandbox\r\n"
CLOCK = f"GET /v2/clock HTTP/1.1\r\nHost: localhost\r\n{KEYS}\r\n".encode()


def order(limit: str) -> bytes:
    """Return a request for an order that rests far below the market."""
    body = json.dumps(
        {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": limit}
    )
    head = f"POST /v2/orders HTTP/1.1\r\nHost: localhost\r\n{KEYS}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Client:
    """A persistent connection that reads a response and checks only its status."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> None:
        """Send a request and read its complete response, which must be a 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await self._reader.readexactly(length)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def measure(url: str) -> dict[str, list[float]]:
    """Return the seconds of each step, in rotation; the first rounds only warm up."""
    address = urlsplit(url)
    clients = [Client(*await asyncio.open_connection(address.hostname, address.port)) for _ in range(CLIENTS)]
    seconds_by_case: dict[str, list[float]] = {"clock": [], "order": [], "clocks": [], "orders": []}
    for number in range(ROUNDS + 20):
        posted = order(f"{1 + number / 100:.2f}")
        for name, request, connections in (
            ("clock", CLOCK, clients[:1]),
            ("order", posted, clients[:1]),
            *((("clocks", CLOCK, clients), ("orders", posted, clients)) if number % 10 == 0 else ()),
        ):
            began = time.perf_counter()
            await asyncio.gather(*(client.ask(request) for client in connections))
            seconds_by_case[name].append((time.perf_counter() - began) / len(connections))
    for client in clients:
        client.close()
    return {name: seconds[len(seconds) // 15 :] for name, seconds in seconds_by_case.items()}


def engine_rate(folder: Path, make: Callable[[int], OrderRequest], *, paper: bool) -> float:
    """Return orders per CPU second through the engine alone, each submitted and settled; cash is unlimited."""
    stored = read_market(folder)
    market = open_market(folder, stored)
    spec, start_us = PAPER if paper else NEXT_BAR, market.calendar.market[0].open_us
    engine = Engine(market, start_us, lambda _: None, spec, "bench", dialect=ALPACA)
    account = engine.open_account("main", "key", "secret", Decimal(10) ** 12)
    engine.tick(engine.start_us + 600_000_000)
    requests = [make(number) for number in range(IN_MEMORY)]
    began = time.process_time()
    for request in requests:
        engine.settle(engine.submit(account, request))
    return IN_MEMORY / (time.process_time() - began)


def resting(number: int) -> OrderRequest:
    """Return an order that rests in the book."""
    return OrderRequest("AAPL", 1, "limit", "day", Decimal(1), None, UNITS + number)


def crossing(number: int) -> OrderRequest:
    """Return an order that fills at once if the fill model allows it."""
    return OrderRequest("AAPL", 1, "market", "day", Decimal(1), None, None)


def figures(seconds_by_case: dict[str, list[float]], folder: Path) -> list[Figure]:
    """Return the table's lines; ratios compare medians."""
    median_s = {name: statistics.median(seconds) for name, seconds in seconds_by_case.items()}
    rates = engine_rate(folder, resting, paper=False), engine_rate(folder, crossing, paper=True)
    return [
        Figure("GET /v2/clock", milliseconds(median_s["clock"])),
        Figure(
            "POST /v2/orders", milliseconds(median_s["order"]), median_s["order"] / median_s["clock"], "times", BOUND
        ),
        Figure(f"{CLIENTS} at once: a clock", milliseconds(median_s["clocks"])),
        Figure(
            f"{CLIENTS} at once: an order",
            milliseconds(median_s["orders"]),
            median_s["orders"] / median_s["clocks"],
            "times",
            BOUND,
        ),
        Figure("engine alone, resting orders", f"{rates[0]:,.0f} a CPU second", 1e6 / rates[0], "µs", ENGINE_BOUND_US),
        Figure("engine alone, filled at once", f"{rates[1]:,.0f} a CPU second", 1e6 / rates[1], "µs", ENGINE_BOUND_US),
    ]


def milliseconds(seconds: float) -> str:
    """Return a time as text in milliseconds."""
    return f"{seconds * 1000:.3f} ms"


def main() -> int:
    """Create an exchange in an open session, measure it, print the table, and stop it."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        folder = Path(name)
        process.create(folder, MarketSpec(symbols=default_symbols(20), sessions=2, start=date(2026, 11, 16)))
        try:
            url = process.ensure_running(folder).url
            process.ask(folder, "POST", "/exchange/v1/tick", {"to": "open"})
            seconds_by_case = asyncio.run(measure(url))
        finally:
            process.stop(folder)
        lines = figures(seconds_by_case, folder)
    return show(f"orders over HTTP, medians of {ROUNDS} in rotation", lines)


if __name__ == "__main__":
    sys.exit(main())
