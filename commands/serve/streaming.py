"""The lane of `serve` that gets alerts over the flow source's stream while a session is open."""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobs.runner import LogKind, LogLine
from tradebot.app.streaming import following, may_stream, trading_time
from tradebot.app.wiring import App
from tradebot.desk.streaming import Follower
from tradebot.errors import OperatorError, TradebotError, one_line
from tradebot.model.bar import Session
from tradebot.timetable.sessions import session_of

if TYPE_CHECKING:
    from collections.abc import Callable


class StreamLane:
    """Follows the stream. A source that refuses the key isn't asked again: alerts are then fetched on schedule."""

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
        """Store what came; open the stream at the beginning of a session, and close it after its end."""
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
            self._session, self._follower = session, self._open.enter_context(following(self._bot))
        self._follower.look(session, self._now)

    def _stop(self) -> None:
        self._follower = None
        self._open.close()

    def _say(self, problem: TradebotError) -> None:
        message = f"stream: {one_line(problem)}"
        if message != self._told:
            self._told = message
            self._tell(LogLine(datetime.now(UTC), LogKind.FAILED, None, None, message, problem.code))
