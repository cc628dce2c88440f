"""What the market is going to show. Only the driver may look at it, to find the passes that would change nothing."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol


class Shown(NamedTuple):
    """What a symbol's quote shows from a moment on, in microseconds since 1970; prices are in 1/10,000 USD.

    `low` and `high` are how far the market went just before, with the spread: no resting order beyond them filled.
    """

    at_us: int
    last: int
    bid: int
    ask: int
    low: int
    high: int


class Ahead(Protocol):
    """The venue's market and agenda, beyond the present."""

    def shown(self, symbol: str, after: datetime, until: datetime) -> Iterator[Shown]:
        """Yield what a symbol shows after a moment and up to another of the same session, oldest first."""

    def shows(self, symbol: str) -> Shown | None:
        """Return what a symbol shows now, or None if it has no price."""

    @property
    def next_deed(self) -> datetime | None:
        """Return when the venue does something by itself next, such as paying a dividend; None if nothing is due."""

    @property
    def stamp(self) -> object:
        """Return what differs as soon as an order, the cash or a position of the account does."""

    @property
    def equity_moves(self) -> bool:
        """Return True if the account's equity follows the prices, and False if it changes with its fills only."""
