"""What is worth telling a person who isn't looking, and the notice that tells it."""

import re
from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from tradebot.model.event import Severity
from tradebot.model.trading import TradingState


class Topic(StrEnum):
    """What a happening is about; a channel's rules choose among these.

    HALTS: the bot was halted, halted itself, or was let go on. ARMING: live trading was armed. POSITIONS: a position
    was opened or closed: why, and with what profit. PROTECTION: shares are without a stop at the broker, or have one
    again; closing a position keeps failing. ORDERS: what became of an order has been unknown for a minute. BOOKS: the
    broker's positions differ from the books, or the books are damaged. HEALTH: health stopped being OK, or is OK again;
    entries pause because too few coins have healthy data, or go on; the venue's list of contracts isn't believed, or a
    coin is gone from it. SLOTS: slots of the timetable were missed. STRATEGIES: the answer of a strategy was refused.
    BACKUPS: the session's backup failed or couldn't be copied off the machine, or an earlier one is damaged. SERVE:
    `serve` met a bug, stands still, or couldn't take over its configuration. VERSION: another version of tradebot is in
    use. APPROVALS: an entry waits for a person's yes. SUMMARY: the session in a few sentences, once its chore `summary`
    has run. EVENTS: an event that you asked for by name.
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
"""Topics that are told together every half hour; everything else goes at once."""


class Happening(Struct, frozen=True):
    """One thing to tell, in one line or several. `what` names several of its kind together, such as "slots missed"."""

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
    """Read quiet hours such as `22:00-07:00 Europe/Berlin`; without a zone they are the venue's.

    Raises ValueError that says how to write them.
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
    """Where notices go, and which: these topics, and events of these kinds (`subsystem.event_type`), if severe enough.

    At most so many are sent in an hour, besides what is CRITICAL.
    """

    name: str
    topics: frozenset[Topic]
    events: frozenset[str]
    least: Severity
    quiet: QuietHours | None
    most_an_hour: int


class Notice(Struct, frozen=True):
    """One message to a person: a line that says the most important thing, and the lines below it."""

    title: str
    text: str
    severity: Severity


class HeldThen(Struct, frozen=True):
    """A position as it was seen, by strategy and symbol; `quantity` is signed, the price per share in USD."""

    strategy: str
    symbol: str
    opened_at: datetime
    quantity: Decimal
    price: Decimal


class BotStatus(Struct, frozen=True):
    """How the bot was when it was last looked at, by which the next look knows what has happened since.

    `unknown` are the ids of orders of which it was told that their outcome is unknown. `unwell_since` is when health
    was first found not to be OK, and `told_unwell` says whether that was told.
    """

    at: datetime
    state: TradingState
    version: str
    held: tuple[HeldThen, ...]
    unknown: tuple[str, ...] = ()
    unwell_since: datetime | None = None
    told_unwell: bool = False
