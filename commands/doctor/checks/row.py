"""One row of a health check, and how an error becomes one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tradebot.errors import TradebotError

RUN_AGAIN = "Fix that, then run tradebot doctor"


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: it looked at `count` things of a kind, the newest `age_s` seconds old (0 if read just now).

    A check without evidence is never ok, and one that isn't ok says how to fix it.
    """

    name: str
    mark: Mark
    found: str
    looked_at: str = ""
    count: int = 0
    age_s: float | None = 0.0
    fix: str = ""

    def __post_init__(self) -> None:
        """Require evidence of a check that is ok, and a fix of one that isn't."""
        assert self.mark is not Mark.OK or self.count, f"{self.name}: a check without evidence is not ok"
        assert self.mark in (Mark.OK, Mark.SKIP) or self.fix, f"{self.name}: has no fix"


def skipped(name: str, why: str) -> Check:
    """Return the row of a check that was not made."""
    return Check(name, Mark.SKIP, why, age_s=None)


def failed(name: str, error: TradebotError) -> Check:
    """Return the row of a check that ended in an error."""
    return Check(name, Mark.FAIL, error.message, age_s=None, fix=error.hint or RUN_AGAIN)


def attempt(name: str, check: Callable[[], Check]) -> Check:
    """Make a check; an error raised on purpose or by the operating system becomes a failed row."""
    try:
        return check()
    except TradebotError as error:
        return failed(name, error)
    except OSError as error:
        found = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror or str(error))))
        return Check(name, Mark.FAIL, found, age_s=None, fix=RUN_AGAIN)
