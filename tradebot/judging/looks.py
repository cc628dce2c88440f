"""How one look at something becomes a judgment, for what an audit looks at besides the bot's own records."""

from dataclasses import dataclass
from datetime import datetime

from tradebot.judging.judgment import Judgment, State


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at: `count` of `what`; `at` is the trading time of the newest, if it has one."""

    what: str
    count: int
    at: datetime | None = None


def looked(name: str, look: Look, now: datetime, state: State, found: str, command: str = "") -> Judgment:
    """Return a judgment; its age is that of the newest thing looked at, and only a finding has a command."""
    age_s = max((now - look.at).total_seconds(), 0.0) if look.at else None
    return Judgment(name, state, look.what, look.count, found, command if state.is_finding else "", look.at, age_s)


def skipped(name: str, why: str, what: str = "") -> Judgment:
    """Return the judgment about something that wasn't looked at, on purpose or because there is nothing."""
    return Judgment(name, State.SKIPPED, what, 0, why)


def span(seconds: float) -> str:
    """Return a duration as people write it, such as 45 s, 12 min, 3.5 h or 2 days."""
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"
