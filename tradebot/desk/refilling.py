"""Ask the REST API for the alerts of many symbols since a time, page by page."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct

from tradebot.errors import TemporaryError
from tradebot.model.flow import FLOW_ALERTS, FlowPage, Intake, Quota
from tradebot.model.kind import AnyKind, Row, Scope
from tradebot.model.values import replace
from tradebot.ports.flow import FlowSource
from tradebot.signals.kinds import flow_alerts
from tradebot.signals.normalize import normalize, source_ticker
from tradebot.signals.rows import BadRowError, past_time
from tradebot.signals.streamed import about_symbol

MOST_SYMBOLS = 50
"""How many symbols one call asks about. The source takes a list; this one keeps the address short."""
FULL_PAGE = 200
"""How many rows a page has at most. One with fewer is the last."""
MOST_PAGES = 50
_PATH = "/api/option-trades/flow-alerts"
_OVERLAP = timedelta(seconds=1)


class Refilled(Struct, frozen=True):
    """What the REST API has of some symbols since a time: a page for each symbol, even one without alerts.

    `intakes` are the same pages, read. `about` is what the rows say about their symbols.
    """

    calls: int
    pages: tuple[FlowPage, ...]
    intakes: tuple[Intake, ...]
    about: Mapping[str, Row]


def refill(
    flow: FlowSource, symbols: Sequence[str], since: datetime, session: date, now: Callable[[], datetime]
) -> Refilled:
    """Return all alerts of these symbols since a time; raise TemporaryError if some of them can't be had."""
    calls, made, intakes, about = 0, list[FlowPage](), list[Intake](), dict[str, Row]()
    for first in range(0, len(symbols), MOST_SYMBOLS):
        some = symbols[first : first + MOST_SYMBOLS]
        pages = list(_pages(flow, some, since, session, now))
        calls += len(pages)
        at = pages[-1].told_at or now()
        for symbol, rows in _by_symbol(some, pages).items():
            page = page_of(symbol, rows, pages[-1].quota, at)
            intake = normalize(flow_alerts.KIND, page, at)
            made.append(page)
            intakes.append(intake)
            if intake.facts:
                about |= _about(symbol, rows)
    return Refilled(calls, tuple(made), tuple(intakes), about)


def page_of(symbol: str, rows: Sequence[object], quota: Quota, at: datetime) -> FlowPage:
    """Return a symbol's rows as one reply that came at `at`, which can be kept and read again."""
    body = json.dumps({"data": list(rows)}, default=float).encode()
    return FlowPage(FLOW_ALERTS, symbol, tuple(rows), quota, at, body=body)


def _about(symbol: str, rows: Sequence[object]) -> Mapping[str, Row]:
    ticker = source_ticker(symbol).upper()
    own = (row for row in rows if isinstance(row, dict) and str(row.get("ticker")).upper() == ticker)
    first = next(own, None)
    return {} if first is None else {symbol: about_symbol(first)}


def _pages(
    flow: FlowSource, symbols: Sequence[str], since: datetime, session: date, now: Callable[[], datetime]
) -> Iterator[FlowPage]:
    """Yield pages, newest first, each from the oldest row of the one before it on, until one isn't full."""
    older: datetime | None = None
    for _ in range(MOST_PAGES):
        params = {"ticker_symbol": ",".join(map(source_ticker, symbols)), "limit": str(FULL_PAGE)}
        params |= {"newer_than": _text(since)} | ({"older_than": _text(older)} if older else {})
        page = flow.fetch(_asking(params), None, session)
        yield page
        if len(page.rows) < FULL_PAGE:
            return
        oldest = min(_times(page.rows, page.told_at or now()), default=None)
        # Whether a row of that very moment is included isn't documented, so a second more is asked for.
        going_on = None if oldest is None else oldest + _OVERLAP
        if going_on is None or (older is not None and going_on >= older):
            break
        older = going_on
    raise TemporaryError(f"GET {_PATH}: there are more alerts since {_text(since)} than its pages show")


def _asking(params: Mapping[str, str]) -> AnyKind:
    """Return the kind of alerts with a request of ours, about several symbols at once."""
    return replace(flow_alerts.KIND, scope=Scope.MARKET, params=params)


def _times(rows: Sequence[object], at: datetime) -> Iterator[datetime]:
    for row in rows:
        try:
            yield past_time(row if isinstance(row, dict) else {}, "created_at", at)
        except BadRowError:
            continue


def _by_symbol(symbols: Sequence[str], pages: Sequence[FlowPage]) -> Mapping[str, Sequence[object]]:
    """Return each symbol's rows, without those that two pages share.

    Rows of other tickers and unreadable ones count for every symbol: the reply isn't what was asked for.
    """
    tickers = {source_ticker(symbol).upper(): symbol for symbol in symbols}
    found: dict[str, list[object]] = {symbol: [] for symbol in symbols}
    known: set[object] = set()
    for row in (row for page in pages for row in page.rows):
        fields = row if isinstance(row, dict) else {}
        identity, ticker = fields.get("id"), fields.get("ticker")
        if isinstance(identity, str) and identity in known:
            continue
        known.add(identity if isinstance(identity, str) else None)
        symbol = tickers.get(ticker.upper()) if isinstance(ticker, str) else None
        for owner in symbols if symbol is None else (symbol,):
            found[owner].append(row)
    return found


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
