"""The law of protection: no lot is without a stop that can trigger for longer than its bot told.

The first pass that finds a gap tells it, since its beginning and until it is over; a pass that cancels a stop tells
that at once. A fill whose pass protects it itself, within `IN_TIME`, needs no telling. An exit that works protects
nothing: a gap lasts until its fill. Without trouble, the second pass after its beginning finds the gap closed, or an
exit at work. A fraction of a share can't have a stop. Lots whose strategy has no stop rule, or whose bot watches by
itself, are judged apart: passes have to look at them.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from papervenue.market.sessions import Calendar, calendar_from_rows
from papervenue.state import read_market
from papervenue.times import parse_time
from tests.kit.judge.gaps import Event, Gap, Lot, Lots
from tradebot.adapters.state import state_folder
from tradebot.model.record import Job

BEGAN, ENDED = "protection_gap", "protection_gap_ended"
ALL_HAS_ARRIVED = timedelta(minutes=13)
"""So long after trouble its last request may still arrive."""
IN_TIME = timedelta(minutes=3)
"""So long a pass may take to protect what was bought: `limits.exit_life_s`."""
INTERVALS = 2
"""As many passes of exits may pass a gap by, counting the one that finds it closed."""
A_MINUTE = timedelta(minutes=1)
FOREVER = datetime.max.replace(tzinfo=UTC)
SLACK = timedelta(milliseconds=1)
"""Events tell times to the millisecond."""
PASSES = """SELECT job, at, (SELECT group_concat(symbol) FROM candidates WHERE cycle = sequence) FROM cycles
    WHERE job IN (?, ?) AND body ->> '$[7]' IS NULL AND NOT body ->> '$[8]' ORDER BY at, sequence"""
"""Recorded passes that were neither refused nor cut short nor a rehearsal."""


class Told(NamedTuple):
    """What a bot told of one gap: when first, since when there was no stop, and until when if it is over."""

    at: datetime
    symbol: str
    since: datetime
    until: datetime | None


class Pass(NamedTuple):
    """A pass that ran to its end, and the symbols that it judged."""

    at: datetime
    job: str
    judged: frozenset[str]


@dataclass
class Found:
    """What the law has judged, where it was broken, and the longest gaps in seconds of open sessions."""

    counts: Counter[str] = field(default_factory=Counter)
    longest_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    problems: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Take in what was found elsewhere; its problems stay there."""
        self.counts.update(other.counts)
        for kind, seconds in other.longest_s.items():
            self.longest_s[kind] = max(self.longest_s[kind], seconds)

    def shown(self) -> dict[str, object]:
        """Return it as a campaign prints it."""
        return {**self.counts, "longest_s": {kind: round(seconds) for kind, seconds in self.longest_s.items()}}


TOTAL = Found()
"""What this process has judged so far."""


def broken(
    events: Iterable[Event],
    account: str,
    folder: Path,
    sessions: Calendar,
    owed: Callable[[Lot], bool] = lambda lot: True,
    disturbed: Iterable[datetime] = (),
    unable: Iterable[datetime] = (),
) -> Iterator[str]:
    """Yield where the law was broken in one account, by the bot of a folder.

    Lots that aren't `owed` a stop are judged apart. At the times in `disturbed` something befell the bot that the log
    doesn't show, and at those in `unable` a pass may have failed to write down what it had to tell, or is misdated.
    """
    lots = Lots(account)
    for event in events:
        if event.get("account") in (None, "", account):
            lots.add(event)
    lots.lied |= {*unable}
    law = Law(lots, sessions, told_by(folder), passes_of(folder), owed, disturbed)
    found = law.judge()
    TOTAL.add(found)
    yield from found.problems


def sessions_of(exchange: Path) -> Calendar:
    """Return the sessions of the market in an exchange's folder."""
    stored = read_market(exchange)
    return calendar_from_rows(stored.sessions, stored.first, stored.spec.sessions)


