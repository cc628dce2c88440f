"""Check stored bars that a venue has of other timeframes than minutes and days, or of other prices than trades'."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from tradebot.auditing import bar_prices, bar_times
from tradebot.auditing.bar_findings import BarFinding, Flaw, Stored, finding
from tradebot.auditing.bar_times import Hours
from tradebot.model.series import PriceKind
from tradebot.model.text import counted
from tradebot.model.venue_day import VenueDay


def is_framed(stored: Stored) -> bool:
    """Return True unless these are minutes or days of trades, of which more can be said."""
    return stored.price is not PriceKind.TRADE or not (stored.daily or stored.width_s == bar_times.MINUTE_S)


def framed(stored: Stored, hours: Sequence[Hours], now: datetime, venue: VenueDay) -> list[BarFinding]:
    """Return what can't be right about such bars. A spot or mark price has a bar for every time; trades may not."""
    found = [*bar_times.duplicates(stored, venue), *bar_prices.bad_prices(stored)]
    if stored.daily:
        return [*found, *bar_times.not_closed(stored, hours, now), *bar_times.daily_times(stored, hours, venue)]
    ends = {start: end for session in hours for start, end in _bars_of(session, stored.width_s)}
    return [*found, *_not_closed(stored, ends, now), *_strange(stored, ends), *_holes(stored, sorted(ends))]


def _bars_of(session: Hours, width_s: int) -> Iterator[tuple[int, int]]:
    """Yield when each bar of a session starts and ends; the last one ends with the session."""
    for start_s in range(session.open_s, session.close_s, width_s):
        yield start_s, min(start_s + width_s, session.close_s)


def _not_closed(stored: Stored, ends: dict[int, int], now: datetime) -> Iterator[BarFinding]:
    early = [bar.start_s for bar in stored.bars if ends.get(bar.start_s, bar.start_s) > now.timestamp()]
    if early:
        found = f"{counted(len(early), 'bar')} not complete at {now:%Y-%m-%d %H:%M} UTC"
        yield finding(stored, Flaw.NOT_CLOSED, (early[0], early[-1]), found, len(early))


def _strange(stored: Stored, ends: dict[int, int]) -> Iterator[BarFinding]:
    odd = [bar.start_s for bar in stored.bars if bar.start_s not in ends]
    for _, run in groupby(odd, key=lambda start_s: start_s // bar_times.DAY_S):
        starts = list(run)
        found = f"{counted(len(starts), 'bar')} at a time at which no {stored.timeframe} bar of a session starts"
        yield finding(stored, Flaw.NO_SESSION, (starts[0], starts[-1]), found, len(starts))


def _holes(stored: Stored, starts: Sequence[int]) -> Iterator[BarFinding]:
    if stored.price is PriceKind.TRADE:
        return
    known = {bar.start_s for bar in stored.bars}
    inside = starts[bisect_left(starts, stored.bars[0].start_s) : bisect_left(starts, stored.bars[-1].start_s)]
    for missing, run in groupby(inside, key=lambda start_s: start_s not in known):
        if missing:
            lost = list(run)
            found = f"{counted(len(lost), 'bar')} in a row missing, and the {stored.price} price never pauses"
            yield finding(stored, Flaw.HOLE, (lost[0], lost[-1]), found, len(lost), len(lost))
