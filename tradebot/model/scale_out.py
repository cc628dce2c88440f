"""Profit targets that close a position in parts."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class ScaleOutLevel:
    """One level of a scale-out: once the gain reaches `fraction` of the entry price, close `share` of the shares.

    The share is of all shares that the position was opened with, as a fraction.
    """

    fraction: Decimal
    share: Decimal
