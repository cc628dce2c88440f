"""The long lists of an account: all its orders, and its entire history.

Both can start with the contents of a snapshot. These are read only when they are first needed, so that an old account
doesn't slow down the start.

Each trade update is stored with its order as it was at the time, so that a client can request past updates. Updates are
kept as long as their account, so they are packed, and most of them are compressed. Only a client that requests the past
pays for unpacking them, and only for the blocks around its request.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, ValuesView
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple, TypeVar, overload

import msgpack

from papervenue.engine.orders import ExecutionThen, Order, OrderRequest
from papervenue.events import EventPosition, Update

_BLOCK = 512
"""How many updates to compress together."""
_FAST = 1
_DECIMAL = 0
_SHOWN = (
    *("request", "id", "client_order_id", "intent", "status", "submitted_us", "updated_us", "expires_us", "created_us"),
    *("qty", "stop", "hwm", "filled_qty", "filled_usd", "filled_us", "canceled_us", "expired_us", "failed_us"),
    *("replaced_us", "replaced_by", "replaces", "shown_held", "why"),
)
"""The fields of an order that clients can see."""
_order_then = attrgetter(*_SHOWN)
_execution_then = attrgetter(*ExecutionThen._fields)


class PastUpdate(NamedTuple):
    """A trade update as it was when it happened, and its position among all events."""

    place: EventPosition
    event: str
    order: Order
    execution: ExecutionThen | None


@dataclass(slots=True, eq=False)
class PastUpdates:
    """An account's trade updates: full blocks, and the rows added since the last full block."""

    blocks: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)

    def add(self, update: Update, event_place: EventPosition) -> None:
        execution = None if update.execution is None else _execution_then(update.execution)
        self.rows.append(_PACKER.pack((event_place, update.event, _order_then(update.order), execution)))
        if len(self.rows) == _BLOCK:
            self.blocks.append(zlib.compress(msgpack.packb(self.rows), _FAST))
            self.rows.clear()

    def since(self, begun: Callable[[EventPosition], bool]) -> Iterator[PastUpdate]:
        """Yield updates, oldest first, from shortly before the first position for which `begun` returns True.

        `begun` must then return True for all later positions too. Updates may be added in the meantime.
        """
        yield from map(_unpack_update, self._rows_since(begun))

    def of_orders(self, ids: Collection[str], begun: Callable[[EventPosition], bool]) -> Iterator[PastUpdate]:
        """Like `since`, yield updates, oldest first, but only those of some orders; other rows aren't unpacked."""
        wanted = [name.encode() for name in ids]
        rows = (row for row in self._rows_since(begun) if any(name in row for name in wanted))
        # A row also has the ids of orders that were replaced.
        yield from (update for update in map(_unpack_update, rows) if update.order.id in ids)

    def _rows_since(self, begun: Callable[[EventPosition], bool]) -> Iterator[bytes]:
        number = max(
            bisect_left(self.blocks, True, key=lambda block: begun(_unpack_update(_rows(block)[0]).place)) - 1, 0
        )
        while number < len(self.blocks):
            yield from _rows(self.blocks[number])
            number += 1
        yield from tuple(self.rows)

    def newest_first(self) -> Iterator[PastUpdate]:
        """Yield updates, the newest first; blocks are read one by one."""
        yield from map(_unpack_update, reversed(tuple(self.rows)))
        for block in reversed(self.blocks):
            yield from map(_unpack_update, reversed(_rows(block)))


_READ_AGAIN = 1_000
"""How many updates stay unpacked, because a client that pages through a history requests the newest ones repeatedly."""


def _packed_decimal(value: object) -> msgpack.ExtType:
    assert isinstance(value, Decimal), value
    return msgpack.ExtType(_DECIMAL, str(value).encode())


_PACKER = msgpack.Packer(default=_packed_decimal)


def _rows(block: bytes) -> list[bytes]:
    rows: list[bytes] = msgpack.unpackb(zlib.decompress(block))
    return rows


@lru_cache(maxsize=_READ_AGAIN)
def _unpack_update(row: bytes) -> PastUpdate:
    event_place, event, order, execution = msgpack.unpackb(row, ext_hook=lambda code, data: Decimal(data.decode()))
    then = dict(zip(_SHOWN, order, strict=True)) | {"request": OrderRequest._make(order[0])}
    return PastUpdate(
        EventPosition._make(event_place),
        event,
        # It is not among today's orders, so it needs no sequence number.
        Order(**then, sequence=0, reserve=0),
        None if execution is None else ExecutionThen._make(execution),
    )


T = TypeVar("T")

Find = Callable[[int], Order]
"""Returns an order by its sequence."""


def _nothing_kept(sequence: int) -> Order:
    raise KeyError(sequence)


class OrderTable:
    """Orders by a text key, in the order in which they were added.

    A number in place of an order is a placeholder; `find` fetches the order when it is needed.
    """

    def __init__(self, rows: dict[str, Order | int] | None = None, find: Find = _nothing_kept) -> None:
        self._rows: dict[str, Order | int] = rows or {}
        self._find = find
        self._whole = not rows

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, key: str) -> Order:
        row = self._rows[key]
        if isinstance(row, int):
            row = self._rows[key] = self._find(row)
        return row

    def get(self, key: str) -> Order | None:
        return self[key] if key in self._rows else None

    def add(self, key: str, order: Order) -> None:
        self._rows[key] = order

    def values(self) -> ValuesView[Order]:
        """Return the orders, oldest first."""
        if not self._whole:
            for key in self._rows:
                self[key]
            self._whole = True
        return self._rows.values()  # type: ignore[return-value] # none of them is a number any more

    def newest(self) -> Iterator[Order]:
        return (self[key] for key in reversed(self._rows))

    def sequences(self) -> list[int]:
        """Return the sequence number of each order, without fetching the orders."""
        return [row if isinstance(row, int) else row.sequence for row in self._rows.values()]

    def fetched_orders(self) -> list[Order]:
        """Return the orders that are already fetched."""
        return [row for row in self._rows.values() if not isinstance(row, int)]

    def missing_sequences(self) -> list[int]:
        """Return the sequences of orders that aren't fetched yet."""
        return [row for row in self._rows.values() if isinstance(row, int)]


class History(Sequence[T]):
    """An account's activities, oldest first. A bust or correction also rewrites the amended fill and all later ones.

    A history can start with `count` items in `packed` form, which `unpack` extracts at the first access.
    """

    def __init__(
        self,
        items: Iterable[T] = (),
        packed: tuple[bytes, ...] = (),
        count: int = 0,
        unpack: Callable[[bytes], list[T]] | None = None,
    ) -> None:
        self.packed = packed
        self.packed_count = count
        self.newer = [*items]
        """Items after the packed ones; all items once those are unpacked."""
        self._unpack = unpack

    def __len__(self) -> int:
        return self.packed_count + len(self.newer)

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __reversed__(self) -> Iterator[T]:
        return reversed(self._all())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._all()[index]

    def __setitem__(self, index: int, item: T) -> None:
        self._all()[index] = item

    def append(self, item: T) -> None:
        self.newer.append(item)

    def _all(self) -> list[T]:
        if self._unpack is not None:
            self.newer[:0] = [item for part in self.packed for item in self._unpack(part)]
            self.packed, self.packed_count, self._unpack = (), 0, None
        return self.newer
