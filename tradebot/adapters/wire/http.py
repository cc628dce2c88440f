"""One HTTP exchange with a bound on everything: time, size, redirects, tries, requests per minute."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_exponential

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.text.redaction import hide_in
from tradebot.errors import TemporaryError

T = TypeVar("T")

EXCERPT_LENGTH = 200
"""How much of a foreign answer is quoted in a message."""
LONGEST_NUMBER = 100
"""Digits, point and exponent of a JSON number; reading a longer one would take time that grows with its square."""


class WireError(Exception):
    """No whole answer came back; whether the request arrived is not known."""


WHY: Mapping[str, str] = {
    "NameResolutionError": "its name could not be looked up",
    "ConnectionRefusedError": "the connection was refused",
    "ConnectionResetError": "the connection was broken off",
    "RemoteDisconnected": "the connection was broken off",
    "IncompleteRead": "the answer was cut short",
    "ConnectTimeoutError": "no connection in time",
    "ReadTimeoutError": "it took too long",
    "ReadTimeout": "it took too long",
    "DecodeError": "the answer can't be unpacked",
    "SSLError": "no trusted connection, its certificate can't be verified",
}
"""What an error of the libraries below says, by its name; the innermost one that stands here counts."""
NETWORK = "Check this machine's network and the service's status page, then run it again."
LATER = "Run it again in a few minutes; the service's status page may say more."


class BodyError(ValueError):
    """The body is no JSON text."""


class RetryableError(TemporaryError):
    """A temporary failure for which another try at once makes sense."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may take: seconds to connect, between two pieces, in all; bytes of body."""

    connect_s: float = 3.0
    read_s: float = 10.0
    total_s: float = 15.0
    body_bytes: int = 16_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a read is tried, and the waits between; no new try begins `total_s` after the first."""

    attempts: int = 3
    first_wait_s: float = 0.25
    longest_wait_s: float = 2.0
    total_s: float = 8.0
    sleep: Callable[[float], None] = field(default=time.sleep)

    def run(self, read: Callable[[], T]) -> T:
        """Return what `read` returns, tried again on RetryableError until the tries are spent."""
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts) | stop_after_delay(self.total_s),
            wait=wait_exponential(multiplier=self.first_wait_s, max=self.longest_wait_s),
            retry=retry_if_exception_type(RetryableError),
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(read)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: header names are looked up without regard to case, the body is unpacked."""

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
    """Return foreign text on one line, shortened, without control characters."""
    kept = "".join(character if character.isprintable() else " " for character in text[: 4 * EXCERPT_LENGTH])
    return " ".join(kept.split())[:EXCERPT_LENGTH]


def decode(body: bytes) -> object:
    """Return JSON with fractions as exact Decimals (NaN and infinities too, for the rows to refuse).

    A number that is too long to be read is NaN, so that it costs its own row and not the whole answer.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_float=_exact, parse_int=_whole, parse_constant=Decimal)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the body is not JSON ({type(error).__name__})") from error


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= LONGEST_NUMBER else Decimal("NaN")


def _exact(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        return Decimal("NaN")
    try:
        return Decimal(text)
    except InvalidOperation:
        # The exponent is beyond what Decimal holds: no price or quantity, and no reason to lose the rest.
        return Decimal("NaN")


class _TimedAdapter(HTTPAdapter):
    """Puts a timeout on every request that has none, so that no caller can forget it."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(max_retries=0)
        self._timeout = (bounds.connect_s, bounds.read_s)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        return super().send(request, *args, **kwargs)


def bounded_session(bounds: Bounds) -> requests.Session:
    """Return a session with timeouts, without retries, deaf to proxies and keys of the environment."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _TimedAdapter(bounds))
    return session


def exchange(
    session: requests.Session,
    bounds: Bounds,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    body: object = None,
) -> Answer:
    """Send one request once and return the whole answer, redirects as they are; raises WireError.

    It goes straight to the session's adapter: no cookie is kept, no redirect followed, nothing of the environment read.
    """
    deadline = time.monotonic() + bounds.total_s
    try:
        request = _prepared(method, url, {**session.headers, **(headers or {})}, params, body)
        with around("http.request"):
            response = session.get_adapter(url).send(request, stream=True)
        with response, around("http.reply"):
            content = _read_body(response, bounds, deadline)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise WireError(f"no answer from {urlsplit(url).netloc}: {_why(error)}") from error
    return Answer(response.status_code, response.headers, content)


def _why(error: BaseException) -> str:
    """Return why no answer came: the innermost of the errors within each other that has a plain word."""
    chain, inner = [error], error
    while (deeper := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) is not None:
        if not isinstance(deeper, BaseException) or deeper in chain:
            break
        chain.append(inner := deeper)
    names = [type(each).__name__ for each in reversed(chain)]
    return next((WHY[name] for name in names if name in WHY), names[-1])


def _prepared(
    method: str, url: str, headers: Mapping[str, str | bytes], params: Mapping[str, str] | None, body: object
) -> requests.PreparedRequest:
    """Return a request as it is sent, without what the library adds besides: cookies, a URL's own name and password."""
    request = requests.PreparedRequest()
    request.prepare_method(method)
    request.prepare_url(url, params)
    request.prepare_headers(headers)
    request.prepare_body(None, None, body)
    return request


def _read_body(response: requests.Response, bounds: Bounds, deadline: float) -> bytes:
    """Read piece by piece, because a read timeout alone never ends an answer that trickles."""
    content = bytearray()
    while piece := response.raw.read1(65_536, decode_content=True):
        content += piece
        if len(content) > bounds.body_bytes:
            raise WireError(f"the answer is larger than {bounds.body_bytes} bytes")
        if time.monotonic() > deadline:
            raise WireError(f"the answer was not complete after {bounds.total_s:g} s")
    # Who answers may repeat what it was asked, headers and all: from here on nothing holds a key any more.
    return hide_in(bytes(content))
