"""The state of an exchange as bytes, and an exchange put back into it."""

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
    "": ("_sequence", "_told_ns", "_reserved_us"),
    "engine": ("now_us", "latency_us", "sequence", "accounts", "_opened", "_arrives_us"),
    "engine.agenda": ("_noted", "_heap"),
    "engine.book": ("_live",),
    "faults.book": ("_armed", "on_requests", "on_streams", "asks_accounts"),
    "faults.halts": ("_fired",),
    "market": ("symbols", "known"),
    "market.actions": ("_all", "_of", "_entities"),
    "control": ("_cash",),
}
"""All of an exchange that its commands change, by where it is. Whatever else it has, it has from its beginning."""


def holder(exchange: Exchange, path: str) -> Any:
    """Return the part of an exchange at a path, the exchange itself at an empty one."""
    return attrgetter(path)(exchange) if path else exchange


def taken(exchange: Exchange) -> bytes:
    """Return the state of an exchange; raises TypeError where a part of it cannot be written.

    Orders that are over, and that nothing refers to which is not, stand apart: they are read when asked for.
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
    """Yield every order of an account that is in memory, and any that an order not yet read may refer to.

    The account of the latter may have been reset since.
    """
    there = exchange.past.orders
    if exchange.past.later:
        yield from there.values()
    for account in exchange.engine.accounts.values():
        yield from account.orders.fetched()
        yield from (there[sequence] for sequence in account.orders.unfetched() if sequence in there)


def put_back(exchange: Exchange, state: bytes) -> None:
    """Put an exchange that is at its beginning into a state; raises ValueError, TypeError or KeyError if it is none."""
    packed, live, later = msgpack.unpackb(state)
    past = Past(tuple(later))
    past.read([live])
    parts: dict[str, list[Any]] = past.unpacker.unpack(packed)
    for path, names in KEPT.items():
        for name, value in zip(names, parts[path], strict=True):
            setattr(holder(exchange, path), name, value)
    exchange.past = past
