"""Wrap alpaca-py's transport: one attempt with a timeout, no redirects, and raw replies instead of its models.

alpaca-py provides the addresses, the authentication headers and the request format. Its private method that sends
requests is replaced, because it would repeat a POST after a gateway timeout (504), accept a redirect as a reply, and
decode prices as floats. Its models aren't used either: one row with an unknown value would lose the whole list. Key,
address and mode are checked against each other before any request.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from alpaca.common.rest import RESTClient
from msgspec import Struct

from tradebot.adapters.wire.allowed_hosts import check_secret, check_url, is_loopback
from tradebot.adapters.wire.http import (
    LATER,
    NETWORK,
    BodyError,
    BoundedSession,
    HttpReply,
    RequestBounds,
    RetryableError,
    RetryPolicy,
    WireError,
    exchange,
)
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.parsers import error_code


class TokenBucket:
    """Lets `burst` requests through at once and `per_minute` on average; others wait."""

    def __init__(
        self,
        per_minute: float,
        burst: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate_s = per_minute / 60
        self._burst = float(burst)
        self._tokens = float(burst)
        self._monotonic = monotonic
        self._sleep = sleep
        self._last = monotonic()

    def take(self) -> None:
        """Take one token.

        If there is none, wait for one; that takes at most one token's interval.
        """
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate_s)
        self._last = now
        if self._tokens < 1:
            self._sleep((1 - self._tokens) / self._rate_s)
        self._tokens -= 1


PAPER_URL = "https://paper-api.alpaca.markets"

LIVE_URL = "https://api.alpaca.markets"

DATA_URL = "https://data.alpaca.markets"

SANDBOX_FEED = "sandbox"

FEEDS = ("iex", "sip")

_PAPER_PREFIX = "PK"

_LIVE_PREFIX = "AK"

_TRADING_URLS = {Mode.PAPER: PAPER_URL, Mode.LIVE: LIVE_URL}

_FOREIGN_PREFIXES = {Mode.PAPER: _LIVE_PREFIX, Mode.LIVE: _PAPER_PREFIX}

# The service allows 200 requests per minute and key. Burst and rate together stay below that in any minute.
_REQUESTS_PER_MINUTE = 160

_BURST = 30


def check_credentials(mode: Mode, key: str, base_url: str) -> None:
    """Raise OperatorError unless key and address belong to the mode; the message never shows the key."""
    check_url("ALPACA_BASE_URL", base_url, (PAPER_URL, LIVE_URL))
    check_secret("ALPACA_KEY", key)
    if mode is Mode.SANDBOX:
        if not is_loopback(base_url):
            raise OperatorError(
                "sandbox mode only trades on the embedded exchange", "Set ALPACA_BASE_URL to an address on 127.0.0.1."
            )
        return
    required, other = _TRADING_URLS[mode], Mode.LIVE if mode is Mode.PAPER else Mode.PAPER
    if base_url != required:
        raise OperatorError(
            f"mode {mode} does not fit ALPACA_BASE_URL",
            f"Set ALPACA_BASE_URL to {required}, or {_other_mode_hint(other)}",
        )
    if key.startswith(_FOREIGN_PREFIXES[mode]):
        raise OperatorError(
            f"ALPACA_KEY looks like a {other} key, but the mode is {mode}",
            f"Set ALPACA_KEY and ALPACA_SECRET of the {mode} account, or {_other_mode_hint(other)}",
        )


def _other_mode_hint(mode: Mode) -> str:
    """Return the hint for trading in another mode: a folder keeps the mode it was created with."""
    return f"create a bot for that mode: tradebot init --mode {mode} --state-dir NEW"


class AlpacaVenue(Struct, frozen=True, dict=True):
    """One account at one address; raise OperatorError if key, address and mode don't match.

    `before_read` is called before each read, each retry and each page, and may raise. `heard` gets each reply before it
    is used. `bounds` limits each request, and `policy` says how often a read is retried.
    """

    base_url: str
    data_url: str
    key: str
    secret: str
    feed: str
    mode: Mode
    before_read: Callable[[], None] = lambda: None
    heard: Callable[[HttpReply], None] = lambda answer: None
    bounds: RequestBounds = RequestBounds()
    policy: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        """Check mode, addresses and keys, without a request."""
        check_credentials(self.mode, self.key, self.base_url)
        check_secret("ALPACA_SECRET", self.secret)
        self._check_data()

    def __repr__(self) -> str:
        return f"AlpacaVenue({self.base_url!r}, {self.data_url!r}, feed={self.feed!r}, mode={self.mode!r})"

    @cached_property
    def budget(self) -> TokenBucket | None:
        """Return the request limiter that all users of this venue share."""
        return None if self.mode is Mode.SANDBOX else TokenBucket(_REQUESTS_PER_MINUTE, _BURST)

    def query_of(self, symbols: Sequence[str], feed: str | None = None) -> dict[str, str]:
        """Return the query for market data; it names no feed at the embedded exchange, which has only one."""
        source = feed or self.feed
        return {"symbols": ",".join(symbols)} | ({} if source == SANDBOX_FEED else {"feed": source})

    def _check_data(self) -> None:
        sandbox = self.mode is Mode.SANDBOX
        fits = is_loopback(self.data_url) if sandbox else self.data_url == DATA_URL
        if not fits:
            required = "an address on 127.0.0.1" if sandbox else DATA_URL
            raise OperatorError(
                f"the market data address does not fit mode {self.mode}",
                f"Set it to {required}, without a slash or a path at the end.",
            )
        if self.feed not in FEEDS and not (sandbox and self.feed == SANDBOX_FEED):
            raise OperatorError(
                f"there is no market data feed {self.feed!r} in mode {self.mode}",
                f"Set the feed to {' or '.join(FEEDS)}.",
            )


class RefusedReadError(OperatorError):
    """Raised when the broker refuses a read, with `status` and `venue_code`."""

    code = ExitCode.UNAVAILABLE

    def __init__(self, what: str, answer: HttpReply) -> None:
        super().__init__(
            f"{what} was refused: {answer.status} {answer.excerpt}",
            "Read the broker's message; a retry won't help.",
        )
        self.status = answer.status
        self.venue_code = error_code(answer)


class DataPlanError(OperatorError):
    """Raised when the keys are valid but their data plan doesn't include the request."""


