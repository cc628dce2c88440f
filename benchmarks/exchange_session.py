"""Measure a session of 390 minutes and 500 symbols on the exchange, minute by minute, as a busy client drives it.

Each minute the client lets time pass, reads the newest bars and quotes of all symbols, and sends orders.
"""

import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from benchmarks.support.trader import Trader
from papervenue import process
from papervenue.market.spec import PAPER, MarketSpec, default_symbols

SYMBOLS, MINUTES, ORDERS_A_MINUTE = sized((500, 390, 5), (5, 2, 1))
BOUND_S = 20
STATE = Path(__file__).parents[1] / "state"


def main() -> None:
    """Play the session, print, and stop the exchange."""
    symbols = default_symbols(SYMBOLS)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        folder = Path(name)
        process.create(folder, MarketSpec(symbols=symbols, sessions=1, start=date(2026, 11, 16), fill=PAPER))
        try:
            trader = Trader(process.ensure(folder).url, symbols)
            trader.tick(to="open")
            began = time.perf_counter()
            for _ in range(MINUTES):
                trader.tick(seconds=60)
                trader.look()
                trader.trade(ORDERS_A_MINUTE)
            took_s = time.perf_counter() - began
        finally:
            process.stop(folder)
    measured = f"{trader.requests:,} requests, {trader.orders:,} orders"
    show(
        f"exchange: {MINUTES} minutes of {SYMBOLS} symbols",
        [Figure("session, minute by minute", measured, took_s, "s", BOUND_S)],
    )


if __name__ == "__main__":
    main()
