"""Choose the source of headlines, and open it if it isn't the flow's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tradebot.app.venues import driver_for
from tradebot.model.sentences import known_name

if TYPE_CHECKING:
    from tradebot.app.settings_schema import Sections
    from tradebot.ports.world import HeadlineSource
    from tradebot.venues.door import Connection

WITH_FLOW = "unusual_whales"
"""The source of headlines that comes with the flow."""


def is_news_apart(settings: Sections) -> bool:
    """Return True if headlines come from another source than the flow."""
    return settings.news.source == settings.venue


def news_problems(settings: Sections) -> Iterator[str]:
    """Yield why the configured source can't be used at this venue."""
    own = (settings.venue,) if driver_for(settings.venue).headlines else ()
    try:
        known_name(settings.news.source, (WITH_FLOW, *own), "source of news")
    except ValueError as error:
        yield f"news.source: {error}"


def open_headlines(settings: Sections, connection: Connection) -> HeadlineSource:
    """Return the source of headlines besides the flow; raise OperatorError if it can't be used."""
    headlines = driver_for(settings.venue).headlines
    assert headlines is not None, "settings are checked"
    return headlines(connection, settings.universe)
