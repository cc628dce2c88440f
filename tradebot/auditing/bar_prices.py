"""Judge the prices of bars: impossible ones, jumps that reverse, and splits that aren't on record or don't show."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from statistics import median

from tradebot.auditing.bar_findings import BarFinding, Flaw, KnownSplit, RawBar, RawSeries, finding
from tradebot.auditing.bar_times import DAY_S, SessionBars

SPIKE_FRACTION = {True: 0.25, False: 0.10}
"""How far a close must jump, and come back at once, to count as a spike: in daily bars, and in minute bars."""
SPLIT_RATIOS = (1.5, 2.5, *map(float, range(2, 101)))
"""The splits that are looked for, n new shares for one old, and their inverses; a smaller one looks like a bad day."""
SPLIT_TOLERANCE = 0.05
"""How far the overnight change of price may be from the ratio."""
VOLUME_SLACK = 2.5
"""The shares traded must change by the ratio too, within this factor."""
VOLUME_SESSIONS = 5
LONGEST_PAUSE_S = 7 * DAY_S
"""Closes that are farther apart than this say nothing about a split."""
SCALE_FACTOR, SCALE_BARS = 5.0, 3
"""Prices that change by this factor from one bar to the next, and stay there, are told in another unit from then on."""
_LOG_TOLERANCE = math.log(1 + SPLIT_TOLERANCE)


def bad_price(bar: RawBar) -> str | None:
    """Return what is impossible about a bar's numbers, or None."""
    low, high = bar.low, bar.high
    if 0 < low <= bar.open <= high < math.inf and low <= bar.close <= high and 0 <= bar.volume < math.inf:
        return None
    prices = (bar.open, high, low, bar.close)
    if not all(map(math.isfinite, (*prices, bar.volume))):
        return "not a number"
    if min(prices) <= 0:
        return "price zero or negative"
    if high < low:
        return "high below low"
    return "negative volume" if bar.volume < 0 else "open or close outside low and high"


def bad_prices(stored: RawSeries) -> Iterator[BarFinding]:
    for bar in stored.bars:
        wrong = bad_price(bar)
        if wrong:
            words = f"{wrong}: {bar.open:g} {bar.high:g} {bar.low:g} {bar.close:g}, volume {bar.volume:g}"
            number = (bar.close,) if math.isfinite(bar.close) else ()
            yield finding(stored, Flaw.BAD_PRICE, bar.start_s, words, 1, *number)


def spikes(stored: RawSeries, bars: Sequence[RawBar]) -> Iterator[BarFinding]:
    """Find closes that jump and come back with the next bar; in minute bars, highs and lows that do so within the bar.

    A daily high or low may be a flash crash, which is real.
    """
    limit = math.log(1 + SPIKE_FRACTION[stored.daily])
    for before, bar, after in zip(bars, islice(bars, 1, None), islice(bars, 2, None), strict=False):
        there = math.log(bar.close / before.close)
        if abs(there) < limit:
            continue
        back = math.log(after.close / bar.close)
        if abs(back) >= limit and there * back < 0 and abs(there + back) < limit:
            words = f"close {before.close:g}, then {bar.close:g}, then {after.close:g}"
            yield finding(stored, Flaw.SPIKE, bar.start_s, words, 1, bar.close, before.close)
    if not stored.daily:
        yield from _wicks(stored, bars, limit)


def _wicks(stored: RawSeries, bars: Sequence[RawBar], limit: float) -> Iterator[BarFinding]:
    factor = math.exp(limit)
    for bar in bars:
        top, bottom = (bar.open, bar.close) if bar.open > bar.close else (bar.close, bar.open)
        if bar.high >= factor * top:
            yield finding(
                stored, Flaw.SPIKE, bar.start_s, f"high {bar.high:g} over {bottom:g} to {top:g}", 1, bar.high, top
            )
        if bar.low * factor <= bottom:
            yield finding(
                stored, Flaw.SPIKE, bar.start_s, f"low {bar.low:g} under {bottom:g} to {top:g}", 1, bar.low, bottom
            )


def session_bars(every: Sequence[SessionBars]) -> list[RawBar]:
    """Return the regular hours of each session that has a usable minute bar in them, as one bar.

    Its high and low are those of its first minute, because nothing here looks at them.
    """
    found = []
    for day in every:
        first_s, end_s = day.hours.open_s, day.hours.close_s
        good = [bar for bar in day.bars if first_s <= bar.start_s < end_s and bad_price(bar) is None]
        if good:
            found.append(good[0]._replace(close=good[-1].close, volume=sum(bar.volume for bar in good)))
    return found


