"""Read the parameters of data API requests: symbols, interval, feed and page. Invalid ones are refused with a 400."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, NamedTuple

from papervenue.faces.web import Call
from papervenue.params import Params
from papervenue.refusal import INVALID, UNPROCESSABLE, Refusal
from papervenue.times import MINUTE, at_new_york, new_york_date

HISTORICAL_FEEDS = ("iex", "otc", "sip", "boats")
LATEST_FEEDS = ("delayed_sip", "iex", "otc", "sip", "boats", "overnight")
AUCTION_FEEDS = ("sip",)
_FEEDS_WITH_DATA = ("sip", "iex", "delayed_sip")
"""The other feeds have over-the-counter and overnight trading, which this market doesn't have."""
DELAY_US = 15 * MINUTE
FREE = "free"
_DEFAULT_LIMIT, _MOST_ROWS = 1000, 10_000
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,9}([./-][A-Z0-9]{1,6})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class RequestedFeed(NamedTuple):
    """The requested feed, and the time up to which it shows data."""

    name: str
    known_us: int

    @property
    def empty(self) -> bool:
        return self.name not in _FEEDS_WITH_DATA


class RequestedSpan(NamedTuple):
    """The requested interval, with both ends inclusive, and the page; `after` is the last row of the previous page."""

    start_us: int
    end_us: int
    limit: int
    newest_first: bool
    after: tuple[str, int] | None

    def of(self, symbol: str) -> tuple[int, int] | None:
        """Return the remaining part of a symbol's interval, or None if earlier pages have shown all of it."""
        if self.after is None or symbol > self.after[0]:
            return self.start_us, self.end_us
        if symbol < self.after[0]:
            return None
        if self.newest_first:
            return self.start_us, min(self.end_us, self.after[1] - 1)
        return max(self.start_us, self.after[1] + 1), self.end_us


def bad_parameter(what: str) -> Refusal:
    return Refusal(400, {"code": INVALID, "message": f"invalid {what}"})


def params_of(call: Call) -> Params:
    """Return a request's parameters; an invalid one is refused in the data API's form."""
    return Params(call.query, bad_parameter)


def symbols_of(call: Call) -> list[str]:
    """Return the requested symbols in alphabetical order without duplicates."""
    if "symbol" in call.names:
        return [_symbol(call.names["symbol"])]
    names = {_symbol(name.strip()) for name in call.query.get("symbols", "").split(",") if name.strip()}
    if not names:
        raise bad_parameter("symbols: at least one is required")
    return sorted(names)


def _symbol(name: str) -> str:
    if not _SYMBOL.fullmatch(name):
        raise bad_parameter(f"symbol: {name[:30]}")
    return name


def historical_feed(params: Params, plan: str, now_us: int, feeds: Sequence[str]) -> RequestedFeed:
    """Return the feed for a historical request; on the free plan, the consolidated feed ends 15 minutes ago.

    The default is the best feed that the plan has in real time. A request with a more recent end raises the 403.
    """
    name = _feed(params, plan, feeds)
    if plan != FREE or name != "sip":
        return RequestedFeed(name, now_us)
    end_us = moment(params, "end", last=True)
    if end_us is not None and end_us > now_us - DELAY_US:
        raise no_recent_sip()
    return RequestedFeed(name, now_us - DELAY_US)


def latest_feed(params: Params, plan: str, now_us: int) -> RequestedFeed:
    """Return the feed for a request for the latest data; raise the 403 if the plan only has that feed with a delay."""
    name = _feed(params, plan, LATEST_FEEDS)
    if plan == FREE and name == "sip":
        raise no_recent_sip()
    return RequestedFeed(name, now_us - DELAY_US if name == "delayed_sip" else now_us)


def _feed(params: Params, plan: str, feeds: Sequence[str]) -> str:
    name = params.text("feed") or ("iex" if plan == FREE and "iex" in feeds else "sip")
    if name not in feeds:
        raise bad_parameter(f"feed: {name[:20]}")
    return name


def no_recent_sip() -> Refusal:
    """Return the 403 for consolidated data that the plan doesn't include."""
    message = "subscription does not permit querying recent SIP data"
    return Refusal(403, {"code": UNPROCESSABLE, "message": message})


def check_currency(params: Params) -> dict[str, str]:
    """Return the currency field of a response, as requested; only dollars are available."""
    currency = params.text("currency").upper()
    if currency not in ("", "USD"):
        raise bad_parameter(f"currency: {currency[:10]}, this market is quoted in USD only")
    return {"currency": currency} if currency else {}


def span_of(params: Params, feed: RequestedFeed, now_us: int) -> RequestedSpan:
    """Return the requested interval, by default from the start of the day in New York to the last moment shown."""
    start_us, end_us = moment(params, "start"), moment(params, "end", last=True)
    if start_us is None:
        start_us = min(at_new_york(new_york_date(now_us), 0), feed.known_us)
    if end_us is not None and end_us < start_us:
        raise bad_parameter("end: it is before the start")
    return RequestedSpan(
        start_us=start_us,
        end_us=feed.known_us if end_us is None else min(end_us, feed.known_us),
        limit=params.count("limit", _DEFAULT_LIMIT, _MOST_ROWS),
        newest_first=params.choice("sort", ("asc", "desc")) == "desc",
        after=params.read("page_token", read_token),
    )


def moment(params: Params, name: str, last: bool = False) -> int | None:
    """Return a time parameter; a date means its first moment in New York, or its last if `last` is set."""
    text = params.text(name)
    if not _DATE.fullmatch(text):
        return params.moment(name)
    day = params.date(name) or ""
    return at_new_york(day, 23, 59) + MINUTE - 1 if last else at_new_york(day, 0)


def token_of(symbol: str, at_us: int) -> str:
    return urlsafe_b64encode(f"{symbol}|{at_us}".encode()).decode()


def read_token(token: str) -> tuple[str, int]:
    """Return the row that a token refers to; raise ValueError for any other text."""
    symbol, _, at_us = urlsafe_b64decode(token.encode()).decode().partition("|")
    return symbol, int(at_us)


_MINUTES = re.compile(r"([1-9]|[1-5][0-9])(?:Min|T)|([1-9]|1[0-9]|2[0-3])(?:Hour|H)")
_DAYS = re.compile(r"1(?:Day|D)")
_WEEKS = re.compile(r"1(?:Week|W)")
_MONTHS = re.compile(r"(1|2|3|4|6|12)(?:Month|M)")


class Timeframe(NamedTuple):
    """The length of a bar: a number of minutes or months, a day, or a week."""

    unit: Literal["minute", "day", "week", "month"]
    length: int = 1

    def first_day(self, day: date) -> date:
        """Return the first day of the period that contains a day."""
        if self.unit == "month":
            return day.replace(month=(day.month - 1) // self.length * self.length + 1, day=1)
        return day - timedelta(days=day.weekday()) if self.unit == "week" else day


def timeframe_of(text: str) -> Timeframe:
    """Parse a timeframe such as 5Min, 1Hour, 1Day, 1Week or 3Month; raise a 400 Refusal for any other text."""
    if match := _MINUTES.fullmatch(text):
        minutes, hours = match.groups()
        return Timeframe("minute", int(minutes or 0) + 60 * int(hours or 0))
    if _DAYS.fullmatch(text):
        return Timeframe("day")
    if _WEEKS.fullmatch(text):
        return Timeframe("week")
    if match := _MONTHS.fullmatch(text):
        return Timeframe("month", int(match[1]))
    raise bad_parameter(f"timeframe: {text[:20]}" if text else "timeframe: it is required")
