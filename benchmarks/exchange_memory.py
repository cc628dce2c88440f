"""Measure how much memory an exchange gains over a hundred sessions of steady orders and data requests.

Orders and fills are kept for ever, as Alpaca keeps them; what is told per session is all that was gained, theirs
among it.
"""

import os
import tempfile
from datetime import date
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from benchmarks.support.trader import Trader
from papervenue import process
from papervenue.market.spec import PAPER, MarketSpec, default_symbols

SESSIONS, WARM_UP = sized((100, 10), (2, 1))
SYMBOLS, LOOKS, ORDERS_A_LOOK = 20, 13, 4
BOUND_KB = 256
STATE = Path(__file__).parents[1] / "state"


def resident_kb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def main() -> None:
    """Play the sessions, print, and stop the exchange."""
    symbols = default_symbols(SYMBOLS)
    weights: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        folder = Path(name)
        spec = MarketSpec(symbols=symbols, sessions=SESSIONS + WARM_UP, start=date(2026, 6, 15), fill=PAPER)
        process.create(folder, spec)
        try:
            served = process.ensure(folder)
            trader = Trader(served.url, symbols)
            for _ in range(SESSIONS + WARM_UP):
                trader.tick(to="next_open")
                for _ in range(LOOKS):
                    trader.tick(seconds=1800 - 1)
                    trader.look()
                    trader.trade(ORDERS_A_LOOK)
                weights.append(resident_kb(served.pid))
        finally:
            process.stop(folder)
    gained_kb = (weights[-1] - weights[WARM_UP - 1]) / SESSIONS
    half = WARM_UP + SESSIONS // 2
    show(
        f"exchange: memory over {SESSIONS} sessions, {trader.orders / len(weights):.0f} orders each",
        [
            Figure("resident after the first ones", f"{weights[WARM_UP - 1] / 1024:.1f} MB"),
            Figure("resident at the end", f"{weights[-1] / 1024:.1f} MB"),
            Figure("gained a session, first half", "", (weights[half - 1] - weights[WARM_UP - 1]) * 2 / SESSIONS, "KB"),
            Figure("gained a session, second half", "", (weights[-1] - weights[half - 1]) * 2 / SESSIONS, "KB"),
            Figure("gained a session", "", gained_kb, "KB", BOUND_KB),
        ],
    )


if __name__ == "__main__":
    main()
