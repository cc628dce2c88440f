"""Measure what a client of the trade updates pays for the past when it reconnects to an exchange with a long log.

It asks for the last session. The first request comes just after a start, the others find what that one has read. The
server's own processor time is what counts, so that other programs on the machine don't.
"""

import http.client
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.exchange_start import STATE, Bench
from benchmarks.passes import cpu_s
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from papervenue import process
from papervenue.commands.command import Command
from papervenue.exchange import open_exchange
from papervenue.snapshot.keeper import Keeper

LINES = sized(100_000, 500)
MINUTES_A_DAY = 20
AGAIN = sized(5, 1)
BOUND_MS = 200
KEYS = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox"}


class Answer(NamedTuple):
    """The server's processor time and the time of day that an answer took, and how many events it has."""

    cpu_ms: float
    wall_ms: float
    events: int


def past(served: process.Endpoint, since: str, until: str) -> Answer:
    """Ask for past events and read the whole answer."""
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=300)
    began, used_s = time.perf_counter(), cpu_s(served.pid)
    connection.request("GET", f"/v2/events/trades?since={since}&until={until}", headers=KEYS)
    body = connection.getresponse().read()
    connection.close()
    wall_ms, cpu_ms = (time.perf_counter() - began) * 1000, (cpu_s(served.pid) - used_s) * 1000
    return Answer(cpu_ms, wall_ms, body.count(b"data: "))


def grow(bench: Bench) -> None:
    """Trade for some minutes of each session until the log is long enough, and keep a snapshot."""
    exchange = open_exchange(bench.folder)
    while exchange.log.count < LINES:
        for _ in range(MINUTES_A_DAY):
            bench.trade(exchange)
        exchange.run(Command("POST", "/exchange/v1/tick", body='{"to": "close"}'))
    exchange.commit()
    Keeper(exchange, bench.folder).finish()


def figure(name: str, answers: list[Answer], bound: float | None = None) -> Figure:
    """Return the line of one kind of request; times are medians."""
    wall_ms = statistics.median(answer.wall_ms for answer in answers)
    taken_ms = statistics.median(answer.cpu_ms for answer in answers)
    return Figure(name, f"{answers[0].events:,} events in {wall_ms:,.0f} ms", taken_ms, "CPU ms", bound)


def main() -> None:
    """Trade, start a server, ask it for the last session, and then for everything."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        bench = Bench(Path(name) / "exchange")
        grow(bench)
        try:
            served = process.ensure(bench.folder)
            now = process.ask(bench.folder, "GET", "/exchange/v1/status")["now"]
            first = past(served, now[:10], now)
            again = [past(served, now[:10], now) for _ in range(AGAIN)]
            everything = past(served, "2000-01-01", now)
        finally:
            process.stop(bench.folder)
    show(
        f"the past of the trade updates in a log of {LINES:,} lines",
        [
            figure("the last session, just after a start", [first], BOUND_MS),
            figure(f"the same again, median of {AGAIN}", again, BOUND_MS),
            figure("everything", [everything]),
        ],
    )


if __name__ == "__main__":
    main()
