"""Measure how long a bot needs from its start to compared books, with many open orders and positions.

Every run is its own process, as after a restart. In the first one the books do not yet know what was filled
while nobody looked; in the others they do.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.init import making as init
from commands.init.symbols import symbol_flags
from commands.init.verb import flags_of
from papervenue import process
from tests.kit.values import instrument
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened
from tradebot.desk.snapshot import take
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.desk import Desk
from tradebot.model.record import Job
from tradebot.model.values import replace
from tradebot.orders.order_sender import send, submit_intent
from tradebot.ports.world import Call, World

PROGRAM = Path(sys.executable).with_name("tradebot")
STATE = Path(__file__).parents[1] / "state"
RUNS = sized(5, 1)
BOUND_S = 5.0
POSITIONS, OPEN_ORDERS = sized((500, 1_000), (5, 10))
CASH_USD = 100_000_000
SHARES = Decimal(10)
BOUGHT, RESTING = Decimal("1.05"), (Decimal("0.5"), Decimal("0.4"))
"""Limits as parts of the ask: an order that fills, and two of each symbol that rest."""


class Wanted(NamedTuple):
    """One order to send."""

    symbol: str
    limit: Decimal


def wanted(desk: Desk) -> Iterator[Wanted]:
    """Yield an order of each symbol that is filled, then all that stay open."""
    for part in (BOUGHT, *RESTING):
        for symbol in desk.quotes:
            yield Wanted(symbol, (desk.quotes[symbol].ask * part).quantize(Decimal("0.01"), ROUND_UP))


def send_all(app: App) -> None:
    """Send every order by the road that the bot's own orders take."""
    world: World = app.world()
    desk = take(world, with_flow=True)
    for number, (symbol, limit) in enumerate(wanted(desk)):
        # No gate is asked here, and each order has a desk that was taken now.
        fresh = replace(desk, taken_s=world.stopwatch())
        call = Call(Job.TRADE_ONCE, desk.now.date(), f"benchmark#{number}", "benchmark")
        candidate = Candidate("flow", instrument(symbol), Side.BUY, Purpose.OPEN, desk.now)
        sent = send(world, fresh, submit_intent(world, call, fresh, candidate, SHARES, limit), ())
        assert sent.passed, sent


def prepare(state: Path) -> None:
    """Make a bot whose books lack what its exchange has done: every position was filled after it had died."""
    sandbox = {"sessions": 2, "cash_usd": CASH_USD, "corporate_actions": False}
    init.run(str(state), None, "user", flags_of("sandbox", sandbox, symbol_flags(str(POSITIONS))))
    with opened(Options(str(state)), {}) as app:
        app.engine.tick_to("open")
        app.engine.sleep(600)
        app.ensure_calendar(app.now())
        send_all(app)
        # Long enough for a thin name to trade as much.
        app.engine.sleep(3600)


def reconcile_s(state: Path) -> float:
    """Type the verb and return the wall time in seconds; it must find no difference."""
    began = time.perf_counter()
    done = subprocess.run(
        [PROGRAM, "reconcile", "--state-dir", state], capture_output=True, text=True, timeout=120, check=False
    )
    took_s = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return took_s


def require_loaded(state: Path) -> None:
    """Assert that books and broker hold what is measured."""
    ledger = SqliteLedger.open(state, read_only=True)
    held = sum(1 for position in ledger.totals().positions.values() if position.quantity)
    working = len(ledger.orders(working=True))
    ledger.close()
    assert (held, working) == (POSITIONS, OPEN_ORDERS), (held, working)


def main() -> None:
    """Prepare, measure, print, and stop the exchange that was started."""
    # On the disk where a bot keeps its state: the system's own temporary folder may be memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "state"
        try:
            prepare(state)
            first_s = reconcile_s(state)
            require_loaded(state)
            later_s = statistics.median(reconcile_s(state) for _ in range(RUNS))
        finally:
            process.stop(state / "exchange")
    show(
        f"restart to compared books: {OPEN_ORDERS:,} open orders, {POSITIONS} positions",
        [
            Figure("first, with every fill to apply", "1 process", first_s, "s", BOUND_S),
            Figure("later", f"median of {RUNS}", later_s, "s", BOUND_S),
        ],
    )


if __name__ == "__main__":
    main()
