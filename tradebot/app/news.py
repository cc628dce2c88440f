"""Choose the source of headlines, and open it unless it is the flow source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from tradebot.adapters.wire.allowed_hosts import is_loopback
from tradebot.app.venues import driver_for
from tradebot.model.flow import Allowance
from tradebot.model.sentences import known_name
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.app.settings_schema import Sections
    from tradebot.ports.world import HeadlineSource
    from tradebot.venues.door import Connection

WITH_FLOW = "unusual_whales"
"""The source of headlines that comes with the flow."""


class HttpSource(NamedTuple):
    """A service with headlines: the variable with its key, its address, and the daily calls of its free plan."""

    key: str
    url: str
    daily_calls: int


HTTP_SOURCES: Mapping[str, HttpSource] = MappingProxyType(
    {
        "marketaux": HttpSource("MARKETAUX_API_KEY", "https://api.marketaux.com", 100),
        "alpha_vantage": HttpSource("ALPHA_VANTAGE_API_KEY", "https://www.alphavantage.co", 25),
    }
)
CALLS_PER_MINUTE = 30


def is_news_apart(settings: Sections) -> bool:
    """Return True if headlines come from a source other than the flow's.

    In the sandbox, headlines that would come from a service come with the flow, because the embedded exchange generates
    headlines only for its own APIs.
    """
    source = settings.news.source
    return source == settings.venue or (source in HTTP_SOURCES and settings.mode is not Mode.SANDBOX)


def news_allowance(settings: Sections) -> Allowance | None:
    """Return the call limits of a service with headlines; None for any other source, and for one on this machine."""
    source, news = HTTP_SOURCES.get(settings.news.source), settings.news
    if source is None or not is_news_apart(settings) or is_loopback(news.url or ""):
        return None
    return Allowance(CALLS_PER_MINUTE, news.daily_calls or source.daily_calls)


def news_problems(settings: Sections) -> Iterator[str]:
    """Yield each reason why the configured source of headlines can't be used at this venue."""
    own = (settings.venue,) if driver_for(settings.venue).headlines else ()
    try:
        known_name(settings.news.source, (WITH_FLOW, *HTTP_SOURCES, *own), "source of news")
    except ValueError as error:
        yield f"news.source: {error}"


def open_service(settings: Sections, key: str, quota_file: Path, now: Callable[[], datetime]) -> HeadlineSource:
    """Return the client of a service with headlines; raise OperatorError if its key isn't set."""
    from tradebot.adapters.flow.http_headlines import CLIENTS, NewsService

    source, news = HTTP_SOURCES[settings.news.source], settings.news
    service = NewsService(
        source.key, source.url, news.url or source.url, key, news_allowance(settings), quota_file, now
    )
    return CLIENTS[news.source](service, news.symbols or settings.universe)


def open_headlines(settings: Sections, connection: Connection) -> HeadlineSource:
    """Return the venue's own source of headlines."""
    headlines = driver_for(settings.venue).headlines
    assert headlines is not None, "settings are checked"
    return headlines(connection, settings.universe)
