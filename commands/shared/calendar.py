"""Keep the stored calendar as the broker has it, and check that two clocks agree before a date is recorded."""

from contextlib import nullcontext, suppress
from datetime import datetime

from jobs.runner_context import Done
from tradebot.app.calendar import ask
from tradebot.app.settings import Settings
from tradebot.app.wiring import App
from tradebot.errors import ClocksDisagreeError, ExitCode, TradebotError
from tradebot.gates.common import clocks_agree
from tradebot.model.bar import VenueClock
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job
from tradebot.timetable.sessions import is_due

ASKING = frozenset({Job.RECONCILE, Job.TRADE_ONCE})
"""The passes that ask if nobody has. Exits go by the broker's clock, and never wait for its calendar."""


def keep_calendar(app: "App", job: Job, clock: "VenueClock", by: str) -> None:
    """Store the calendar before a pass, and ask the broker's if that is due.

    Raises TradebotError if a pass of entries can't ask it: entries need both calendars and the clock to agree.
    """
    app.ensure_calendar(clock.now)
    if job in ASKING and is_due(app.ledger, clock, app.day):
        with nullcontext() if job is Job.TRADE_ONCE else suppress(TradebotError):
            _ask(app, clock, by)


def _ask(app: "App", clock: "VenueClock", by: str) -> str:
    return ask(app.ledger, app.settings.capabilities, app.reader.calendar, clock, app.events, by)


class BrokerCalendarKeeper:
    """Asks the broker's calendar inside `serve`, in the lane that uses its `now` as the source of trading time."""

    def __init__(self, app: "App", by: str) -> None:
        self._app = app
        self._by = by
        self._clock: VenueClock | None = None
        self._is_due = self._woke = False

    def now(self) -> datetime:
        """Return trading time, which is the venue's clock; the next look compares that clock with the calendar."""
        self._clock = self._app.reader.clock()
        return self._clock.now

    def woke(self) -> None:
        """Note that nothing looked for a while, so that the calendar is asked whatever is stored."""
        self._is_due = self._woke = True

    def is_due(self) -> bool:
        """Return True if the calendar should be asked now; that is found out whenever the clock was read."""
        if self._clock is not None:
            self._is_due = self._woke or self._is_due or is_due(self._app.ledger, self._clock, self._app.day)
            self._clock = None
        return self._is_due

    def ask(self) -> Done:
        """Ask the calendar and return what it said. Raises TradebotError if the broker doesn't answer."""
        # If the broker doesn't answer now, the next time that it tells the time makes this due again.
        self._is_due = False
        said = _ask(self._app, self._app.reader.clock(), self._by)
        self._woke = False
        return Done(said, ExitCode.DONE)


def require(clock: "VenueClock", second: "datetime | None", settings: "Settings") -> None:
    """Raise ClocksDisagreeError if the broker's clock and a second one do."""
    agreement = clocks_agree(clock.ahead_s(second), settings.limits)
    if not agreement.passed:
        raise disagreement(agreement)


def disagreement(decision: "Decision") -> ClocksDisagreeError:
    """Return the error that says how far the clocks are apart."""
    ahead_s = float(str(decision.observed))
    which = "ahead of" if ahead_s > 0 else "behind"
    return ClocksDisagreeError(
        f"{Reason.CLOCKS_DISAGREE}: the broker's clock is {abs(ahead_s):,.0f} s {which} the second one; "
        f"at most {decision.limit} s is allowed",
        REASONS[Reason.CLOCKS_DISAGREE].remedy,
    )
