"""Rebuild raw prices from prices that a vendor adjusted for dividends and splits.

Vendors multiply all prices before an ex-date by (close before - dividend) / close before, and divide those before a
split by its ratio; their dividends are in shares of the file's end. Go back from the newest day, with F the product of
the later factors: in those shares, close before = adjusted close / F + dividend, and then F is multiplied by (close
before - dividend) / close before. The product of the later ratios turns the price into shares of its own day. Source:
CRSP's definition of adjustment factors, which data vendors share.

What comes after a day changes its adjusted prices, but not the raw ones rebuilt from them: they are rounded to the tick
grid, on which trades are made, and that removes what the file's own rounding leaves. What can't be known: dividends
after the file's end, which no price in it shows, and distributions in kind, which vendors tell as a split.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tradebot.exchange.market.bars import UNITS

_MOST_OLD_SHARES = 1_000
"""Ratios are told with few digits: 0.333333 means 1 for 3."""
_PLACES, _SPLIT_PLACES = Decimal("1e-6"), Decimal("1e-5")
"""How exactly dividends are told, and how exactly they are known after a later split has divided them."""
_CENT = UNITS // 100


class Event(NamedTuple):
    """What a file tells about a date: a dividend in USD per share, and the new shares for each old one.

    `dividend` is in shares of the file's end, as its prices are.
    """

    date: str
    dividend: float = 0.0
    ratio: float = 1.0


class Happened(NamedTuple):
    """An event in shares of its own day: a dividend for each share held before it, and then a split."""

    date: str
    rate: Decimal
    ratio: Fraction


class Segment(NamedTuple):
    """Rows, from the first to before the last, whose raw prices are the adjusted ones times `price`.

    `shares` is what the volume is divided by.
    """

    first: int
    end: int
    price: float
    shares: float


class Rebuilt(NamedTuple):
    """How to rebuild a symbol's raw prices, newest rows first, and what happened to its shares, newest first."""

    segments: list[Segment]
    happened: list[Happened]


def rebuild(dates: Sequence[str], closes: Sequence[float], events: Sequence[Event]) -> Rebuilt:
    """Return how to rebuild raw prices from the adjusted closes of these ISO dates; all are sorted, oldest first.

    An event before the first row has nobody who could know its price, and is left out.
    """
    segments: list[Segment] = []
    happened: list[Happened] = []
    factor, shares, end = 1.0, Fraction(1), len(dates)
    for event in reversed(events):
        first = bisect_left(dates, event.date)
        if not first:
            break
        if first < end:
            segments.append(Segment(first, end, float(shares) / factor, float(shares)))
            end = first
        split = shares != 1 or event.ratio != 1
        ratio = Fraction(event.ratio).limit_denominator(_MOST_OLD_SHARES)
        shares *= ratio
        if event.dividend:
            before = closes[first - 1] / factor + event.dividend
            factor *= (before - event.dividend) / before
        rate = Decimal(repr(event.dividend * float(shares))).quantize(_SPLIT_PLACES if split else _PLACES)
        happened.append(Happened(event.date, rate.normalize(), ratio))
    if end:
        segments.append(Segment(0, end, float(shares) / factor, float(shares)))
    return Rebuilt(segments, happened)


def on_ticks(prices: Sequence[float], scale: float) -> list[int]:
    """Return prices in USD times a scale as units on the tick grid."""
    cents, units = 100 * scale, UNITS * scale
    return [
        whole * _CENT if (whole := int(price * cents + 0.5)) >= 100 else int(price * units + 0.5) or 1
        for price in prices
    ]


def exactly(prices: Sequence[float]) -> list[int]:
    """Return prices in USD as units, off the tick grid where they are."""
    return [int(price * UNITS + 0.5) or 1 for price in prices]
