"""A process that sends entries as fast as it can, by the very road of a pass, so that a test can halt it meanwhile.

Its prices are between two cents, so the venue refuses each order and none is left working; the venue's log holds each
request all the same. Between the last look at the trading state and the socket it dawdles, as a slow name server or a
slow handshake would, up to so many seconds. UNLOCKED takes the send lock away: whoever judges it must find orders
after a halt.
"""

import os
import random
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from itertools import count

from tests.kit.values import instrument
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.desk.snapshot import take_desk
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent
from tradebot.model.order import Reply
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.orders.order_sender import send, submit_intent
from tradebot.ports.broker import Ending, OrderPort
from tradebot.ports.world import Call, World

LOCKED, UNLOCKED = "locked", "unlocked"
REFUSED_PRICE = Decimal("1.001")
REST_S = 0.0005
"""What a sender that is kept back sleeps between two tries: it must not take the whole processor."""


def chance(seed: object) -> random.Random:
    """Return chance that a seed repeats."""
    return random.Random(str(seed))


class NoLock:
    """Locks nothing."""

    def hold(self, intent: Intent) -> AbstractContextManager[None]:
        """Let everything through at once."""
        return nullcontext()


class Dawdling:
    """An order port that takes a while before it opens the socket."""

    def __init__(self, orders: OrderPort, longest_s: float) -> None:
        self._orders = orders
        self._longest_s = longest_s
        self._moments = chance(longest_s)

    def submit(self, intent: Intent) -> Reply:
        """Wait a moment, then send."""
        time.sleep(self._moments.uniform(0, self._longest_s))
        return self._orders.submit(intent)

    def replace(self, intent: Intent) -> Reply:
        """Replace at once."""
        return self._orders.replace(intent)

    def cancel(self, intent: Ending) -> Reply:
        """Cancel at once."""
        return self._orders.cancel(intent)


def run(world: World, desk: Desk) -> None:
    """Send one entry after another, each with its own id, until this process is ended."""
    candidate = Candidate("flow", instrument("AAPL"), Side.BUY, Purpose.OPEN, desk.now)
    for number in count():
        call = Call(Job.TRADE_ONCE, desk.now.date(), f"{os.getpid()}#{number}", "test")
        fresh = replace(desk, taken_s=world.stopwatch())
        intent = submit_intent(world, call, fresh, candidate, Decimal(1), REFUSED_PRICE)
        if world.ledger.trading_state().state != "ACTIVE":
            time.sleep(REST_S)
            continue
        send(world, fresh, intent, ())


def main(folder: str, lock: str, dawdle_s: str) -> None:
    """Open the bot of a folder and send."""
    with open_app(Options(folder), os.environ) as app:
        world = app.world(proposing=False)
        assert world.orders is not None
        world = replace(world, orders=Dawdling(world.orders, float(dawdle_s)))
        run(replace(world, send_lock=NoLock()) if lock == UNLOCKED else world, take_desk(world, for_entries=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
