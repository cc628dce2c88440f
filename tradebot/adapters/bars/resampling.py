"""Make series of raw bars: merge minutes, adjust for splits and dividends. No input or output.

Nothing here looks ahead: a series holds only bars that had ended, and only actions that were in force.

Adjusted bars are raw bars times the factors of splits and dividends, as CRSP defines them; spin-offs aren't adjusted
for. Actions are asked once a day for the whole span, because some are announced late.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tradebot.adapters.bars.source import DIVIDEND, SPLIT, CorporateAction
from tradebot.adapters.bars.store import PriceStep
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.bar import Session
from tradebot.model.series import PriceKind, Series
from tradebot.model.venue_day import VenueDay


def resample(minutes: Sequence[RawBar], hours: Sequence[Session], width_s: int, end_s: int) -> Iterator[RawBar]:
    """Yield bars of `width_s` that have ended by `end_s`, from the minutes of regular sessions, oldest first.

    Each session's first bar starts at its open, and its last one ends at its close. A bar without a trade is absent.
    """
    opens, closes = (
        [int(at.timestamp()) for at in ends] for ends in zip(*((s.open, s.close) for s in hours), strict=True)
    )

    def start_of(minute: RawBar) -> int | None:
        place = bisect_right(opens, minute.start_s) - 1
        if place < 0 or minute.start_s >= closes[place]:
            return None
        start_s = minute.start_s - (minute.start_s - opens[place]) % width_s
        return start_s if min(start_s + width_s, closes[place]) <= end_s else None

    for start_s, group in groupby(minutes, start_of):
        if start_s is not None:
            yield _one(start_s, list(group))


def _one(start_s: int, parts: Sequence[RawBar]) -> RawBar:
    return RawBar(
        start_s,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
    )


def steps_of(actions: Iterable[CorporateAction], days: Sequence[RawBar], venue: VenueDay) -> list[PriceStep]:
    """Return the factors of splits and dividends, given raw daily bars from before each ex-date.

    A split's is old shares / new shares; a dividend's is (close before - dividend) / close before, as CRSP and data
    vendors define it. A dividend without a close before it, or not below it, changes nothing and is left out.
    """
    starts, steps = [day.start_s for day in days], []
    for action in sorted(actions):
        at_s = venue.begins_s(action.ex_date)
        if action.kind == SPLIT:
            steps.append(PriceStep(at_s, SPLIT, 1 / action.amount, action.amount))
            continue
        place = bisect_right(starts, at_s - 1) - 1
        if place >= 0 and action.amount < days[place].close:
            steps.append(PriceStep(at_s, DIVIDEND, 1 - action.amount / days[place].close, 1.0))
    return steps


def adjust_bars(bars: Sequence[RawBar], steps: Sequence[PriceStep], until_s: int) -> list[RawBar]:
    """Return bars with the factors of all steps between each bar and `until_s`."""
    steps = [step for step in steps if step.at_s <= until_s]
    moments = [step.at_s for step in steps]
    factors = [(1.0, 1.0)]
    for step in reversed(steps):
        price, volume = factors[-1]
        factors.append((price * step.price, volume * step.volume))
    factors.reverse()
    return [_times(bar, *factors[bisect_right(moments, bar.start_s)]) for bar in bars]


def _times(bar: RawBar, price: float, volume: float) -> RawBar:
    start_s, opening, high, low, close, shares = bar
    return RawBar(start_s, opening * price, high * price, low * price, close * price, shares * volume)


def series(
    symbol: str, timeframe: str, bars: Sequence[RawBar], *, adjusted: bool, price: PriceKind = PriceKind.TRADE
) -> Series:
    starts, *columns = zip(*bars, strict=True) if bars else ((),) * 6
    opening, high, low, close, volume = (array("d", column) for column in columns)
    return Series(symbol, timeframe, adjusted, array("q", starts), opening, high, low, close, volume, price)


def with_steps(of: Series, steps: Sequence[PriceStep], until_s: int) -> Series:
    """Return a series with the factors of all steps between each bar and `until_s`; itself if there are none."""
    if not any(of.starts[0] < step.at_s <= until_s for step in steps):
        return of
    columns = (of.starts, of.open, of.high, of.low, of.close, of.volume)
    bars = adjust_bars(list(map(RawBar._make, zip(*columns, strict=True))), steps, until_s)
    return series(of.symbol, of.timeframe, bars, adjusted=True, price=of.price)
