"""Measure the connection to Interactive Brokers: how soon an order leaves, and what the prices of 50 contracts cost.

A Gateway in this process answers over loopback. An order's time runs from the call that sends it, which comes right
after its promise, until the Gateway has read it. What prices cost is the processor's time of the thread that reads the
socket, while each contract has five changes of bid, ask and last trade a second.
"""

import statistics
import time
from collections.abc import Sequence
from decimal import Decimal

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tests.kit.adapters.ibkr import Connection, Message, ScriptedGateway, intent
from tests.venues.ibkr.test_orders import said
from tradebot.venues.ibkr.link import Line, Patience
from tradebot.venues.ibkr.wrapper import Ticks

ORDERS, SECONDS, CONTRACTS, A_SECOND = sized((100, 10, 50, 5), (5, 1, 50, 5))
BOUND_MS, BOUND_SHARE, PAUSE_S = 20.0, 0.05, 0.03
BID, ASK, LAST = 1, 2, 4


def orders(gateway: ScriptedGateway, one: Connection, arrived: list[float]) -> Figure:
    """Send orders one by one, thirty a second."""
    one.reader.listings(["ESZ6"])
    took = []
    for _ in range(ORDERS):
        asked = intent(limit_price=Decimal("5000.25"))
        arrived.clear()
        began = time.perf_counter()
        one.orders.submit(asked)
        took.append((arrived[0] - began) * 1000)
        # More than 45 messages a second would wait in the library.
        time.sleep(PAUSE_S)
    return Figure("an order leaves", f"the slowest of {ORDERS}", max(took), "ms", BOUND_MS)


async def _cpu(line: Line) -> float:
    return time.thread_time()


async def _follow(line: Line) -> list[int]:
    numbers = [line.client.getReqId() for _ in range(CONTRACTS)]
    for number in numbers:
        line.ears.ticks[number] = Ticks()
    return numbers


def quotes(gateway: ScriptedGateway, one: Connection) -> Figure:
    """Let prices stream, and weigh the thread that hears them."""
    link = one.venue.link
    numbers, shares = link.read(_follow), []
    for _ in range(SECONDS):
        before, began = link.read(_cpu), time.perf_counter()
        for part in range(A_SECOND):
            ticks = [(1, 6, n, kind, 5000.25 + part, 3, 0) for n in numbers for kind in (BID, ASK, LAST)]
            gateway.say(*ticks)
            time.sleep(max(began + (part + 1) / A_SECOND - time.perf_counter(), 0))
        shares.append((link.read(_cpu) - before) / (time.perf_counter() - began))
    assert link.dropped == 0
    measured = f"{CONTRACTS} contracts, {A_SECOND} changes a second each"
    return Figure("prices that stream", measured, statistics.median(shares), "of a core", BOUND_SHARE)


def main() -> None:
    """Measure both."""
    arrived: list[float] = []
    refused = said((4, 2, "ID", 201, "Order rejected - reason: a benchmark", ""))

    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "3":
            arrived.append(time.perf_counter())
        return list(refused(fields))

    gateway = ScriptedGateway(answer)
    one = Connection(gateway.port, patience=Patience())
    show("Interactive Brokers", [orders(gateway, one, arrived), quotes(gateway, one)])
    one.close()
    gateway.close()


if __name__ == "__main__":
    main()
