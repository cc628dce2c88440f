"""Fetch bars that aren't stored yet, but wait for them only so long: a venue that stalls must not hold up a halt."""

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from datetime import UTC, date, datetime
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from commands.shared.times import when
from tradebot.adapters.bars.read_through import RestingBars, StoredBars
from tradebot.adapters.bars.store import BarStore
from tradebot.app.wiring import App
from tradebot.errors import TemporaryError, TradebotError
from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.view import BarNeed

T = TypeVar("T")
WAIT_S, AGAIN_S = 2.0, 60.0
Ask = Callable[[StoredBars], T]


class LateFetch(NamedTuple):
    """The thread that still waits, or waited too long; when it asked, and by the monotonic clock when it was late."""

    thread: threading.Thread
    asked_at: datetime
    late_s: float


class BackgroundFetch:
    """A thread with a twin of the bot, because SQLite's connections belong to one; it ends after its last question."""

    def __init__(self, bot: App) -> None:
        self._asked: SimpleQueue[tuple[Ask[Any], Future[Any]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, args=(bot.twin(),), name="bars", daemon=True)
        self.thread.start()

    def ask(self, ask: Ask[T]) -> Future[T]:
        """Return what will hold the answer, or the error that a verb would end with."""
        answer: Future[T] = Future()
        self._asked.put((ask, answer))
        return answer

    def end(self) -> None:
        """Let the thread end as soon as it has its answer."""
        self._asked.put(None)

    def _run(self, twin: App) -> None:
        with closing(twin):
            while (asked := self._asked.get()) is not None:
                ask, answer = asked
                try:
                    answer.set_result(ask(twin.bars))
                except (TradebotError, OSError, sqlite3.Error) as error:
                    answer.set_exception(error)
                finally:
                    # Whoever waits must hear of a bug, too.
                    if answer.cancel():
                        answer.set_running_or_notify_cancel()


class FetchPatience:
    """Lets one thread at a time ask the venue, and waits `wait_s` for it.

    If it is late, the venue isn't asked again before that thread has ended, and `again_s` have passed.
    """

    def __init__(
        self, wait_s: float = WAIT_S, again_s: float = AGAIN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wait_s, self._again_s, self._clock = wait_s, again_s, clock
        self._turn = threading.Lock()
        self._late: LateFetch | None = None

    def late(self) -> LateFetch | None:
        """Return what was late if the venue isn't asked now, or None."""
        late = self._late
        is_over = late and not late.thread.is_alive() and self._clock() - late.late_s >= self._again_s
        return None if is_over else late

    def told(self) -> str:
        """Return why newer bars may be lacking, as markup; empty if nothing was late."""
        late = self.late()
        if late is None:
            return ""
        return (
            f"The venue hasn't answered in time since {when(late.asked_at)} by this machine's clock: charts and "
            "benchmarks are drawn from the bars that are stored. Next: tradebot doctor"
        )

    def answer(self, asking: Callable[[], BackgroundFetch], ask: Ask[T]) -> T | None:
        """Return what the venue answers in time; None if it is late, or isn't asked."""
        if not self._turn.acquire(timeout=self._wait_s):
            return None
        try:
            if self.late() is not None:
                return None
            asked_at, thread = datetime.now(UTC), asking()
            answer = thread.ask(ask)
            if not wait([answer], self._wait_s).done:
                self._late = LateFetch(thread.thread, asked_at, self._clock())
                return None
            return answer.result()
        finally:
            self._turn.release()


class PatientBars(RestingBars):
    """The bars of one reading of a bot: fetched if they are lacking and come in time, else those that are stored."""

    def __init__(self, bot: App, patience: FetchPatience) -> None:
        super().__init__(self._at_rest, self._stored_sessions, bot.day)
        self._bot, self._patience = bot, patience
        self._asking: BackgroundFetch | None = None

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last bars as StoredBars does; TemporaryError if they are late and none are stored."""
        found = self._answer(lambda bars: bars.closed(need, symbols, until))
        return super().closed(need, symbols, until) if found is None else found

    def between(
        self, timeframe: str, symbols: Sequence[str], first: date, last: date, until: datetime
    ) -> Mapping[str, Series]:
        """Return bars by their dates as StoredBars does; TemporaryError if they are late and none are stored."""
        found = self._answer(lambda bars: bars.between(timeframe, symbols, first, last, until))
        return super().between(timeframe, symbols, first, last, until) if found is None else found

    def known_until(self, now: datetime) -> datetime:
        """Return the time up to which the source has bars at `now`; if it is late, those that are stored are all."""
        return self._answer(lambda bars: bars.known_until(now)) or super().known_until(now)

    def close(self) -> None:
        """Let the thread end; the bars that are stored are closed with the bot."""
        if self._asking is not None:
            self._asking.end()

    def _answer(self, ask: Ask[T]) -> T | None:
        return self._patience.answer(self._thread, ask)

    def _thread(self) -> BackgroundFetch:
        self._asking = self._asking or BackgroundFetch(self._bot)
        return self._asking

    def _stored_sessions(self, first: date, last: date) -> Sequence[Session]:
        return self._bot.ledger_view.sessions(first, last)

    def _at_rest(self) -> BarStore:
        if self._bot.bars_at_rest is None:
            raise TemporaryError(
                "the venue hasn't answered in time, and no bars are stored", "load the page again in a minute"
            )
        return self._bot.bars_at_rest.store
