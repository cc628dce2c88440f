"""Check series of stored bars, and find the impossible and the missing bars."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from msgspec import Struct

from tradebot.auditing import bar_rules
from tradebot.auditing.bar_findings import BarFinding, Flaw, RawBar, RawSeries, finding
from tradebot.auditing.bar_rules import (
    LIQUID_SHARE,
    MINUTE_S,
    SessionBars,
    SessionSeconds,
    days,
    filled_fraction,
    hours_of,
)
from tradebot.model.bar import Session
from tradebot.model.sentences import pluralize
from tradebot.model.series import PriceKind
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay

CHANCE = 0.01
"""A run of missing minutes is a hole if fewer than this many such runs are expected by chance in all sessions examined.
"""
FEED_SYMBOLS, FEED_SHARE = 3, 0.2
"""A minute was lost by the source if at least this many liquid symbols, and this share of them, lack it."""


def daily_gaps(stored: RawSeries, hours: Sequence[SessionSeconds]) -> Iterator[BarFinding]:
    """Find sessions without a daily bar, from the first bar to the last."""
    starts = {bar.start_s for bar in stored.bars}
    inside = [each for each in hours if stored.bars[0].start_s <= each.midnight_s <= stored.bars[-1].start_s]
    return missing_sessions(stored, (each.midnight_s not in starts for each in inside), inside)


def missing_sessions(
    stored: RawSeries, absent: Iterable[bool], hours: Sequence[SessionSeconds]
) -> Iterator[BarFinding]:
    """Find runs of sessions without a bar; `absent` is True for each session in `hours` that has none."""
    for missing, run in groupby(zip(absent, hours, strict=True), key=lambda each: each[0]):
        if missing:
            lost = [each for _, each in run]
            span = lost[0].midnight_s, lost[-1].midnight_s
            observed = f"{pluralize(len(lost), 'session')} without a bar"
            yield finding(stored, Flaw.GAP, span, observed, len(lost), 0, len(lost))


def missing_minutes(
    stored: RawSeries, every: Sequence[SessionBars], lost_by_feed: frozenset[int]
) -> Iterator[BarFinding]:
    """Find runs of missing minutes that chance doesn't explain, and minutes that the source lost for a liquid symbol.

    If a fraction q of a symbol's minutes has no bar, chance alone makes k minutes in a row missing about n·q^k times in
    n minutes.
    """
    share = filled_fraction(every)
    sessions_with_bars = [day for day in every if day.count]
    minutes = sum(day.hours.minutes for day in sessions_with_bars)
    for day in sessions_with_bars:
        rate = max(1 - share, 1 / day.hours.minutes)
        for run in _runs(day.missing):
            if minutes * rate ** len(run) < CHANCE:
                yield _hole(stored, day, run, f"{pluralize(len(run), 'minute')} in a row without a bar")
            else:
                lost = [minute for minute in run if minute in lost_by_feed]
                if lost:
                    finding = (
                        f"{pluralize(len(lost), 'minute')} without a bar, because the source lost them: other"
                        " liquid symbols lack them too"
                    )
                    yield _hole(stored, day, lost, finding)


def _hole(stored: RawSeries, day: SessionBars, run: Sequence[int], observed: str) -> BarFinding:
    return finding(stored, Flaw.HOLE, (run[0], run[-1]), observed, len(run), len(run), day.hours.minutes)


def _runs(missing: Sequence[int]) -> Iterator[list[int]]:
    for _, run in groupby(enumerate(missing), key=lambda each: each[1] - each[0] * MINUTE_S):
        yield [minute for _, minute in run]


def lost_by_feed(liquid: Iterable[Sequence[SessionBars]]) -> frozenset[int]:
    """Return the minutes in which several liquid symbols lack a bar at once."""
    covering, lacking = Counter[int](), Counter[int]()
    for every in liquid:
        for day in every:
            if day.count:
                covering[day.hours.open_s] += 1
                lacking.update(day.missing)
    opens = sorted(covering)
    return frozenset(
        minute
        for minute, count in lacking.items()
        if count >= max(FEED_SYMBOLS, FEED_SHARE * covering[opens[bisect_left(opens, minute + 1) - 1]])
    )


_ORDER = {flaw: place for place, flaw in enumerate(Flaw)}
MISPLACED = frozenset({Flaw.WRONG_ZONE, Flaw.END_STAMP})
"""Flaws of all bars of a symbol, which make other findings about its times meaningless until they are fixed."""


class SymbolChecked(Struct, frozen=True):
    """The check of one symbol: the bars examined, and the result.

    `sessions` is how many sessions have a bar. `missing` counts the regular minutes without a bar; they are normal for
    a symbol that isn't `liquid`. `missing` and `liquid` are None unless these are minute bars of trades.
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
    price: PriceKind = PriceKind.TRADE


class BarAudit(Struct, frozen=True):
    """The findings, most urgent first, and the bars examined."""

    looked_at: tuple[SymbolChecked, ...]
    findings: tuple[BarFinding, ...]


