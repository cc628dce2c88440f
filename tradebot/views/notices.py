"""Which happenings a channel is told, when, and in which words.

Nothing from outside may act where it is read: no link that opens, no command, no name that a chat would call.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tradebot.model.event import Severity
from tradebot.model.notice import GATHERED, Channel, Happening, Notice, Quiet
from tradebot.model.text import counted
from tradebot.model.venue_day import VenueDay

GATHER = timedelta(minutes=30)
"""What is gathered is told at every half hour."""
ALIKE = 3
"""How many happenings of a kind are told one by one; of more, their number, the first and the last."""
LONGEST, MOST_LINES = 240, 20
"""Characters of a line, and lines of a notice."""
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;%$+()'-]+")
_LINK = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2})")
_LABELS = {Severity.WARN: ": a warning", Severity.ERROR: ": an error", Severity.CRITICAL: ": CRITICAL"}
_BLANKS = re.compile(r"\s+")
_ORDER = (Severity.INFO, Severity.WARN, Severity.ERROR, Severity.CRITICAL)


def wants(channel: Channel, happening: Happening) -> bool:
    """Return True if a channel's rules choose a happening."""
    return happening.topic in channel.topics and _rank(happening.severity) >= _rank(channel.least)


def due_at(channel: Channel, happening: Happening, now: datetime, venue: VenueDay) -> datetime:
    """Return when a channel is told of a happening: at once, with others of its half hour, or when quiet ends."""
    if happening.severity is Severity.CRITICAL:
        return now
    begun = now - timedelta(minutes=now.minute % 30, seconds=now.second, microseconds=now.microsecond)
    at = begun + GATHER if happening.topic in GATHERED else now
    return ends(channel.quiet, at, venue) if channel.quiet else at


def ends(quiet: Quiet, at: datetime, venue: VenueDay) -> datetime:
    """Return when the quiet hours that a time lies in end; the time itself if it lies in none."""
    zone = ZoneInfo(quiet.zone or venue.zone)
    local = at.astimezone(zone)
    since, until, clock = quiet.since, quiet.until, local.timetz().replace(tzinfo=None)
    over_midnight = until <= since
    inside = clock >= since or clock < until if over_midnight else since <= clock < until
    if not inside:
        return at
    day = local.date() + timedelta(days=1 if over_midnight and clock >= since else 0)
    return datetime.combine(day, until, zone).astimezone(at.tzinfo)


def composed(who: str, happenings: Sequence[Happening], venue: VenueDay, held_since: datetime | None = None) -> Notice:
    """Return one notice about these happenings, the most severe first; `who` names the bot. Times are the venue's.

    `held_since` says since when the first of them was held back, because enough was sent within the hour.
    """
    ranked = sorted(happenings, key=lambda one: (-_rank(one.severity), one.at))
    kinds = dict.fromkeys((one.topic, one.what) for one in ranked)
    alike = ([one for one in ranked if (one.topic, one.what) == kind] for kind in kinds)
    lines = [line for group in alike for line in _lines(group, venue)]
    left = len(lines) - MOST_LINES
    lines = [*lines[:MOST_LINES], *([f"and {counted(left, 'more line')}: tradebot notify last"] if left > 0 else [])]
    if held_since is not None:
        lines.append(f"Held back since {_clock(held_since, venue)}, because enough was sent within the hour")
    worst = ranked[0].severity
    return Notice(f"{who}{_LABELS.get(worst, '')}", "\n".join(lines), worst)


def _lines(alike: Sequence[Happening], venue: VenueDay) -> Iterable[str]:
    if len(alike) <= ALIKE:
        return [line for one in alike for line in _told(one, venue)]
    first, last = min(one.at for one in alike), max(one.at for one in alike)
    newest = max(alike, key=lambda one: one.at)
    span = f"first {_clock(first, venue)}, last {_clock(last, venue)}"
    return [f"{len(alike)} {alike[0].what}, {span}: {safe(newest.text)}"]


def _told(one: Happening, venue: VenueDay) -> Iterable[str]:
    first, *more = one.text.split("\n")
    return [f"{_clock(one.at, venue)} {safe(first)}", *map(safe, more)]


def _clock(at: datetime, venue: VenueDay) -> str:
    return f"{venue.local(at):%H:%M}"


def safe(text: str) -> str:
    """Return one line in which nothing can be read as a link, a command, a mention or markup, whatever it was."""
    line = _BLANKS.sub(" ", _LINK.sub(". ", _UNSAFE.sub(" ", text))).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _rank(severity: Severity) -> int:
    return _ORDER.index(severity)
