"""List the futures that a bot may trade here, with multiplier, roll date and common name.

The venue's contract details are authoritative; if they contradict this table, the whole root is blocked.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.model.instrument import ContractMonth, Rolling

EQUITY, METALS, CURRENCY = "CME Globex Equity", "CMEGlobex_GC", "CMEGlobex_FX"
LETTERS = "FGHJKMNQUVXZ"
"""The letter of each month of the year."""
_SYMBOL = re.compile(r"([A-Z0-9]{2,3})([FGHJKMNQUVXZ])([0-9])")
_DAYS_BEFORE: Mapping[str, int] = MappingProxyType({EQUITY: 8, METALS: 5, CURRENCY: 5})
"""How many business days before its last trading day (for metals, before first notice) a contract is rolled."""
_HOURS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {EQUITY: (13 * 60, 14 * 60), METALS: (11 * 60, 12 * 60), CURRENCY: (9 * 60, 10 * 60)}
)
"""The hour in Chicago in which both months trade the most, in minutes since midnight."""
_MOST_BEFORE = 20
"""The largest number of business days that is counted back from a date."""
_FRIDAY, _WEDNESDAY = 4, 2
_AHEAD_YEARS = 2
"""How many years after the last requested contract its successor may be."""


_LISTED_YEARS, _NEARLY = 6, 1e-4
"""The longest time for which a contract is listed, in years, and the largest distance of a price from a tick, in ticks.
"""


class ContractRoot(NamedTuple):
    """A future without its month: its name, USD per point, tick, month letters, and calendar."""

    name: str
    exchange: str
    multiplier: Decimal
    tick: Decimal
    months: str
    calendar: str


_TABLE = """
ES CME 50 0.25 HMUZ
MES CME 5 0.25 HMUZ
NQ CME 20 0.25 HMUZ
MNQ CME 2 0.25 HMUZ
GC COMEX 100 0.10 GJMQVZ
MGC COMEX 10 0.10 GJMQVZ
6E CME 125000 0.00005 HMUZ
6B CME 62500 0.0001 HMUZ
6A CME 100000 0.00005 HMUZ
"""


def _calendar(name: str, exchange: str) -> str:
    if exchange == "COMEX":
        return METALS
    return CURRENCY if name.startswith("6") else EQUITY


def _root(row: str) -> ContractRoot:
    name, exchange, multiplier, tick, months = row.split()
    return ContractRoot(name, exchange, Decimal(multiplier), Decimal(tick), months, _calendar(name, exchange))


ROOTS: Mapping[str, ContractRoot] = MappingProxyType(
    {root.name: root for root in map(_root, _TABLE.strip().splitlines())}
)
"""All roots by name."""
CHARTED: Mapping[str, str] = MappingProxyType(
    {"EURUSD": "6E", "GBPUSD": "6B", "AUDUSD": "6A", "XAUUSD": "GC", **{f"{name}1!": name for name in ROOTS}}
)
"""The roots, by the names under which charts commonly show them."""


class NoSuchFutureError(ValueError):
    """Raised for an unknown future.

    The nearest name is looked up only when the message is shown: passes query every name of the shipped sectors, most
    of which are shares.
    """

    def __str__(self) -> str:
        name = str(self.args[0])
        near = get_close_matches(name, [*ROOTS, *CHARTED], 1, 0)
        return f"{name[:20]!r} is not a future that can be traded here; the nearest is {near[0]}"


def root_of(text: str) -> ContractRoot:
    """Return the root of a contract's symbol, or of a name in common use: ES for ESZ6, ES and ES1!.

    Raise ValueError for anything else, with the nearest name.
    """
    name = text.strip().upper()
    symbol = _SYMBOL.fullmatch(name)
    root = ROOTS.get(CHARTED.get(name, name)) or (ROOTS.get(symbol[1]) if symbol else None)
    if root is None or (symbol and name not in CHARTED and symbol[2] not in root.months):
        raise NoSuchFutureError(name)
    return root


def symbol_of(text: str) -> str:
    """Return a contract's symbol for a common name; raise ValueError for a root alone, which has many months."""
    name, root = text.strip().upper(), root_of(text)
    if not _SYMBOL.fullmatch(name):
        months = ", ".join(f"{root.name}{letter}7" for letter in root.months[:2])
        raise ValueError(f"{name} has one contract per month; write one of them, such as {months}")
    return name


