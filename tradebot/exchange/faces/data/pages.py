"""Paginate rows by symbol, then time: exact for any limit, counted over all symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tradebot.exchange.faces.data.asking import Feed, Span, token_of
from tradebot.exchange.faces.data.history import Window
from tradebot.exchange.faces.data.listings import Listing
from tradebot.exchange.faces.data.rows import Row
from tradebot.exchange.faces.web import Call, Reply, ok

Rows = Callable[[Window], Iterable[tuple[int, Row]]]
"""Returns a window's rows, each with the moment that it is sorted by."""


class Page(NamedTuple):
    """Rows by symbol, and the token of the next page."""

    rows: dict[str, list[Row]]
    token: str | None


def page_of(listings: Sequence[Listing], span: Span, feed: Feed, rows: Rows) -> Page:
    """Return a page, reading one row more than it shows to know whether there is a next page."""
    rows_by_symbol: dict[str, list[Row]] = {}
    taken, last = 0, ("", 0)
    for listed in listings:
        window = _window(listed, span, feed)
        for at_us, row in rows(window) if window else ():
            if taken == span.limit:
                return Page(rows_by_symbol, token_of(*last))
            rows_by_symbol.setdefault(listed.symbol, []).append(row)
            taken, last = taken + 1, (listed.symbol, at_us)
    return Page(rows_by_symbol, None)


def _window(listed: Listing, span: Span, feed: Feed) -> Window | None:
    left = span.of(listed.symbol)
    if left is None:
        return None
    start_us, end_us = max(left[0], listed.from_us), min(left[1], listed.until_us)
    known_us = min(feed.known_us, listed.until_us)
    return Window(listed.symbol, start_us, end_us, span.newest_first, known_us) if start_us <= end_us else None


def reply(call: Call, key: str, page: Page, extra: dict[str, str]) -> Reply:
    """Wrap a page as the API does: by symbol, or only the rows if the path names a single symbol."""
    if "symbol" in call.names:
        symbol = call.names["symbol"]
        return ok({"symbol": symbol, key: page.rows.get(symbol, []), "next_page_token": page.token, **extra})
    return ok({key: page.rows, "next_page_token": page.token, **extra})
