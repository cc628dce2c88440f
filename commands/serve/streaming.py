"""The lane of `serve` that receives alerts over the flow source's stream while a session is open."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from jobs.runner import LogKind, LogLine
from tradebot.app.streaming import follow_stream, may_stream, trading_time
from tradebot.app.wiring import App
from tradebot.desk.streaming import Follower
from tradebot.errors import ExitCode, OperatorError, TradebotError, one_line
from tradebot.model.bar import Session
from tradebot.ports.broker import AccountSignal
from tradebot.timetable.sessions import session_of


class StreamLane:
    """Follows the flow source's stream. If the source refuses the key, alerts are only fetched on schedule."""

    def __init__(self, bot: "App", tell: "Callable[[LogLine], None]") -> None:
        self._bot = bot
        self._tell = tell
        self._open = ExitStack()
        self._now: Callable[[], datetime] | None = None
        self._follower: Follower | None = None
        self._session: Session | None = None
        self._told = ""
        self._refused = False

    def tick(self) -> None:
        """Store received alerts; open the stream at the beginning of a session, and close it after its end."""
        if self._refused:
            return
        try:
            self._look()
        except OperatorError as refused:
            self._refused = True
            self._stop()
            self._say(refused)
        except TradebotError as failed:
            self._say(failed)
        else:
            self._told = ""

    def close(self) -> None:
        """Close the stream and the bot in the thread that opened them."""
        self._stop()
        self._bot.close()

    def _look(self) -> None:
        self._now = self._now or trading_time(self._bot)
        now = self._now()
        session = session_of(self._bot.books, now, self._bot.day)
        if self._follower and self._session and (session != self._session or not may_stream(session, now)):
            # What came since the last look belongs to the session that is over.
            self._follower.look(self._session, self._now)
            self._stop()
        if session is None or not may_stream(session, now):
            return
        if self._follower is None:
            self._session, self._follower = session, self._open.enter_context(follow_stream(self._bot))
        self._follower.look(session, self._now)

    def _stop(self) -> None:
        self._follower = None
        self._open.close()

    def _say(self, problem: TradebotError) -> None:
        message = f"stream: {one_line(problem)}"
        if message != self._told:
            self._told = message
            self._tell(LogLine(datetime.now(UTC), LogKind.FAILED, None, None, message, problem.code))


LATER_S = 15.0
"""How long after an update exits run once more: a venue's history may need ten seconds to prove an order's end."""


class OrderUpdateListener:
    """Runs exits when the venue reports an update. `again` runs them, and returns False while they have to wait."""

    def __init__(
        self,
        account_feed: AccountSignal,
        again: Callable[[], bool],
        tell: Callable[[LogLine], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account_feed = account_feed
        self._again = again
        self._tell = tell
        self._monotonic = monotonic
        self._rang = False
        self._later_s: float | None = None
        self._problem = ""

    def tick(self) -> None:
        """Run exits after an update, and once more a little later; report when the stream fails or recovers."""
        self._rang = self._account_feed.rang() or self._rang
        now_s = self._monotonic()
        if self._rang:
            if self._again():
                self._rang, self._later_s = False, now_s + LATER_S
        elif self._later_s is not None and now_s >= self._later_s and self._again():
            self._later_s = None
        problem = self._account_feed.problem()
        if problem != self._problem:
            self._problem = problem
            text = (
                f"{problem}; exits run on schedule only"
                if problem
                else "exits run again after each update from the venue"
            )
            self._tell(LogLine(datetime.now(UTC), LogKind.NOTE, None, None, text, ExitCode.DONE))

    def close(self) -> None:
        """Stop listening for updates."""
        self._account_feed.close()
