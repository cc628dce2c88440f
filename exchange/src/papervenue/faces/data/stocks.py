"""Serve Alpaca's market-data API under /v2/stocks: bars, trades, quotes, auctions, latest data, snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from papervenue.faces.data.history import Auctions, DataHistory, PastWindow
from papervenue.faces.data.params import (
    AUCTION_FEEDS,
    HISTORICAL_FEEDS,
    RequestedFeed,
    RequestedSpan,
    Timeframe,
    bad_parameter,
    check_currency,
    historical_feed,
    latest_feed,
    params_of,
    span_of,
    symbols_of,
    timeframe_of,
    token_of,
)
from papervenue.faces.data.rows import (
    ALONE,
    Aggregate,
    Listing,
    Row,
    bar_json,
    listing,
    of_minute,
    quote_json,
    trade_json,
    venue,
)
from papervenue.faces.web import Call, Handler, Reply, ok
from papervenue.market.bars import UNITS, Bar, Market
from papervenue.market.ticks import QuoteAround, last_quote, last_trade
from papervenue.params import Params
from papervenue.refusal import NOT_FOUND, Refusal
from papervenue.times import at_new_york, new_york_date, rfc3339

Rows = Callable[[PastWindow], Iterable[tuple[int, Row]]]
"""Returns a window's rows, each with the time to sort it by."""


class Page(NamedTuple):
    """Rows by symbol, and the token of the next page."""

    rows: dict[str, list[Row]]
    token: str | None


def page_of(listings: Sequence[Listing], span: RequestedSpan, feed: RequestedFeed, rows: Rows) -> Page:
    """Return a page; this reads one row more than the page shows, to find out whether there is a next page."""
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


def _window(listed: Listing, span: RequestedSpan, feed: RequestedFeed) -> PastWindow | None:
    remaining = span.of(listed.symbol)
    if remaining is None:
        return None
    start_us, end_us = max(remaining[0], listed.from_us), min(remaining[1], listed.until_us)
    known_us = min(feed.known_us, listed.until_us)
    return PastWindow(listed.symbol, start_us, end_us, span.newest_first, known_us) if start_us <= end_us else None


def reply(call: Call, key: str, page: Page, extra: dict[str, str]) -> Reply:
    """Wrap a page as the API does: by symbol, or only the rows if the path names a single symbol."""
    if "symbol" in call.names:
        symbol = call.names["symbol"]
        return ok({"symbol": symbol, key: page.rows.get(symbol, []), "next_page_token": page.token, **extra})
    return ok({key: page.rows, "next_page_token": page.token, **extra})


_ADJUSTMENTS = {
    "raw": (),
    "split": ("split",),
    "dividend": ("dividend",),
    "spin-off": (),
    "all": ("split", "dividend"),
}
"""The corporate actions that each adjustment reverses; there are no spin-offs."""
_SNAPSHOT = ("latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar")

Render = Callable[[str, Bar, RequestedFeed], Row]
Stamped = Iterator[tuple[int, Row]]


