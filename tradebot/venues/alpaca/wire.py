"""Wrap alpaca-py's transport: one bounded attempt, no redirects, and whole answers instead of its models.

From alpaca-py come the addresses, the headers with the keys and the form of a request. The one private method that
sends is replaced: it would repeat a POST that timed out at the gateway (504), take a redirect for an answer, and decode
prices as floats. Its models aren't used either, because one row with a word that they don't know loses a whole list.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from alpaca.common.rest import RESTClient

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
from tradebot.venues.alpaca.submit_outcomes import error_code
from tradebot.venues.alpaca.venue import AlpacaVenue


class RefusedReadError(OperatorError):
    """Raised when the venue refuses a read for its own reasons, given by `status` and `venue_code`."""

    code = ExitCode.UNAVAILABLE

    def __init__(self, what: str, answer: HttpReply) -> None:
        super().__init__(
            f"{what} was refused: {answer.status} {answer.excerpt}",
            "Read the broker's message; asking again won't help.",
        )
        self.status = answer.status
        self.venue_code = error_code(answer)


class DataPlanError(OperatorError):
    """Raised when the keys are good but their data plan does not include the request."""


class AlpacaClient(RESTClient):
    """The SDK's client, but it sends through our own code and never retries, since a retry would repeat a POST."""

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
    """Reads through one client, with retries limited by a policy; it can't write.

    `before` is called before each request, also between retries, and may raise.
    """

    def __init__(self, client: AlpacaClient, policy: RetryPolicy, before: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._policy = policy
        self._before = before

    def json(self, path: str, params: Mapping[str, str] | None = None) -> object:
        """Return the decoded answer; raise TemporaryError, or OperatorError if asking again won't help."""
        return self._policy.run(lambda: self._once(path, params))

    def rows(self, path: str, params: Mapping[str, str] | None = None) -> list[object]:
        """Return an answer that must be a list."""
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


def reads_of(venue: AlpacaVenue, url: str, version: str = "v2") -> AlpacaReads:
    """Return what reads from one address of a venue."""
    return AlpacaReads(AlpacaClient(url, venue, venue.bounds, version), venue.policy, venue.before_read)


def readable(what: str, answer: HttpReply) -> object:
    """Return the decoded body of a good answer, or raise what any other answer means for a read."""
    status = answer.status
    if status in (408, 429) or status >= 500:
        raise RetryableError(f"{what} answered {status}: {answer.excerpt}", LATER)
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