def passes_of(folder: Path) -> Sequence[Pass]:
    """Return the recorded passes of a bot that may send exits."""
    path = folder / state_folder.FACTS
    if not path.exists():
        return ()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'candidates'").fetchone():
            # Whoever was about to create it was killed.
            return ()
        rows = database.execute(PASSES, (Job.EVALUATE_EXITS, Job.TRADE_ONCE)).fetchall()
    return [Pass(datetime.fromisoformat(at), job, frozenset((symbols or "").split(","))) for job, at, symbols in rows]


def told_by(folder: Path) -> Sequence[Told]:
    """Return what a bot's events tell of gaps: one that was told to have begun, and then to be over, is one."""
    path = folder / state_folder.EVENTS
    spans: dict[tuple[str, str, str], Told] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        event = _whole(line)
        kind, details = event.get("event_type"), event.get("details", {})
        if kind not in (BEGAN, ENDED):
            continue
        at, since = datetime.fromisoformat(event["timestamp"]), datetime.fromisoformat(details["since"])
        whose = event["symbol"], details["strategy"], details["since"]
        until = since + timedelta(seconds=float(details["lasted_s"])) if kind == ENDED else None
        spans[whose] = Told(spans[whose].at if whose in spans else at, event["symbol"], since, until)
    return [*spans.values()]


def _whole(line: str) -> Event:
    """Read a line; one that a loss of power has torn tells nothing."""
    try:
        event: Event = json.loads(line)
    except ValueError:
        return {}
    return event


