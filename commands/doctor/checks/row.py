"""One row of `doctor` about something that only it looks at, and how an error becomes one."""

from collections.abc import Callable

from tradebot.errors import TradebotError
from tradebot.judging.judgment import Judgment, State

RUN_AGAIN = "Fix that, then run tradebot doctor"


def check(
    name: str, state: State, found: str, looked_at: str, count: int, age_s: float | None = 0.0, fix: str = ""
) -> Judgment:
    """Return a judgment by `count` things of a kind, the newest `age_s` seconds old (0 if read just now)."""
    return Judgment(name, state, looked_at, count, found, fix, age_s=age_s)


def failed(name: str, error: TradebotError) -> Judgment:
    """Return the row of a check that ended in an error."""
    return Judgment(name, State.FAILED, "", 0, error.message, error.hint or RUN_AGAIN)


def attempt(name: str, check: Callable[[], Judgment]) -> Judgment:
    """Make a check; an error raised on purpose or by the operating system becomes a failed row."""
    try:
        return check()
    except TradebotError as error:
        return failed(name, error)
    except OSError as error:
        found = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror or str(error))))
        return Judgment(name, State.FAILED, "", 0, found, RUN_AGAIN)
