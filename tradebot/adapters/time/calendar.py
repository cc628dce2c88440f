"""Compute an exchange's calendar in advance, without a request to a venue.

exchange_calendars has the calendars of shares and of round-the-clock trading. Products on Globex have a break each
afternoon and product-specific early closes, which only pandas_market_calendars knows (the extra `ibkr`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.model.bar import Session

if TYPE_CHECKING:
    import pandas as pd

_USUAL = date(2000, 1, 1), date(2040, 12, 31)
_DATE = attrgetter("date")

BY_PRODUCT = frozenset({"CME Globex Equity", "CMEGlobex_GC", "CMEGlobex_FX"})
"""The calendars of products on Globex, by their names in pandas_market_calendars: stock indexes, metals, currencies."""


def require_library(name: str) -> None:
    """Raise OperatorError if the library of a product's calendar isn't installed."""
    if find_spec("pandas_market_calendars") is None:
        raise OperatorError(f"the calendar {name} needs the extra ibkr", install("ibkr"))


@lru_cache(maxsize=8)
def is_listed(name: str) -> bool:
    """Return True if a calendar of this name can be computed; raise OperatorError if that requires an extra that isn't
    installed.
    """
    if name in BY_PRODUCT:
        require_library(name)
        return True
    import exchange_calendars

    return name in exchange_calendars.get_calendar_names()


@lru_cache(maxsize=64)
def exchange_sessions(start: date, end: date, name: str) -> Sequence[Session]:
    """Return the sessions of a calendar from `start` to `end`, inclusive; half days have their early close.

    Return no sessions if the calendar can't be computed.
    """
    if not is_listed(name):
        return ()
    # Computing all these years is as fast as computing a month.
    sessions = every_session(name, min(start, _USUAL[0]), max(end, _USUAL[1]))
    return sessions[bisect_left(sessions, start, key=_DATE) : bisect_right(sessions, end, key=_DATE)]


@lru_cache(maxsize=8)
def every_session(name: str, first: date, last: date) -> Sequence[Session]:
    """Return all sessions of a calendar from `first` to `last`, inclusive."""
    if name in BY_PRODUCT:
        return _of_product(first, last, name)
    import exchange_calendars

    return _sessions(exchange_calendars.get_calendar(name, start=first, end=last).schedule, "open", "close")


def _of_product(start: date, end: date, name: str) -> Sequence[Session]:
    import pandas_market_calendars

    schedule = pandas_market_calendars.get_calendar(name).schedule(start.isoformat(), end.isoformat())
    sessions = _sessions(schedule, "market_open", "market_close")
    assert all(earlier.close < later.open for earlier, later in pairwise(sessions)), (
        "sessions must be separated by a break"
    )
    return sessions


def _sessions(schedule: "pd.DataFrame", opens: str, closes: str) -> Sequence[Session]:
    rows = zip(schedule.index, schedule[opens], schedule[closes], strict=True)
    return tuple(
        Session(day.date(), first.to_pydatetime().astimezone(UTC), last.to_pydatetime().astimezone(UTC))
        for day, first, last in rows
    )
