"""One item of an audit, and the order in which findings are to be worked on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """How a thing stands. Where nothing was looked at, it is UNKNOWN and never OK."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Area(StrEnum):
    """What an item is about, in the order of what to do first: money that is there, then money that may be made."""

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
    """What was looked at: `count` of `what`, the newest of them made at `at` (trading time, None where none is)."""

    what: str
    count: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One judgement: `count` of `looked_at`, `age_s` old; what was found, and the command that deals with it.

    `left_out` marks what was not looked at on request, or cannot be: unknown, and nobody's task.
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
        """Hold the law of an audit, whoever makes an item."""
        assert self.count or self.state is not State.OK, f"{self.name}: nothing looked at is not ok"
        assert not self.left_out or self.state is State.UNKNOWN, f"{self.name}: what was left out is unknown"

    @property
    def is_finding(self) -> bool:
        """Tell whether somebody has to do something about it."""
        return self.state is not State.OK and not self.left_out


def judged(
    place: tuple[Area, str], look: Look, now: datetime, state: State, found: str, command: str | None = None
) -> Item:
    """Return an item; its age is that of the newest thing looked at."""
    age_s = (now - look.at).total_seconds() if look.at else None
    asks = command if state is not State.OK else None
    return Item(*place, state, look.what, look.count, look.at, age_s, found, asks)


def left_out(place: tuple[Area, str], what: str, why: str) -> Item:
    """Return the item of something that was not looked at, on purpose."""
    return Item(*place, State.UNKNOWN, what, 0, None, None, why, None, left_out=True)


_URGENCY = (State.FAIL, State.UNKNOWN, State.WARN)
_PLACES = {area: place for place, area in enumerate(Area)}


def ranked(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the findings, most urgent first: failures before gaps before warnings, then by what they put at risk."""
    found = [item for item in items if item.is_finding]
    return tuple(sorted(found, key=lambda item: (_URGENCY.index(item.state), _PLACES[item.area])))


def span(seconds: float) -> str:
    """Return a length of time as a person says it."""
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"
