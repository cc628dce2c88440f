"""Read the timeframe of a request, such as 2M, 1Y or YTD."""

from __future__ import annotations

from datetime import date, timedelta

from tradebot.exchange.flow.series import Question

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
