"""Economic reports and speeches that are due."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.kind import Fact, Kind, Row, Scope, documented
from tradebot.signals import rows

SPEECH = "fed-speaker"
DECISION = "fomc"


class Release(StrEnum):
    """A release that moves all markets; OTHER is any other report."""

    CPI = "cpi"
    FOMC = "fomc"
    PAYROLLS = "payrolls"
    OTHER = "other"


_NAMES = {
    Release.CPI: re.compile(r"\b(cpi|consumer price index)\b", re.IGNORECASE),
    Release.PAYROLLS: re.compile(r"\b(nonfarm payrolls?|(?<!adp )employment report)\b", re.IGNORECASE),
}
"""How the source writes them. It has a type of its own for decisions of the central bank."""


class EconomicEvent(Fact, frozen=True):
    """A report, a decision of the central bank (fomc) or a speech (fed-speaker), which is due at a time.

    `listed` is the New York date on which the source listed it. `release` is OTHER in rows that were stored before it
    was read.
    """

    listed: date
    at: datetime
    type: str
    release: Release = Release.OTHER


class Calendar(NamedTuple):
    """When the releases of the newest list are due, the first one first, and those of CPI, FOMC and payrolls of them.

    `listed` is the New York date of the list.
    """

    listed: date
    times: tuple[datetime, ...]
    major: tuple[datetime, ...]


def _release(event: str, kind: str) -> Release:
    """Return which release a row of the source is about."""
    if kind == DECISION:
        return Release.FOMC
    return next((release for release, name in _NAMES.items() if name.search(event)), Release.OTHER)


def _parse(row: Row, symbol: str, at: datetime) -> EconomicEvent:
    due, event, kind = rows.any_time(row, "time"), rows.text(row, "event"), rows.text(row, "type")
    return EconomicEvent(f"{due.isoformat()}/{event}", rows.new_york_day(at), due, kind, _release(event, kind))


def _condense(events: Sequence[tuple[date, datetime, str, Release]]) -> Calendar:
    """Return the newest list without speeches; what was taken off it is gone."""
    newest = max(listed for listed, _, _, _ in events)
    due = sorted((at, release) for listed, at, kind, release in events if listed == newest and kind != SPEECH)
    major = [at for at, release in due if release is not Release.OTHER]
    return Calendar(newest, tuple(at for at, _ in due), tuple(major))


KIND = Kind(
    name="economic_calendar",
    unit="times",
    sign="none: a report may go either way",
    absent="no list of the last days",
    fact=EconomicEvent,
    path="/api/market/economic-calendar",
    parse=_parse,
    moment=attrgetter("listed"),
    lean=attrgetter("listed", "at", "type", "release"),
    condense=_condense,
    scope=Scope.MARKET,
    past_days=4,
    fields=documented("text event time type, text? forecast prev reported_period"),
)