class AlpacaClient(RESTClient):
    """Sends requests through our own HTTP code without retries; the SDK would repeat a POST."""

    def __init__(self, url: str, venue: AlpacaVenue, bounds: RequestBounds, version: str = "v2") -> None:
        super().__init__(base_url=url, api_key=venue.key, secret_key=venue.secret, api_version=version, raw_data=True)
        self._retry = 0
        self._connections = BoundedSession(bounds)
        self._bounds = bounds
        self._budget = venue.budget
        self._heard = venue.heard

    def ask(self, method: str, path: str, data: Mapping[str, object] | None = None) -> HttpReply:
        """Send one request once; `data` is the query, or the JSON body of a POST. Raises WireError."""
        return cast(HttpReply, self._request(method, path, dict(data) if data else None))

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        if self._budget is not None:
            self._budget.take()
        answer = exchange(
            self._connections,
            self._bounds,
            method,
            url,
            headers=opts["headers"],
            params=opts.get("params"),
            body=opts.get("json"),
        )
        self._heard(answer)
        return answer


class AlpacaReads:
    """Reads through one client, with retries limited by a policy; it can't send orders.

    `before` is called before each request, also between retries, and may raise.
    """

    def __init__(self, client: AlpacaClient, policy: RetryPolicy, before: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._policy = policy
        self._before = before

    def json(self, path: str, params: Mapping[str, str] | None = None) -> object:
        """Return the decoded reply; raise TemporaryError, or OperatorError if a retry won't help."""
        return self._policy.run(lambda: self._once(path, params))

    def rows(self, path: str, params: Mapping[str, str] | None = None) -> list[object]:
        """Return a reply that must be a list."""
        answer = self.json(path, params)
        if not isinstance(answer, list):
            raise TemporaryError(f"GET {path} did not return a list", LATER)
        return answer

    def _once(self, path: str, params: Mapping[str, str] | None) -> object:
        self._before()
        try:
            answer = self._client.ask("GET", path, params)
        except WireError as error:
            raise RetryableError(f"GET {path}: {error}", NETWORK) from error
        return readable(f"GET {path}", answer)


def reader_for(venue: AlpacaVenue, url: str, version: str = "v2") -> AlpacaReads:
    """Return the reader for one address of a venue."""
    return AlpacaReads(AlpacaClient(url, venue, venue.bounds, version), venue.policy, venue.before_read)


def readable(what: str, answer: HttpReply) -> object:
    """Return the decoded body of a successful reply to a read; raise the matching error for any other status."""
    status = answer.status
    if status in (408, 429) or status >= 500:
        raise RetryableError(f"{what} returned status {status}: {answer.excerpt}", LATER)
    if status in (401, 403):
        raise _not_permitted(what, answer)
    if status >= 400:
        raise RefusedReadError(what, answer)
    if not 200 <= status < 300:
        raise TemporaryError(f"{what} answered {status}, and redirects are not followed", NETWORK)
    try:
        return answer.json()
    except BodyError as error:
        # A body that was cut off in transit is usually complete on the next try.
        raise RetryableError(f"{what}: {error}", LATER) from error


def _not_permitted(what: str, answer: HttpReply) -> OperatorError:
    if "subscription" in answer.excerpt:
        return DataPlanError(
            f"{what}: the account's data plan does not include this feed: {answer.excerpt}",
            "Set the feed to iex.",
        )
    return OperatorError(
        f"{what}: the broker refused the keys ({answer.status})",
        "Check ALPACA_KEY and ALPACA_SECRET: both must come from this one account, paper or live. Then try again.",
        code=ExitCode.AUTHENTICATION,
    )
