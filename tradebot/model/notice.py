"""Notices to people, and the events that they report."""

import re
from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from tradebot.model.event import Severity
from tradebot.model.trading import TradingState


class Topic(StrEnum):
    """What a notice is about; a channel's rules select topics.

    HALTS: the bot was halted, halted itself, or was unhalted. ARMING: live trading was armed. POSITIONS: a position was
    opened or closed, with reason and profit. PROTECTION: shares are without a stop at the broker, or have one again;
    closing a position keeps failing. ORDERS: the outcome of an order has been unknown for a minute. BOOKS: the broker's
    positions differ from the books, or the books are damaged. HEALTH: health stopped being OK, or is OK again; entries
    pause because too few coins have healthy data, or resume; the venue's list of contracts was rejected, or a coin is
    gone from it. SLOTS: slots of the timetable were missed. STRATEGIES: a strategy's answer was refused. BACKUPS: the
    session's backup failed or couldn't be copied off the machine, or an earlier one is damaged. SERVE: `serve` hit a
    bug, hangs, or couldn't reload its configuration. VERSION: another version of tradebot is in use. APPROVALS: an
    entry waits for approval. SUMMARY: the session in a few sentences, once its chore `summary` has run. EVENTS: an
    event that you selected by name.
    """

    HALTS = "halts"
    ARMING = "arming"
    POSITIONS = "positions"
    PROTECTION = "protection"
    ORDERS = "orders"
    BOOKS = "books"
    HEALTH = "health"
    SLOTS = "slots"
    STRATEGIES = "strategies"
    BACKUPS = "backups"
    SERVE = "serve"
    VERSION = "version"
    APPROVALS = "approvals"
    SUMMARY = "summary"
    EVENTS = "events"


GATHERED = frozenset({Topic.POSITIONS})
"""Topics whose notices are combined every half hour; all others are sent at once."""


class NoticeEvent(Struct, frozen=True):
    """One event to report, in one or more lines. `what` is the plural phrase for events of its kind, such as "slots
    missed".
    """

    at: datetime
    topic: Topic
    severity: Severity
    what: str
    text: str


class QuietHours(Struct, frozen=True):
    """Hours, perhaps across midnight, in which only CRITICAL notices are sent; an empty `zone` means the venue's."""

    since: time
    until: time
    zone: str


_QUIET = re.compile(r"(\d{1,2}:\d\d)-(\d{1,2}:\d\d)(?: +([A-Za-z_]+(?:/[A-Za-z_+-]+)*[0-9]*))?")


def quiet_hours(text: str) -> QuietHours:
    """Parse quiet hours such as `22:00-07:00 Europe/Berlin`; without a zone they are in the venue's.

    Raise ValueError, with the expected format, for any other text.
    """
    match = _QUIET.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        since, until = (time.fromisoformat(part.rjust(5, "0")) for part in match.groups()[:2])
        zone = match[3] or ""
        ZoneInfo(zone or "UTC")
    except (ValueError, ZoneInfoNotFoundError):
        raise ValueError("must be hours of the day, such as 22:00-07:00 Europe/Berlin") from None
    return QuietHours(since, until, zone)


class Channel(Struct, frozen=True):
    """A receiver of notices and its rules: topics, event kinds (`subsystem.event_type`), and the least severity.

    At most `most_an_hour` are sent in an hour, apart from CRITICAL ones.
    """

    name: str
    topics: frozenset[Topic]
    events: frozenset[str]
    least: Severity
    quiet: QuietHours | None
    most_an_hour: int


class Notice(Struct, frozen=True):
    """One message to a person: a headline, and the lines below it."""

    title: str
    text: str
    severity: Severity


class PreviousPosition(Struct, frozen=True):
    """A position at the last check, by strategy and symbol; `quantity` is signed, the price per share in USD."""

    strategy: str
    symbol: str
    opened_at: datetime
    quantity: Decimal
    price: Decimal


class BotStatus(Struct, frozen=True):
    """The bot's state at the last check. The next check compares with it to find what has happened since.

    `unknown` are the ids of orders whose unknown outcome was already reported. `unwell_since` is when health stopped
    being OK, and `told_unwell` says whether that was reported.
    """

    at: datetime
    state: TradingState
    version: str
    held: tuple[PreviousPosition, ...]
    unknown: tuple[str, ...] = ()
    unwell_since: datetime | None = None
    told_unwell: bool = False