Odd = Callable[[str, RawBar], str]
"""Returns why a bar can't be the symbol's own; empty if it can."""


def check(
    every: Iterable[RawSeries],
    sessions: Sequence[Session],
    now: datetime,
    venue: VenueDay,
    odd: Odd = lambda symbol, bar: "",
) -> BarAudit:
    """Check the bars of some symbols against the venue's sessions, which must reach from the first bar to the last.

    Bars that aren't complete at `now` are findings too. Symbols are checked one after the other. All that is kept in
    memory is the evidence for minutes that the source lost for many symbols.
    """
    hours = hours_of(sessions, venue)
    looked, bar_findings, liquid = [], [], []
    for stored in every:
        looked_at, findings, sessions_of = _judge_symbol(stored, hours, now, venue, odd)
        looked.append(looked_at)
        bar_findings += findings
        if sessions_of:
            liquid.append((replace(stored, bars=()), sessions_of))
    lost = lost_by_feed(days for _, days in liquid)
    bar_findings += [finding for stored, days in liquid for finding in missing_minutes(stored, days, lost)]
    counts = Counter((finding.symbol, finding.timeframe, finding.price) for finding in bar_findings)
    rows = (replace(row, findings=counts[row.symbol, row.timeframe, row.price]) for row in looked)
    return BarAudit(tuple(rows), rank_findings(bar_findings))


def find_misplaced(
    every: Sequence[RawSeries], sessions: Sequence[Session], venue: VenueDay
) -> tuple[tuple[BarFinding, ...], list[tuple[str, int]]]:
    """Find times that are wrong in all bars, for example because of a wrong time zone, and bars outside of any session.

    Return the findings about such times, and the symbol and start of each bar outside of a session.
    """
    hours = hours_of(sessions, venue)
    wrong, strange = [], []
    for stored in every:
        by_minute = None if stored.daily else days(stored, hours)
        wrong += [each for each in _placing(stored, hours, by_minute, venue) if each.flaw in MISPLACED]
        strange += [(stored.symbol, bar.start_s) for bar in bar_rules.bars_outside_hours(stored, hours)]
    return rank_findings(wrong), strange


def rank_findings(findings: Sequence[BarFinding]) -> tuple[BarFinding, ...]:
    """Return findings by urgency, then by symbol and time."""
    early = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(findings, key=lambda each: (_ORDER[each.flaw], each.symbol, each.at or early)))


def _judge_symbol(
    stored: RawSeries, hours: Sequence[SessionSeconds], now: datetime, venue: VenueDay, odd: Odd
) -> tuple[SymbolChecked, list[BarFinding], tuple[SessionBars, ...]]:
    """Judge one symbol's bars; its sessions are returned too if it is a liquid symbol with believable times."""
    if not stored.bars:
        words = "nothing is stored, so nothing was checked"
        nothing = BarFinding(Flaw.NOTHING_STORED, stored.symbol, stored.timeframe, None, None, 0, None, None, words)
        return SymbolChecked(stored.symbol, stored.timeframe, 0, 0, None, None, None, None, 0), [nothing], ()
    if is_framed(stored):
        gone = daily_gaps(stored, hours) if stored.daily else ()
        return _looked_at(stored, hours, None), [*check_frame(stored, hours, now, venue), *gone], ()
    by_minute = None if stored.daily else days(stored, hours)
    usable = [bar for bar in stored.bars if bar_rules.bad_price(bar) is None]
    bar_findings = [*bar_rules.not_closed(stored, hours, now), *bar_rules.duplicates(stored, venue)]
    bar_findings += [*bar_rules.bad_prices(stored), *bar_rules.spikes(stored, usable)]
    short = usable if by_minute is None else bar_rules.session_bars(by_minute)
    splits = [*bar_rules.unadjusted_splits(stored, short), *bar_rules.already_adjusted(stored, short)]
    bar_findings += [*splits, *bar_rules.scale_changes(stored, usable, splits), *_of_others(stored, odd)]
    times = _placing(stored, hours, by_minute, venue, now)
    believed = not any(each.flaw in MISPLACED for each in times)
    bar_findings += times
    if believed and by_minute is None:
        bar_findings += daily_gaps(stored, hours)
    elif believed and by_minute is not None:
        bar_findings += missing_sessions(stored, (not day.count for day in by_minute), [day.hours for day in by_minute])
    looked = _looked_at(stored, hours, by_minute)
    # The bars of all symbols would fill the memory.
    slim = tuple(replace(day, bars=()) for day in by_minute or ()) if believed and looked.liquid else ()
    return looked, bar_findings, slim


