"""Headlines about the market, counted by what they are about."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter

from tradebot.model.kind import Fact, Kind, Phase, Row, Scope, documented
from tradebot.signals import rows

_LONGEST_HEADLINE = 120
_MOST = "100"


class Category(StrEnum):
    """What a headline is about, by its words; the first that fits."""

    EARNINGS = "earnings"
    MACRO = "macro"
    MERGER = "merger"
    REGULATORY = "regulatory"
    OTHER = "other"


_WORDS = {
    Category.EARNINGS: r"earnings|eps|quarterly (results|profit|loss)|q[1-4] (results|revenue)|guidance",
    Category.MACRO: r"fed|federal reserve|fomc|ecb|central bank|rate (cut|hike)s?|"
    r"cpi|ppi|inflation|payrolls?|unemployment|jobless|gdp",
    Category.MERGER: r"merger|merges?|acquires?|acquisition|takeover|buyout",
    Category.REGULATORY: r"sec|fda|ftc|doj|antitrust|regulators?|regulatory|lawsuit|probe|fined?|sanctions?",
}
_PATTERNS = {category: re.compile(rf"\b({words})\b", re.IGNORECASE) for category, words in _WORDS.items()}


class Headline(Fact, frozen=True):
    """One headline: when it was published, and its category. Its id is its time and its beginning."""

    at: datetime
    category: Category


def category_of(headline: str) -> Category:
    return next((category for category, words in _PATTERNS.items() if words.search(headline)), Category.OTHER)


def _parse(row: Row, symbol: str, at: datetime) -> Headline:
    published, headline = rows.past_time(row, "created_at", at), rows.text(row, "headline")
    return Headline(f"{published.isoformat()}/{headline[:_LONGEST_HEADLINE]}", published, category_of(headline))


def _condense(told: Sequence[tuple[datetime, Category]]) -> Mapping[Category, tuple[datetime, ...]]:
    """Return when headlines of each category were published, oldest first."""
    return {each: tuple(sorted(at for at, category in told if category is each)) for each in Category}


KIND = Kind(
    name="news",
    unit="headlines",
    sign="none: they are only counted",
    absent="no headline of today or yesterday",
    fact=Headline,
    path="/api/news/headlines",
    params={"limit": _MOST},
    parse=_parse,
    moment=attrgetter("at"),
    lean=attrgetter("at", "category"),
    condense=_condense,
    poll_s=int(timedelta(minutes=5).total_seconds()),
    max_age_s=int(timedelta(minutes=30).total_seconds()),
    scope=Scope.MARKET,
    phase=Phase.ALWAYS,
    changes=False,
    past_days=1,
    fields=documented(
        "text created_at headline source, text? sentiment, boolean is_major, object? meta, list tags tickers"
    ),
)