class Law:
    """The law over one account's gaps, what its bot told, and the passes that could have seen them."""

    def __init__(
        self,
        lots: Lots,
        sessions: Calendar,
        told: Sequence[Told],
        passes: Sequence[Pass],
        owed: Callable[[Lot], bool] = lambda lot: True,
        disturbed: Iterable[datetime] = (),
    ) -> None:
        self._gaps, self._lots, self._end, self._lied = lots.finish(), lots, lots.now, lots.lied
        self._sessions, self._told, self._passes, self._owed = sessions, told, passes, owed
        self._disturbed = [*disturbed]
        self._troubled = sorted([*lots.troubled, *self._disturbed])

    def judge(self) -> Found:
        """Judge every gap."""
        found = Found(Counter(lots=len(self._lots.held)))
        for gap in self._gaps:
            problems = [*self._untold(gap), *self._lasting(gap)] if self._owed(gap.lot) else [*self._unwatched(gap)]
            kind = "apart" if not self._owed(gap.lot) else "seen" if any(self._seeing(gap)) else "unseen"
            found.counts[f"gaps {kind}"] += 1
            found.counts["gaps told"] += any(self._tells(gap, told) for told in self._told)
            found.longest_s[kind] = max(found.longest_s[kind], self._open_s(gap.began, gap.ended or self._end))
            found.problems += problems
        return found

    def _seeing(self, gap: Gap) -> Iterator[Pass]:
        """Yield the passes at whose end a gap was there: those that found it, and the one that began it."""
        for each in self._passes:
            began = each.at == gap.began and gap.dropped
            found = each.at > gap.began and each.job == Job.EVALUATE_EXITS
            if (began or found) and each.at < (gap.ended or FOREVER):
                yield each

    def _untold(self, gap: Gap) -> Iterator[str]:
        """Yield what was not told of a gap by those that saw it, or by the pass that saw its end."""
        seeing = [one for one in self._seeing(gap) if one.at not in gap.answered and not self._ended_in_time(gap, one)]
        known = [told for told in self._told if self._tells(gap, told)]
        for each in (each for each in seeing if each.at not in self._lied):
            if not any(told.at <= each.at and (told.until is None or told.until >= each.at) for told in known):
                yield f"{self._name(gap)}: the pass at {_clock(each.at)} left it untold"
                return
        ends = [told.until for told in known if told.until]
        if seeing and self._was_seen_closed(gap) and not self._ends_are_right(gap, ends):
            yield f"{self._name(gap)}: told to have ended before, or never"

    def _ends_are_right(self, gap: Gap, ends: Sequence[datetime]) -> bool:
        """Return True if a gap was told to end when it did, or by a disturbed pass that was still running then.

        A pass is dated by its beginning, and the machine may have slept meanwhile.
        """
        until = gap.ended or FOREVER
        return any(end >= until - SLACK or self._was_still_running(end, until) for end in ends)

    def _was_still_running(self, began: datetime, at: datetime) -> bool:
        later = min((each.at for each in self._passes if each.at > began + SLACK), default=FOREVER)
        return any(at <= disturbed < later for disturbed in self._disturbed)

    def _ended_in_time(self, gap: Gap, seen: Pass) -> bool:
        """Return True if a gap ended soon after the fill that began it, by this pass: no later one can have done that.

        A pass that was lied to may not have known of the fill, so that a later one ended it as soon as it was told.
        """
        until = gap.ended or FOREVER
        alone = seen.at in self._lied or not any(seen.at < each.at <= until for each in self._passes)
        return alone and gap.filled and not gap.dropped and until <= gap.began + IN_TIME

    def _was_seen_closed(self, gap: Gap) -> bool:
        """Return True if a pass came after the end of a gap, before another one of the lot began.

        The pass that sent the stop can't know yet that it rests.
        """
        later = [one.began for one in self._gaps if one.lot == gap.lot and one.began > gap.began]
        until = min(later, default=FOREVER)
        passes = (each.at for each in self._passes if each.job == Job.EVALUATE_EXITS and each.at not in self._lied)
        return gap.ended is not None and not gap.moot and any(gap.ended < at < until for at in passes)

    def _tells(self, gap: Gap, told: Told) -> bool:
        over = told.until is not None and told.until < gap.began
        return told.symbol == gap.lot[1] and told.since <= gap.began + SLACK and not over

    def _lasting(self, gap: Gap) -> Iterator[str]:
        """Yield that a gap lasted for too many passes that nothing troubled."""
        before = [at for at in self._troubled if at <= (gap.ended or FOREVER)]
        calm = max(before) + ALL_HAS_ARRIVED if before else gap.began
        for since, until in gap.idle:
            saw = [each for each in self._seeing(gap) if max(since, calm) < each.at < (until or FOREVER)]
            saw = [each for each in saw if not self._was_crossed(gap, each)]
            if len(saw) >= INTERVALS:
                yield f"{self._name(gap)}: {len(saw)} passes that nothing troubled left it without an exit too"

    def _was_crossed(self, gap: Gap, seen: Pass) -> bool:
        """Return True if an order of somebody else in the lot's symbol worked in the minute before a pass."""
        times = self._lots.by_hand[gap.lot[1]]
        return any(each[0] <= seen.at <= each[-1] + A_MINUTE for each in times)

    def _unwatched(self, gap: Gap) -> Iterator[str]:
        """Yield that two passes in a row didn't look at a lot without a stop."""
        passed_by = 0
        for each in self._seeing(gap):
            passed_by = 0 if gap.lot[1] in each.judged else passed_by + 1
            if passed_by >= INTERVALS:
                yield f"{self._name(gap)}: {passed_by} passes in a row didn't look at it, the last at {_clock(each.at)}"
                return

    def _name(self, gap: Gap) -> str:
        ended = _clock(gap.ended) if gap.ended else "the end"
        seconds = self._open_s(gap.began, gap.ended or self._end)
        return f"{gap.shares} {gap.lot[1]} had no stop from {_clock(gap.began)} to {ended}, {seconds:.0f} s"

    def _open_s(self, first: datetime, last: datetime | None) -> float:
        """Return for how many seconds of sessions a time lasts."""
        began, ended = parse_time(first.isoformat()), parse_time((last or first).isoformat())
        both = (min(ended, one.close_us) - max(began, one.open_us) for one in self._sessions.all)
        return sum(max(us, 0) for us in both) / 1e6


def _clock(at: datetime) -> str:
    return f"{at:%d %H:%M:%S}"
