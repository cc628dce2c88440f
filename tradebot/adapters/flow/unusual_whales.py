"""Read options flow from Unusual Whales: one GET per question, rows passed on as they came."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from urllib.parse import quote

from tradebot.adapters.flow.kept_quota import KeptQuota
from tradebot.adapters.wire.hosts import check_secret, check_url, is_loopback
from tradebot.adapters.wire.http import (
    LATER,
    NETWORK,
    Answer,
    BodyError,
    BoundedSession,
    Bounds,
    RetryableError,
    RetryPolicy,
    WireError,
    exchange,
    printable,
)
from tradebot.errors import AllowanceSpentError, ExitCode, OperatorError, TemporaryError
from tradebot.model.flow import REQUESTS_PER_MINUTE, FlowPage, Quota
from tradebot.model.kind import NEW_YORK, AnyKind, Request

UNUSUAL_WHALES_URL = "https://api.unusualwhales.com"

_QUOTA_DAY_ENDS = time(20, 0)

_BURST = 25


class UnusualWhales:
    """Unusual Whales, asked about any kind of facts.

    `now` returns trading time. It is only used when the daily allowance is spent: until the allowance renews at 20:00
    New York time, calls fail without sending a request. `quota_file` keeps what is left for the next process. `heard`
    gets each answer before it is used. `told_at` returns when an answer was made, if that can be told from it.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        now: Callable[[], datetime],
        quota_file: Path | None = None,
        heard: Callable[[Answer], None] = lambda answer: None,
        told_at: Callable[[Answer], datetime | None] = lambda answer: None,
        bounds: Bounds | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        check_url("the Unusual Whales address", base_url, (UNUSUAL_WHALES_URL,))
        check_secret("UW_API_KEY", token)
        self._base_url = base_url
        self._now = now
        self._heard = heard
        self._told_at = told_at
        self._bounds = bounds or Bounds()
        self._policy = policy or RetryPolicy()
        self._session = BoundedSession(self._bounds)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._kept = KeptQuota(quota_file, None if is_loopback(base_url) else REQUESTS_PER_MINUTE, _BURST)

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Return the rows of one kind; raise TemporaryError naming the path, or OperatorError if the key is refused."""
        request = request_of(kind, symbol, session)
        path = request.path
        self._check_allowance(path)
        answer = self._policy.run(lambda: self._ask(request))
        quota = quota_of(answer.headers)
        if answer.status == 429:
            raise self._too_many(path, answer, quota)
        rows = rows_of(path, answer)
        return FlowPage(kind.name, symbol, rows, quota, self._told_at(answer), answer.status, answer.body)

    def _ask(self, request: Request) -> Answer:
        self._kept.take()
        url = self._base_url + request.path
        try:
            answer = exchange(self._session, self._bounds, "GET", url, headers=self._headers, params=request.params)
        except WireError as error:
            raise RetryableError(f"GET {request.path}: {error}", NETWORK) from error
        self._heard(answer)
        if answer.status >= 500:
            raise RetryableError(f"GET {request.path} answered {answer.status}: {answer.excerpt}", LATER)
        return answer

    def _check_allowance(self, path: str) -> None:
        until = self._kept.spent_until
        if until is None:
            return
        now = self._now()
        # A time further away than the next renewal was written before trading time went back.
        if now < until <= next_quota_day(now):
            raise _day_spent(path, until)
        self._kept.spend_day(None)

    def _too_many(self, path: str, answer: Answer, quota: Quota) -> TemporaryError:
        if quota.used_today is not None and quota.daily_limit is not None and quota.used_today >= quota.daily_limit:
            until = next_quota_day(self._now())
            self._kept.spend_day(until)
            return _day_spent(path, until)
        reset_ms = _count(answer.headers, "x-uw-req-per-minute-reset")
        wait = "" if reset_ms is None else f"; it renews in {reset_ms / 1000:.0f} s"
        return TemporaryError(
            f"GET {path}: this minute's allowance is used up{wait}",
            "Try again in a minute, or fetch fewer symbols.",
        )


def _day_spent(path: str, until: datetime) -> AllowanceSpentError:
    return AllowanceSpentError(
        f"GET {path}: the day's allowance is used up until {until.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York time",
        "Wait until then, or fetch fewer symbols per day.",
    )


def next_quota_day(now: datetime) -> datetime:
    """Return when the next allowance day begins, in UTC: the next 20:00 in New York."""
    local = now.astimezone(NEW_YORK)
    day = local.date() if local.time() < _QUOTA_DAY_ENDS else local.date() + timedelta(days=1)
    return datetime.combine(day, _QUOTA_DAY_ENDS, NEW_YORK).astimezone(UTC)


def request_of(kind: AnyKind, symbol: str | None, session: date) -> Request:
    """Return the request about one kind; unless it is market-wide, it needs a symbol."""
    asked_for = kind.request
    if kind.market_wide:
        return asked_for("", session)
    if symbol is None:
        raise ValueError(f"{kind.name} needs one symbol at a time")
    # The source writes share classes without the dot.
    return asked_for(quote(symbol.replace(".", ""), safe=""), session)


def rows_of(path: str, answer: Answer) -> tuple[object, ...]:
    """Return the rows of a good answer, none for an unknown ticker; raise what any other answer means."""
    if answer.status == 401:
        raise OperatorError(
            f"GET {path}: the flow source refused the key",
            "Check UW_API_KEY.",
            code=ExitCode.AUTHENTICATION,
        )
    if answer.status == 404:
        return ()
    if answer.status != 200:
        raise TemporaryError(f"GET {path} answered {answer.status}: {_error_message(answer)}", _hint(answer.status))
    return _data_rows(path, answer)


def _data_rows(path: str, answer: Answer) -> tuple[object, ...]:
    try:
        body = answer.json()
    except BodyError as error:
        raise TemporaryError(f"GET {path}: {error}: {answer.excerpt}") from error
    if isinstance(body, list):
        return tuple(body)
    if not isinstance(body, dict):
        raise TemporaryError(f"GET {path} returned neither an object nor a list")
    rows = body.get("data")
    if isinstance(rows, dict):
        return (rows,)
    if not isinstance(rows, list):
        problem = "no data" if rows is None else "data that is not a list"
        raise TemporaryError(f"GET {path} answered with {problem}: {_error_message(answer)}")
    return tuple(rows)


def _error_message(answer: Answer) -> str:
    """Return the message of an error body, whose field name differs from status to status."""
    try:
        body = answer.json()
    except BodyError:
        return answer.excerpt
    texts = [body[name] for name in ("message", "msg", "error") if body.get(name)] if isinstance(body, dict) else []
    return printable(str(texts[0])) if texts else answer.excerpt


def _hint(status: int) -> str:
    hints = {403: "Your plan does not include it; asking again won't help.", 422: "Check the symbol."}
    return hints.get(status, "")


def quota_of(headers: Mapping[str, str]) -> Quota:
    """Return what the answer says about our allowance; None for whatever it doesn't say."""
    return Quota(
        used_today=_count(headers, "x-uw-daily-req-count"),
        daily_limit=_count(headers, "x-uw-token-req-limit"),
        left_this_minute=_count(headers, "x-uw-req-per-minute-remaining"),
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None
