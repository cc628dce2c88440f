"""Ask Kraken Futures, and tell an answer from an error: it says both with HTTP 200."""

from collections.abc import Callable, Mapping, MutableMapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

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
from tradebot.venues.kraken.account_id import AccountNumber
from tradebot.venues.kraken.capabilities import NONCE, PERSON
from tradebot.venues.kraken.nonce import Nonces
from tradebot.venues.kraken.opening_equity import OpeningEquity
from tradebot.venues.kraken.request_budget import RequestBudget
from tradebot.venues.kraken.signing import headers

V3, HISTORY = "/derivatives/api/v3", "/api/history/v2"
_NOT_NOW = frozenset({"apiLimitExceeded", "unavailable", "Server Error", "marketUnavailable"})

Known = MutableMapping[tuple[object, ...], Mapping[str, Any]]
"""Answers to reads, by what was asked."""


class KrakenVenue(Struct, frozen=True):
    """One account at an address; `before_read` is called before each read, and `heard` gets each answer.

    Without a `pace`, requests don't wait for one another. With `known`, answers to reads stand in it until the next
    request that isn't a read, and aren't asked for again: that is for a market whose time stands still. With a
    `connection`, requests go over it instead of the network.
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
    """Asks one account's API, once or until it answers."""

    def __init__(self, venue: KrakenVenue) -> None:
        self._venue = venue
        self._session = venue.connection or BoundedSession(venue.bounds)

    def ask(self, method: str, path: str, params: Mapping[str, str]) -> HttpReply:
        """Send one signed request once, as soon as the venue's limit leaves room; raises WireError."""
        of, sent = self._venue, urlencode(params)
        if of.known is not None and method != "GET":
            of.known.clear()
        if of.pace is not None:
            of.pace.wait(path)
        try:
            signed = headers(of.key, of.secret, path, sent, of.nonces.take())
        except OSError as error:
            raise WireError(f"the last nonce can't be kept: {error.strerror}") from error
        url = f"{of.base_url}{path}"
        answer = exchange(self._session, of.bounds, method, url, headers=signed, params=params)
        of.heard(answer)
        return answer

    def read(self, path: str, **params: str) -> Mapping[str, Any]:
        """Return an answer that isn't an error; raise TradebotError for any other, or if none comes."""
        known, policy, asked = self._venue.known, self._venue.policy, (path, *params.items())
        if known is None:
            return policy.run(lambda: self._once(path, params))
        if asked not in known:
            known[asked] = policy.run(lambda: self._once(path, params))
        return known[asked]

    def rows(self, path: str, name: str, **params: str) -> list[Any]:
        """Return the list of this name in an answer."""
        rows = self.read(path, **params).get(name)
        if not isinstance(rows, list):
            raise TemporaryError(f"GET {path} returned no list {name}")
        return rows

    def _once(self, path: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        self._venue.before_read()
        try:
            answer = self.ask("GET", path, params)
            if answer.status == 429 or answer.status >= 500 or 300 <= answer.status < 400:
                raise RetryableError(f"GET {path} answered {answer.status}", LATER)
            told = answer.json()
        except (WireError, BodyError) as error:
            raise RetryableError(f"GET {path}: {error}", NETWORK) from error
        if not isinstance(told, dict):
            raise TemporaryError(f"GET {path} did not return an object")
        error_word = error_of(told)
        if answer.status in (401, 403) or error_word in PERSON - NONCE:
            raise OperatorError(
                f"GET {path}: Kraken Futures refused the key: {error_word or answer.status}",
                "check KRAKEN_FUTURES_KEY, KRAKEN_FUTURES_SECRET and what the key may do",
                code=ExitCode.AUTHENTICATION,
            )
        if error_word in NONCE:
            raise RetryableError(
                f"GET {path}: {error_word}: something else has used this key with a higher nonce",
                "make a key for this bot alone; if the clock was ahead once, make another key",
            )
        if error_word in _NOT_NOW:
            raise RetryableError(f"GET {path}: {error_word}", LATER)
        if error_word or answer.status >= 400:
            raise OperatorError(f"GET {path} was refused: {error_word or answer.excerpt}", "read the message")
        return told


def error_of(told: Mapping[str, Any]) -> str:
    """Return the error that an answer names; empty if it names none. Some come as a word, others as a list."""
    errors = told.get("errors")
    if isinstance(errors, list) and errors:
        first = errors[0]
        word = first.get("message") or first.get("code") if isinstance(first, dict) else first
        return printable(str(word)) or "error"
    if told.get("result") == "error" or told.get("error"):
        return printable(str(told.get("error") or "error"))
    return ""


def format_number(number: Decimal) -> str:
    """Return a number as a parameter."""
    return f"{number:f}"
