"""Measure the matching engine alone: orders submitted and filled in memory, each with all its events.

One account buys and sells in turn, so that every order is asked all the rules of admission with positions and other
open orders about. Bars are made before the measurement begins, and the processor's time is what counts.
"""

import statistics
import time
from collections import Counter
from datetime import date
from decimal import Decimal

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from papervenue.engine.engine import Engine
from papervenue.engine.orders import OrderRequest
from papervenue.events import Event
from papervenue.market.bars import Market
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import Calendar, build_calendar
from papervenue.market.spec import NEXT_BAR, PAPER, FillSpec, default_symbols
from papervenue.shares.dialect import ALPACA
from papervenue.times import MINUTE

WANTED = 20_000
"""Orders a second."""
ROUNDS = sized(5, 1)
MINUTES = sized(200, 5)
A_MINUTE = 50
SYMBOLS = default_symbols(20)
SHARES = Decimal(3)


def measured(calendar: Calendar, spec: FillSpec) -> float:
    """Return the microseconds that one order takes from its submission to its fill."""
    market = Market(GeneratedBars(7, calendar), calendar, SYMBOLS)
    for symbol in SYMBOLS:
        market.day(symbol, 0)
        market.extended(symbol, 0)
    told: Counter[str] = Counter()

    def count(event: Event) -> None:
        told[event.name] += 1

    session = calendar.market[0]
    engine = Engine(market, session.open_us - MINUTE, count, spec, "benchmark", dialect=ALPACA)
    account = engine.open_account("main", "key", "secret", Decimal(10_000_000))
    engine.advance(session.open_us + MINUTE)
    began = time.process_time()
    for minute in range(MINUTES):
        for number in range(A_MINUTE):
            symbol, side = SYMBOLS[number % len(SYMBOLS)], 1 if minute % 2 == 0 else -1
            engine.settle(engine.submit(account, OrderRequest(symbol, side, "market", "day", SHARES, None, None)))
        engine.advance(engine.now_us + MINUTE)
    taken_s = time.process_time() - began
    orders = len(account.orders)
    assert told["fill"] >= told["order_accepted"] == orders == MINUTES * A_MINUTE, told
    return taken_s / orders * 1e6


def main() -> None:
    """Measure both fill models in turn and print the medians."""
    calendar = build_calendar(date(2025, 3, 3), 1)
    # A rest left open by chance would have the next order on the other side refused, as a wash trade.
    specs = {"next-bar": NEXT_BAR, "paper, each fill whole": PAPER._replace(partial_rate=Decimal(0))}
    taken: dict[str, list[float]] = {name: [] for name in specs}
    for _ in range(ROUNDS):
        for name, spec in specs.items():
            taken[name].append(measured(calendar, spec))
    show(
        f"the engine alone, medians of {ROUNDS} rounds of {MINUTES * A_MINUTE:,} orders submitted and filled",
        [figure(name, statistics.median(values)) for name, values in taken.items()],
    )


def figure(name: str, order_us: float) -> Figure:
    """Return the line of a fill model."""
    rate = f"{1e6 / order_us:,.0f} orders a second, {WANTED:,} wanted"
    return Figure(name, rate, order_us, "microseconds an order", 1e6 / WANTED)


if __name__ == "__main__":
    main()
