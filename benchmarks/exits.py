"""Measure a pass of exits over many positions: the time it takes besides its HTTP calls, and their number.

The books and the facts are on the disk, the broker is a stand-in on loopback. Each size has its own process. A
second pass also looks up everything that an exit rule can read, from the scores of a session and a half. What counts is
the processor's time, because another program can only delay a pass; the wall time stands beside it.
"""

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from benchmarks.support import grown
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.evaluate_exits.verb import run as evaluate
from papervenue import process
from tests.kit.values import instrument
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.facts.history import MOST_SLOTS
from tradebot.adapters.state.state_folder import EXCHANGE
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened
from tradebot.exits.kind import Held, Measure, PriceRule, Stop
from tradebot.model.candidate import Candidate, Component, Purpose, Side
from tradebot.model.position import Outlook
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.values import replace
from tradebot.venues.alpaca import wire

RUNS = sized(7, 1)
BOUNDS_MS: dict[int, int | None] = sized({5: None, 50: None, 500: 100}, {2: None})
STATE = Path(__file__).parents[1] / "state"
USUAL, READING = "the account's rules", "a rule that reads everything"


class Reading(PriceRule):
    """A rule that closes nothing and reads all there is."""

    reason = Reason.STOP_LOSS
    column = "reads"
    reads: ClassVar[frozenset[str]] = frozenset(Outlook.__struct_fields__)

    def measure(self, held: Held, price: Decimal) -> Measure:
        """Keep the position."""
        return Measure(False, price, price)

    def level(self, held: Held) -> Stop:
        """Return a level without a price."""
        return Stop(self.reason, None, None)


class Calls:
    """Every exchange with the broker, counted and timed: wall time, and the processor's."""

    def __init__(self, module: ModuleType = wire) -> None:
        self._exchange = vars(module)["exchange"]
        vars(module)["exchange"] = self
        self.begin()

    def begin(self) -> None:
        """Begin to count a pass."""
        self.count, self._took, self._began = 0, (0.0, 0.0), _clocks()

    def rest(self) -> tuple[float, float]:
        """Return the seconds since then that weren't spent in an exchange: wall time, and the processor's."""
        return _since(self._began)[0] - self._took[0], _since(self._began)[1] - self._took[1]

    def __call__(self, *args: Any, **named: Any) -> object:
        """Make one exchange."""
        began = _clocks()
        try:
            return self._exchange(*args, **named)
        finally:
            took = _since(began)
            self._took = self._took[0] + took[0], self._took[1] + took[1]
            self.count += 1


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    wall, processor = _clocks()
    return wall - began[0], processor - began[1]


def hold(size: int) -> None:
    """Let the books of this process be of so many symbols, each bought once today, without orders at work."""
    grown.SYMBOLS = tuple(f"S{number:04}" for number in range(size))
    grown.A_SESSION, grown.WORKING = size, 0


def record_scores(app: App) -> None:
    """Record the passes of entries in which scores are looked for."""
    facts = app.world().facts
    for number in range(MOST_SLOTS):
        at = grown.NOW - timedelta(minutes=5 * (number + 1))
        slot = f"open+{number}m"
        scored = tuple(_scored(symbol, number) for symbol in grown.SYMBOLS)
        facts.record(CycleRecord(f"trade-once.{slot}", Job.TRADE_ONCE, at.date(), slot, at, "sandbox", scored))


def _scored(symbol: str, number: int) -> CandidateRecord:
    parts = tuple(Component(name, 0.31, 0.15, "24 prints") for name in ("flow", "dark_pool", "market_tide", "iv_rank"))
    score = (number * 7 % 20 - 10) / 10
    entry = Candidate("flow", instrument(symbol), Side.BUY, Purpose.OPEN, grown.NOW, score, 0.9, parts)
    return CandidateRecord(entry, grown._verdicts(Purpose.OPEN))


def tick(folder: Path) -> None:
    """Let a minute pass at the stand-in, so that each pass is another one and is recorded beside the others."""
    endpoint = process.running(folder / EXCHANGE)
    assert endpoint is not None, "the stand-in must still be there"
    with urlopen(Request(f"{endpoint.url}/exchange/v1/tick", b'{"seconds": 60}')):  # noqa: S310 - our own stand-in
        pass


def passes(app: App, folder: Path, calls: Calls) -> tuple[float, float, int]:
    """Return the median seconds of a pass besides its HTTP calls, wall and processor, and the number of calls."""
    walls, processor, counts, orders = [], [], [], []
    for _ in range(RUNS + 1):
        tick(folder)
        calls.begin()
        report = evaluate(app, by="bench", force_slot=True)
        wall_s, processor_s = calls.rest()
        walls.append(wall_s)
        processor.append(processor_s)
        counts.append(calls.count)
        orders.append(report.data.orders)
        assert report.data.candidates - report.data.orders == len(grown.SYMBOLS)
    # The first pass rests a pair at the broker for each position; those that follow find them there.
    assert not any(orders[1:]), orders
    return statistics.median(walls[1:]), statistics.median(processor[1:]), max(counts[1:])


def measure_here(size: int) -> None:
    """Print what passes over so many positions take, as JSON."""
    hold(size)
    # The garbage collector is set as the `tradebot` command sets it.
    gc.set_threshold(UNCOLLECTED)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        folder = Path(place) / "state"
        grown.make(folder, size)
        command = [sys.executable, __file__, "serve", str(size), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as served:
            assert served.stdout is not None
            assert served.stdout.readline() == b"ready\n"
            try:
                calls = Calls()
                with opened(Options(str(folder)), {}) as app:
                    found = {USUAL: passes(app, folder, calls)}
                    record_scores(app)
                    world = app.world
                    rules = replace(world().rules, own_exits={"flow": (Reading(),)})
                    app.world = lambda **named: replace(world(**named), rules=rules)  # type: ignore[method-assign]
                    found[READING] = passes(app, folder, calls)
            finally:
                served.terminate()
    print(json.dumps(found))


def figures() -> Iterator[Figure]:
    """Yield the lines of all sizes."""
    for size, bound_ms in BOUNDS_MS.items():
        done = subprocess.run([sys.executable, __file__, "measure", str(size)], stdout=subprocess.PIPE, check=True)
        for name, (wall_s, processor_s, count) in json.loads(done.stdout).items():
            bound = bound_ms if name == USUAL else None
            measured = f"{count} HTTP calls, {wall_s * 1000:.0f} ms wall"
            yield Figure(f"{size} positions, {name}", measured, processor_s * 1000, "ms", bound)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", size]:
            measure_here(int(size))
        case ["serve", size, folder]:
            hold(int(size))
            grown.serve(Path(folder), int(size))
        case _:
            show(f"a pass of exits besides its HTTP calls, medians of {RUNS}", figures())
