"""What the market is going to show. Only the driver may look at it, to find the passes that would change nothing."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
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
        """Yield what a symbol shows after a moment and up to another, oldest first.

        Both are of the same session, unless the nights are `still`.
        """

    def shows(self, symbol: str, at: datetime | None = None) -> Shown | None:
        """Return what a symbol shows now, or at a later moment before the next deed; None if it has no price."""

    def equity(self, at: datetime) -> Decimal:
        """Return the account's equity in USD at a moment before the next deed, if nothing is traded until then."""

    def close(self, after_us: int) -> int:
        """Return the first close at or after a moment, or else the last one; both in microseconds since 1970."""

    @property
    def still(self) -> bool:
        """Return True if no price and no cash moves between two sessions, except by a deed."""

    @property
    def next_deed(self) -> datetime | None:
        """Return when the venue next does something to the account or its prices by itself; None if nothing is due."""

    @property
    def stamp(self) -> object:
        """Return what differs as soon as an order, the cash or a position of the account does."""

    @property
    def equity_moves(self) -> bool:
        """Return True if the account's equity follows the prices, and False if it changes with its fills only."""
