"""How one look at something becomes a judgment, for what an audit looks at besides the bot's own records."""

from datetime import datetime

from msgspec import Struct

from tradebot.judging.judgment import Judgment, State


class Look(Struct, frozen=True):
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