class Stocks:
    """Handlers for a market. `now_us` returns the moment whose data is shown; `plan` is the data plan."""

    def __init__(self, market: Market, now_us: Callable[[], int], plan: str, around: QuoteAround) -> None:
        self._market = market
        self._now_us = now_us
        self._plan = plan
        self._around = around
        self.history = DataHistory(market)

    def routes(self) -> Iterator[tuple[str, Handler]]:
        yield "/v2/stocks/snapshots", self._snapshots
        yield "/v2/stocks/{symbol}/snapshot", self._one_snapshot
        for name, render in (("quote", self._quote), ("trade", self._trade), ("bar", _minute)):
            yield f"/v2/stocks/{name}s/latest", self._latest(name + "s", render)
            yield f"/v2/stocks/{{symbol}}/{name}s/latest", self._one_latest(name, render)
        rows = {"trades": self._trade_rows, "quotes": self._quote_rows, "auctions": self._auction_rows}
        histories: dict[str, Handler] = {name: partial(self._history, name, of) for name, of in rows.items()}
        for name, handler in {"bars": self._bars, **histories}.items():
            yield f"/v2/stocks/{name}", handler
            yield f"/v2/stocks/{{symbol}}/{name}", handler

    def _bars(self, call: Call) -> Reply:
        params = params_of(call)
        timeframe, kinds = timeframe_of(params.text("timeframe")), _adjustment(params)
        return self._history("bars", partial(self._bar_rows, timeframe, kinds), call)

    def _bar_rows(
        self, timeframe: Timeframe, kinds: tuple[str, ...], feed: RequestedFeed, window: PastWindow
    ) -> Stamped:
        for bar in self.history.bars(window, timeframe, kinds, self._now_us()):
            yield bar.start_us, bar_json(bar)

    def _trade_rows(self, feed: RequestedFeed, window: PastWindow) -> Stamped:
        for trade, extended in self.history.trades(window):
            yield trade.at_us, trade_json(window.symbol, trade, feed.name, extended)

    def _quote_rows(self, feed: RequestedFeed, window: PastWindow) -> Stamped:
        for quote in self.history.quotes(window, self._around):
            yield quote.at_us, quote_json(window.symbol, quote, feed.name)

    def _auction_rows(self, feed: RequestedFeed, window: PastWindow) -> Stamped:
        for auctions in self.history.auctions(window):
            yield auctions.midnight_us, _auctions_json(window.symbol, auctions)

    def _history(self, key: str, rows: Callable[[RequestedFeed, PastWindow], Stamped], call: Call) -> Reply:
        params, now = params_of(call), self._now_us()
        feeds = AUCTION_FEEDS if key == "auctions" else HISTORICAL_FEEDS
        feed = historical_feed(params, self._plan, now, feeds)
        span, extra = span_of(params, feed, now), check_currency(params)
        asof = _asof(params, now)
        listings = [] if feed.empty else [listing(self._market, symbol, asof) for symbol in symbols_of(call)]
        of_feed: Rows = partial(rows, feed)
        return reply(call, key, page_of([listing for listing in listings if listing], span, feed, of_feed), extra)

    def _latest(self, key: str, render: Render) -> Handler:
        def answer(call: Call) -> Reply:
            feed, extra = self._latest_request(call)
            bars = {symbol: self._last(symbol, feed) for symbol in symbols_of(call)}
            return ok({key: {symbol: render(symbol, bar, feed) for symbol, bar in bars.items() if bar}, **extra})

        return answer

    def _one_latest(self, key: str, render: Render) -> Handler:
        def answer(call: Call) -> Reply:
            (feed, extra), (symbol,) = self._latest_request(call), symbols_of(call)
            bar = self._last(symbol, feed)
            if bar is None:
                raise _nothing(key, symbol)
            return ok({"symbol": symbol, key: render(symbol, bar, feed), **extra})

        return answer

    def _latest_request(self, call: Call) -> tuple[RequestedFeed, dict[str, str]]:
        params = params_of(call)
        return latest_feed(params, self._plan, self._now_us()), check_currency(params)

    def _last(self, symbol: str, feed: RequestedFeed) -> Bar | None:
        listed = self._listing_of(symbol, feed)
        return self._market.last_bar(symbol, min(feed.known_us, listed.until_us)) if listed else None

    def _listing_of(self, symbol: str, feed: RequestedFeed) -> Listing | None:
        return None if feed.empty else listing(self._market, symbol, feed.known_us)

    def _snapshots(self, call: Call) -> Reply:
        feed, _ = self._latest_request(call)
        return ok(
            {symbol: self._snapshot(symbol, feed) for symbol in symbols_of(call) if self._listing_of(symbol, feed)}
        )

    def _one_snapshot(self, call: Call) -> Reply:
        (feed, extra), (symbol,) = self._latest_request(call), symbols_of(call)
        if not self._listing_of(symbol, feed):
            raise _nothing("snapshot", symbol)
        return ok({"symbol": symbol, **self._snapshot(symbol, feed), **extra})

    def _snapshot(self, symbol: str, feed: RequestedFeed) -> Row:
        last = self._last(symbol, feed)
        today, before = self.days(symbol, feed.known_us)
        renders = (self._trade, self._quote, _minute)
        newest = [render(symbol, last, feed) if last else None for render in renders]
        days = [bar_json(day) if day else None for day in (today, before)]
        return dict(zip(_SNAPSHOT, [*newest, *days], strict=True))

    def days(self, symbol: str, known_us: int) -> tuple[Aggregate | None, Aggregate | None]:
        """Return the bars of the last session that opened and of the one before it."""
        begun = self._market.calendar.last_begun(known_us)
        last = -1 if begun is None else begun
        return self.history.day(symbol, last, known_us), self.history.day(symbol, last - 1, known_us)

    def _quote(self, symbol: str, bar: Bar, feed: RequestedFeed) -> Row:
        quote = last_quote(bar, self._around)
        return quote_json(symbol, quote._replace(at_us=self._market.quoted_us(bar, feed.known_us)), feed.name)

    def _trade(self, symbol: str, bar: Bar, feed: RequestedFeed) -> Row:
        return trade_json(symbol, last_trade(bar), feed.name, self.history.is_extended(bar))


def _minute(symbol: str, bar: Bar, feed: RequestedFeed) -> Row:
    return bar_json(of_minute(bar))


def _auctions_json(symbol: str, auctions: Auctions) -> Row:
    """Return one day's auctions: the listing exchange's print and its official price, both at the auction's price."""
    return {
        "d": new_york_date(auctions.midnight_us),
        "o": _prints(symbol, auctions.opened_us, auctions.opening, "OQ"),
        "c": _prints(symbol, auctions.closed_us, auctions.closing, "6M"),
    }


def _prints(symbol: str, at_us: int, price: int | None, codes: str) -> list[Row]:
    if price is None:
        return []
    return [{"t": rfc3339(at_us), "x": venue(symbol, "sip"), "p": price / UNITS, "c": code} for code in codes]


def _adjustment(params: Params) -> tuple[str, ...]:
    words = params.text("adjustment", "raw").lower().split(",")
    unknown = [word for word in words if word not in _ADJUSTMENTS]
    if unknown:
        raise bad_parameter(f"adjustment: {unknown[0][:20]}")
    return tuple(dict.fromkeys(kind for word in words for kind in _ADJUSTMENTS[word]))


def _asof(params: Params, now_us: int) -> int | None:
    if params.text("asof") == ALONE:
        return None
    # A day after the last possible name change is as good as the day of the request.
    day = params.date("asof")
    return min(at_new_york(day, 12), now_us) if day else now_us


def _nothing(key: str, symbol: str) -> Refusal:
    return Refusal(404, {"code": NOT_FOUND, "message": f"no {key} found for {symbol}"})
