"""The long lists of an account: all its orders, and all that happened to it.

Both can begin with what a snapshot holds, which is read when it is first asked for: a start must not take longer
because an account is old.
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
    """Orders under a text, in the order in which they were added; a number stands for one that `find` has to fetch."""

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
        """Return the order under a text, None where there is none."""
        return self[key] if key in self._rows else None

    def add(self, key: str, order: Order) -> None:
        """Put an order under a text."""
        self._rows[key] = order

    def values(self) -> ValuesView[Order]:
        """Return the orders, the oldest first."""
        if not self._whole:
            for key in self._rows:
                self[key]
            self._whole = True
        return self._rows.values()  # type: ignore[return-value] # none of them is a number any more

    def newest(self) -> Iterator[Order]:
        """Yield the orders, the newest first."""
        return (self[key] for key in reversed(self._rows))

    def sequences(self) -> list[int]:
        """Return the sequences of the orders; none of them is fetched."""
        return [row if isinstance(row, int) else row.sequence for row in self._rows.values()]

    def fetched(self) -> list[Order]:
        """Return those orders that nobody has to fetch."""
        return [row for row in self._rows.values() if not isinstance(row, int)]

    def unfetched(self) -> list[int]:
        """Return the sequences of the others."""
        return [row for row in self._rows.values() if isinstance(row, int)]


class History(Sequence[T]):
    """What happened, the oldest first; it is added to, and what an item knows of the others may be amended.

    It can begin with `count` items that are `packed`, which `unpack` takes out of each part.
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
        """What came after what is packed; all of it once that is unpacked."""
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
        """Add what happened last."""
        self.newer.append(item)

    def _all(self) -> list[T]:
        if self._unpack is not None:
            self.newer[:0] = [item for part in self.packed for item in self._unpack(part)]
            self.packed, self.packed_count, self._unpack = (), 0, None
        return self.newer
