"""Query Kraken Futures, and distinguish results from errors, because it sends both with HTTP 200.

Requests are signed as documented for the venue's REST API, with a nonce above every nonce that any process has used. A
request waits if the account's recent requests have used up the venue's limit. Key, address and mode are checked against
each other before any request.

A key's account id is cached, because only the history's replies contain it, and the venue allows few history requests
in ten minutes.

Daily limits need the account's value at the start of the day, which the venue doesn't report. It is computed as the
present value minus the profit of trading, fees and funding since midnight. Transfers that the owner made since midnight
count as if they had been made before.
"""

import base64
import binascii
import fcntl
import hashlib
import hmac
import json
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from tradebot.adapters.state.safe_open import open_plain, read_plain
from tradebot.adapters.state.state_folder import VENUE_ACCOUNT, VENUE_DAY, VENUE_NONCE, write_durably
from tradebot.adapters.wire.allowed_hosts import check_secret, check_url, is_loopback
from tradebot.adapters.wire.http import (
    LATER,
    NETWORK,
    BodyError,
    BoundedSession,
    HttpReply,
    HttpSession,
    RequestBounds,
    RetryableError,
    RetryPolicy,
    WireError,
    exchange,
    printable,
)
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.model.account import Activity, ActivityKind
from tradebot.model.order import Fill
from tradebot.model.trading import Mode
from tradebot.venues.kraken.capabilities import KEY, NONCE, PERSON, SECRET, URL

DAY_FILE = VENUE_DAY

OWN = frozenset({ActivityKind.TRANSFER})

"""Activities that are neither profit nor loss."""


class SinceMidnight(Struct, frozen=True):
    """The account's changes since midnight, and its present positions and marks.

    Quantities are signed. `marks_then` holds the marks at midnight of the positions that were open then.
    """

    equity: Decimal
    held: Mapping[str, Decimal]
    marks: Mapping[str, Decimal]
    fills: Iterable[Fill]
    moved: Iterable[Activity]
    marks_then: Callable[[str], Decimal]


def equity_at_midnight(since: SinceMidnight) -> Decimal:
    """Compute the account's value at the start of the day, in USD.

    A symbol's profit is its present value, minus its value at midnight, minus the net amount paid for trades since
    midnight.
    """
    then, paid = dict(since.held), Decimal(0)
    for fill in since.fills:
        then[fill.symbol] = then.get(fill.symbol, Decimal(0)) - fill.signed_quantity
        paid += fill.notional
    now = sum((quantity * since.marks[symbol] for symbol, quantity in since.held.items()), Decimal(0))
    before = sum((quantity * since.marks_then(symbol) for symbol, quantity in then.items() if quantity), Decimal(0))
    moved = sum((activity.net_amount for activity in since.moved if activity.meaning not in OWN), Decimal(0))
    return since.equity - (now - before - paid) - moved


def midnight(day: date) -> datetime:
    """Return the start of a day in UTC."""
    return datetime.combine(day, datetime.min.time(), UTC)


class OpeningEquity:
    """Stores the account's value at the start of the day, in a file of the state folder if there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / DAY_FILE if folder else None
        self._known: tuple[str, Decimal] | None = None

    def of(self, account: str, day: date, work_out: Callable[[], Decimal]) -> Decimal:
        """Return the equity at the start of `day`; compute it with `work_out` the first time."""
        key = f"{account} {day.isoformat()}"
        equity = self._known or self._stored_equity()
        if equity is None or equity[0] != key:
            equity = key, work_out()
            if self._path is not None:
                fields = {"day": key, "equity": f"{equity[1]:f}"}
                write_durably(self._path, json.dumps({**fields, "digest": _digest(fields)}))
        self._known = equity
        return equity[1]

    def _stored_equity(self) -> tuple[str, Decimal] | None:
        """Return the stored equity and its key; None if the file is missing or damaged, because it can be computed
        again.
        """
        if self._path is None:
            return None
        try:
            stored = json.loads(read_plain(self._path))
            fields = {name: str(stored[name]) for name in ("day", "equity")}
            equity = Decimal(fields["equity"])
            return (fields["day"], equity) if equity.is_finite() and stored["digest"] == _digest(fields) else None
        except (OSError, ValueError, ArithmeticError, KeyError, TypeError):
            return None


def _digest(fields: Mapping[str, str]) -> str:
    """Return a checksum that shows whether the file was changed after this bot wrote it."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


