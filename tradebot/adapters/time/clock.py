"""Read and move the embedded exchange's time, which stands still until it is ticked."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

from msgspec import Struct

from tradebot.adapters.wire import http
from tradebot.adapters.wire.allowed_hosts import is_loopback
from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError
from tradebot.errors import OperatorError, TemporaryError, TradebotError

SEE = "tradebot exchange status, then try again; tradebot exchange faults shows what keeps it from answering"
REFUSED = "tradebot exchange tick next_open moves on while its market lasts; tradebot exchange status shows its time"
STEP = "step"
FULL = 507
_STEP_S = 1.0
_TICK_S = 300.0


class EngineStatus(Struct, frozen=True):
    """The embedded exchange's status; `session` is None on days without a session.

    `pace` is STEP while time stands still until it is moved, as after each tick.
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
    """The embedded exchange's time, which only moves when told to, by seconds or to a named moment.

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
            raise OperatorError("only the embedded exchange can be ticked", "Use an address on 127.0.0.1.")
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
        """Let that much engine time pass, without waiting in real time."""
        return self._tick({"seconds": seconds})

    def status(self) -> EngineStatus:
        """Return the exchange's status."""
        return self._policy.run(lambda: self._ask("GET", "status", {}))

    def tick_to(self, moment: datetime | str) -> EngineStatus:
        """Move the engine to a time, or to `open`, `close` or `next_open`; raise OperatorError if that is past."""
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
