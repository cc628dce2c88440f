"""Read and advance time: the embedded exchange's and a real venue's. Tell `serve` when to check for work.

The embedded exchange's time stands still until it is ticked. Trading time is the venue's. In real time, it is the
venue's last reported time plus the seconds on a monotonic stopwatch since then. It is fetched again immediately if the
machine's clock has jumped or the machine has slept. Nothing is sent in the last two seconds before a close, because it
might arrive after the close.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

from msgspec import Struct

from tradebot.adapters.time.machine_clock import awake_seconds, stopwatch, wall_clock_s
from tradebot.adapters.wire import http
from tradebot.adapters.wire.allowed_hosts import is_loopback
from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError
from tradebot.errors import OperatorError, TemporaryError, TradebotError
from tradebot.model.serving import Pause

SEE = "tradebot exchange status, then try again; tradebot exchange faults shows what keeps it from answering"

REFUSED = "tradebot exchange tick next_open advances it until its market ends; tradebot exchange status shows its time"

STEP = "step"

FULL = 507

_STEP_S = 1.0

_TICK_S = 300.0


class EngineStatus(Struct, frozen=True):
    """The embedded exchange's status; `session` is None on days without a session.

    `pace` is STEP while time stands still between ticks.
    """

    now: datetime
    session: date | None
    next_open: datetime | None
    next_close: datetime | None
    is_open: bool
    account_number: str
    finished: bool
    pace: str = STEP


class LockStepClock:
    """The embedded exchange's time, which advances only on request, by seconds or to a named moment.

    `headers` returns, for each request, the headers that prove the request comes from the user running the exchange.
    """

    def __init__(
        self,
        url: str,
        headers: Callable[[], Mapping[str, str]] = dict,
        *,
        bounds: http.RequestBounds | None = None,
        policy: http.RetryPolicy | None = None,
    ) -> None:
        if not is_loopback(url):
            raise OperatorError("only the embedded exchange's clock can be advanced", "Use an address on 127.0.0.1.")
        # One tick may play a whole session, which takes longer than any other request.
        self._bounds = bounds or http.RequestBounds(read_s=_TICK_S, total_s=_TICK_S)
        self._policy = policy or http.RetryPolicy()
        self._session = http.BoundedSession(self._bounds)
        self._base = f"{url}/exchange/v1"
        self._headers = headers

    def now(self) -> datetime:
        """Return the engine's time, in UTC."""
        return self.status().now

    def now_or_none(self) -> datetime | None:
        """Return the engine's time, or None if the exchange doesn't answer."""
        try:
            return self.now()
        except TradebotError:
            return None

    def sleep(self, seconds: float) -> EngineStatus:
        """Advance engine time by this many seconds, without waiting in real time."""
        return self._tick({"seconds": seconds})

    def status(self) -> EngineStatus:
        """Return the exchange's status."""
        return self._policy.run(lambda: self._ask("GET", "status", {}))

    def tick_to(self, moment: datetime | str) -> EngineStatus:
        """Advance the engine to a time, or to `open`, `close` or `next_open`; raise OperatorError if that time has
        passed.
        """
        return self._tick({"to": moment if isinstance(moment, str) else moment.isoformat()})

    def _tick(self, body: dict[str, object]) -> EngineStatus:
        """Tick once; a lost answer is not retried, because time may already have moved."""
        return self._ask("POST", "tick", self._headers(), body)

    def _ask(self, method: str, name: str, headers: Mapping[str, str], body: object = None) -> EngineStatus:
        url = f"{self._base}/{name}"
        try:
            answer = http.exchange(self._session, self._bounds, method, url, headers=headers, body=body)
        except http.WireError as error:
            raise http.RetryableError(f"the embedded exchange does not answer: {error}", SEE) from error
        if 400 <= answer.status < 500:
            raise OperatorError(f"the embedded exchange refused {name}: {answer.excerpt}", REFUSED)
        if answer.status == FULL:
            raise OperatorError(f"the embedded exchange has ended: {answer.excerpt}", "free some space, then try again")
        if answer.status != 200:
            raise http.RetryableError(
                f"the embedded exchange answered {name} with {answer.status}: {answer.excerpt}", SEE
            )
        return _read_status(answer)


