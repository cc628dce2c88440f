"""alpaca-py's transport, tamed: one attempt, bounded, no redirects, whole answers instead of its models."""

from collections.abc import Mapping
from typing import Any, cast

from alpaca.common.rest import RESTClient

from tradebot.adapters.alpaca.replies import error_code
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.adapters.wire.http import (
    LATER,
    NETWORK,
    Answer,
    BodyError,
    Bounds,
    RetryableError,
    RetryPolicy,
    WireError,
    bounded_session,
    exchange,
)
from tradebot.errors import ExitCode, OperatorError, TemporaryError


class RefusedReadError(OperatorError):
    """A read that the venue refuses for a reason of its own; `status` and `venue_code` say which."""

    code = ExitCode.UNAVAILABLE

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(
            f"{what} was refused: {answer.status} {answer.excerpt}",
            "See the venue's message; asking again will not help.",
        )
        self.status = answer.status
        self.venue_code = error_code(answer)


class NotInPlanError(OperatorError):
    """The keys are good, and their data plan does not include what was asked for."""


class AlpacaClient(RESTClient):
    """The SDK's client with our own sending and without its retries, which would repeat a POST."""

    def __init__(self, url: str, venue: AlpacaVenue, bounds: Bounds) -> None:
        super().__init__(base_url=url, api_key=venue.key, secret_key=venue.secret, raw_data=True)
        self._retry = 0
        self._session = bounded_session(bounds)
        self._bounds = bounds
        self._budget = venue.budget

    def ask(self, method: str, path: str, data: Mapping[str, str] | None = None) -> Answer:
        """Send one request once; `data` is the query, or the JSON body of a POST. Raises WireError."""
        return cast(Answer, self._request(method, path, dict(data) if data else None))

    # The SDK's own version decodes through floats, drops the status and takes a redirect for an answer.
    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        if self._budget is not None:
            self._budget.take()
        return exchange(
            self._session,
            self._bounds,
            method,
            url,
            headers=opts["headers"],
            params=opts.get("params"),
            body=opts.get("json"),
        )


class AlpacaReads:
    """Reads through one client, retried within the policy; there is no way to write through it."""

    def __init__(self, client: AlpacaClient, policy: RetryPolicy) -> None:
        self._client = client
        self._policy = policy

    def json(self, path: str, params: Mapping[str, str] | None = None) -> object:
        """Return the decoded answer; raises TemporaryError, or OperatorError where asking again is no use."""
        return self._policy.run(lambda: self._once(path, params))

    def rows(self, path: str, params: Mapping[str, str] | None = None) -> list[object]:
        """Return an answer that must be a list."""
        answer = self.json(path, params)
        if not isinstance(answer, list):
            raise TemporaryError(f"GET {path} answered something else than a list", LATER)
        return answer

    def _once(self, path: str, params: Mapping[str, str] | None) -> object:
        try:
            answer = self._client.ask("GET", path, params)
        except WireError as fault:
            raise RetryableError(f"GET {path}: {fault}", NETWORK) from fault
        return readable(f"GET {path}", answer)


def readable(what: str, answer: Answer) -> object:
    """Return the body of a good answer, decoded; raise what any other answer means for a read."""
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
        # A body that was cut on its way is whole the next time.
        raise RetryableError(f"{what}: {error}", LATER) from error


def _not_permitted(what: str, answer: Answer) -> OperatorError:
    if "subscription" in answer.excerpt:
        return NotInPlanError(
            f"{what}: the account's data plan does not include this feed: {answer.excerpt}",
            "Set the feed to iex.",
        )
    return OperatorError(
        f"{what}: the venue refused the keys ({answer.status})",
        "Check ALPACA_KEY and ALPACA_SECRET: both must come from this one account, paper or live. Then run it again.",
        code=ExitCode.AUTHENTICATION,
    )
