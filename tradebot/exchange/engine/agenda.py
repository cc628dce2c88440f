"""What is to happen at a later engine time: requests on their way, corporate actions, ends of short orders."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Deed = Callable[[], None]


class Agenda:
    """Deeds by their time; those of one moment are done in the order in which they were noted."""

    def __init__(self) -> None:
        self._noted = 0
        self._heap: list[tuple[int, int, Deed]] = []

    def note(self, at_us: int, deed: Deed) -> None:
        """Have something done at a moment; one that is past is done as soon as time moves."""
        self._noted += 1
        heappush(self._heap, (at_us, self._noted, deed))

    @property
    def next_us(self) -> int | None:
        """Return the time of the first deed, None when there is none."""
        return self._heap[0][0] if self._heap else None

    def do_until(self, now_us: int) -> None:
        """Do what is due, including what is noted for now on the way."""
        while self._heap and self._heap[0][0] <= now_us:
            heappop(self._heap)[2]()
