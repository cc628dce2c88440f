"""Check that key, address and mode belong together, before any request is sent."""

import time
from collections.abc import Callable, Sequence
from functools import cached_property

from msgspec import Struct

from tradebot.adapters.wire.allowed_hosts import check_secret, check_url, is_loopback
from tradebot.adapters.wire.http import HttpReply, RequestBounds, RetryPolicy
from tradebot.errors import OperatorError
from tradebot.model.trading import Mode


class TokenBucket:
    """Lets `burst` requests through at once and `per_minute` in the long run; waits for the rest."""

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
        """Take one token, waiting until there is one; the wait is at most one token's interval."""
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
    """Raise OperatorError unless the key and the address belong to the mode; the message never shows the key."""
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
    """Return the hint for trading in another mode, because a folder keeps the mode it was created for."""
    return f"create a bot for that mode: tradebot init --mode {mode} --state-dir NEW"


class AlpacaVenue(Struct, frozen=True, dict=True):
    """One account at one address; creating it raises OperatorError if its parts don't belong together.

    `before_read` is called before each read of the reader, each try and each page, and may raise.
    `heard` gets each answer before it is used. `bounds` limit each request, and `policy`
    says how often a read is tried.
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
        """Check everything that can be checked without a request."""
        check_credentials(self.mode, self.key, self.base_url)
        check_secret("ALPACA_SECRET", self.secret)
        self._check_data()

    def __repr__(self) -> str:
        return f"AlpacaVenue({self.base_url!r}, {self.data_url!r}, feed={self.feed!r}, mode={self.mode!r})"

    @cached_property
    def budget(self) -> TokenBucket | None:
        """Return how many requests are still allowed, which everything that asks this venue shares."""
        return None if self.mode is Mode.SANDBOX else TokenBucket(_REQUESTS_PER_MINUTE, _BURST)

    def query_of(self, symbols: Sequence[str], feed: str | None = None) -> dict[str, str]:
        """Return the query for market data about symbols; the embedded exchange has one feed and takes no name."""
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
