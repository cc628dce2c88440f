"""Find sessions and minutes without a bar."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tradebot.auditing.bar_findings import BarFinding, Flaw, Numbers, Stored, finding
from tradebot.auditing.bar_sessions import MINUTE_S, Day, Hours, filled
from tradebot.model.text import counted

CHANCE = 0.01
"""A run of missing minutes is a hole if chance makes less than this many such runs in all sessions looked at."""
FEED_SYMBOLS, FEED_SHARE = 3, 0.2
"""A minute was lost by the source if at least this many liquid symbols, and this share of them, lack it."""


def minute_gaps(stored: Stored, every: Sequence[Day]) -> Iterator[BarFinding]:
    return gaps(stored, (not day.count for day in every), [day.hours for day in every])


def daily_gaps(stored: Stored, hours: Sequence[Hours]) -> Iterator[BarFinding]:
    """Find sessions without a daily bar, from the first bar to the last."""
    known = {bar.start_s for bar in stored.bars}
    inside = [each for each in hours if stored.bars[0].start_s <= each.midnight_s <= stored.bars[-1].start_s]
    return gaps(stored, (each.midnight_s not in known for each in inside), inside)


def gaps(stored: Stored, absent: Iterable[bool], hours: Sequence[Hours]) -> Iterator[BarFinding]:
    """Find runs of sessions without a bar; `absent` says for each of `hours` whether it has none."""
    for missing, run in groupby(zip(absent, hours, strict=True), key=lambda each: each[0]):
        if missing:
            lost = [each for _, each in run]
            span = lost[0].midnight_s, lost[-1].midnight_s
            found = f"{counted(len(lost), 'session')} without a bar"
            yield finding(stored, Flaw.GAP, span, Numbers(len(lost), 0, len(lost)), found)


def holes(stored: Stored, every: Sequence[Day], lost_by_feed: frozenset[int]) -> Iterator[BarFinding]:
    """Find runs of missing minutes that chance doesn't explain, and minutes that the source lost, of a liquid symbol.

    A symbol that lacks a share q of its minutes has a run of k missing ones about n·q^k times in n minutes.
    """
    share = filled(every)
    seen = [day for day in every if day.count]
    minutes = sum(day.hours.minutes for day in seen)
    for day in seen:
        rate = max(1 - share, 1 / day.hours.minutes)
        for run in _runs(day.missing):
            if minutes * rate ** len(run) < CHANCE:
                yield _hole(stored, day, run, f"{counted(len(run), 'minute')} in a row without a bar")
            else:
                lost = [minute for minute in run if minute in lost_by_feed]
                if lost:
                    found = f"{counted(len(lost), 'minute')} that other liquid symbols lack too: the source lost it"
                    yield _hole(stored, day, lost, found)


def _hole(stored: Stored, day: Day, run: Sequence[int], found: str) -> BarFinding:
    return finding(stored, Flaw.HOLE, (run[0], run[-1]), Numbers(len(run), len(run), day.hours.minutes), found)


def _runs(missing: Sequence[int]) -> Iterator[list[int]]:
    for _, run in groupby(enumerate(missing), key=lambda each: each[1] - each[0] * MINUTE_S):
        yield [minute for _, minute in run]


def lost_by_feed(liquid: Iterable[Sequence[Day]]) -> frozenset[int]:
    """Return the minutes that several liquid symbols lack at once."""
    covering: dict[int, int] = {}
    lacking: dict[int, int] = {}
    for every in liquid:
        for day in every:
            if day.count:
                covering[day.hours.open_s] = covering.get(day.hours.open_s, 0) + 1
                for minute in day.missing:
                    lacking[minute] = lacking.get(minute, 0) + 1
    opens = sorted(covering)
    return frozenset(
        minute
        for minute, count in lacking.items()
        if count >= max(FEED_SYMBOLS, FEED_SHARE * covering[opens[bisect_left(opens, minute + 1) - 1]])
    )
