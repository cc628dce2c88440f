"""The times at which `serve` looks: as they come on a real venue, driven in lock-step on the embedded exchange."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

from tradebot.adapters.time.clock import EngineStatus
from tradebot.adapters.time.stopwatch import stopwatch
from tradebot.errors import TemporaryError

BEHIND = timedelta(seconds=1)
ASK_AGAIN = timedelta(minutes=5)
JUMP_S = 2.0
"""So far apart two measures of one span of time are more than drift."""


class RealTime:
    """A real venue's time: what it said last, and the seconds since then; it is asked again each few minutes.

    Nobody's setting of this machine's clock moves it: where that clock jumps, or the machine has slept, the venue is
    asked at once. It runs a second behind, so that a slot that has begun here has surely begun at the venue.
    """

    finished = False

    def __init__(self, ask: Callable[[], datetime], apart_s: float = 60) -> None:
        self._ask = ask
        self._apart_s = apart_s
        self._measure()

    @property
    def now(self) -> datetime:
        """Return the venue's time as last told and gone on since, less a second."""
        return self._told + self._since - BEHIND

    @property
    def believed(self) -> bool:
        """Tell whether this machine's clock bears the venue's out: if not, nobody knows which slots are over."""
        return abs((self._told + self._since).timestamp() - time.time()) <= self._apart_s

    def moments(self) -> Iterator[datetime]:
        """Yield now."""
        if self._since >= ASK_AGAIN or self._jumped:
            try:
                self._measure()
            except TemporaryError:
                # What it said last serves on: clocks drift slowly, and the passes say that the venue is away.
                self._keep(self._told + self._since)
        yield self.now

    @property
    def _since(self) -> timedelta:
        return timedelta(seconds=stopwatch() - self._started)

    @property
    def _jumped(self) -> bool:
        """Tell whether the machine's clock and its stopwatch no longer agree on how long that was."""
        return abs(time.time() - self._clock_s - self._since.total_seconds()) > JUMP_S

    def _measure(self) -> None:
        self._keep(self._ask())

    def _keep(self, told: datetime) -> None:
        self._told, self._started, self._clock_s = told, stopwatch(), time.time()


class Engine(Protocol):
    """The embedded exchange's time, as far as it is driven here."""

    def status(self) -> EngineStatus:
        """Return where the engine stands."""

    def sleep(self, seconds: float) -> EngineStatus:
        """Let engine time pass."""

    def tick_to(self, moment: datetime | str) -> EngineStatus:
        """Move to a named moment."""


class EngineTime:
    """The embedded exchange's time, driven from one due slot to the next; it waits while a pass is at work.

    `share_s` is how much engine time each tick lets pass.
    """

    def __init__(
        self,
        engine: Engine,
        share_s: float,
        next_due: Callable[[datetime], datetime | None],
        say: Callable[[datetime, str], None],
    ) -> None:
        self._engine = engine
        self._share_s = share_s
        self._next_due = next_due
        self._say = say
        self._now = engine.status().now
        self._looked = False
        self.finished = False
        self.believed = True

    @property
    def now(self) -> datetime:
        """Return the engine's time as last told."""
        return self._now

    def moments(self) -> Iterator[datetime]:
        """Yield each moment at which something is due, as far as one tick's share of engine time reaches."""
        status, left_s = self._engine.status(), self._share_s
        if not self._looked:
            # Engine time stands where the last driver left it, perhaps amid a slot.
            self._looked = True
            yield self._at(status)
        while left_s > 0 and not self.finished:
            if status.is_open:
                step_s = min(left_s, self._to_next(status))
                status = self._engine.sleep(step_s)
                left_s -= step_s
            else:
                status = self._pass_the_night(status)
            yield self._at(status)

    def _at(self, status: EngineStatus) -> datetime:
        self._now = status.now
        return status.now

    def _to_next(self, status: EngineStatus) -> float:
        """Return the seconds to the next slot, or to the close where no slot comes before it."""
        moments = (self._next_due(status.now), status.next_close)
        return min((moment - status.now).total_seconds() for moment in moments if moment is not None)

    def _pass_the_night(self, status: EngineStatus) -> EngineStatus:
        """Go to the next open at once: nothing is due while a session is closed."""
        if status.finished:
            self.finished = True
            return status
        if status.next_open is not None:
            self._say(status.now, f"the session is closed; the next one opens {status.next_open:%Y-%m-%d %H:%M} UTC")
        return self._engine.tick_to("next_open")