PREFIX = "/derivatives"

"""The prefix of paths that isn't signed."""


def headers(key: str, secret: str, path: str, sent: str, nonce: int) -> Mapping[str, str]:
    """Return the headers of a signed request for the URL's `path`; `sent` is its encoded query or body.

    Authent is HMAC-SHA512 over SHA256(sent + nonce + path), keyed by the decoded secret, as base64. Raise OperatorError
    if the secret isn't base64.
    """
    digest = hashlib.sha256(f"{sent}{nonce}{path.removeprefix(PREFIX)}".encode()).digest()
    signature = hmac.new(decode_secret(secret), digest, hashlib.sha512).digest()
    return {"APIKey": key, "Nonce": str(nonce), "Authent": base64.b64encode(signature).decode()}


def signed_challenge(secret: str, challenge: str) -> str:
    """Sign a websocket challenge: HMAC-SHA512 over SHA256(challenge), as base64 text."""
    digest = hashlib.sha256(challenge.encode()).digest()
    return base64.b64encode(hmac.new(decode_secret(secret), digest, hashlib.sha512).digest()).decode()


def decode_secret(secret: str) -> bytes:
    """Decode the signing key from a secret; raise OperatorError if it isn't base64 text."""
    try:
        return base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OperatorError(
            "the secret of Kraken Futures isn't base64 text",
            "copy KRAKEN_FUTURES_SECRET again from the page that made the key",
            code=ExitCode.AUTHENTICATION,
        ) from error


MOST, SPAN_S = 400, 10.0

"""The allowed cost of requests within any ten seconds. The venue allows 500; the rest is left for requests by people.
"""

COSTS: Mapping[str, int] = MappingProxyType(
    {"sendorder": 10, "cancelorder": 10, "accounts": 2, "openpositions": 2, "openorders": 2, "fills": 25}
)

"""The highest cost of a request by the last part of its path, from the venue's documentation; other requests are free.
"""


class RequestBudget:
    """The part of the venue's rate limit that one connection's recent requests have used."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._spent: deque[tuple[float, int]] = deque()

    def wait(self, path: str) -> None:
        """Wait until a request to this path fits into the budget, at most ten seconds; then count it."""
        cost = COSTS.get(path.rpartition("/")[2], 0)
        if not cost:
            return
        now = self._clock()
        while sum(cost for at, cost in self._spent if at > now - SPAN_S) + cost > MOST:
            at, _ = self._spent.popleft()
            if at > now - SPAN_S:
                self._sleep(at + SPAN_S - now)
                now = self._clock()
        self._spent.append((now, cost))


NONCE_FILE = VENUE_NONCE

_DIGITS, _CHECKED = 20, 29

"""The length of a nonce in the file, without and with its checksum; any other length is rejected.

