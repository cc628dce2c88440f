"""List the futures of a simulated Interactive Brokers: nine CME and COMEX roots, in the months that a market needs."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from papervenue.market.hours import CHICAGO, CURRENCY, EQUITY, HOURS, METALS
from papervenue.market.venue import Instrument, MarginLevel, Rules, TickStep, Venue
from papervenue.times import SECOND, at_zone, rfc3339

FACE = "tws"
RULES = Rules(client_ids="free", fees_after_us=2 * SECOND, attached=True, edits=True, corrections=True)
LETTERS = "FGHJKMNQUVXZ"
"""The letter of each month of the year."""
_SYMBOL = re.compile(rf"([A-Z0-9]{{2,3}})([{LETTERS}])[0-9]")
_TABLE = """
ES CME 50 0.25 HMUZ equity 6020 1500000 0.010 0.038 2.25 0.07 ES E-mini S&P 500
MES CME 5 0.25 HMUZ equity 6020 1200000 0.010 0.038 0.62 0.07 MES Micro E-mini S&P 500
NQ CME 20 0.25 HMUZ equity 21400 600000 0.013 0.038 2.25 0.08 NQ E-mini NASDAQ 100
MNQ CME 2 0.25 HMUZ equity 21400 1400000 0.013 0.038 0.62 0.08 MNQ Micro E-mini NASDAQ 100
GC COMEX 100 0.1 GJMQVZ metals 2650 200000 0.010 0.042 2.25 0.06 GC Gold
MGC COMEX 10 0.1 GJMQVZ metals 2650 120000 0.010 0.042 0.62 0.06 MGC E-Micro Gold
6E CME 125000 0.00005 HMUZ currency 1.08 220000 0.005 0.014 2.25 0.03 EUR European Monetary Union Euro
6B CME 62500 0.0001 HMUZ currency 1.27 110000 0.006 -0.002 2.25 0.03 GBP British pound
6A CME 100000 0.00005 HMUZ currency 0.655 100000 0.006 -0.001 2.25 0.03 AUD Australian dollar
"""
"""A root, its exchange, multiplier, tick, months, calendar, level, contracts a day, daily volatility, carry a year,
commission in USD, initial margin as a part of its value, and the venue's symbol and name for it."""
_CALENDARS = {"equity": EQUITY, "metals": METALS, "currency": CURRENCY}
_ENDS = {"equity": (8, 30), "metals": (12, 30), "currency": (9, 16)}
"""When trading ends on a month's last trading day, in Chicago."""
_AHEAD_DAYS, _PAST_YEAR = 190, 365
_MAINTENANCE = Decimal("0.9")
_FRIDAY, _WEDNESDAY = 4, 2
_THIRD = 14
"""The fewest days in a month before the third occurrence of a weekday."""


class FutureRoot(NamedTuple):
    """The properties that all months of a future share."""

    name: str
    exchange: str
    multiplier: Decimal
    tick: Decimal
    months: str
    group: str
    level: Decimal
    volume: Decimal
    volatility: Decimal
    carry: Decimal
    commission: Decimal
    margin: Decimal
    symbol: str
    title: str


def _read(row: str) -> FutureRoot:
    name, exchange, multiplier, tick, months, group, level, volume, volatility, carry, fee, margin, symbol, title = (
        row.split(maxsplit=13)
    )
    units, character = (Decimal(multiplier), Decimal(tick)), (Decimal(volume), Decimal(volatility), Decimal(carry))
    costs = Decimal(fee), Decimal(margin)
    return FutureRoot(name, exchange, *units, months, group, Decimal(level), *character, *costs, symbol, title)


ROOTS = MappingProxyType({root.name: root for root in map(_read, _TABLE.strip().splitlines())})
"""All roots by name."""


def is_contract(symbol: str) -> bool:
    """Return True if a symbol is a month of one of the roots, such as MESZ6."""
    match = _SYMBOL.fullmatch(symbol)
    root = ROOTS.get(match[1]) if match else None
    return match is not None and root is not None and match[2] in root.months


_WRITTEN = (
    rf"[ _-]?([{LETTERS}])(\d{{1,2}}|\d{{4}})",
    r"[ _-](\d{4})[_-]?(\d\d)(?![_-]?\d\d(?![0-9A-Z]))",
    r"[ _-](\d\d)-(\d\d)",
)
_NAMED = re.compile(rf"(?<![A-Z0-9])([A-Z0-9]{{2,3}}?)(?:{'|'.join(_WRITTEN)})(?![A-Z0-9])")
"""Names that publishers give to contracts: ESZ5, ESZ25, ESZ2025, ES_Z25, ES_2025_12, ES_202512, and ES 12-25."""


