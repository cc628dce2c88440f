"""Measure how soon an exchange with a long log answers after it is started, with a snapshot of its log and without.

The log is what 40,000 orders leave behind, and is then four times as long. What a start takes of itself (imports, the
market, the port) is measured in a folder whose log is new. A process that is killed leaves lines behind its snapshot:
as many as it makes before the next one is due.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from papervenue import process
from papervenue.commands.command import Command
from papervenue.exchange import Exchange, open_exchange
from papervenue.market.spec import MarketSpec, default_symbols
from papervenue.snapshot.keeper import MOST_LINES, Keeper
from papervenue.state import SNAPSHOT_FILE

RUNS = sized(5, 1)
SIZES = sized((147_000, 588_000), (500,))
BOUND_S = 0.5
SYMBOLS = default_symbols(20)
STATE = Path(__file__).parents[1] / "state"
ORDERS_A_MINUTE = 60


class Bench:
    """An exchange whose log grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        process.create(folder, MarketSpec(symbols=SYMBOLS, sessions=60, start=date(2026, 6, 1)))

    def grow(self, lines: int) -> None:
        """Trade until the log has so many lines, and keep no snapshot of it."""
        exchange = open_exchange(self.folder)
        while exchange.log.count < lines:
            self.trade(exchange)
        exchange.commit()

    def keep(self) -> float:
        """Make a snapshot as a server does at its end, and return the seconds that it took."""
        (self.folder / SNAPSHOT_FILE).unlink(missing_ok=True)
        exchange = open_exchange(self.folder)
        began = time.perf_counter()
        Keeper(exchange, self.folder).finish()
        return time.perf_counter() - began

    def trade(self, exchange: Exchange) -> None:
        """Trade for a minute, in the next session if none is open."""
        if not exchange.current_state()["is_open"]:
            exchange.run(Command("POST", "/exchange/v1/tick", body='{"to": "next_open"}'))
        account = exchange.engine.main
        for number in range(ORDERS_A_MINUTE):
            symbol = SYMBOLS[number % len(SYMBOLS)]
            side = "sell" if account.qty(symbol) > 0 else "buy"
            body = {"symbol": symbol, "qty": "2", "side": side, "type": "market", "time_in_force": "day"}
            if number >= len(SYMBOLS):
                body |= {"type": "limit", "limit_price": "1.00" if side == "buy" else "90000"}
            exchange.run(Command("POST", "/v2/orders", body=json.dumps(body), account=account.number))
        exchange.run(Command("POST", "/exchange/v1/tick", body='{"seconds": 60}'))
        exchange.run(Command("DELETE", "/v2/orders", account=account.number))
        exchange.record()


class Start(NamedTuple):
    """The seconds until a started process answered, and until it answered a request for the newest orders."""

    answered_s: float
    listed_s: float


def start(folder: Path) -> Start:
    """Start a server and end it by a kill, which leaves the folder as it is."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "papervenue", "--state", str(folder)]) as served:
        while (found := process.running(folder)) is None:
            time.sleep(0.002)
        answered_s = time.perf_counter() - began
        connection = http.client.HTTPConnection(urlsplit(found.url).netloc, timeout=60)
        keys = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox"}
        connection.request("GET", "/v2/orders?status=all&limit=500", headers=keys)
        assert connection.getresponse().status == 200
        listed_s = time.perf_counter() - began
        served.kill()
    return Start(answered_s, listed_s)


def starts(folder: Path) -> Start:
    """Return the medians of a few starts."""
    taken = [start(folder) for _ in range(RUNS)]
    return Start(*(statistics.median(values) for values in zip(*taken, strict=True)))


def measure(bench: Bench, lines: int, alone_s: float) -> None:
    """Measure a log of so many lines and print what it adds to a start."""
    bench.grow(lines)
    (bench.folder / SNAPSHOT_FILE).unlink(missing_ok=True)
    whole = start(bench.folder)
    wrote_s, size_mb = bench.keep(), (bench.folder / SNAPSHOT_FILE).stat().st_size / 1e6
    kept = starts(bench.folder)
    bench.grow(lines + MOST_LINES)
    behind = starts(bench.folder)
    log_mb = (bench.folder / "log.jsonl").stat().st_size / 1e6
    show(
        f"a log of {lines:,} lines, {log_mb:,.0f} MB: what it adds to a start of {alone_s:.2f} s, medians of {RUNS}",
        [
            Figure("without a snapshot", "once", whole.answered_s - alone_s, "s"),
            Figure(
                "with one", f"{size_mb:.0f} MB, written in {wrote_s:.2f} s", kept.answered_s - alone_s, "s", BOUND_S
            ),
            Figure(
                f"with {MOST_LINES:,} lines behind it", "as after a kill", behind.answered_s - alone_s, "s", BOUND_S
            ),
            Figure("the first list of all orders", "reads them all", kept.listed_s - kept.answered_s, "s"),
        ],
    )


def main() -> None:
    """Measure a new folder, then longer and longer logs."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        bench = Bench(Path(name) / "exchange")
        alone_s = starts(bench.folder).answered_s
        for lines in SIZES:
            measure(bench, lines, alone_s)


if __name__ == "__main__":
    main()
