"""Read options flow from Unusual Whales: one GET per request; rows are returned unparsed."""

import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tradebot.adapters.flow.rate_quota import (
    LONGEST_WAIT_S,
    SPARE,
    KeptQuota,
    allowance_error,
    is_spent,
    next_quota_day,
)
from tradebot.adapters.wire.allowed_hosts import check_secret, check_url
from tradebot.adapters.wire.http import (
    LATER,
    NETWORK,
    BodyError,
    HttpReply,
    RequestBounds,
    RetryableError,
    RetryPolicy,
    WireError,
    exchange,
    printable,
)
from tradebot.errors import ExitCode, NotInPlanError, NotServedError, OperatorError, TemporaryError
from tradebot.model.fact_kind import AnyKind, FlowRequest
from tradebot.model.flow import Allowance, FlowPage, Quota


class UnhurriedSession:
    """Keeps connections open between requests, with timeouts and without retries.

    It uses only the transport of a `requests` session: the session itself would store cookies, read proxies and
    passwords from the environment, and read a redirect's body without a size limit.
    """

    def __init__(self, bounds: RequestBounds) -> None:
        self._adapter = HTTPAdapter(max_retries=0)
        self._timeout = (bounds.connect_s, bounds.read_s)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send one request and return the reply, whose body is still unread; raise HTTPError."""
        try:
            request = requests.Request(method, url, headers, data=body).prepare()
            answer: urllib3.BaseHTTPResponse = self._adapter.send(request, stream=True, timeout=self._timeout).raw
        except requests.RequestException as error:
            raise urllib3.exceptions.HTTPError(str(error)) from error
        return answer


UNUSUAL_WHALES_URL = "https://api.unusualwhales.com"

_HINTS = {403: "Your plan does not include it; asking again won't help.", 422: "Check the symbol."}
_REFUSALS = {403: NotInPlanError, 422: NotServedError}
_CLOCKS_APART_S = 1.0
"""How much longer than the source's minute to wait, because its clock may differ from ours."""
_LONGEST_HOLD_S = 3600
"""The longest wait that a response may ask for; a longer one is ignored."""


class UnusualWhales:
    """The client of Unusual Whales, for any kind of facts.

    `allowance` is the plan's limit, or None if the source has no limit. `now` returns trading time; it is called only
    if there is an allowance. Once the day's requests are used up, further calls fail without sending a request until
    the allowance renews at 20:00 New York time. Through `quota_file`, the remaining quota is shared with other
    processes. `sleep` waits until the next request is allowed. `heard` is called with each reply before the reply is
    used. `told_at` returns the time stated in a reply, if any.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        now: Callable[[], datetime],
        allowance: Allowance | None = None,
        quota_file: Path | None = None,
        sleep: Callable[[float], object] = time.sleep,
        heard: Callable[[HttpReply], None] = lambda answer: None,
        told_at: Callable[[HttpReply], datetime | None] = lambda answer: None,
        bounds: RequestBounds | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        check_url("the Unusual Whales address", base_url, (UNUSUAL_WHALES_URL,))
        check_secret("UW_API_KEY", token)
        self._base_url = base_url
        self._now = now
        self._heard = heard
        self._told_at = told_at
        self._bounds = bounds or RequestBounds()
        self._policy = policy or RetryPolicy()
        self._session = UnhurriedSession(self._bounds)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self.quota = KeptQuota(quota_file, allowance, now, sleep=sleep)

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Return the rows of one kind; raise TemporaryError naming the path, or OperatorError if the key is refused."""
        request = request_of(kind, symbol, session)
        answer = self._policy.run(lambda: self._ask(request))
        quota = quota_of(answer.headers)
        if answer.status == 429:
            raise _too_many(request.path, answer, quota, next_quota_day(self._told_at(answer) or self._now()))
        rows = read_rows(request.path, answer, single=kind.single)
        return FlowPage(kind.name, symbol, rows, quota, self._told_at(answer), answer.status, answer.body)

    def calls_left(self) -> int | None:
        """Return how many calls the timetable may still make today; None if there is no limit."""
        return self.quota.planned_left()

    def _ask(self, request: FlowRequest) -> HttpReply:
        self.quota.take()
        url = self._base_url + request.path
        try:
            answer = exchange(self._session, self._bounds, "GET", url, headers=self._headers, params=request.params)
        except WireError as error:
            raise RetryableError(f"GET {request.path}: {error}", NETWORK) from error
        self._heard(answer)
        self._count(answer)
        if answer.status >= 500:
            raise RetryableError(f"GET {request.path} answered {answer.status}: {answer.excerpt}", LATER)
        return answer

    def _count(self, answer: HttpReply) -> None:
        """Correct our count of requests from a reply's headers, and delay the next request if it would be refused."""
        quota = quota_of(answer.headers)
        wait_s = wait_of(answer, quota)
        # Reading the time may cost a request, so read it only if something depends on it.
        if self.quota.would_change(quota, wait_s):
            self.quota.correct(quota, self._told_at(answer) or self._now(), wait_s)