def contract_named(text: str) -> str | None:
    """Return the only contract that a text names, such as ESZ5 for "ES_2025_12_1min"; None if there isn't just one."""
    symbols = {symbol for match in _NAMED.finditer(text.upper()) if (symbol := _contract_of(match)) is not None}
    return symbols.pop() if len(symbols) == 1 else None


def _contract_of(match: re.Match[str]) -> str | None:
    root, letter, year, long_year, month, short_month, short_year = match.groups()
    number = int(month or short_month or 0)
    letter = letter or LETTERS[number - 1 : number]
    future_root = ROOTS.get(root)
    if future_root is None or not letter or letter not in future_root.months:
        return None
    return f"{root}{letter}{(year or long_year or short_year)[-1]}"


class Month(NamedTuple):
    """One contract month of a futures root: its last trading time, and its first notice day if it has one."""

    root: FutureRoot
    year: int
    month: int
    last_us: int
    notice: date | None

    @property
    def symbol(self) -> str:
        return f"{self.root.name}{LETTERS[self.month - 1]}{self.year % 10}"

    @property
    def last_day(self) -> date:
        return date.fromisoformat(rfc3339(self.last_us)[:10])


@lru_cache(maxsize=64)
def months_of(name: str, first: date, last: date) -> tuple[Month, ...]:
    """Return a futures root's contract months whose last trading day is between two dates, inclusive, in order."""
    root = ROOTS[name]
    named = [(year, LETTERS.index(letter) + 1) for year in range(first.year, last.year + 2) for letter in root.months]
    roots = (_month(root, year, month) for year, month in named)
    return tuple(root for root in roots if first <= root.last_day <= last)


def _month(root: FutureRoot, year: int, month: int) -> Month:
    days = _business_days(root, date(year, month, 1))
    notice = None
    if root.group == "equity":
        last = _third(year, month, _FRIDAY)
        last = last if last in days else max(day for day in days if day < last)
    elif root.group == "metals":
        last, notice = days[-3], _business_days(root, date(year, month, 1) - timedelta(days=1))[-1]
    else:
        last = [day for day in days if day < _third(year, month, _WEDNESDAY)][-2]
    return Month(root, year, month, at_zone(CHICAGO, last.isoformat(), *_ENDS[root.group]), notice)


def _third(year: int, month: int, weekday: int) -> date:
    day = date(year, month, 1 + _THIRD)
    return day + timedelta(days=(weekday - day.weekday()) % 7)


def _business_days(root: FutureRoot, within: date) -> list[date]:
    """Return the days of a month on which both the New York exchange and the root's own market have a session."""
    first = within.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    days = HOURS["XNYS"].between(first.isoformat(), last.isoformat())
    traded = {day for day, _, _ in HOURS[_CALENDARS[root.group]].between(first.isoformat(), last.isoformat())}
    return [date.fromisoformat(day) for day, _, _ in days if day in traded]


def futures(start: date, sessions: int, roots: Collection[str] = tuple(ROOTS)) -> tuple[Instrument, ...]:
    """Return the contract months of these roots that a market needs.

    They range from those that expired in the year before the market to some that expire after its end.
    """
    last = start + timedelta(days=sessions * 7 // 5 + _AHEAD_DAYS)
    first = start - timedelta(days=_PAST_YEAR)
    return tuple(_list_month(root) for name in roots for root in months_of(name, first, last))


def futures_venue(start: date, sessions: int, roots: Collection[str] = tuple(ROOTS)) -> Venue:
    """Return a simulated Interactive Brokers that lists these roots."""
    listed = futures(start, sessions, roots)
    return Venue(dialect="plain", calendar=EQUITY, instruments=listed, rules=RULES, faces=(FACE,))


def _list_month(month: Month) -> Instrument:
    root = month.root
    return Instrument(
        symbol=month.symbol,
        ticks=(TickStep(Decimal(0), root.tick),),
        level=root.level,
        minimum=Decimal(1),
        multiplier=root.multiplier,
        calendar=_CALENDARS[root.group],
        margin_levels=(MarginLevel(Decimal(0), root.margin, root.margin * _MAINTENANCE),),
        last_trading=rfc3339(month.last_us),
        volume=root.volume,
        volatility=root.volatility,
        root=root.name,
        carry=root.carry,
        rolls=(month.notice or month.last_day).isoformat(),
        contract_fee=root.commission,
    )
