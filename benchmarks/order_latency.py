"""Measure the way from an intent to the venue's reply and to its outcome in the books, beside what the machine needs.

One order is made durable, posted and settled through the real adapters. The yardstick is two commits with a full
sync on the same disk and one bare HTTP round trip to the same exchange. Both are measured in turn in one run.
"""

import http.client
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.init import making as init
from papervenue import process
from papervenue.state import LOG_FILE
from tests.kit.core.scene import trade_once
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened
from tradebot.desk.proposals import propose
from tradebot.desk.snapshot import take
from tradebot.model.candidate import Side
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent
from tradebot.model.order import Reply
from tradebot.model.record import CandidateRecord, Job
from tradebot.model.values import replace
from tradebot.orders.order_sender import send, submit_intent
from tradebot.ports.broker import Ending, OrderPort
from tradebot.ports.world import Call, World
from tradebot.venues.door import SANDBOX_KEY

ORDERS = sized(60, 2)
REPLY_BOUND, SETTLED_BOUND = 2, 3
STATE = Path(__file__).parents[1] / "state"
RESTING_FRACTION = Decimal("0.5")
REPLY, SETTLED = "durable intent to reply", "durable intent to settled order"


class Answered:
    """An order port that notes when the venue's reply was there."""

    def __init__(self, orders: OrderPort) -> None:
        self.at = 0.0
        self._orders = orders

    def submit(self, intent: Intent) -> Reply:
        """Send, and look at the clock."""
        reply = self._orders.submit(intent)
        self.at = time.perf_counter()
        return reply

    def cancel(self, intent: Ending) -> Reply:
        """Cancel."""
        return self._orders.cancel(intent)

    def replace(self, intent: Intent) -> Reply:
        """Replace."""
        return self._orders.replace(intent)


class Sender:
    """Sends a resting order each time it is called, every one with its own id that is made before."""

    def __init__(self, app: App) -> None:
        self.ids: list[str] = []
        world: World = app.world()
        assert world.orders is not None
        self.answered = Answered(world.orders)
        self._world = replace(world, orders=self.answered)
        self._desk: Desk = take(self._world, with_flow=True)
        self._record = decided(app)
        self.prepare()

    def prepare(self) -> None:
        """Make the next intent."""
        self._next = self._intent()

    def __call__(self) -> None:
        # As if it were taken now: with an older one the venue is asked what time it is, which is not measured here.
        fresh = replace(self._desk, taken_s=self._world.stopwatch())
        sent = send(self._world, fresh, self._next, self._record.decisions)
        assert sent.passed, sent
        self.ids.append(self._next.client_order_id)

    def _intent(self) -> Intent:
        call = Call(Job.TRADE_ONCE, self._record.candidate.at.date(), f"benchmark#{len(self.ids)}", "benchmark")
        candidate = replace(self._record.candidate, side=Side.BUY)
        # So far below the market nothing fills, and the account stays as it is.
        bid = self._desk.quotes[candidate.symbol].bid
        price = (bid * RESTING_FRACTION).quantize(candidate.instrument.tick)
        return submit_intent(self._world, call, self._desk, candidate, candidate.instrument.lot, price)


def decided(app: App) -> CandidateRecord:
    """Return a candidate with every gate's decision, as they are written down with each intent."""
    call = Call(Job.TRADE_ONCE, app.now().date(), "benchmark", "benchmark")
    world = app.world(dry_run=True)
    return trade_once(world, call, propose(world, app.now())).candidates[0]


class Commit:
    """Writes one small row with a full sync, with the ledger's own way of committing."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = TRUNCATE")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE rows (sequence INTEGER PRIMARY KEY, body TEXT)")

    def __call__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("INSERT INTO rows (body) VALUES ('one small row')")
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class RoundTrip:
    """Asks the exchange's clock over one plain connection that is kept open."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)

    def __call__(self) -> None:
        keys = {"APCA-API-KEY-ID": SANDBOX_KEY, "APCA-API-SECRET-KEY": SANDBOX_KEY}
        self._connection.request("GET", "/v2/clock", headers=keys)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def timed_s(step: Callable[[], None]) -> float:
    """Return the wall time of one step in seconds."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def measure(app: App, folder: Path) -> dict[str, list[float]]:
    """Return the wall times of each step in seconds, taken in turn; the first round only warms up."""
    sender, rounds = Sender(app), list[dict[str, float]]()
    with closing(Commit(folder / "yardstick.db")) as commit, closing(RoundTrip(app.exchange_url)) as trip:
        for _ in range(ORDERS + 1):
            sender.prepare()
            began = time.perf_counter()
            settled_s = timed_s(sender)
            rounds.append(
                {
                    REPLY: sender.answered.at - began,
                    SETTLED: settled_s,
                    "first commit": timed_s(commit),
                    "round trip": timed_s(trip),
                    "second commit": timed_s(commit),
                }
            )
    missing = set(sender.ids) - logged_ids(app.folder.exchange / LOG_FILE)
    assert not missing, f"{len(missing)} orders are not in the exchange's log"
    return {name: [taken[name] for taken in rounds[1:]] for name in rounds[0]}


def logged_ids(log: Path) -> set[str]:
    """Return the client order ids that the exchange's log names anywhere."""
    found: set[str] = set()
    for line in log.read_text(encoding="utf-8").splitlines():
        collect_ids(json.loads(line), found)
    return found


def collect_ids(value: object, found: set[str]) -> None:
    """Add every client order id inside a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("client_order_id"), str):
            found.add(value["client_order_id"])
        for item in value.values():
            collect_ids(item, found)


def figures(taken: dict[str, list[float]]) -> list[Figure]:
    """Return the table's lines; the ratios are of medians."""
    parts = (seconds for name, seconds in taken.items() if name not in (REPLY, SETTLED))
    yardstick_s = statistics.median(sum(each) for each in zip(*parts, strict=True))
    return [
        Figure("one FULL commit", milliseconds(statistics.median(taken["first commit"]))),
        Figure("one bare round trip", milliseconds(statistics.median(taken["round trip"]))),
        Figure("two commits and a round trip", milliseconds(yardstick_s)),
        *(
            Figure(name, milliseconds(took_s), took_s / yardstick_s, "times the yardstick", bound)
            for name, bound in ((REPLY, REPLY_BOUND), (SETTLED, SETTLED_BOUND))
            for took_s in (statistics.median(taken[name]),)
        ),
    ]


def milliseconds(seconds: float) -> str:
    """Return a time in words."""
    return f"{seconds * 1000:.2f} ms"


def main() -> None:
    """Make a state with a running exchange in an open session, measure, print, and stop the exchange."""
    # On the disk where a bot keeps its state: the system's own temporary folder may be memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "state"
        init.run(str(state), None, "user", {"mode": "sandbox"})
        try:
            with opened(Options(str(state)), os.environ) as app:
                app.engine.tick_to("open")
                app.engine.sleep(600)
                app.ensure_calendar(app.now())
                taken = measure(app, Path(folder))
        finally:
            process.stop(state / "exchange")
    show(f"intent to order, medians of {ORDERS} orders sent in turn with the yardstick", figures(taken))


if __name__ == "__main__":
    main()