def contract_mismatch(root: ContractRoot, multiplier: Decimal, tick: Decimal, exchange: str, currency: str) -> str:
    """Describe how the venue's contract data differs from the table; empty if it doesn't."""
    terms = {
        "multiplier": (multiplier, root.multiplier),
        "tick": (tick, root.tick),
        "exchange": (exchange, root.exchange),
        "currency": (currency, "USD"),
    }
    differing = [f"{name} {there}, not {expected}" for name, (there, expected) in terms.items() if there != expected]
    return f"{root.name}: {'; '.join(differing)}" if differing else ""


def rolling_of(symbol: str, root: ContractRoot, last: date) -> Rolling:
    """Return when to roll out of a contract: a few days before its last trading day or, for metals, before first
    notice.

    First notice for a metal is on the last business day before its month; no position is held into it.
    """
    ends = last if root.calendar != METALS else _before(root, date(*_month_of(symbol, last), 1), 1)
    on, until = _before(root, ends, _DAYS_BEFORE[root.calendar]), _before(root, ends, 1)
    index = root.months.index(symbol[-2]) + 1
    year = int(symbol[-1]) + index // len(root.months)
    return Rolling(on, until, f"{root.name}{root.months[index % len(root.months)]}{year % 10}", *_HOURS[root.calendar])


def _before(root: ContractRoot, day: date, count: int) -> date:
    """Return the business day `count` business days before a date."""
    days = [*_business_days(root.calendar, day.year - 1)[-_MOST_BEFORE:], *_business_days(root.calendar, day.year)]
    return days[bisect_left(days, day) - count]


@lru_cache(maxsize=64)
def _business_days(calendar: str, year: int) -> tuple[date, ...]:
    """Return the days of a year on which both the calendar's contracts and shares trade, oldest first."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    own, shares = ({session.date for session in exchange_sessions(first, last, name)} for name in (calendar, "XNYS"))
    return tuple(sorted(own & shares))


def _month_of(symbol: str, last: date) -> tuple[int, int]:
    """Return year and month of a contract, whose last day is in that month or close to it."""
    month = LETTERS.index(symbol[-2]) + 1
    return last.year + (month < last.month and last.month == 12), month


@lru_cache(maxsize=64)
def months_of(name: str, first: date, last: date) -> tuple[ContractMonth, ...]:
    """Return the contracts of a root that roll between two dates, in order, and the next one."""
    root, contract_months = root_of(name), list[ContractMonth]()
    for year in range(first.year, last.year + _AHEAD_YEARS):
        for letter in root.months:
            symbol = f"{root.name}{letter}{year % 10}"
            rolling = rolling_of(symbol, root, _last_day(root, year, LETTERS.index(letter) + 1))
            if rolling.on >= first:
                contract_months.append(ContractMonth(symbol, rolling))
            if rolling.on > last:
                return tuple(contract_months)
    raise AssertionError(f"{root.name} has no month after {last}")


def oddity_of(symbol: str, day: date, prices: Sequence[float], today: date) -> str:
    """Return why a day's bar can't belong to a contract; empty if it can.

    A contract's code is used again after ten years. The code means the latest contract that has ended or will end
    within the next few years.
    """
    named = _SYMBOL.fullmatch(symbol)
    root = ROOTS.get(named[1]) if named else None
    if named is None or root is None or named[2] not in root.months:
        return ""
    month, newest = LETTERS.index(named[2]) + 1, today.year + _AHEAD_YEARS
    year = next(year for year in range(newest, newest - 10, -1) if year % 10 == int(named[3]))
    last = _last_day(root, year, month)
    if not last - timedelta(days=366 * _LISTED_YEARS) <= day <= last:
        return f"outside of its contract's life, which ends on {last}"
    tick = float(root.tick)
    off = any(abs(price / tick - round(price / tick)) > _NEARLY for price in prices)
    return "price between two ticks" if off else ""


@lru_cache(maxsize=4096)
def _last_day(root: ContractRoot, year: int, month: int) -> date:
    """Return the last trading day of a contract, by its exchange's rules."""
    if root.calendar == METALS:
        return _before(root, date(year + month // 12, month % 12 + 1, 1), 3)
    if root.calendar == CURRENCY:
        return _before(root, _third(year, month, _WEDNESDAY), 2)
    return _before(root, _third(year, month, _FRIDAY) + timedelta(days=1), 1)


def _third(year: int, month: int, weekday: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 14)
