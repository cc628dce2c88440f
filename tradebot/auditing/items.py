"""Items of an audit, and the order in which to work on findings."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """The state of an item. If nothing was looked at, it is UNKNOWN and never OK."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Area(StrEnum):
    """What an item is about, most urgent first: existing money comes before money that may be made."""

    BOOKS = "books"
    PROTECTION = "protection"
    LIMITS = "limits"
    ORDERS = "orders"
    HALTS = "halts"
    PROCESS = "process"
    MARKET = "market"
    POSITIONS = "positions"
    DATA = "data"
    CONFIGURATION = "configuration"
    SIGNALS = "signals"
    CYCLES = "cycles"
    BLOCKS = "blocks"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at: `count` of `what`; `at` is the trading time of the newest, if it has one."""

    what: str
    count: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One judgment: what was looked at, how many and how old; what was found, and the command that deals with it.

    `left_out` marks something that wasn't looked at, on request or because it can't be. It is UNKNOWN, but nobody has
    to act on it.
    """

    area: Area
    name: str
    state: State
    looked_at: str
    count: int
    at: datetime | None
    age_s: float | None
    found: str
    command: str | None
    left_out: bool = False

    def __post_init__(self) -> None:
        """Assert the law of an audit: nothing is OK unless something was looked at."""
        assert self.count or self.state is not State.OK, f"{self.name}: nothing looked at is not ok"
        assert not self.left_out or self.state is State.UNKNOWN, f"{self.name}: what was left out is unknown"

    @property
    def is_finding(self) -> bool:
        """Return True if someone has to act on this item."""
        return self.state is not State.OK and not self.left_out


def judged(
    place: tuple[Area, str], look: Look, now: datetime, state: State, found: str, command: str | None = None
) -> Item:
    """Return an item; its age is that of the newest thing looked at, and an OK item has no command."""
    age_s = (now - look.at).total_seconds() if look.at else None
    needed = command if state is not State.OK else None
    return Item(*place, state, look.what, look.count, look.at, age_s, found, needed)


def left_out(place: tuple[Area, str], what: str, why: str) -> Item:
    """Return the item for something that wasn't looked at, on purpose."""
    return Item(*place, State.UNKNOWN, what, 0, None, None, why, None, left_out=True)


_URGENCY = (State.FAIL, State.UNKNOWN, State.WARN)
_PLACES = {area: place for place, area in enumerate(Area)}


def ranked(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the findings, most urgent first: failures, then unknowns, then warnings; within each, by area."""
    findings = [item for item in items if item.is_finding]
    return tuple(sorted(findings, key=lambda item: (_URGENCY.index(item.state), _PLACES[item.area])))


def span(seconds: float) -> str:
    """Return a duration as people write it, such as 45 s, 12 min, 3.5 h or 2 days."""
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"
