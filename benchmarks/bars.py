"""Measure bars of four timeframes of 56 coins' spot prices: the first fetch, a pass of a new process, and a warm pass.

The market is a Kraken Futures sandbox over HTTP. A fetch includes the time in which the exchange computes charts of 700
days. A pass that reads stored bars is measured in the bot's own CPU time. The last figure counts requests in some hours
of passes, one every two minutes.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.init import making as init
from papervenue import process
from tradebot.app import sandbox
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.series import PriceKind
from tradebot.model.view import BarNeed
from tradebot.venues.kraken import bars as charts
from tradebot.venues.kraken import client

COINS, PASSES = sized((56, 120), (2, 2))
STEP_S = 120
NEEDS = [
    BarNeed(timeframe, depth, least=least, price=PriceKind.SPOT)
    for timeframe, depth, least in (("1Day", 600, 250), ("4Hour", 600, 250), ("1Hour", 200, None), ("15Min", 100, None))
]
STATE = Path(__file__).parents[1] / "state"
VENUE = {"mode": "sandbox", "venue": "kraken_futures"}
FIRST_S, READ_MS, WARM_MS = 20, 1000, 100
NEW = "new process"


class Counting(client.Client):
    """A client that counts its chart requests."""

    requests = 0

    def read(self, path: str, **query: str) -> Any:
        Counting.requests += 1
        return super().read(path, **query)


def served(app: App) -> dict[str, float]:
    """Return what one pass needs to get all bars: wall seconds, CPU seconds, requests, and bars."""
    now, symbols, Counting.requests = app.now(), app.settings.universe[:COINS], 0
    began, used = time.perf_counter(), time.process_time()
    loaded = [app.bars.closed(need, symbols, now) for need in NEEDS]
    cpu_s, wall_s = time.process_time() - used, time.perf_counter() - began
    bars = sum(len(series) for each in loaded for series in each.values())
    return {"wall_s": wall_s, "cpu_s": cpu_s, "requests": Counting.requests, "bars": bars}


def read_by_new_process(state: Path) -> dict[str, float]:
    """Return the same for a process that was started for one pass."""
    command = [sys.executable, __file__, NEW, str(state)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def figures() -> Iterator[Figure]:
    """Yield all lines of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "bot"
        try:
            init.run(str(state), None, "demo", dict(VENUE))
            with open_app(Options(str(state)), {}) as app:
                first, later = served(app), [served(app)]
                later_calls = f"{first['requests']} requests, {first['bars']:,.0f} bars"
                yield Figure(f"first fetch of {COINS} coins", later_calls, first["wall_s"], "s", FIRST_S)
                again = read_by_new_process(state)
                yield Figure("a new process reads them", "CPU", 1000 * again["cpu_s"], "ms", READ_MS)
                for _ in range(PASSES):
                    sandbox.ask(state / "exchange", "POST", "/exchange/v1/tick", {"seconds": STEP_S})
                    later.append(served(app))
        finally:
            process.stop(state / "exchange")
    quiet = [one["cpu_s"] for one in later if not one["requests"]]
    yield Figure("a pass without new bars", "CPU, the median", 1000 * statistics.median(quiet), "ms", WARM_MS)
    asking = [one for one in later if one["requests"]]
    later_calls = f"{sum(one['requests'] for one in asking)} requests in {len(later)} passes"
    yield Figure("passes that request anything", later_calls, len(asking), "passes")


def main() -> int:
    """Print the table or, in a new process, the figures of its pass."""
    charts.Client = Counting  # type: ignore[attr-defined]
    if sys.argv[1:2] == [NEW]:
        with open_app(Options(sys.argv[2]), {}) as app:
            print(json.dumps(served(app)))
        return 0
    STATE.mkdir(exist_ok=True)
    return show("Bars of four timeframes", figures())


if __name__ == "__main__":
    sys.exit(main())
