"""Check the prices and the times of bars.

Prices may be impossible or jump for a single bar, and splits may be missing from the record or from the prices. Times
are compared with the venue's sessions, to find bars at impossible times.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice, pairwise
from statistics import median
from typing import NamedTuple

from msgspec import Struct

from tradebot.auditing.bar_findings import BarFinding, Flaw, KnownSplit, RawBar, RawSeries, finding
from tradebot.model.bar import Session
from tradebot.model.sentences import pluralize
from tradebot.model.venue_day import VenueDay

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

LIQUID_SHARE = 0.95

"""A symbol is liquid if its median session has a bar in this share of its minutes."""

FEWEST_BARS = 10

"""With fewer bars in a week, the week isn't evidence about its time zone."""

EXPLAINED, BETTER = 0.8, 0.9

"""Another zone explains a week if this share of its volume falls into the session there, and at most the second share
of that falls into it here.
"""

FEWEST_STRANGE, FAR_BETTER = 3, 10

"""All daily dates are moved if at least so many have no session, and a tenth as many would have none if moved."""

SHORTEST_DAY_S = 23 * HOUR_S

_SHIFTS_H = [hours for hours in range(-14, 15) if hours]


class SessionSeconds(NamedTuple):
    """A session in seconds since 1970 UTC: midnight of its date, its extended hours, and its regular hours."""

    midnight_s: int
    early_s: int
    open_s: int
    close_s: int
    late_s: int

    @property
    def minutes(self) -> int:
        return (self.close_s - self.open_s) // MINUTE_S


def hours_of(sessions: Iterable[Session], venue: VenueDay) -> tuple[SessionSeconds, ...]:
    """Return the hours of sessions; without extended trading, the extended hours are the regular ones."""
    hours = []
    for session in sessions:
        around = (session.open, session.close)
        early, late = (venue.at(session.date, clock) for clock in venue.extended) if venue.extended else around
        moments = venue.begins(session.date), early, *around, late
        hours.append(SessionSeconds(*(int(moment.timestamp()) for moment in moments)))
    return tuple(hours)


class SessionBars(Struct, frozen=True):
    """The bars of one session, including extended hours, and how many there are.

    `missing` has the start of each regular minute without a bar.
    """

    hours: SessionSeconds
    bars: Sequence[RawBar]
    count: int
    missing: tuple[int, ...]

    @property
    def share(self) -> float:
        return 1 - len(self.missing) / self.hours.minutes


def days(stored: RawSeries, hours: Sequence[SessionSeconds]) -> tuple[SessionBars, ...]:
    """Return each session from the first to the last minute bar, including those without a bar.

    Only minutes between the first and the last bar can be missing.
    """
    starts = [bar.start_s for bar in stored.bars]
    if not starts:
        return ()
    stored_starts = set(starts)
    inside = (each for each in hours if each.late_s > starts[0] and each.early_s <= starts[-1])
    return tuple(_day(stored.bars, starts, stored_starts, each) for each in inside)


def _day(bars: Sequence[RawBar], starts: Sequence[int], stored: set[int], hours: SessionSeconds) -> SessionBars:
    first = max(hours.open_s, starts[0] - starts[0] % MINUTE_S)
    minutes = range(first, min(hours.close_s, starts[-1] + 1), MINUTE_S)
    raw_bars = bars[bisect_left(starts, hours.early_s) : bisect_left(starts, hours.late_s)]
    return SessionBars(hours, raw_bars, len(raw_bars), tuple(minute for minute in minutes if minute not in stored))


def filled_fraction(every: Sequence[SessionBars]) -> float:
    return median(day.share for day in every if day.count) if any(day.count for day in every) else 0.0


def near(starts: Sequence[int], hours: Sequence[SessionSeconds]) -> Sequence[SessionSeconds]:
    first = bisect_left(hours, starts[0] - DAY_S, key=lambda each: each.midnight_s)
    return hours[first : bisect_left(hours, starts[-1] + 1, key=lambda each: min(each.midnight_s, each.early_s))]


