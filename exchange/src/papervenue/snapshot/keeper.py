"""Decide when to create a snapshot: in a child process while the exchange serves, or in this one once it has stopped.

A child creates one after every 5,000 new lines, or after a minute if there are fewer. Replaying 5,000 lines that came
after the last snapshot takes about 0.1 s. Every 100,000 lines that a snapshot covers add about 0.05 s to a start.
Finished orders are unpacked only when a request needs them, so the first list of all orders takes about a second per
100,000 orders.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack

from papervenue.engine.orders import Order
from papervenue.exchange import Exchange
from papervenue.snapshot.state import KEPT, Packer, Snapshot, forget_drafts, identity_of, part_at, write_snapshot

MOST_LINES = 5_000
"""Create a snapshot after this many lines, which take about a tenth of a second to replay."""
_AT_LATEST_S = 60.0
"""Make a snapshot after this long if any line is missing from it, because a few lines can span a lot of time."""
_LEAST_URGENT = 19


class Keeper:
    """Keeps a folder's snapshot up to date while this process serves the folder.

    A child process is a copy of this process at one moment, so orders needn't wait while the child writes.
    """

    def __init__(self, exchange: Exchange, state_dir: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        self._exchange = exchange
        self._state_dir = state_dir
        self._identity = identity_of(state_dir)
        self._now_s = now_s
        self._kept_lines = self._tried_lines = exchange.log.known_lines
        self._tried_s = self._rested_s = now_s()
        self._child: int | None = None
        forget_drafts(state_dir)

    def consider(self) -> None:
        """Start a snapshot if one is due and none is in progress."""
        if self._child is None and self._is_due() and self._exchange.at_rest:
            self._tried_lines, self._tried_s = self._exchange.log.count, self._now_s()
            self._child = self._fork_writer()
        elif self._child is not None:
            self._look_after(self._child, os.WNOHANG)

    def finish(self) -> None:
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            self._look_after(self._child, 0)
        if self._exchange.log.count > self._kept_lines and self._exchange.at_rest:
            try:
                self._write()
            except OSError as error:
                forget_drafts(self._state_dir)
                sys.stderr.write(f"snapshot: not written, so the next start will take longer: {error}\n")

    def _is_due(self) -> bool:
        lines, now_s = self._exchange.log.count, self._now_s()
        late = now_s - self._tried_s >= _AT_LATEST_S and lines > self._kept_lines
        return now_s >= self._rested_s and (late or lines - self._tried_lines >= MOST_LINES)

    def _look_after(self, child: int, how: int) -> None:
        ended, status = os.waitpid(child, how)
        if ended:
            self._child = None
            # Creating snapshots should use at most half of one processor's time.
            self._rested_s = self._now_s() + (self._now_s() - self._tried_s)
            if status:
                forget_drafts(self._state_dir)
            else:
                self._kept_lines = self._tried_lines

    def _fork_writer(self) -> int:
        child = os.fork()
        if not child:
            try:
                _leave_all_to_the_parent()
                self._write()
                os._exit(0)
            finally:
                os._exit(1)
        return child

    def _write(self) -> None:
        exchange = self._exchange
        write_snapshot(self._state_dir, Snapshot(self._identity, exchange.log.prefix(), dump_state(exchange)))


def dump_state(exchange: Exchange) -> bytes:
    """Return the state of an exchange; raise TypeError if a part of it can't be written.

    Finished orders to which nothing active refers are stored separately, and read only when needed.
    """
    packer = Packer()
    parts = {path: [getattr(part_at(exchange, path), name) for name in names] for path, names in KEPT.items()}
    state = packer.pack(parts)
    live: dict[int, Order] = {}
    while fresh := [order for sequence, order in packer.met.items() if sequence not in live]:
        live |= {order.sequence: order for order in fresh}
        packer.rows(fresh)
    over = {order.sequence: order for order in _orders(exchange) if order.sequence not in live}.values()
    later = [*exchange.past.later, *([packer.rows(over)] if over else [])]
    packed: bytes = msgpack.packb([state, packer.rows(live.values()), later])
    return packed


def _orders(exchange: Exchange) -> Iterator[Order]:
    """Yield every order in memory, and any that an unread order, whose account may be gone, may refer to."""
    there = exchange.past.orders
    if exchange.past.later:
        yield from there.values()
    for account in exchange.engine.accounts.values():
        yield from account.orders.fetched_orders()
        yield from (there[sequence] for sequence in account.orders.missing_sequences() if sequence in there)


def _leave_all_to_the_parent() -> None:
    """Release the lock, connections and signals, so that this process isn't mistaken for the server."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    gc.disable()
    os.nice(_LEAST_URGENT)