A nonce that is far too large would make the key useless for good. After a power failure, two lines may be mixed into a
number ahead of the clock.
"""


class Nonces:
    """The nonces of one key: microseconds of the clock, but always above the last nonce used.

    The last nonce is stored in a file of the state folder, because a clock can be set back. Without a folder, it is
    kept in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / NONCE_FILE if folder else None
        self._last = 0

    def last(self) -> int:
        """Return the last nonce used, or 0 if none is known. Raise OSError if its file can't be read."""
        if self._path is None:
            return self._last
        try:
            content = read_plain(self._path)
        except FileNotFoundError:
            return self._last
        return _read(content, self._last)

    def take(self) -> int:
        """Return the next nonce, once it is stored in the file. Raise OSError if that fails."""
        if self._path is None:
            self._last = _next(self._last)
            return self._last
        descriptor = open_plain(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            taken = _next(_read(os.pread(descriptor, _CHECKED + 1, 0), self._last))
            digits = b"%0*d" % (_DIGITS, taken)
            os.pwrite(descriptor, b"%s %s\n" % (digits, _checksum(digits)), 0)
        finally:
            os.close(descriptor)
        self._last = taken
        return taken


def _read(content: bytes, last: int) -> int:
    """Return the nonce in the file; `last` if it has no valid one."""
    digits, rest = content[:_DIGITS], content[_DIGITS : _CHECKED + 1]
    return int(digits) if digits.isdigit() and rest == b" %s\n" % _checksum(digits) else last


def _checksum(digits: bytes) -> bytes:
    return b"%08x" % zlib.crc32(digits)


def _next(last: int) -> int:
    return max(last + 1, time.time_ns() // 1_000)


ACCOUNT_FILE = VENUE_ACCOUNT


class AccountNumber:
    """Caches the id of a key's account, in a file of the state folder if there is one.

    A key belongs to one account, so the file names the key by its digest. If the file can't be read or written, one
    more request is made.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._path = folder / ACCOUNT_FILE if folder else None
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._known = ""

    @property
    def cached_id(self) -> str:
        """Return the account id; empty if it isn't known yet."""
        if not self._known and self._path is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):
                stored = json.loads(read_plain(self._path))
                self._known = str(stored["number"]) if stored["key"] == self._key else ""
        return self._known

    def keep(self, number: str) -> None:
        """Store the id from a reply."""
        if number == self.cached_id:
            return
        self._known = number
        if self._path is not None:
            with suppress(OSError):
                write_durably(self._path, json.dumps({"key": self._key, "number": number}))


V3, HISTORY = "/derivatives/api/v3", "/api/history/v2"

_NOT_NOW = frozenset({"apiLimitExceeded", "unavailable", "Server Error", "marketUnavailable"})

Known = MutableMapping[tuple[object, ...], Mapping[str, Any]]

"""Replies to reads, by request."""


class KrakenVenue(Struct, frozen=True):
    """One account at an address; `before_read` is called before each read, and `heard` with each reply.

    `pace` spaces requests out; without it, they are sent at once. With `known`, replies to reads are cached there until
    the next write, because in a backtest the market moves only on request. With a `connection`, requests go over it
    instead of the network.
    """

    base_url: str
    key: str
    secret: str
    nonces: Nonces
    opening: OpeningEquity
    number: AccountNumber
    before_read: Callable[[], None] = lambda: None
    heard: Callable[[HttpReply], None] = lambda answer: None
    bounds: RequestBounds = RequestBounds()
    policy: RetryPolicy = RetryPolicy()
    feed: str = "Kraken's own"
    pace: RequestBudget | None = None
    known: Known | None = None
    connection: HttpSession | None = None


class Client:
    """Queries one account's API, with or without retries."""

    def __init__(self, venue: KrakenVenue) -> None:
        self._venue = venue
        self._session = venue.connection or BoundedSession(venue.bounds)

    def ask(self, method: str, path: str, params: Mapping[str, str]) -> HttpReply:
        """Send one signed request once, as soon as the venue's rate limit allows it; raise WireError."""
        of, sent = self._venue, urlencode(params)
        if of.known is not None and method != "GET":
            of.known.clear()
        if of.pace is not None:
            of.pace.wait(path)
        try:
            signed = headers(of.key, of.secret, path, sent, of.nonces.take())
        except OSError as error:
            raise WireError(f"the last nonce can't be stored: {error.strerror}") from error
        url = f"{of.base_url}{path}"
        answer = exchange(self._session, of.bounds, method, url, headers=signed, params=params)
        of.heard(answer)
        return answer

    def read(self, path: str, **params: str) -> Mapping[str, Any]:
        """Return a successful reply; raise TradebotError for an error or if there is no reply."""
        cache, policy, request = self._venue.known, self._venue.policy, (path, *params.items())
        if cache is None:
            return policy.run(lambda: self._once(path, params))
        if request not in cache:
            cache[request] = policy.run(lambda: self._once(path, params))
        return cache[request]

    def rows(self, path: str, name: str, **params: str) -> list[Any]:
        """Return the list with this name in a reply."""
        rows = self.read(path, **params).get(name)
        if not isinstance(rows, list):
            raise TemporaryError(f"GET {path} returned no list {name}")
        return rows

    def _once(self, path: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        self._venue.before_read()
        try:
            answer = self.ask("GET", path, params)
            if answer.status == 429 or answer.status >= 500 or 300 <= answer.status < 400:
                raise RetryableError(f"GET {path} returned status {answer.status}", LATER)
            document = answer.json()
        except (WireError, BodyError) as error:
            raise RetryableError(f"GET {path}: {error}", NETWORK) from error
        if not isinstance(document, dict):
            raise TemporaryError(f"GET {path} did not return a JSON object")
        error_word = parse_error(document)
        if answer.status in (401, 403) or error_word in PERSON - NONCE:
            raise OperatorError(
                f"GET {path}: Kraken Futures refused the key: {error_word or answer.status}",
                "check KRAKEN_FUTURES_KEY, KRAKEN_FUTURES_SECRET and the key's permissions",
                code=ExitCode.AUTHENTICATION,
            )
        if error_word in NONCE:
            raise RetryableError(
                f"GET {path}: {error_word}: another program has used this key with a higher nonce",
                "use a separate key for this bot; if this machine's clock was once ahead, make another key",
            )
        if error_word in _NOT_NOW:
            raise RetryableError(f"GET {path}: {error_word}", LATER)
        if error_word or answer.status >= 400:
            raise OperatorError(f"GET {path} was refused: {error_word or answer.excerpt}", "read the broker's message")
        return document


def parse_error(document: Mapping[str, Any]) -> str:
    """Return the error in a reply; empty if it has none. The venue sends an error as a word or as a list."""
    errors = document.get("errors")
    if isinstance(errors, list) and errors:
        first = errors[0]
        word = first.get("message") or first.get("code") if isinstance(first, dict) else first
        return printable(str(word)) or "error"
    if document.get("result") == "error" or document.get("error"):
        return printable(str(document.get("error") or "error"))
    return ""


def format_number(number: Decimal) -> str:
    """Format a number for a request parameter."""
    return f"{number:f}"


ADDRESSES: Mapping[Mode, str] = {
    Mode.PAPER: "https://demo-futures.kraken.com",
    Mode.LIVE: "https://futures.kraken.com",
}

"""The address for each mode; the demo environment has separate keys."""


def venue_of(
    mode: Mode,
    url: str | None,
    key: str,
    secret: str,
    folder: Path | None,
    before_read: Callable[[], None],
    heard: Callable[[HttpReply], None],
    cache: Known | None = None,
    connection: HttpSession | None = None,
) -> KrakenVenue:
    """Return the account at an address, by default the mode's; raise OperatorError if they don't match."""
    address = url or ADDRESSES[mode]
    check_url(URL, address, tuple(ADDRESSES.values()))
    check_secret(KEY, key)
    check_secret(SECRET, secret)
    decode_secret(secret)
    if mode is Mode.SANDBOX and not is_loopback(address):
        raise OperatorError("sandbox mode only trades on the embedded exchange", f"unset {URL}")
    if mode is not Mode.SANDBOX and address != ADDRESSES[mode]:
        raise OperatorError(
            f"mode {mode} does not fit {URL}", f"unset {URL}; the mode says which address is used: {ADDRESSES[mode]}"
        )
    stores = Nonces(folder), OpeningEquity(folder), AccountNumber(folder, key)
    # The embedded exchange has no rate limit while its time stands still, so pacing would only cost time.
    pace = None if mode is Mode.SANDBOX else RequestBudget()
    return KrakenVenue(address, key, secret, *stores, before_read, heard, pace=pace, known=cache, connection=connection)


def sandbox_secret(key: str) -> str:
    """Return the secret that the embedded exchange expects with a key."""
    return base64.b64encode(key.encode()).decode()
