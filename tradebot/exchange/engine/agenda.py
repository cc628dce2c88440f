"""Schedule what happens at a later engine time: requests in transit, corporate actions, short-lived orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

Deed = Callable[..., object]
"""A function of the floor and its own arguments."""


class Agenda:
    """Deeds by their time; deeds of the same time run in the order they were added.

    A deed is stored by name with its arguments, so that an agenda can be saved; `learn` registers the functions.
    """

    def __init__(self) -> None:
        self._deeds: dict[str, Deed] = {}
        self._noted = 0
        self._heap: list[tuple[int, int, str, tuple[Any, ...]]] = []

    def learn(self, **deeds: Deed) -> None:
        self._deeds |= deeds

    def note(self, at_us: int, name: str, *about: Any) -> None:
        """Schedule a deed; one in the past runs as soon as time moves."""
        assert name in self._deeds, name
        self._noted += 1
        heappush(self._heap, (at_us, self._noted, name, about))

    @property
    def next_us(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def upcoming(self) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
        """Yield the deeds in the order in which they run, each with its time and arguments, without changing anything.

        Only as much of the heap is looked at as is asked for.
        """
        heap, places = self._heap, [(self._heap[0][:2], 0)] if self._heap else []
        while places:
            _, place = heappop(places)
            at_us, _, name, about = heap[place]
            yield at_us, name, about
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(heap):
                    heappush(places, (heap[child][:2], child))

    def do_until(self, now_us: int, floor: object) -> None:
        while self._heap and self._heap[0][0] <= now_us:
            _, _, name, about = heappop(self._heap)
            self._deeds[name](floor, *about)
