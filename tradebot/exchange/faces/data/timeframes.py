"""Define the timeframes of bars."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Literal, NamedTuple

from tradebot.exchange.faces.data.asking import refused

_MINUTES = re.compile(r"([1-9]|[1-5][0-9])(?:Min|T)|([1-9]|1[0-9]|2[0-3])(?:Hour|H)")
_DAYS = re.compile(r"1(?:Day|D)")
_WEEKS = re.compile(r"1(?:Week|W)")
_MONTHS = re.compile(r"(1|2|3|4|6|12)(?:Month|M)")


class Timeframe(NamedTuple):
    """A number of minutes or months, a day, or a week."""

    unit: Literal["minute", "day", "week", "month"]
    length: int = 1

    def first_day(self, day: date) -> date:
        """Return the first day of the period that contains a day."""
        if self.unit == "month":
            return day.replace(month=(day.month - 1) // self.length * self.length + 1, day=1)
        return day - timedelta(days=day.weekday()) if self.unit == "week" else day


def timeframe_of(text: str) -> Timeframe:
    """Parse a timeframe such as 5Min, 1Hour, 1Day, 1Week or 3Month; raise the 400 for any other."""
    if match := _MINUTES.fullmatch(text):
        minutes, hours = match.groups()
        return Timeframe("minute", int(minutes or 0) + 60 * int(hours or 0))
    if _DAYS.fullmatch(text):
        return Timeframe("day")
    if _WEEKS.fullmatch(text):
        return Timeframe("week")
    if match := _MONTHS.fullmatch(text):
        return Timeframe("month", int(match[1]))
    raise refused(f"timeframe: {text[:20]}" if text else "timeframe: it is required")