def unadjusted_splits(stored: RawSeries, sessions: Sequence[RawBar]) -> Iterator[BarFinding]:
    """Find overnight changes of price and volume that look like a split which isn't on record."""
    for place, (before, after) in enumerate(pairwise(sessions), start=1):
        ratio = _split_ratio(before.close / after.open)
        if ratio is None or after.start_s - before.start_s > LONGEST_PAUSE_S or _known(stored.splits, before, after):
            continue
        volume = _volume_change(sessions, place)
        if volume is None or 1 / VOLUME_SLACK <= volume / ratio <= VOLUME_SLACK:
            traded = "" if volume is None else f", with {volume:.2g} times the volume"
            words = f"close {before.close:g}, then open {after.open:g}{traded}: a split of {_named(ratio)}?"
            yield finding(stored, Flaw.UNADJUSTED_SPLIT, after.start_s, words, 1, before.close / after.open, ratio)


def scales(stored: RawSeries, bars: Sequence[RawBar], told: Iterable[BarFinding]) -> Iterator[BarFinding]:
    """Find changes of scale that no split explains, on record or found, such as from dollars to cents."""
    limit, starts = math.log(SCALE_FACTOR), {one.at for one in told}
    for place, (before, after) in enumerate(pairwise(bars), start=1):
        if abs(math.log(after.open / before.close)) < limit:
            continue
        later = median(bar.close for bar in bars[place : place + SCALE_BARS])
        earlier = median(bar.close for bar in bars[max(place - SCALE_BARS, 0) : place])
        split = _known(stored.splits, before, after)
        ratio = later / earlier * (split.ratio if split else 1)
        words = f"close {before.close:g}, then open {after.open:g}, and no action on record says why"
        found = finding(stored, Flaw.SCALE, after.start_s, words, 1, after.open, before.close)
        if abs(math.log(ratio)) >= limit and found.at not in starts:
            yield found


def already_adjusted(stored: RawSeries, sessions: Sequence[RawBar]) -> Iterator[BarFinding]:
    """Find splits on record that raw prices don't show: the bars before them were adjusted by whoever made them."""
    for before, after in pairwise(sessions):
        split = _known(stored.splits, before, after)
        if split and abs(math.log(split.ratio)) >= math.log(SPLIT_RATIOS[0]):
            change = before.close / after.open
            if abs(math.log(change)) < abs(math.log(split.ratio)) / 2:
                words = f"close {before.close:g}, then open {after.open:g}, over a split of {_named(split.ratio)}"
                yield finding(stored, Flaw.ALREADY_ADJUSTED, after.start_s, words, 1, change, split.ratio)


def _known(splits: Sequence[KnownSplit], before: RawBar, after: RawBar) -> KnownSplit | None:
    """Return the split on record that took effect after one session began and before the next one did."""
    return next((split for split in splits if before.start_s < split.at_s <= after.start_s), None)


def _split_ratio(change: float) -> float | None:
    """Return the split that explains a change from old price to new price, the nearest one if several do."""
    if not math.isfinite(change) or change <= 0:
        return None
    wanted = abs(math.log(change))
    if wanted < math.log(SPLIT_RATIOS[0]) - _LOG_TOLERANCE:
        return None
    nearest = min(SPLIT_RATIOS, key=lambda ratio: abs(math.log(ratio) - wanted))
    if abs(math.log(nearest) - wanted) > _LOG_TOLERANCE:
        return None
    return nearest if change > 1 else 1 / nearest


def _volume_change(sessions: Sequence[RawBar], place: int) -> float | None:
    """Return the median volume from `place` on relative to before, over a week each; None if there was none."""
    before = median(each.volume for each in sessions[max(place - VOLUME_SESSIONS, 0) : place])
    after = median(each.volume for each in sessions[place : place + VOLUME_SESSIONS])
    return after / before if before > 0 and after > 0 else None


def _named(ratio: float) -> str:
    """Return a split as people write it: 7:1, 3:2 or 1:10."""
    if ratio >= 1:
        return f"{ratio:g}:1" if ratio.is_integer() else f"{2 * ratio:g}:2"
    shares = 1 / ratio
    return f"1:{round(shares)}" if abs(shares - round(shares)) < 0.01 else f"2:{round(2 * shares)}"