def _read_status(answer: http.HttpReply) -> EngineStatus:
    try:
        row = JsonFields("status", answer.json(), DriftTally())
        session = row.value("session")
        return EngineStatus(
            now=row.time("now"),
            session=date.fromisoformat(row.text("session")) if session is not None else None,
            next_open=row.time_or_none("next_open"),
            next_close=row.time_or_none("next_close"),
            is_open=row.value("is_open") is True,
            account_number=row.text("account_number"),
            finished=row.value("finished") is True,
            pace=row.text_or_none("pace") or STEP,
        )
    except (http.BodyError, RowError, ValueError) as error:
        raise TemporaryError(f"the embedded exchange's status can't be read: {error}") from error


BEHIND = timedelta(seconds=1)

ASK_AGAIN_S = 300.0

ASK_SOON_S = 15.0

"""The wait before the next request while venue and machine disagree about the time."""

JUMP_S = 2.0

"""Two measurements of the same time span that differ by more seconds than this are more than drift."""

PAUSE_S = 60.0

"""A tick comes each second. If the next one comes this much later, the machine slept or the process was stopped."""


class Clocks(NamedTuple):
    """A machine's clocks in seconds: one that can be set, one that can't, and one that stops while the machine
    sleeps.
    """

    wall: Callable[[], float] = wall_clock_s
    stopwatch: Callable[[], float] = stopwatch
    awake: Callable[[], float] = awake_seconds


class RealTime:
    """A real venue's time: its last reply plus the seconds since; it is fetched again every few minutes.

    Changing this machine's clock doesn't affect it: if that clock jumps, or the machine has slept, the venue is queried
    right away. It runs one second behind, so a slot that has begun here has certainly begun at the venue.
    """

    is_finished = False

    def __init__(self, ask: Callable[[], datetime], apart_s: float = 60, clocks: Clocks = Clocks()) -> None:  # noqa: B008
        self._ask = ask
        self._clocks = clocks
        self._apart_s = apart_s
        self._rested: tuple[float, float, datetime] | None = None
        self._ask_venue()

    @property
    def now(self) -> datetime:
        """Return the venue's last known time plus the time since then, minus one second."""
        return self._last_time + timedelta(seconds=self._since_s) - BEHIND

    @property
    def is_trustworthy(self) -> bool:
        """Return True if this machine's clock agrees with the venue's; otherwise nobody knows which slots are over."""
        return abs(self._ahead_s + self._clock_s + self._since_s - self._clocks.wall()) <= self._apart_s

    def moments(self) -> Iterator[datetime]:
        """Yield the current time, after fetching the venue's time if that is due."""
        if self._has_jumped or self._since_s >= (ASK_AGAIN_S if self.is_trustworthy else ASK_SOON_S):
            try:
                self._ask_venue()
            except TemporaryError:
                # Keep using the last reply: clocks drift slowly, and the passes report that the venue is unreachable.
                self._keep(self._last_time + timedelta(seconds=self._since_s))
        yield self.now

    def rest(self) -> None:
        """Record that no work is left for now; `pause` is measured from here."""
        self._rested = self._clocks.stopwatch(), self._clocks.awake(), self.now

    def pause(self) -> Pause | None:
        """Return the pause since `rest` if it lasted more than a minute, with the time in which the machine slept;
        otherwise None.
        """
        if self._rested is None:
            return None
        counted_s, awake_s, began = self._rested
        passed_s = self._clocks.stopwatch() - counted_s
        asleep_s = passed_s - (self._clocks.awake() - awake_s)
        return Pause(began, self.now, asleep_s) if passed_s > PAUSE_S else None

    @property
    def _since_s(self) -> float:
        return self._clocks.stopwatch() - self._started_s

    @property
    def _has_jumped(self) -> bool:
        """Return True if the machine's clock and its stopwatch disagree about how much time has passed."""
        return abs(self._clocks.wall() - self._clock_s - self._since_s) > JUMP_S

    def _ask_venue(self) -> None:
        self._keep(self._ask())

    def _keep(self, moment: datetime) -> None:
        self._last_time, self._started_s, self._clock_s = moment, self._clocks.stopwatch(), self._clocks.wall()
        self._ahead_s = moment.timestamp() - self._clock_s


