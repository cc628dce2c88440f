"""Moves of prices so large that nothing new is opened for a while."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

TOGETHER = timedelta(seconds=60)
"""How close to each other shocks of different symbols have to be to count as one of the whole market."""


class Shock(NamedTuple):
    """A symbol's price moved too far, until a time."""

    at: datetime
    symbol: str


class Shocks(Struct, frozen=True):
    """The newest shock of each symbol, and when so many symbols had one together; None if they never did.

    `known` are the symbols that were looked at.
    """

    last: Mapping[str, datetime]
    known: frozenset[str]
    everywhere: datetime | None = None

    @classmethod
    def of(cls, found: Iterable[Shock], known: Iterable[str], together: int | None) -> "Shocks":
        """Return what shocks make; so many symbols `together` are a shock of the whole market, None if none are."""
        ordered = sorted(found)
        last = {shock.symbol: shock.at for shock in ordered}
        return cls(last, frozenset(known), _everywhere(ordered, together) if together else None)


def _everywhere(ordered: list[Shock], together: int) -> datetime | None:
    """Return when enough symbols had a shock within a minute, for the last time."""
    for place in range(len(ordered) - 1, -1, -1):
        end = ordered[place].at
        within = {shock.symbol for shock in ordered[: place + 1] if end - shock.at <= TOGETHER}
        if len(within) >= together:
            return end
    return None
