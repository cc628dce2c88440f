"""One row of `doctor` about something that only it looks at, and how an error becomes one."""

from collections.abc import Callable

from msgspec import Struct

from tradebot.errors import TradebotError
from tradebot.judging.judgment import Judgment, State

RUN_AGAIN = "Fix that, then run tradebot doctor"


class Seen(Struct, frozen=True):
    """How something is by `count` things of a kind, the newest `age_s` seconds old; a finding has a fix."""

    state: State
    found: str
    looked_at: str
    count: int = 1
    fix: str = ""
    age_s: float | None = 0.0

    def about(self, name: str) -> Judgment:
        """Return the row of this subject."""
        return Judgment(name, self.state, self.looked_at, self.count, self.found, self.fix, age_s=self.age_s)


def ok(found: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> Seen:
    """Return that all is well with what was looked at."""
    return Seen(State.OK, found, looked_at, count, age_s=age_s)


def warn(found: str, fix: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> Seen:
    """Return that trading can go on, but somebody should look."""
    return Seen(State.DEGRADED, found, looked_at, count, fix, age_s)


def bad(found: str, fix: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> Seen:
    """Return that trading needs something that isn't there."""
    return Seen(State.FAILED, found, looked_at, count, fix, age_s)


def skip(found: str) -> Seen:
    """Return that there is nothing to look at."""
    return Seen(State.SKIPPED, found, "", 0, age_s=None)


def failed(error: TradebotError | OSError) -> Seen:
    """Return that a check ended in an error."""
    if isinstance(error, TradebotError):
        return Seen(State.FAILED, error.message, "", 0, error.hint or RUN_AGAIN, None)
    found = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror or str(error))))
    return Seen(State.FAILED, found, "", 0, RUN_AGAIN, None)


def attempt(name: str, check: Callable[[], Seen]) -> Judgment:
    """Make a check; an error raised on purpose or by the operating system becomes a failed row."""
    try:
        return check().about(name)
    except (TradebotError, OSError) as error:
        return failed(error).about(name)
