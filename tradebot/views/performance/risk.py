"""What a trade risked when it began, and how far it went its way and against it."""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.filled import RestedStop
from tradebot.model.instrument import ONE, notional
from tradebot.model.order import Fill
from tradebot.model.position import to_nine_places
from tradebot.model.trade import Trade

_SIX_PLACES, _CENTS = Decimal("1e-6"), Decimal("0.01")
_ZERO = Decimal(0)
_AT = attrgetter("at")


class RiskFrom(StrEnum):
    """Where an initial risk is known from."""

    RESTING = "first resting stop"
    ENTRY = "stop asked for at entry"


class Risk(Struct, frozen=True):
    """What a trade would have lost at its first stop, in USD before fees: its distance times all shares entered."""

    usd: Decimal
    source: RiskFrom


class Excursion(Struct, frozen=True):
    """How far a trade went: a price in USD, the gain there as a fraction of the entry price, in USD, and in risks.

    `usd` is for all shares that were entered. `r` is None if the trade's initial risk isn't known.
    """

    price: Decimal
    fraction: Decimal
    usd: Decimal
    r: Decimal | None


def initial_risk(
    trade: Trade,
    entered: Collection[Fill],
    stop: RestedStop | None,
    asked_fraction: Decimal | None,
    restated_at: datetime | None = None,
) -> Risk | None:
    """Return what a trade risked: by the `stop` that rested first, or else by the fraction that its entry asked for.

    The stop's distance is measured from the average price at that time of the fills that `entered` the trade, as they
    happened. `restated_at` is when the trade's shares were first split, if they were. None if no stop is known, or if
    it wasn't on the losing side.
    """
    if stop is None:
        return None if asked_fraction is None else _risk(trade, asked_fraction, RiskFrom.ENTRY)
    before = [fill for fill in entered if fill.at <= stop.at]
    is_restated = restated_at is not None and restated_at <= stop.at
    entry = trade.entry_price if is_restated or not before else _average(before)
    return _risk(trade, trade.side.sign * (entry - stop.price) / entry, RiskFrom.RESTING)


class Stops:
    """The stops that rested, found by the trade that they protected."""

    def __init__(self, stops: Iterable[RestedStop]) -> None:
        self._of: dict[tuple[str, str, Side], list[RestedStop]] = {}
        for stop in stops:
            self._of.setdefault((stop.strategy, stop.symbol, stop.side), []).append(stop)

    def first_of(self, trade: Trade, names: Iterable[str]) -> RestedStop | None:
        """Return the first stop that protected a trade, under any of the symbols that it has had."""
        against, found = Side.SELL if trade.side is Side.BUY else Side.BUY, list[RestedStop]()
        for name in names:
            stops = self._of.get((trade.strategy, name, against), [])
            place = bisect_left(stops, trade.opened_at, key=_AT)
            found += stops[place : place + 1]
        first = min(found, key=_AT, default=None)
        return first if first and (trade.closed_at is None or first.at <= trade.closed_at) else None


def excursion(trade: Trade, price: Decimal | None, risk: Risk | None) -> Excursion | None:
    """Return what a price means for a trade; None if the price isn't known."""
    if price is None:
        return None
    gain = trade.side.sign * (price - trade.entry_price)
    usd = to_nine_places(notional(trade.quantity, gain, trade.multiplier))
    return Excursion(price, (gain / trade.entry_price).quantize(_SIX_PLACES), usd, in_risks(usd, risk))


def in_risks(usd: Decimal, risk: Risk | None) -> Decimal | None:
    """Return an amount as a multiple of the initial risk (an R multiple), to two places; None if that isn't known."""
    return None if risk is None else (usd / risk.usd).quantize(_CENTS)


def _average(entered: Collection[Fill]) -> Decimal:
    whole = sum((fill.quantity for fill in entered), _ZERO)
    return sum((notional(fill.quantity, fill.price, ONE) for fill in entered), _ZERO) / whole


def _risk(trade: Trade, fraction: Decimal, source: RiskFrom) -> Risk | None:
    usd = notional(trade.quantity, fraction * trade.entry_price, trade.multiplier)
    return Risk(to_nine_places(usd), source) if fraction > 0 else None