def outside_of(bars: Sequence[RawBar], hours: Sequence[SessionSeconds]) -> Iterator[RawBar]:
    starts, index = [bar.start_s for bar in bars], 0
    for each in near(starts, hours) if starts else ():
        first = bisect_left(starts, each.early_s, index)
        yield from bars[index:first]
        index = bisect_left(starts, each.late_s, first)
    yield from bars[index:]


def wrong_zone(
    stored: RawSeries, hours: Sequence[SessionSeconds], now: datetime | None = None
) -> tuple[BarFinding, ...]:
    """Find weeks whose minute bars would fit the sessions if they were a whole number of hours earlier or later.

    If a session hasn't ended at `now`, its bars are ignored, because so far most of them may be from before the open.
    """
    unended_s = (each.early_s for each in hours if now and each.close_s > now.timestamp())
    until_s = next(unended_s, None)
    raw_bars = stored.bars if until_s is None else [bar for bar in stored.bars if bar.start_s < until_s]
    weeks = [(_shift_h(bars, hours), bars) for bars in _cut(raw_bars, _week)]
    bar_findings = []
    for shift, run in groupby(weeks, key=lambda each: each[0]):
        if shift:
            moved = [bar for _, bars in run for bar in bars]
            words = (
                f"{pluralize(len(moved), 'bar')} would fit the sessions if they were {pluralize(abs(shift), 'hour')} "
            )
            words += "later" if shift > 0 else "earlier"
            span = moved[0].start_s, moved[-1].start_s
            bar_findings.append(finding(stored, Flaw.WRONG_ZONE, span, words, len(moved), -shift, 0))
    return tuple(bar_findings)


def _cut(bars: Sequence[RawBar], part: Callable[[RawBar], int]) -> Iterator[list[RawBar]]:
    return (list(run) for _, run in groupby(bars, key=part))


