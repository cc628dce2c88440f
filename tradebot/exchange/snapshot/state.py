"""Save the state of an exchange as bytes, and restore it."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgpack

from tradebot.exchange.engine.orders import Order
from tradebot.exchange.snapshot.codec import Packer, Past

if TYPE_CHECKING:
    from tradebot.exchange.exchange import Exchange

KEPT = {
    "": ("sequence", "_told_ns", "_reserved_us"),
    "engine": ("now_us", "latency_us", "sequence", "accounts", "_opened", "_arrives_us"),
    "engine.agenda": ("_noted", "_heap"),
    "engine.book": ("_live",),
    "faults.book": ("_armed", "on_requests", "on_streams", "asks_accounts"),
    "faults.halts": ("_fired",),
    "market": ("symbols", "known"),
    "market.actions": ("_all", "_of", "_entities"),
    "control": ("_cash",),
}
"""Everything in an exchange that commands change, by its path. All else is the same from the beginning."""


def holder(exchange: Exchange, path: str) -> Any:
    """Return the part of an exchange at a path; an empty path means the exchange itself."""
    return attrgetter(path)(exchange) if path else exchange


def taken(exchange: Exchange) -> bytes:
    """Return the state of an exchange; raise TypeError if a part of it can't be written.

    Finished orders that nothing active refers to are stored separately and read on demand.
    """
    packer = Packer()
    parts = {path: [getattr(holder(exchange, path), name) for name in names] for path, names in KEPT.items()}
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
    """Yield every order in memory, and any that an unread order may refer to.

    The account of the latter may have been reset since.
    """
    there = exchange.past.orders
    if exchange.past.later:
        yield from there.values()
    for account in exchange.engine.accounts.values():
        yield from account.orders.fetched()
        yield from (there[sequence] for sequence in account.orders.unfetched() if sequence in there)


def restore_state(exchange: Exchange, state: bytes) -> None:
    """Restore a newly created exchange to a state; raise ValueError, TypeError or KeyError if the state is invalid."""
    packed, live, later = msgpack.unpackb(state)
    past = Past(tuple(later))
    past.read([live])
    parts: dict[str, list[Any]] = past.unpacker.unpack(packed)
    for path, names in KEPT.items():
        for name, value in zip(names, parts[path], strict=True):
            setattr(holder(exchange, path), name, value)
    exchange.past = past