def _of_others(stored: RawSeries, odd: Odd) -> Iterator[BarFinding]:
    """Yield one finding for each reason why bars can't be the symbol's own."""
    reasons = defaultdict[str, list[RawBar]](list)
    for bar in stored.bars:
        if why := odd(stored.symbol, bar):
            reasons[why].append(bar)
    for why, bars in reasons.items():
        words = f"{pluralize(len(bars), 'bar')}: {why}"
        yield finding(stored, Flaw.NOT_ITS_CONTRACT, (bars[0].start_s, bars[-1].start_s), words, len(bars))


def _placing(
    stored: RawSeries,
    hours: Sequence[SessionSeconds],
    by_minute: Sequence[SessionBars] | None,
    venue: VenueDay,
    now: datetime | None = None,
) -> list[BarFinding]:
    """Find bars whose times can't be right."""
    if by_minute is None:
        return list(bar_rules.daily_times(stored, hours, venue))
    moved = bar_rules.wrong_zone(stored, hours, now)
    if moved:
        return list(moved)
    return [*bar_rules.end_stamped(stored, by_minute), *bar_rules.outside(stored, hours)]


def _looked_at(
    stored: RawSeries, hours: Sequence[SessionSeconds], by_minute: Sequence[SessionBars] | None
) -> SymbolChecked:
    first, last = (datetime.fromtimestamp(bar.start_s, UTC) for bar in (stored.bars[0], stored.bars[-1]))
    missing = liquid = None
    if by_minute is None:
        starts = {bar.start_s for bar in stored.bars}
        sessions = len({each.midnight_s for each in hours if starts & {each.midnight_s, each.open_s}})
    else:
        sessions_with_bars = [day for day in by_minute if day.count]
        sessions, missing = len(sessions_with_bars), sum(len(day.missing) for day in sessions_with_bars)
        liquid = filled_fraction(by_minute) >= LIQUID_SHARE
    return SymbolChecked(
        stored.symbol, stored.timeframe, len(stored.bars), sessions, first, last, missing, liquid, 0, stored.price
    )


def is_framed(stored: RawSeries) -> bool:
    """Return True unless these are minute or daily bars of trades, for which there are more checks."""
    return stored.price is not PriceKind.TRADE or not (stored.daily or stored.width_s == bar_rules.MINUTE_S)


def check_frame(stored: RawSeries, hours: Sequence[SessionSeconds], now: datetime, venue: VenueDay) -> list[BarFinding]:
    """Return the findings about bars that are neither minute nor daily bars of trades: bad prices, and wrong times.

    A missing intraday bar is a finding only for spot and mark prices: they have a bar for every time, while trades may
    not.
    """
    bar_findings = [*bar_rules.duplicates(stored, venue), *bar_rules.bad_prices(stored)]
    if stored.daily:
        return [*bar_findings, *bar_rules.not_closed(stored, hours, now), *bar_rules.daily_times(stored, hours, venue)]
    ends = {start: end for session in hours for start, end in _bars_of(session, stored.width_s)}
    return [*bar_findings, *_not_closed(stored, ends, now), *_strange(stored, ends), *_holes(stored, sorted(ends))]


def _bars_of(session: SessionSeconds, width_s: int) -> Iterator[tuple[int, int]]:
    """Yield when each bar of a session starts and ends; the last one ends with the session."""
    for start_s in range(session.open_s, session.close_s, width_s):
        yield start_s, min(start_s + width_s, session.close_s)


def _not_closed(stored: RawSeries, ends: dict[int, int], now: datetime) -> Iterator[BarFinding]:
    early = [bar.start_s for bar in stored.bars if ends.get(bar.start_s, bar.start_s) > now.timestamp()]
    if early:
        observed = f"{pluralize(len(early), 'bar')} not complete at {now:%Y-%m-%d %H:%M} UTC"
        yield finding(stored, Flaw.NOT_CLOSED, (early[0], early[-1]), observed, len(early))


def _strange(stored: RawSeries, ends: dict[int, int]) -> Iterator[BarFinding]:
    odd = [bar.start_s for bar in stored.bars if bar.start_s not in ends]
    for _, run in groupby(odd, key=lambda start_s: start_s // bar_rules.DAY_S):
        starts = list(run)
        observed = f"{pluralize(len(starts), 'bar')} at a time at which no {stored.timeframe} bar of a session starts"
        yield finding(stored, Flaw.NO_SESSION, (starts[0], starts[-1]), observed, len(starts))


def _holes(stored: RawSeries, starts: Sequence[int]) -> Iterator[BarFinding]:
    if stored.price is PriceKind.TRADE:
        return
    stored_starts = {bar.start_s for bar in stored.bars}
    inside = starts[bisect_left(starts, stored.bars[0].start_s) : bisect_left(starts, stored.bars[-1].start_s)]
    for missing, run in groupby(inside, key=lambda start_s: start_s not in stored_starts):
        if missing:
            lost = list(run)
            observed = (
                f"{pluralize(len(lost), 'bar')} in a row missing, although there is always a {stored.price} price"
            )
            yield finding(stored, Flaw.HOLE, (lost[0], lost[-1]), observed, len(lost), len(lost))
