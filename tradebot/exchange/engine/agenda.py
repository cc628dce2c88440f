"""What is to happen at a later engine time: requests on their way, corporate actions, ends of short orders."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Deed = Callable[..., object]
"""(the floor, what it is about)"""


class Agenda:
    """Deeds by their time; those of one moment are done in the order in which they were noted.

    A deed is noted by its name and what it is about, so that an agenda can be written down: whoever can do it says so
    with `learn`.
    """

    def __init__(self) -> None:
        self._deeds: dict[str, Deed] = {}
        self._noted = 0
        self._heap: list[tuple[int, int, str, tuple[Any, ...]]] = []

    def learn(self, **deeds: Deed) -> None:
        """Take in what can be noted from now on, by name."""
        self._deeds |= deeds

    def note(self, at_us: int, name: str, *about: Any) -> None:
        """Have something done at a moment; one that is past is done as soon as time moves."""
        assert name in self._deeds, name
        self._noted += 1
        heappush(self._heap, (at_us, self._noted, name, about))

    @property
    def next_us(self) -> int | None:
        """Return the time of the first deed, None when there is none."""
        return self._heap[0][0] if self._heap else None

    def do_until(self, now_us: int, floor: object) -> None:
        """Do what is due on a floor, including what is noted for now on the way."""
        while self._heap and self._heap[0][0] <= now_us:
            _, _, name, about = heappop(self._heap)
            self._deeds[name](floor, *about)