def wait_of(answer: HttpReply, quota: Quota) -> float | None:
    """Return how many seconds to wait after a reply; None if no wait is needed.

    The source says in milliseconds when its current minute ends. A Retry-After, in seconds or as a date, takes
    precedence.
    """
    refused = answer.status == 429
    few = quota.left_this_minute is not None and quota.left_this_minute < SPARE
    if not (refused or few):
        return None
    asked_s = _retry_after_s(answer) if refused else None
    reset_ms = _count(answer.headers, "x-uw-req-per-minute-reset")
    if asked_s is None:
        asked_s = LONGEST_WAIT_S if reset_ms is None else min(reset_ms / 1000 + _CLOCKS_APART_S, LONGEST_WAIT_S)
    return min(asked_s, _LONGEST_HOLD_S)


def _retry_after_s(answer: HttpReply) -> float | None:
    """Return the seconds of Retry-After; None if it isn't there, can't be read, or is in the past."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:10])
    try:
        then, answered = (parsedate_to_datetime(each) for each in (text, answer.headers.get("Date", "")))
        wait_s = (then - answered).total_seconds()
    except (ValueError, TypeError):
        return None
    return wait_s if wait_s > 0 else None


def _too_many(path: str, answer: HttpReply, quota: Quota, day_ends: datetime) -> TemporaryError:
    if is_spent(quota):
        return allowance_error(f"GET {path}: the day's allowance is used up", day_ends)
    return TemporaryError(
        f"GET {path}: this minute's allowance is used up; it renews in {wait_of(answer, quota):.0f} s",
        "Nothing to do: the bot waits that long. Another program may be using the same key.",
    )


def request_of(kind: AnyKind, symbol: str | None, session: date) -> FlowRequest:
    """Build the request for one kind of facts; it needs a symbol unless the kind is market-wide."""
    asked_for = kind.request
    if kind.market_wide:
        return asked_for("", session)
    if symbol is None:
        raise ValueError(f"{kind.name} needs one symbol at a time")
    # The source writes share classes without the dot.
    return asked_for(quote(symbol.replace(".", ""), safe=""), session)


def read_rows(path: str, answer: HttpReply, *, single: bool = False) -> tuple[object, ...]:
    """Return the rows of a successful reply. An unknown ticker has no rows; for any other reply, raise the error that
    fits it.
    """
    if answer.status == 401:
        raise OperatorError(
            f"GET {path}: the flow source refused the key", "Check UW_API_KEY.", code=ExitCode.AUTHENTICATION
        )
    if answer.status == 404:
        return ()
    if answer.status != 200:
        message = f"GET {path} answered {answer.status}: {_error_message(answer)}"
        raise _REFUSALS.get(answer.status, TemporaryError)(message, _HINTS.get(answer.status, ""))
    return _data_rows(path, answer, single)


def _data_rows(path: str, answer: HttpReply, single: bool) -> tuple[object, ...]:
    try:
        body = answer.json()
    except BodyError as error:
        raise TemporaryError(f"GET {path}: {error}: {answer.excerpt}") from error
    if not isinstance(body, dict):
        raise TemporaryError(f"GET {path} did not return a JSON object")
    rows = body.get("data")
    if single and isinstance(rows, dict):
        return (rows,)
    if not isinstance(rows, list):
        problem = "no data" if rows is None else "data that is not a list"
        raise TemporaryError(f"GET {path} answered with {problem}: {_error_message(answer)}")
    return tuple(rows)


def _error_message(answer: HttpReply) -> str:
    """Return the message of an error body, whose field name differs from status to status."""
    try:
        body = answer.json()
    except BodyError:
        return answer.excerpt
    texts = [body[name] for name in ("message", "msg", "error") if body.get(name)] if isinstance(body, dict) else []
    return printable(str(texts[0])) if texts else answer.excerpt


def quota_of(headers: Mapping[str, str]) -> Quota:
    """Return the quota figures in the reply's headers; None for each missing one."""
    return Quota(
        used_today=_count(headers, "x-uw-daily-req-count"),
        daily_limit=_count(headers, "x-uw-token-req-limit"),
        left_this_minute=_count(headers, "x-uw-req-per-minute-remaining"),
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None
