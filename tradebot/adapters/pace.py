"""The times at which `serve` looks: as they come on a real venue, driven in lock-step on the embedded exchange."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tradebot.adapters.clock import EngineStatus
from tradebot.errors import TemporaryError

BEHIND = timedelta(seconds=1)
ASK_AGAIN_S = 300.0


class RealTime:
    """A real venue's time: our clock, corrected by the venue's each few minutes.

    It runs a second behind, so that a slot that has begun here has surely begun at the venue.
    """

    finished = False

    def __init__(self, ask: Callable[[], datetime]) -> None:
        self._ask = ask
        self._offset, self._asked_at = self._measure()

    @property
    def now(self) -> datetime:
        """Return the venue's time as last corrected, less a second."""
        return datetime.now(UTC) + self._offset - BEHIND

    def moments(self) -> Iterator[datetime]:
        """Yield now."""
        if time.monotonic() - self._asked_at >= ASK_AGAIN_S:
            try:
                self._offset, self._asked_at = self._measure()
            except TemporaryError:
                # The last correction serves on: clocks drift slowly, and the passes say that the venue is away.
                self._asked_at = time.monotonic()
        yield self.now

    def _measure(self) -> tuple[timedelta, float]:
        return self._ask() - datetime.now(UTC), time.monotonic()


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
