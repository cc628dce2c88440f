"""Measure `tradebot web`: how soon pages come, how large they are, and what it takes of a core and of memory.

Pages are asked for on a bot with 1,000 positions and 100,000 events: for the first time, again while nothing changes,
and just after a change, when a page is read anew and its end comes later than its first byte. Three browsers, each on a
page of its own, read it again whenever they are told of a change, beside a `serve` at normal speed; and passes are
timed in turns with the pages open in them and with nobody looking.
"""

import http.client
import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from benchmarks.startup import BIN, tradebot, wall_s
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from benchmarks.support.traded import filled, intent_of
from benchmarks.top import cpu_s
from papervenue import process
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import EVENTS, LEDGER
from tradebot.model.candidate import Side
from tradebot.model.order import Outcome, Reply

POSITIONS, EVENT_LINES = sized((1_000, 100_000), (3, 10))
ASKED, SERVED_S, PAIRS = sized((15, 60, 20), (1, 2, 1))
PATHS = (
    *("/", "/positions", "/symbol/P0001", "/funnel", "/trades", "/report", "/schedule", "/health", "/events"),
    "/settings",
)
SETTLE_S = sized(2.0, 0.1)
WATCHED = "/", "/positions", "/events"
FIRST_BYTE_MS, WHOLE_MS, LARGEST_KB, CORE, MORE_MB, DELAY = 150, 2_000, 300, 2, 30, 1


class Web(NamedTuple):
    """Where a bot's pages are, by which token, and the process that serves them."""

    port: int
    token: str
    pid: int

    def resident_mb(self) -> float:
        """Return what it holds in memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Came(NamedTuple):
    """After how many milliseconds a page's first byte came and its last, and its size in bytes."""

    first_ms: float
    whole_ms: float
    size: int


