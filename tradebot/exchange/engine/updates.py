"""Keep an account's trade updates, with each order as it was then, so that a client can ask for past ones.

Updates are kept for as long as their account, so they are packed, and most of them compressed. Only a client that asks
for the past pays for reading them, and only for the blocks around what it asks for.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

import msgpack

from tradebot.exchange.engine.orders import ExecutionThen, Order, OrderRequest
from tradebot.exchange.events import Place, Update

_BLOCK = 512
"""How many updates to compress together."""
_FAST = 1
_DECIMAL = 0
_SHOWN = (
    *("request", "id", "client_order_id", "intent", "status", "submitted_us", "updated_us", "expires_us", "created_us"),
    *("qty", "stop", "hwm", "filled_qty", "filled_usd", "filled_us", "canceled_us", "expired_us", "failed_us"),
    *("replaced_us", "replaced_by", "replaces", "shown_held"),
)
"""The fields of an order that clients are shown."""
_order_then = attrgetter(*_SHOWN)
_execution_then = attrgetter(*ExecutionThen._fields)


class PastUpdate(NamedTuple):
    """A trade update as it was when it happened, and its place among all events."""

    place: Place
    event: str
    order: Order
    execution: ExecutionThen | None


@dataclass(slots=True, eq=False)
class PastUpdates:
    """The trade updates of an account: full blocks, and the rows since them."""

    blocks: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)

    def add(self, update: Update, place: Place) -> None:
        execution = None if update.execution is None else _execution_then(update.execution)
        self.rows.append(_PACKER.pack((place, update.event, _order_then(update.order), execution)))
        if len(self.rows) == _BLOCK:
            self.blocks.append(zlib.compress(msgpack.packb(self.rows), _FAST))
            self.rows.clear()

    def since(self, begun: Callable[[Place], bool]) -> Iterator[PastUpdate]:
        """Yield updates, oldest first, from some time before the first place for which `begun` returns True.

        All later places must have begun too. Updates may be added meanwhile.
        """
        number = max(bisect_left(self.blocks, True, key=lambda block: begun(_unpacked(_rows(block)[0]).place)) - 1, 0)
        while number < len(self.blocks):
            yield from map(_unpacked, _rows(self.blocks[number]))
            number += 1
        yield from map(_unpacked, tuple(self.rows))


def _packed_decimal(value: object) -> msgpack.ExtType:
    assert isinstance(value, Decimal), value
    return msgpack.ExtType(_DECIMAL, str(value).encode())


_PACKER = msgpack.Packer(default=_packed_decimal)


def _rows(block: bytes) -> list[bytes]:
    rows: list[bytes] = msgpack.unpackb(zlib.decompress(block))
    return rows


def _unpacked(row: bytes) -> PastUpdate:
    place, event, order, execution = msgpack.unpackb(row, ext_hook=lambda code, data: Decimal(data.decode()))
    then = dict(zip(_SHOWN, order, strict=True)) | {"request": OrderRequest._make(order[0])}
    return PastUpdate(
        Place._make(place),
        event,
        # It has no place among the orders of today.
        Order(**then, sequence=0, reserve=0),
        None if execution is None else ExecutionThen._make(execution),
    )
