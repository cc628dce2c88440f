"""One row of a health check, and how an error becomes one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tradebot.errors import TradebotError

READ_AGAIN = "Fix what it says, then: tradebot doctor"


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One row: `count` things of the kind `looked_at`, the newest of them `age_s` old (0 was read this moment).

    A row without evidence is never ok, and a row that asks for something says what to do.
    """

    name: str
    mark: Mark
    found: str
    looked_at: str = ""
    count: int = 0
    age_s: float | None = 0.0
    fix: str = ""

    def __post_init__(self) -> None:
        """Hold the row to its promises."""
        assert self.mark is not Mark.OK or self.count, f"{self.name}: nothing looked at is not ok"
        assert self.mark in (Mark.OK, Mark.SKIP) or self.fix, f"{self.name}: says no fix"


def skipped(name: str, why: str) -> Check:
    """Return the row of something that was not looked at."""
    return Check(name, Mark.SKIP, why, age_s=None)


def failed(name: str, error: TradebotError) -> Check:
    """Return the row of a look that ended in an error."""
    return Check(name, Mark.FAIL, error.message, age_s=None, fix=error.hint or READ_AGAIN)


def attempt(name: str, look: Callable[[], Check]) -> Check:
    """Return the row of a look; what it raises on purpose, or the system refuses, is a failed row."""
    try:
        return look()
    except TradebotError as error:
        return failed(name, error)
    except OSError as error:
        found = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror or str(error))))
        return Check(name, Mark.FAIL, found, age_s=None, fix=READ_AGAIN)
