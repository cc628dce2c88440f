"""Hold an account's long lists: all its orders, and its entire history.

Both can start with the contents of a snapshot, which are read only when first needed, so that an old account doesn't
slow down a start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, ValuesView
from typing import TypeVar, overload

from tradebot.exchange.engine.orders import Order

T = TypeVar("T")

Find = Callable[[int], Order]
"""Returns an order by its sequence."""


def _nothing_kept(sequence: int) -> Order:
    raise KeyError(sequence)


class OrderTable:
    """Orders by a text key, in the order they were added; a number stands for one that `find` has to fetch."""

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
        """Return the sequences of the orders without fetching any."""
        return [row if isinstance(row, int) else row.sequence for row in self._rows.values()]

    def fetched(self) -> list[Order]:
        """Return the orders that are already fetched."""
        return [row for row in self._rows.values() if not isinstance(row, int)]

    def unfetched(self) -> list[int]:
        """Return the sequences of orders that aren't fetched yet."""
        return [row for row in self._rows.values() if isinstance(row, int)]


class History(Sequence[T]):
    """What happened, oldest first; items are added, and an item's knowledge of later ones may be amended.

    It can start with `count` `packed` items, which `unpack` extracts part by part.
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

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        return self._all()[place]

    def __setitem__(self, place: int, item: T) -> None:
        self._all()[place] = item

    def append(self, item: T) -> None:
        self.newer.append(item)

    def _all(self) -> list[T]:
        if self._unpack is not None:
            self.newer[:0] = [item for part in self.packed for item in self._unpack(part)]
            self.packed, self.packed_count, self._unpack = (), 0, None
        return self.newer
