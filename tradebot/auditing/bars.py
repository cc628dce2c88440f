"""Check stored bars: which of them can't be right, and what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tradebot.auditing import bar_prices, bar_times
from tradebot.auditing.bar_findings import BarFinding, Flaw, Stored
from tradebot.auditing.bar_times import Day, Hours
from tradebot.model.bar import Session

_ORDER = {flaw: place for place, flaw in enumerate(Flaw)}
MISPLACED = frozenset({Flaw.WRONG_ZONE, Flaw.END_STAMP})
"""Flaws of all bars of a symbol; the times of its bars say nothing else until these are fixed."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What was looked at of one symbol, and how it turned out.

    `sessions` are those with a bar. `missing` are regular minutes without a bar, which is normal for a symbol that
    isn't `liquid`; both are None for daily bars.
    """

    symbol: str
    timeframe: str
    bars: int
    sessions: int
    first: datetime | None
    last: datetime | None
    missing: int | None
    liquid: bool | None
    findings: int


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings, most urgent first, and what was looked at to get them."""

    looked_at: tuple[LookedAt, ...]
    findings: tuple[BarFinding, ...]


def check(every: Sequence[Stored], sessions: Sequence[Session], now: datetime) -> Checked:
    """Check the bars of some symbols against the exchange's sessions, which must reach from the first bar to the last.

    Bars that aren't complete at `now` are findings too.
    """
    hours = bar_times.hours_of(sessions)
    by_minute = {place: bar_times.days(stored, hours) for place, stored in enumerate(every) if not stored.daily}
    lost = bar_times.lost_by_feed(list(by_minute.values()))
    found = [
        finding
        for place, stored in enumerate(every)
        for finding in _findings(stored, hours, by_minute.get(place), lost, now)
    ]
    counts = Counter((finding.symbol, finding.timeframe) for finding in found)
    looked = tuple(_looked_at(stored, by_minute.get(place), hours, counts) for place, stored in enumerate(every))
    return Checked(looked, ranked(found))


def ranked(findings: Sequence[BarFinding]) -> tuple[BarFinding, ...]:
    """Return findings by urgency, then by symbol and time."""
    early = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(findings, key=lambda each: (_ORDER[each.flaw], each.symbol, each.at or early)))


def _findings(
    stored: Stored, hours: Sequence[Hours], by_minute: Sequence[Day] | None, lost: frozenset[int], now: datetime
) -> list[BarFinding]:
    if not stored.bars:
        words = "nothing is stored, so nothing was looked at"
        return [BarFinding(Flaw.NOTHING_STORED, stored.symbol, stored.timeframe, None, None, 0, None, None, words)]
    good = bar_prices.usable(stored.bars)
    found = [
        *bar_times.not_closed(stored, now),
        *bar_times.duplicates(stored),
        *bar_prices.bad_prices(stored),
        *bar_prices.spikes(stored, good),
    ]
    times = placing(stored, hours, by_minute)
    found += times
    short = bar_prices.daily_bars(good) if by_minute is None else bar_prices.session_bars(by_minute)
    found += bar_prices.unadjusted_splits(stored, short)
    found += bar_prices.already_adjusted(stored, short)
    if not any(each.flaw in MISPLACED for each in times):
        found += _absent(stored, hours, by_minute, lost)
    return found


def placing(stored: Stored, hours: Sequence[Hours], by_minute: Sequence[Day] | None) -> list[BarFinding]:
    """Find bars whose times can't be right."""
    if by_minute is None:
        return list(bar_times.daily_times(stored, hours))
    moved = bar_times.wrong_zone(stored, hours)
    if moved:
        return list(moved)
    return [*bar_times.end_stamped(stored, by_minute), *bar_times.outside(stored, hours)]


def _absent(
    stored: Stored, hours: Sequence[Hours], by_minute: Sequence[Day] | None, lost: frozenset[int]
) -> list[BarFinding]:
    if by_minute is None:
        return list(bar_times.daily_gaps(stored, hours))
    return [*bar_times.minute_gaps(stored, by_minute), *bar_times.holes(stored, by_minute, lost)]


def _looked_at(
    stored: Stored, by_minute: Sequence[Day] | None, hours: Sequence[Hours], counts: Mapping[tuple[str, str], int]
) -> LookedAt:
    first, last = (
        datetime.fromtimestamp(bar.start_s, UTC) if bar else None
        for bar in ((stored.bars[0], stored.bars[-1]) if stored.bars else (None, None))
    )
    if by_minute is None:
        known = {each.midnight_s for each in hours}
        sessions = len({bar.start_s for bar in stored.bars} & known)
        missing = liquid = None
    else:
        seen = [day for day in by_minute if day.bars]
        sessions, missing = len(seen), sum(len(day.missing) for day in seen)
        liquid = bar_times.filled(by_minute) >= bar_times.LIQUID_SHARE
    count = counts.get((stored.symbol, stored.timeframe), 0)
    return LookedAt(
        stored.symbol, stored.timeframe, len(stored.bars), sessions, first, last, missing, liquid, count
    )
