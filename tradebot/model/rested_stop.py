"""Stops that rested at the broker to protect positions."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.candidate import Side


class RestedStop(Struct, frozen=True):
    """A stop that the broker accepted to protect a position: when it was sent, and its price in USD per share.

    `side` is the stop's own: a long position is protected by a sell.
    """

    strategy: str
    symbol: str
    side: Side
    at: datetime
    price: Decimal
