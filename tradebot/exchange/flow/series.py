"""Say what a request for one of the further series asks, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from tradebot.exchange.flow.endpoints import Endpoint
from tradebot.exchange.flow.rows import Row
from tradebot.exchange.params import Params


class Question(NamedTuple):
    """One request: its endpoint and path, what it is about, and its query.

    `about` is a ticker or a sector, and empty for the market. `day` is the ISO date asked for, or None for the current
    one. `lists` are the parameters that may be repeated.
    """

    endpoint: Endpoint
    path: str
    about: str
    day: str | None
    params: Params
    lists: Mapping[str, Sequence[str]] = {}

    def values(self, name: str) -> Sequence[str]:
        """Return every value of a repeated parameter."""
        return self.lists.get(name, ())


class Answered(NamedTuple):
    """The rows of an answer in their order, and what its envelope says besides."""

    rows: Sequence[Row]
    others: Mapping[str, Any] = {}


NOTHING = Answered(())
RECENT = 64
"""How many symbols' rows to keep of a series that changes once a day, and so is asked for once."""
Maker = Callable[[str, Question, int], Answered]
"""Answers a question about a listed symbol (empty for the market or a sector) at an engine time."""
_DAYS = {"D": 1, "W": 7, "M": 31, "Y": 366}


def oldest_day(question: Question, last: str) -> str:
    """Return the first ISO date of a request's timeframe, a year by default, which ends at a date.

    Raise a Refusal for text that isn't a timeframe.
    """
    text = question.params.text("timeframe", "1Y").upper()
    if text == "YTD":
        return f"{last[:4]}-01-01"
    count, unit = text[:-1], text[-1:]
    if not (count.isascii() and count.isdigit() and len(count) <= 3 and unit in _DAYS):
        raise question.params.refused("timeframe")
    return (date.fromisoformat(last) - timedelta(days=int(count) * _DAYS[unit])).isoformat()
