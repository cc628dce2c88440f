"""One row of `doctor` about something that only it looks at, and how an error becomes one."""

from collections.abc import Callable

from msgspec import Struct

from tradebot.errors import TradebotError
from tradebot.judging.judgment import HealthState, Judgment

RUN_AGAIN = "Fix that, then run tradebot doctor"


class CheckResult(Struct, frozen=True):
    """How something is by `count` things of a kind, the newest `age_s` seconds old; a finding has a fix."""

    state: HealthState
    found: str
    looked_at: str
    count: int = 1
    fix: str = ""
    age_s: float | None = 0.0

    def about(self, name: str) -> Judgment:
        """Return the row of this subject."""
        return Judgment(name, self.state, self.looked_at, self.count, self.found, self.fix, age_s=self.age_s)


def ok(found: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> CheckResult:
    """Return that all is well with what was looked at."""
    return CheckResult(HealthState.OK, found, looked_at, count, age_s=age_s)


def warn(found: str, fix: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> CheckResult:
    """Return that trading can go on, but somebody should look."""
    return CheckResult(HealthState.DEGRADED, found, looked_at, count, fix, age_s)


def bad(found: str, fix: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> CheckResult:
    """Return that trading needs something that isn't there."""
    return CheckResult(HealthState.FAILED, found, looked_at, count, fix, age_s)


def skip(found: str) -> CheckResult:
    """Return that there is nothing to look at."""
    return CheckResult(HealthState.SKIPPED, found, "", 0, age_s=None)


def failed_check(error: TradebotError | OSError) -> CheckResult:
    """Return that a check ended in an error."""
    if isinstance(error, TradebotError):
        return CheckResult(HealthState.FAILED, error.message, "", 0, error.hint or RUN_AGAIN, None)
    found = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror or str(error))))
    return CheckResult(HealthState.FAILED, found, "", 0, RUN_AGAIN, None)


def attempt(name: str, check: Callable[[], CheckResult]) -> Judgment:
    """Make a check; an error raised on purpose or by the operating system becomes a failed row."""
    try:
        return check().about(name)
    except (TradebotError, OSError) as error:
        return failed_check(error).about(name)
