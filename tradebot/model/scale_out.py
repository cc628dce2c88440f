"""Profit targets that close a position in parts."""

from decimal import Decimal

from msgspec import Struct


class ScaleOutLevel(Struct, frozen=True):
    """One level of a scale-out: once the gain reaches `fraction` of the entry price, close `share` of the shares.

    The share is of all shares that the position was opened with, as a fraction.
    """

    fraction: Decimal
    share: Decimal