class Engine(Protocol):
    """The embedded exchange's clock, which this process advances."""

    def status(self) -> EngineStatus:
        """Return the engine's current status."""

    def sleep(self, seconds: float) -> EngineStatus:
        """Let engine time pass."""

    def tick_to(self, moment: datetime | str) -> EngineStatus:
        """Advance the engine to a time or to a named moment, such as `open`."""


class EngineTime:
    """The embedded exchange's time, advanced from one due slot to the next; it stands still while a pass is running.

    `share_s` is how many seconds of open market pass per tick. Raise OperatorError if the exchange's clock runs
    automatically, because then nobody else may advance it.
    """

    def __init__(
        self,
        engine: Engine,
        share_s: float,
        next_due: Callable[[datetime], datetime | None],
        report: Callable[[datetime, str], None],
    ) -> None:
        self._engine = engine
        self._share_s = share_s
        self._next_due = next_due
        self._report = report
        self._status = _require_lock_step(engine.status())
        self._started_looking = False
        self.is_finished = False
        self.is_trustworthy = True

    @property
    def now(self) -> datetime:
        """Return the engine's last known time."""
        return self._status.now

    def rest(self) -> None:
        """Record that no work is left: engine time stands still until there is more work."""

    def pause(self) -> None:
        """Return None: engine time stands still between checks."""

    def moments(self) -> Iterator[datetime]:
        """Yield the current time after each step: whenever a job is due, and once one tick's share of engine time has
        passed.
        """
        self._status, left_s = _require_lock_step(self._engine.status()), self._share_s
        if not self._started_looking:
            # Engine time is wherever the last driver left it, perhaps in the middle of a slot.
            self._started_looking = True
            yield self.now
        while left_s > 0 and not self.is_finished:
            # A market that never closes is open at its end too.
            if self._status.is_open and not self._status.finished:
                step_s = min(left_s, self._to_next(self._status))
                self._status = self._engine.sleep(step_s)
                left_s -= step_s
            else:
                self._status = self._pass_the_night(self._status)
            yield self.now

    def passing(self, seconds: float) -> Iterator[datetime]:
        """Advance time by the duration of a request.

        Yield the current time, each moment during the request at which a job is due, and the end of the request. Time
        that passes while these moments are handled counts toward the duration.
        """
        end = self.now + timedelta(seconds=seconds)
        yield self.now
        while (left_s := (end - self.now).total_seconds()) > 0 and not self._status.finished:
            self._status = self._engine.sleep(min(left_s, self._to_next(self._status)))
            yield self.now

    def _to_next(self, status: EngineStatus) -> float:
        """Return the seconds until the next slot, or until the close if no slot comes before it."""
        moments = (self._next_due(status.now), status.next_close)
        return min((moment - status.now).total_seconds() for moment in moments if moment is not None)

    def _pass_the_night(self, status: EngineStatus) -> EngineStatus:
        """Jump to the next open, or to what is due before it while the session is closed."""
        if status.finished:
            self.is_finished = True
            return status
        due = self._next_due(status.now)
        if due is not None and status.next_open is not None and due < status.next_open:
            return self._engine.tick_to(due)
        if status.next_open is not None:
            self._report(status.now, f"the session is closed; the next one opens {status.next_open:%Y-%m-%d %H:%M} UTC")
        return self._engine.tick_to("next_open")


def _require_lock_step(status: EngineStatus) -> EngineStatus:
    if status.pace == STEP:
        return status
    raise OperatorError(
        f"the embedded exchange's clock runs automatically ({status.pace}), and serve moves it from slot to slot",
        "end tradebot exchange serve, or run it without --time; tradebot serve --speed 60 is as fast as 60x",
    )
