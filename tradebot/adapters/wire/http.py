"""Make one HTTP exchange with a limit on everything: time, size, redirects, tries, and requests per minute."""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

import certifi
import urllib3
from msgspec import Struct, field

from tradebot.adapters.failpoint import around
from tradebot.adapters.text.redaction import hide_in
from tradebot.errors import TemporaryError
from tradebot.model.retry_waits import wait_after

T = TypeVar("T")

EXCERPT_LENGTH = 200
"""The most characters of a foreign response that a message may quote."""
LONGEST_NUMBER = 100
"""The longest JSON number we read, in characters; reading time grows with the square of the length."""
HEADERS: Mapping[str, str] = {"User-Agent": "tradebot", "Accept-Encoding": "gzip, deflate"}
"""The default headers of every request."""
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * (LONGEST_NUMBER // 3 - 1)
"""What a number that is too long must contain: its whole part, its fraction or its exponent is at least this long."""
_CONNECTIONS = 10
_URL = re.compile(r"(https?://[^/?#]+)([^#]*)(?:#.*)?", re.DOTALL)
_HEADER = re.compile(r"[!-9;-~]+:(?:[!-~][ -~]*)?")


class WireError(Exception):
    """Raised when no complete reply was received; the request may or may not have arrived."""


WHY: Mapping[str, str] = {
    "NameResolutionError": "its name could not be looked up",
    "ConnectionRefusedError": "the connection was refused",
    "ConnectionResetError": "the connection was interrupted",
    "RemoteDisconnected": "the connection was interrupted",
    "IncompleteRead": "the answer was cut short",
    "ConnectTimeoutError": "no connection could be opened in time",
    "ReadTimeoutError": "it took too long",
    "DecodeError": "the answer can't be decompressed",
    "SSLError": "no trusted connection, because its certificate can't be verified",
    "ProtocolError": "the answer isn't valid HTTP",
    "InvalidHeader": "a header isn't valid HTTP",
    "LocationParseError": "the address isn't valid",
}
"""Plain words for the libraries' errors, by class name; the innermost error listed here counts."""
NETWORK = "Check this machine's network and the service's status page, then try again."
LATER = "Try again in a few minutes; the service's status page may say more."


class BodyError(ValueError):
    """Raised when the body is not JSON text."""


class RetryableError(TemporaryError):
    """A temporary failure that may go away soon, so that `RetryPolicy` repeats the request."""


class RequestBounds(Struct, frozen=True):
    """Limits of one request: seconds to connect, between two pieces of the body, and in total; bytes of the body.

    The total is checked after each piece, so the last piece may still come `read_s` later.
    """

    connect_s: float = 3.0
    read_s: float = 10.0
    total_s: float = 15.0
    body_bytes: int = 16_000_000


class RetryPolicy(Struct, frozen=True):
    """How often a read is tried and how long to wait in between; no try begins more than `total_s` after the first."""

    attempts: int = 3
    first_wait_s: float = 0.25
    longest_wait_s: float = 2.0
    total_s: float = 8.0
    sleep: Callable[[float], None] = field(default=time.sleep)

    def run(self, read: Callable[[], T]) -> T:
        """Return what `read` returns; on RetryableError, try again until the tries or the time are used up."""
        began_s, failed = time.monotonic(), list[RetryableError]()
        try:
            return read()
        except RetryableError as error:
            failed.append(error)
        return self._again(read, failed, time.monotonic() - began_s)

    def _again(self, read: Callable[[], T], failed: list[RetryableError], spent_s: float) -> T:
        """Go on after a first try that `failed` and took so long."""
        # Hardly any process needs it, and its import takes as long as several requests.
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay

        def next_try() -> T:
            if failed:
                raise failed.pop()
            return read()

        return Retrying(
            stop=stop_after_attempt(self.attempts) | stop_after_delay(self.total_s - spent_s),
            wait=lambda tries: wait_after(tries.attempt_number, self.first_wait_s, self.longest_wait_s),
            retry=retry_if_exception_type(RetryableError),
            sleep=self.sleep,
            reraise=True,
        )(next_try)


class HttpReply(Struct, frozen=True):
    """A complete response: header names ignore case, and the body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def excerpt(self) -> str:
        """Return the beginning of the body as printable text, for messages."""
        text = self.body[: 4 * EXCERPT_LENGTH].decode("utf-8", "replace")
        return printable(text)

    def json(self) -> object:
        """Return the decoded body; raises BodyError."""
        return decode(self.body)


def printable(text: str) -> str:
    """Return text from an external service on one line, shortened, without control characters."""
    cleaned = "".join(character if character.isprintable() else " " for character in text[: 4 * EXCERPT_LENGTH])
    return " ".join(cleaned.split())[:EXCERPT_LENGTH]


def decode(body: bytes) -> object:
    """Decode JSON, with fractions as exact Decimals. NaN and infinities are decoded too; the row readers refuse them.

    A number that is too long becomes NaN, so that only its row is refused and not the whole answer.
    """
    try:
        text = body.decode("utf-8")
        # Calling our functions for each number takes a third of the time, and is only needed for long numbers.
        if _LONG not in body.translate(_DIGITS_AS_ZEROS):
            with suppress(InvalidOperation):
                return _DECODER.decode(text)
        return _CAREFUL_DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the body is not JSON ({type(error).__name__})") from error


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= LONGEST_NUMBER else Decimal("NaN")


def _decimal(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        return Decimal("NaN")
    try:
        return Decimal(text)
    except InvalidOperation:
        # The exponent is beyond what Decimal holds. It's no price or quantity, and the other rows are still good.
        return Decimal("NaN")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal)
_CAREFUL_DECODER = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=Decimal)


class HttpSession(Protocol):
    """A set of connections that sends each request once, such as a BoundedSession."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send one request and return the reply, whose body is still unread; raise HTTPError."""


class BoundedSession:
    """Keeps connections open between requests, with timeouts and without retries.

    The environment is ignored: no proxy, no user name, no certificates other than certifi's.
    """

    def __init__(self, bounds: RequestBounds) -> None:
        self._hosts = urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            timeout=urllib3.Timeout(connect=bounds.connect_s, read=bounds.read_s),
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=certifi.where(),
        )
        self._connections: dict[str, urllib3.HTTPConnectionPool] = {}

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send one request and return the reply, whose body is still unread; raise HTTPError."""
        match = _URL.fullmatch(url)
        if match is None:
            raise urllib3.exceptions.LocationParseError(url)
        origin, target = match.groups()
        connections = self._connections.get(origin)
        if connections is None:
            connections = self._connections[origin] = self._hosts.connection_from_url(origin)
        if not target.startswith("/"):
            target = f"/{target}"
        return connections.urlopen(method, target, body, headers, redirect=False, preload_content=False)


def exchange(
    session: HttpSession,
    bounds: RequestBounds,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    body: object = None,
) -> HttpReply:
    """Send one request once and return the complete response, without following redirects; raise WireError.

    No cookies are stored; `body` is sent as JSON.
    """
    deadline = time.monotonic() + bounds.total_s
    try:
        prepared = _prepare(url, params, headers, body)
        with around("http.request"):
            response = session.send(method, *prepared)
        with response, around("http.reply"):
            content = _read_body(response, bounds, deadline)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        # A ValueError says that this is no request that could be sent.
        raise WireError(f"no answer from {urlsplit(url).netloc}: {_why(error)}") from error
    return HttpReply(response.status, response.headers, content)


def _why(error: BaseException) -> str:
    """Return why no answer came: the plain words for the innermost error that has some."""
    chain, inner = [error], error
    while (deeper := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) is not None:
        if not isinstance(deeper, BaseException) or deeper in chain:
            break
        chain.append(inner := deeper)
    names = [type(each).__name__ for each in reversed(chain)]
    return next((WHY[name] for name in names if name in WHY), names[-1])


def _prepare(
    url: str, params: Mapping[str, str] | None, headers: Mapping[str, str] | None, body: object
) -> tuple[str, dict[str, str], bytes | None]:
    """Return the address with its query, the headers and the body of a request; raises ValueError and HTTPError."""
    every = {**HEADERS, **(headers or {})}
    content = None
    if body is not None:
        every["Content-Type"] = "application/json"
        content = json.dumps(body, allow_nan=False).encode()
    for name, value in every.items():
        # A line break would begin another header, or another request.
        if not _HEADER.fullmatch(f"{name}:{value}"):
            raise urllib3.exceptions.InvalidHeader(name)
    return f"{url}?{urlencode(params)}" if params else url, every, content


def _read_body(response: urllib3.BaseHTTPResponse, bounds: RequestBounds, deadline: float) -> bytes:
    """Read the body piece by piece, because a read timeout alone never ends an answer that trickles in."""
    content = bytearray()
    while chunk := response.read1(65_536, decode_content=True):
        content += chunk
        if len(content) > bounds.body_bytes:
            raise WireError(f"the answer is larger than {bounds.body_bytes} bytes")
        if time.monotonic() > deadline:
            raise WireError(f"the answer was not complete after {bounds.total_s:g} s")
    # A server may echo the request, headers included, so hide any key before the body goes further.
    return hide_in(bytes(content))
