"""Read the federal funds rate by date from a file."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from papervenue.jsontext import to_decimal
from papervenue.market.spec import RATE_LINES, MarketError, MarketSpec

if TYPE_CHECKING:
    from papervenue.market.sessions import Calendar

_PERCENT = 100
_LONGEST_GAP = timedelta(days=40)


class Rates(NamedTuple):
    """The federal funds rate by ISO date, as an annual fraction; a date without one has the last rate before it."""

    days: tuple[str, ...] = ()
    rates: tuple[Decimal, ...] = ()

    @classmethod
    def of(cls, rates: Mapping[str, Decimal]) -> Rates:
        """Return the rates by date, in any order."""
        days = tuple(sorted(rates))
        return cls(days, tuple(rates[day] for day in days))

    def on(self, day: str) -> Decimal:
        """Return the rate of an ISO date; raise MarketError if it is before the first one."""
        index = bisect_right(self.days, day)
        if not index:
            raise MarketError(f"no funds rate is known for {day}", RATE_LINES)
        return self.rates[index - 1]

    def to_fields(self) -> dict[str, str]:
        return {day: str(rate) for day, rate in zip(self.days, self.rates, strict=True)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Rates:
        return cls.of({day: Decimal(rate) for day, rate in fields.items()})

    def between(self, first: date, last: date) -> Rates:
        """Return the rates that apply from `first` to `last`; raise MarketError if they don't cover that period."""
        begin, end = first.isoformat(), (last - _LONGEST_GAP).isoformat()
        if not self.days or self.days[0] > begin or self.days[-1] < end:
            range_text = f"from {self.days[0]} to {self.days[-1]}" if self.days else "for no day"
            raise MarketError(
                f"rates are known {range_text}, but the market runs from {begin} to {last.isoformat()}",
                "use a file that covers it, or a constant rate such as 0.05",
            )
        low, high = bisect_right(self.days, begin) - 1, bisect_right(self.days, last.isoformat())
        return Rates(self.days[low:high], self.rates[low:high])


NO_RATES = Rates()


def read_rates(path: Path) -> Rates:
    """Read a CSV file with a header, then a date and a rate in percent a year on each line.

    This is the format in which the Federal Reserve Bank of St. Louis publishes the effective federal funds rate (series
    DFF); a day without a rate has a dot. Raises MarketError, naming the first invalid line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return Rates.of(dict(_rows(path, csv.reader(file))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MarketError(f"{path} can't be read: {error}", RATE_LINES) from error


def _rows(path: Path, rows: Iterator[list[str]]) -> Iterator[tuple[str, Decimal]]:
    next(rows, None)
    for number, row in enumerate(rows, start=2):
        if not row or row[1:2] in ([""], ["."]):
            continue
        percent = to_decimal(row[1].strip()) if len(row) > 1 else None
        try:
            day = date.fromisoformat(row[0].strip())
        except ValueError:
            day = None
        if day is None or percent is None or abs(percent) > _PERCENT:
            raise MarketError(f"{path} line {number}: no date and rate: {','.join(row)[:40]!r}", RATE_LINES)
        yield day.isoformat(), percent / _PERCENT


def rates_of(spec: MarketSpec, calendar: Calendar) -> Rates:
    """Return the rates that a market needs, if any; raise MarketError if its file doesn't have them."""
    if not spec.costs.uses_funds:
        return NO_RATES
    assert spec.costs.rates_path is not None
    first, last = (date.fromisoformat(calendar.market[index].date) for index in (0, -1))
    return read_rates(Path(spec.costs.rates_path)).between(first, last)