class Browser:
    """One browser that has logged in."""

    def __init__(self, web: Web) -> None:
        self.web, self.host = web, f"127.0.0.1:{web.port}"
        form = {"Origin": f"http://{self.host}", "Content-Type": "application/x-www-form-urlencoded"}
        with closing(http.client.HTTPConnection(self.host, timeout=120)) as connection:
            connection.request("POST", "/login", f"token={web.token}", form)
            answer = connection.getresponse()
            assert answer.status == 303, answer.status
            self.cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]

    def page(self, path: str) -> Came:
        """Ask for a page, and return how it came."""
        with closing(http.client.HTTPConnection(self.host, timeout=120)) as connection:
            began_s = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            first_ms = 1000 * (time.perf_counter() - began_s)
            body = answer.read()
            assert answer.status == 200, (path, answer.status)
            return Came(first_ms, 1000 * (time.perf_counter() - began_s), len(body))

    def watch(self, path: str, ends: threading.Event) -> None:
        """Read a page again whenever something was recorded, until it ends."""
        self.page(path)
        with closing(http.client.HTTPConnection(self.host, timeout=120)) as connection:
            connection.request("GET", "/live", headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            while not ends.is_set():
                if answer.readline().startswith(b"event: changed"):
                    self.page(path)


@contextmanager
def serving(state: Path) -> Iterator[Web]:
    """Serve a bot's pages."""
    command = [str(BIN / "tradebot"), "web", "--port", "0", "--new-token", "--json", "--state-dir", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        data = json.loads(program.stdout.readline())["data"]
        try:
            yield Web(int(data["url"].rstrip("/").rpartition(":")[2]), data["token"], program.pid)
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait(60)


@contextmanager
def watching(web: Web, state: Path) -> Iterator[None]:
    """Let three browsers look."""
    ends = threading.Event()
    browsers = [threading.Thread(target=Browser(web).watch, args=(path, ends), daemon=True) for path in WATCHED]
    for each in browsers:
        each.start()
    yield
    ends.set()
    # They look for the end of it when they are told of a change.
    os.utime(state / LEDGER)
    for each in browsers:
        each.join(30)


def fill(state: Path) -> None:
    """Give a bot so many positions and events, of which its exchange knows nothing."""
    account = json.loads((state / "state.id").read_text())["account_number"]
    now = datetime.now(UTC)
    with closing(SqliteLedger.open(state)) as books, books.file.in_one_write():
        for number in range(POSITIONS):
            at = now - timedelta(seconds=number)
            intent = intent_of(account, at.date(), at, f"open+{number}s", f"P{number:04}", Side.BUY)
            one = filled(intent, f"{number:08x}-2222-4333-8444-555555555555", f"{number:08x}::a", Decimal(100))
            books.promise(intent, ())
            books.settle(intent.client_order_id, Reply(Outcome.ACCEPTED, one.order), at)
            books.apply_fills((one.fill,), one.fill.fill.at)
    with (state / EVENTS).open("r+") as file:
        last = json.loads(file.read().splitlines()[-1])
        for number in range(EVENT_LINES):
            at = now - timedelta(seconds=EVENT_LINES - number)
            file.write(json.dumps(last | {"timestamp": at.isoformat(), "symbol": f"P{number % POSITIONS:04}"}) + "\n")


def pages(state: Path) -> Iterator[Figure]:
    """Ask for each page, and yield how soon its first byte and its last one came, and how large it is."""
    with serving(state) as web:
        browser = Browser(web)
        largest: dict[str, int] = {}
        for path in PATHS:
            new, warm = browser.page(path), [browser.page(path) for _ in range(ASKED)]
            changed = [_changed(browser, path, state) for _ in range(ASKED)]
            largest[path] = new.size
            for name, found in (("new", [new]), ("again", warm), ("changed", changed)):
                yield _median(f"{path} {name}", [came.first_ms for came in found], FIRST_BYTE_MS)
            yield _median(f"{path} changed, whole", [came.whole_ms for came in changed], WHOLE_MS)
        for path, size in largest.items():
            yield Figure(f"{path} size", f"{size:,} bytes", size / 1000, "KB", LARGEST_KB)


def _changed(browser: Browser, path: str, state: Path) -> Came:
    os.utime(state / LEDGER)
    return browser.page(path)


def _median(name: str, found: Sequence[float], bound_ms: int) -> Figure:
    ordered = sorted(found)
    most = ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]
    return Figure(name, f"p95 {most:.0f} ms", statistics.median(ordered), "ms", bound_ms)


def beside_serve(state: Path) -> Iterator[Figure]:
    """Serve the bot and its pages, and yield what three browsers take."""
    command = [str(BIN / "tradebot"), "serve", "--speed", "1", "--state-dir", str(state)]
    with ExitStack() as stack:
        serve = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        stack.callback(serve.send_signal, signal.SIGTERM)
        web = stack.enter_context(serving(state))
        browser = Browser(web)
        for path in WATCHED:
            browser.page(path)
        time.sleep(sized(10, 1))
        before_mb = web.resident_mb()
        with watching(web, state):
            time.sleep(sized(10, 1))
            before_s, own_s, began_s = cpu_s(web.pid), cpu_s(serve.pid), time.monotonic()
            time.sleep(SERVED_S)
            wall = time.monotonic() - began_s
            taken, own = (cpu_s(web.pid) - before_s) / wall, (cpu_s(serve.pid) - own_s) / wall
            more_mb = web.resident_mb() - before_mb
    yield Figure("three browsers beside serve", f"serve itself {100 * own:.2f} %", 100 * taken, "% of a core", CORE)
    yield Figure("memory with three browsers", f"{before_mb:.0f} MB before", more_mb, "MB more", MORE_MB)


def delays(state: Path) -> Iterator[Figure]:
    """Time passes in turns, with the pages watched by three browsers and by nobody, and yield what they are delayed."""
    found: dict[bool, list[float]] = {True: [], False: []}
    command = tradebot(state, "evaluate-exits", "--force-slot")
    with serving(state) as web:
        for turn in range(2 * PAIRS):
            with watching(web, state) if turn % 2 else nullcontext():
                time.sleep(SETTLE_S)
                found[bool(turn % 2)].append(wall_s(command))
    alone, beside = statistics.median(found[False]), statistics.median(found[True])
    measured = f"{beside:.3f} s, {alone:.3f} s alone"
    yield Figure("a pass, delayed by the pages", measured, 100 * (beside / alone - 1), "%", DELAY)


def main() -> None:
    """Make the bot, measure, print, and stop the exchange."""
    with tempfile.TemporaryDirectory(prefix="tradebot-bench-") as folder:
        state = Path(folder) / "bot"
        try:
            wall_s(tradebot(state, "init", "--mode", "sandbox"))
            for words in ("exchange tick open", "exchange tick 30m", "fetch-flow", "reconcile"):
                wall_s(tradebot(state, *words.split()))
            for verb in ("trade-once", "evaluate-exits"):
                wall_s(tradebot(state, verb, "--force-slot"))
            figures = [*beside_serve(state), *delays(state)]
            fill(state)
            figures += pages(state)
        finally:
            process.stop(state / "exchange")
    show(f"tradebot web, {POSITIONS:,} positions, {EVENT_LINES:,} events; first bytes are medians", figures)


if __name__ == "__main__":
    main()