def _week(bar: RawBar) -> int:
    """Return a bar's week. It ends on a Sunday, when there is no session and summer time begins and ends."""
    return (bar.start_s // DAY_S + 4) // 7


def _shift_h(bars: Sequence[RawBar], hours: Sequence[SessionSeconds]) -> int:
    """Return by how many hours bars would have to move to fit; 0 if they fit, or if no shift explains them."""
    if len(bars) < FEWEST_BARS or not _looks_moved(bars, hours):
        return 0
    shares = {shift: _share_in_sessions(bars, hours, shift * HOUR_S) for shift in _SHIFTS_H}
    best = max(shares, key=lambda shift: (shares[shift], -abs(shift)))
    here = _share_in_sessions(bars, hours, 0)
    return best if shares[best] >= EXPLAINED and here <= BETTER * shares[best] else 0


def _looks_moved(bars: Sequence[RawBar], hours: Sequence[SessionSeconds]) -> bool:
    """Return True if bars are outside of all extended hours, or none is in the first or in the last regular hour."""
    starts = [bar.start_s for bar in bars]
    return any(True for _ in outside_of(bars, hours)) or any(
        not (_begins(starts, each.open_s) and _begins(starts, each.close_s - HOUR_S))
        for each in near(starts, hours)
        if _begins(starts, each.early_s, each.late_s - each.early_s)
    )


def _begins(starts: Sequence[int], from_s: int, for_s: int = HOUR_S) -> bool:
    """Return True if a bar starts in a span, an hour unless said otherwise."""
    index = bisect_left(starts, from_s)
    return index < len(starts) and starts[index] < from_s + for_s


def _share_in_sessions(bars: Sequence[RawBar], hours: Sequence[SessionSeconds], moved_s: int) -> float:
    """Return the share of the volume, or of the bars if there is none, that would lie in regular hours."""
    total = inside = 0.0
    by_volume = any(bar.volume > 0 for bar in bars)
    for bar in bars:
        weight = max(bar.volume, 0.0) if by_volume else 1.0
        session = _session_at(bar.start_s + moved_s, hours)
        total += weight
        if session and session.open_s <= bar.start_s + moved_s < session.close_s:
            inside += weight
    return inside / total if total else 0.0


def _session_at(at_s: int, hours: Sequence[SessionSeconds]) -> SessionSeconds | None:
    index = bisect_left(hours, at_s + 1, key=lambda each: each.early_s) - 1
    return hours[index] if index >= 0 and at_s < hours[index].late_s else None


def end_stamped(stored: RawSeries, every: Sequence[SessionBars]) -> Iterator[BarFinding]:
    """Find minute bars stamped at their end instead of their start: there is one at each close, and none at any open.

    Only liquid symbols count: an illiquid one often doesn't trade in the first minute, but does in the closing auction.
    """
    full = (
        [day for day in every if day.bars and day.share >= LIQUID_SHARE]
        if filled_fraction(every) >= LIQUID_SHARE
        else []
    )
    ends = ((day.bars[0].start_s - MINUTE_S, day.bars[-1].start_s, day.hours) for day in full)
    if full and all(first == hours.open_s and last == hours.close_s for first, last, hours in ends):
        observed = (
            f"{pluralize(len(full), 'session')} with a bar at the close and none at the open: are bars stamped"
            " at their end?"
        )
        span = full[0].hours.open_s, full[-1].hours.close_s
        yield finding(stored, Flaw.END_STAMP, span, observed, len(full), 0, len(full))


def bars_outside_hours(stored: RawSeries, hours: Sequence[SessionSeconds]) -> list[RawBar]:
    """Return the daily bars of days without a session, or the minute bars outside of all extended hours."""
    if stored.daily:
        midnights = {each.midnight_s for each in hours}
        return [bar for bar in stored.bars if bar.start_s not in midnights]
    return list(outside_of(stored.bars, hours))


def outside(stored: RawSeries, hours: Sequence[SessionSeconds]) -> Iterator[BarFinding]:
    for bars in _cut(bars_outside_hours(stored, hours), lambda bar: bar.start_s // DAY_S):
        observed = f"{pluralize(len(bars), 'bar')} outside of every session"
        yield finding(stored, Flaw.NO_SESSION, (bars[0].start_s, bars[-1].start_s), observed, len(bars))


def daily_times(stored: RawSeries, hours: Sequence[SessionSeconds], venue: VenueDay) -> Iterator[BarFinding]:
    """Find daily bars that don't start at the venue's midnight on the date of a session."""
    odd, midnights = bars_outside_hours(stored, hours), {each.midnight_s for each in hours}
    moved_days = _moved_days(stored, midnights, venue) if len(odd) >= FEWEST_STRANGE else 0
    if moved_days:
        words = f"{pluralize(len(stored.bars), 'bar')} would fit the sessions if they were a day "
        words += "later" if moved_days > 0 else "earlier"
        span = stored.bars[0].start_s, stored.bars[-1].start_s
        yield finding(stored, Flaw.WRONG_ZONE, span, words, len(stored.bars), -24.0 * moved_days, 0)
        return
    for bar in odd:
        at = venue.local(datetime.fromtimestamp(bar.start_s, UTC))
        words = f"starts at {at:%H:%M} in {venue.zone_name}, not at midnight"
        words = f"no session on this {at:%A}" if at.time() == time() else words
        yield finding(stored, Flaw.NO_SESSION, bar.start_s, words, 1)


def _moved_days(stored: RawSeries, midnights: set[int], venue: VenueDay) -> int:
    """Return by how many days all dates would have to move to be sessions; 0 if they fit better as they are."""
    dates = [_date_of(bar.start_s, venue) for bar in stored.bars]
    now = sum(venue.begins_s(day) not in midnights for day in dates)
    for move in (1, -1):
        if sum(venue.begins_s(day + timedelta(days=move)) not in midnights for day in dates) * FAR_BETTER <= now:
            return move
    return 0


def duplicates(stored: RawSeries, venue: VenueDay) -> Iterator[BarFinding]:
    """Find bars with the same start, and daily bars of the same date."""
    for before, bar in pairwise(stored.bars):
        if before.start_s == bar.start_s or (stored.daily and _same_date(before.start_s, bar.start_s, venue)):
            words = (
                "the same bar twice" if before.close == bar.close else "two bars of the same time with different prices"
            )
            yield finding(stored, Flaw.DUPLICATE, (before.start_s, bar.start_s), words, 2, bar.close, before.close)


def _same_date(one_s: int, other_s: int, venue: VenueDay) -> bool:
    return other_s - one_s < SHORTEST_DAY_S and _date_of(one_s, venue) == _date_of(other_s, venue)


def _date_of(at_s: int, venue: VenueDay) -> date:
    return venue.date_of(datetime.fromtimestamp(at_s, UTC))


def not_closed(stored: RawSeries, hours: Sequence[SessionSeconds], now: datetime) -> Iterator[BarFinding]:
    """Find bars that can't be complete yet at `now`; a daily bar is complete when its session has closed."""
    now_s = now.timestamp()
    closes = {each.midnight_s: each.close_s for each in hours if each.close_s > now_s} if stored.daily else {}
    recent = stored.bars[bisect_left(stored.bars, now_s - 2 * DAY_S, key=lambda bar: bar.start_s) :]
    width_s = 0 if stored.daily else MINUTE_S
    early = [bar.start_s for bar in recent if closes.get(bar.start_s, bar.start_s + width_s) > now_s]
    if early:
        observed = f"{pluralize(len(early), 'bar')} not complete at {now:%Y-%m-%d %H:%M} UTC"
        yield finding(stored, Flaw.NOT_CLOSED, (early[0], early[-1]), observed, len(early))


def day_over_s(start_s: int, venue: VenueDay) -> int:
    """Return when the venue's day that contains a given moment ends, in seconds since 1970 UTC."""
    return venue.begins_s(_date_of(start_s, venue) + timedelta(days=1))


SPIKE_FRACTION = {True: 0.25, False: 0.10}

"""How far a close must jump, and come back at once, to count as a spike: in daily bars, and in minute bars."""

SPLIT_RATIOS = (1.5, 2.5, *map(float, range(2, 101)))

"""The split ratios that are searched for, new shares for one old, and their inverses; a smaller one resembles a bad
day.
"""

SPLIT_TOLERANCE = 0.05

"""How far the overnight change of price may be from the ratio."""

VOLUME_SLACK = 2.5

"""The shares traded must change by the ratio too, within this factor."""

VOLUME_SESSIONS = 5

LONGEST_PAUSE_S = 7 * DAY_S

"""Closes farther apart than this aren't evidence of a split."""

SCALE_FACTOR, SCALE_BARS = 5.0, 3

"""Prices that change by this factor from one bar to the next, and stay there, are in another unit from then on."""

_LOG_TOLERANCE = math.log(1 + SPLIT_TOLERANCE)


def bad_price(bar: RawBar) -> str | None:
    """Return the error in a bar's numbers, or None."""
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
    """Find closes that jump and revert with the next bar; in minute bars, also highs and lows that revert within the
    bar.

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
        body = f"a body of {bottom:g} to {top:g}"
        if bar.high >= factor * top:
            yield finding(stored, Flaw.SPIKE, bar.start_s, f"high {bar.high:g} above {body}", 1, bar.high, top)
        if bar.low * factor <= bottom:
            yield finding(stored, Flaw.SPIKE, bar.start_s, f"low {bar.low:g} below {body}", 1, bar.low, bottom)


def session_bars(every: Sequence[SessionBars]) -> list[RawBar]:
    """Merge each session's usable minute bars of regular hours into one bar; leave out sessions without any.

    The high and low of such a bar are those of its first minute, because they aren't used here.
    """
    raw_bars = []
    for day in every:
        first_s, end_s = day.hours.open_s, day.hours.close_s
        good = [bar for bar in day.bars if first_s <= bar.start_s < end_s and bad_price(bar) is None]
        if good:
            raw_bars.append(good[0]._replace(close=good[-1].close, volume=sum(bar.volume for bar in good)))
    return raw_bars


def unadjusted_splits(stored: RawSeries, sessions: Sequence[RawBar]) -> Iterator[BarFinding]:
    """Find overnight changes of price and volume that look like a split that isn't on record."""
    for index, (before, after) in enumerate(pairwise(sessions), start=1):
        ratio = _split_ratio(before.close / after.open)
        if (
            ratio is None
            or after.start_s - before.start_s > LONGEST_PAUSE_S
            or _known_split(stored.splits, before, after)
        ):
            continue
        volume = _volume_change(sessions, index)
        if volume is None or 1 / VOLUME_SLACK <= volume / ratio <= VOLUME_SLACK:
            traded = "" if volume is None else f", with {volume:.2g} times the volume"
            words = f"close {before.close:g}, then open {after.open:g}{traded}: a split of {_split_text(ratio)}?"
            yield finding(stored, Flaw.UNADJUSTED_SPLIT, after.start_s, words, 1, before.close / after.open, ratio)


def scale_changes(
    stored: RawSeries, bars: Sequence[RawBar], bar_findings: Iterable[BarFinding]
) -> Iterator[BarFinding]:
    """Find changes of scale, such as from dollars to cents, that neither a split on record nor a newly found split
    explains.
    """
    limit, starts = math.log(SCALE_FACTOR), {finding.at for finding in bar_findings}
    for index, (before, after) in enumerate(pairwise(bars), start=1):
        if abs(math.log(after.open / before.close)) < limit:
            continue
        later = median(bar.close for bar in bars[index : index + SCALE_BARS])
        earlier = median(bar.close for bar in bars[max(index - SCALE_BARS, 0) : index])
        split = _known_split(stored.splits, before, after)
        ratio = later / earlier * (split.ratio if split else 1)
        words = f"close {before.close:g}, then open {after.open:g}, and no corporate action on record explains it"
        bar_finding = finding(stored, Flaw.SCALE, after.start_s, words, 1, after.open, before.close)
        if abs(math.log(ratio)) >= limit and bar_finding.at not in starts:
            yield bar_finding


def already_adjusted(stored: RawSeries, sessions: Sequence[RawBar]) -> Iterator[BarFinding]:
    """Find splits on record that don't show in raw prices, because the bars before them were already adjusted."""
    for before, after in pairwise(sessions):
        split = _known_split(stored.splits, before, after)
        if split and abs(math.log(split.ratio)) >= math.log(SPLIT_RATIOS[0]):
            change = before.close / after.open
            if abs(math.log(change)) < abs(math.log(split.ratio)) / 2:
                words = (
                    f"close {before.close:g}, then open {after.open:g}, although there was a split of"
                    f" {_split_text(split.ratio)} between them"
                )
                yield finding(stored, Flaw.ALREADY_ADJUSTED, after.start_s, words, 1, change, split.ratio)


def _known_split(splits: Sequence[KnownSplit], before: RawBar, after: RawBar) -> KnownSplit | None:
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


def _volume_change(sessions: Sequence[RawBar], index: int) -> float | None:
    """Return the median volume from `index` on relative to before, over a week each; None if there was none."""
    before = median(each.volume for each in sessions[max(index - VOLUME_SESSIONS, 0) : index])
    after = median(each.volume for each in sessions[index : index + VOLUME_SESSIONS])
    return after / before if before > 0 and after > 0 else None


def _split_text(ratio: float) -> str:
    """Return a split as people write it: 7:1, 3:2 or 1:10."""
    if ratio >= 1:
        return f"{ratio:g}:1" if ratio.is_integer() else f"{2 * ratio:g}:2"
    shares = 1 / ratio
    return f"1:{round(shares)}" if abs(shares - round(shares)) < 0.01 else f"2:{round(2 * shares)}"
