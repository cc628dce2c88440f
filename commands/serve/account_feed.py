"""Run exits outside the timetable when a venue reports that something happened in the account."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from jobs.runner import LogKind, LogLine
from tradebot.errors import ExitCode
from tradebot.ports.broker import Bell

LATER_S = 15.0
"""When exits look once more after they were told: a venue's history may need ten seconds until it can prove an end."""


class Hearing:
    """Answers a bell: `again` runs exits, and returns False while they have to wait."""

    def __init__(
        self,
        bell: Bell,
        again: Callable[[], bool],
        tell: Callable[[LogLine], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bell = bell
        self._again = again
        self._tell = tell
        self._monotonic = monotonic
        self._rang = False
        self._later_s: float | None = None
        self._problem = ""

    def tick(self) -> None:
        """Run exits if it has rung, and once more a little later; tell if it can't ring, and if it can again."""
        self._rang = self._bell.rang() or self._rang
        now_s = self._monotonic()
        if self._rang:
            if self._again():
                self._rang, self._later_s = False, now_s + LATER_S
        elif self._later_s is not None and now_s >= self._later_s and self._again():
            self._later_s = None
        problem = self._bell.problem()
        if problem != self._problem:
            self._problem = problem
            said = f"{problem}; exits run by the timetable alone" if problem else "exits run when the venue tells again"
            self._tell(LogLine(datetime.now(UTC), LogKind.NOTE, None, None, said, ExitCode.DONE))

    def close(self) -> None:
        """Stop listening."""
        self._bell.close()
