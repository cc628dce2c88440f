"""Read headlines from services over HTTP, within their quotas."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.flow.headlines import NO_QUOTA
from tradebot.adapters.flow.rate_quota import LONGEST_WAIT_S, KeptQuota, allowance_error, next_quota_day
from tradebot.adapters.flow.unusual_whales import UnhurriedSession
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
from tradebot.errors import AllowanceSpentError, NotInPlanError, OperatorError, TemporaryError
from tradebot.model.flow import Allowance
from tradebot.model.sentences import pluralize
from tradebot.ports.world import HeadlineSource


class NewsService(Struct, frozen=True):
    """How to reach a service: its key and the key's name, its usual address and the one to use, and its limits.

    `now` returns trading time. Through `quota_file`, the remaining quota is shared with other processes.
    """

    key_name: str
    home: str
    url: str
    key: str
    allowance: Allowance | None
    quota_file: Path | None
    now: Callable[[], datetime]
    bounds: RequestBounds = RequestBounds()
    policy: RetryPolicy = RetryPolicy()
    sleep: Callable[[float], object] = time.sleep


class HeadlineClient:
    """Sends a service's requests within its quota."""

    def __init__(self, service: NewsService) -> None:
        check_url("news.url", service.url, (service.home,))
        check_secret(service.key_name, service.key)
        self.service = service
        self.quota = KeptQuota(service.quota_file, service.allowance, service.now, sleep=service.sleep)
        self._session = UnhurriedSession(service.bounds)

    def get(self, path: str, params: Mapping[str, str]) -> HttpReply:
        """Return the reply to one request; raise TemporaryError if none arrives, or if the quota is used up."""
        return self.service.policy.run(lambda: self._ask(path, params))

    def _ask(self, path: str, params: Mapping[str, str]) -> HttpReply:
        self.quota.take()
        try:
            reply = exchange(self._session, self.service.bounds, "GET", self.service.url + path, params=params)
        except WireError as error:
            raise RetryableError(f"GET {path}: {error}", NETWORK) from error
        if reply.status >= 500:
            raise RetryableError(f"GET {path} answered {reply.status}: {reply.excerpt}", LATER)
        return reply

    def hold(self, wait_s: float) -> None:
        """Keep every process from sending a request for `wait_s` seconds."""
        self.quota.correct(NO_QUOTA, self.service.now(), wait_s)


def read_object(path: str, reply: HttpReply) -> Mapping[str, object]:
    """Return the JSON object in a reply's body; raise TemporaryError for any other body."""
    try:
        body = reply.json()
    except BodyError as error:
        raise TemporaryError(f"GET {path}: {error}: {reply.excerpt}") from error
    if not isinstance(body, dict):
        raise TemporaryError(f"GET {path} did not return a JSON object")
    return body


def rows_in_our_fields(
    rows: Sequence[object], names: Mapping[str, str], symbols_in: str, symbol: str
) -> Iterator[object]:
    """Yield rows with the field names of `signals.headlines`; `names` maps these to the service's field names.

    The service's field `symbols_in` lists the symbols that a headline mentions; in each list item, the field `symbol`
    has the symbol itself. A missing field stays missing, so that the check of the rows reports it.
    """
    for row in rows:
        if not isinstance(row, dict):
            yield row
            continue
        ours: dict[str, object] = {name: row[theirs] for name, theirs in names.items() if theirs in row}
        mentioned = row.get(symbols_in)
        if isinstance(mentioned, list):
            ours["tickers"] = [each.get(symbol) for each in mentioned if isinstance(each, dict)]
        yield ours


class MarketAux:
    """The headlines about some symbols, from https://www.marketaux.com/documentation.

    A page has as many headlines as the plan allows (3 on the free plan), and each page costs one call.
    """

    PATH, MOST_PAGES = "/v1/news/all", 20

    def __init__(self, service: NewsService, symbols: Sequence[str]) -> None:
        self._client, self._symbols = HeadlineClient(service), symbols

    def headlines(self, since: datetime, until: datetime) -> Sequence[object]:
        """Return the headlines published in a period, from all its pages."""
        params = {
            "api_token": self._client.service.key,
            "symbols": ",".join(self._symbols),
            "filter_entities": "true",
            "language": "en",
            "published_after": f"{since:%Y-%m-%dT%H:%M:%S}",
            "published_before": f"{until:%Y-%m-%dT%H:%M:%S}",
        }
        rows = list[object]()
        for page in range(1, self.MOST_PAGES + 1):
            count, more = self._page({**params, "page": str(page)})
            rows += more
            if len(rows) >= count or not more:
                break
        if len(rows) < count:
            raise TemporaryError(
                f"GET {self.PATH}: there are {count:,} headlines since {since:%H:%M} UTC, but only {len(rows):,} in "
                f"{pluralize(page, 'page')}",
                "Name fewer symbols in news.symbols, or subscribe to a plan with longer pages.",
            )
        names = {"id": "uuid", "created_at": "published_at", "headline": "title"}
        return [*rows_in_our_fields(rows, names, "entities", "symbol")]

    def _page(self, params: Mapping[str, str]) -> tuple[int, Sequence[object]]:
        """Return how many headlines there are, and those of one page."""
        reply = self._client.get(self.PATH, params)
        if reply.status == 401:
            raise OperatorError("the news source refused the key", f"Check {self._client.service.key_name}.")
        if reply.status == 402:
            now = self._client.service.now()
            day_ends = next_quota_day(now)
            self._client.hold((day_ends - now).total_seconds())
            raise allowance_error("the day's allowance of the news source is used up", day_ends)
        if reply.status == 429:
            self._client.hold(LONGEST_WAIT_S)
        body = read_object(self.PATH, reply)
        if reply.status != 200:
            refusal = NotInPlanError if reply.status == 403 else TemporaryError
            raise refusal(f"GET {self.PATH} answered {reply.status}: {printable(str(body.get('error')))}")
        meta, rows = body.get("meta"), body.get("data")
        count = meta.get("found") if isinstance(meta, dict) else None
        if not isinstance(rows, list) or not isinstance(count, int):
            raise TemporaryError(f"GET {self.PATH} answered without headlines or their count: {reply.excerpt}")
        return count, rows


class AlphaVantage:
    """The headlines about the whole market, from https://www.alphavantage.co/documentation/#news-sentiment.

    Its parameter `tickers` selects only articles that mention all of the given symbols, so it isn't used. Times have no
    zone, and are taken as UTC.
    """

    PATH, MOST, WAIT_S = "/query", 1000, 3600.0

    def __init__(self, service: NewsService) -> None:
        self._client = HeadlineClient(service)

    def headlines(self, since: datetime, until: datetime) -> Sequence[object]:
        """Return the headlines published since a time, in one call."""
        reply = self._client.get(
            self.PATH,
            {
                "function": "NEWS_SENTIMENT",
                "time_from": f"{since:%Y%m%dT%H%M}",
                "sort": "LATEST",
                "limit": str(self.MOST),
                "apikey": self._client.service.key,
            },
        )
        rows = self._feed(reply)
        if len(rows) >= self.MOST:
            raise TemporaryError(
                f"GET {self.PATH}: there are more than {self.MOST:,} headlines since {since:%H:%M} UTC"
            )
        names = {"id": "url", "created_at": "time_published", "headline": "title"}
        return [*map(_with_zone, rows_in_our_fields(rows, names, "ticker_sentiment", "ticker"))]

    def _feed(self, reply: HttpReply) -> Sequence[object]:
        body, key_name = read_object(self.PATH, reply), self._client.service.key_name
        words = next((body[name] for name in ("Information", "Note", "Error Message") if name in body), None)
        text = printable(str(words).replace(self._client.service.key, key_name))
        if words is not None and "Error Message" not in body:
            # The service says the same of a spent day, too many calls at once and a wrong key, so try again later.
            self._client.hold(self.WAIT_S)
            raise AllowanceSpentError(f"the news source answered: {text}", f"Wait an hour, and check {key_name}.")
        if words is not None:
            raise OperatorError(f"the news source refused the request: {text}", f"Check {key_name}.")
        rows = body.get("feed")
        if reply.status != 200 or not isinstance(rows, list):
            raise TemporaryError(f"GET {self.PATH} answered {reply.status} without headlines")
        return rows


def _with_zone(row: object) -> object:
    published = row.get("created_at") if isinstance(row, dict) else None
    return {**row, "created_at": f"{published}Z"} if isinstance(row, dict) and isinstance(published, str) else row


CLIENTS: Mapping[str, Callable[[NewsService, Sequence[str]], HeadlineSource]] = {
    "marketaux": MarketAux,
    "alpha_vantage": lambda service, symbols: AlphaVantage(service),
}
"""The client of each service, by its name."""
