"""Bars over the embedded exchange's TWS.

The venue's hours are read, and go before the calendar's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.adapters.ibkr import ES, Connection, Exchange, intent
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TemporaryError
from tradebot.model.order import WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.venues.ibkr.capabilities import HISTORY_ERROR, IBKR
from tradebot.venues.ibkr.prices import IbkrBars, TradingSpan, hours_of, parse_sessions
from tradebot.venues.ibkr.wrapper import VenueError


def test_bars_are_those_that_are_over_in_a_span_oldest_first(one: Connection, there: Exchange) -> None:
    now, minute = there.now, timedelta(minutes=1)
    first, last = now - 10 * minute, now + minute
    rows = [row for page in one.bars.pages(["ESZ6", "QQQ"], "1Min", first, last) for row in page.get("ESZ6", ())]
    assert [row.start_s for row in rows] == [first.timestamp() + 60 * n for n in range(10)]
    assert one.bars.refused_symbols == {"QQQ"}
    assert not one.tally.counts


def test_bars_of_days_begin_with_the_venues_date_and_long_spans_have_pages(one: Connection, there: Exchange) -> None:
    pages = [page["ESZ6"] for page in one.bars.pages(["ESZ6"], "1Day", there.now - timedelta(days=14), there.now)]
    days = [row.start_s for page in pages for row in page]
    dates = [one.date for one in one.reader.calendar(date(2026, 11, 2), date(2026, 11, 13))]
    assert days == [IBKR.day.begins_s(day) for day in dates][-len(days) :]
    assert len(days) >= 8
    minutes = list(one.bars.pages(["ESZ6"], "1Min", there.now - timedelta(days=3), there.now))
    found = [row.start_s for page in minutes for row in page["ESZ6"]]
    assert len(minutes) == 3
    assert found == sorted(set(found))


def test_a_contract_that_has_ended_has_bars_and_cannot_be_traded(one: Connection, there: Exchange) -> None:
    day = datetime(2026, 9, 10, tzinfo=UTC)
    pages = [
        row["ESU6"] for row in one.bars.pages(["ESU6", "ESZ6"], "1Day", day, day + timedelta(days=3)) if "ESU6" in row
    ]
    assert [row.start_s for page in pages for row in page][:1] == [IBKR.day.begins_s(date(2026, 9, 10))]
    assert one.bars.refused_symbols == frozenset()
    assert one.reader.listings(["ESU6"]) == {}
    assert one.orders.submit(intent(instrument=replace(ES, symbol="ESU6"))).outcome is not WriteOutcome.ACCEPTED


HISTORY = "Historical Market Data Service error message:"


class RefusingLine(SimpleNamespace):
    """A connection on which each question about bars gets the same error."""

    async def time(self) -> int:
        return 1_800_000_000

    async def ask_numbered(self, ask: object) -> None:
        raise VenueError(HISTORY_ERROR, HISTORY + self.words)


def refusing(monkeypatch: pytest.MonkeyPatch, words: str) -> list[Any]:
    """Return the bars that a source makes of an error."""

    async def contract(line: object, symbol: str) -> object:
        return symbol

    def read(ask: Callable[[RefusingLine], Awaitable[object]]) -> object:
        return asyncio.run(ask(RefusingLine(words=words)))  # type: ignore[arg-type]

    monkeypatch.setattr("tradebot.venues.ibkr.prices.contract_with_bars", contract)
    venue: Any = SimpleNamespace(before_read=lambda: None, link=SimpleNamespace(read=read))
    end = datetime.fromtimestamp(1_700_000_000, UTC)
    return list(IbkrBars(venue, DriftTally()).pages(["ESZ6"], "1Min", end - timedelta(minutes=9), end))


def test_only_the_error_that_says_so_means_that_there_are_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusing(monkeypatch, "HMDS query returned no data: ESZ6@CME Trades") == [{"ESZ6": []}]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("No market data permissions for CME FUT", "subscribe"),
        ("Trading TWS session is connected from a different IP address", "end the other session"),
        ("Pacing violation", "in ten minutes"),
        ("API historical data query cancelled", ""),
    ],
)
def test_any_other_error_of_the_history_is_told(monkeypatch: pytest.MonkeyPatch, words: str, hint: str) -> None:
    with pytest.raises(TemporaryError, match=words) as told:
        refusing(monkeypatch, words)
    assert hint in told.value.hint


WEEK = "20261125:1700-20261126:1200;20261126:1700-20261127:1215;20261128:CLOSED;20261129:1700-20261130:1600"
SESSIONS = exchange_sessions(date(2026, 11, 25), date(2026, 12, 2), "CME Globex Equity")
THANKSGIVING = datetime(2026, 11, 26, 15, tzinfo=UTC)
LIQUID = "20261126:0830-1200;20261127:0830-1215;20261128:CLOSED;20261130:0830-1500"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+00:00")


def told(spans: Sequence[TradingSpan]) -> list[str]:
    return [f"{one.opens:%Y-%m-%dT%H:%MZ} to {one.closes:%Y-%m-%dT%H:%MZ}" for one in spans]


@pytest.mark.parametrize("zone", ["US/Central", "America/Chicago", "CST (Central Standard Time)"])
def test_hours_are_in_the_contracts_zone_and_closed_days_have_none(zone: str) -> None:
    assert told(parse_sessions(WEEK, zone)) == [
        "2026-11-25T23:00Z to 2026-11-26T18:00Z",
        "2026-11-26T23:00Z to 2026-11-27T18:15Z",
        "2026-11-29T23:00Z to 2026-11-30T22:00Z",
    ]


def test_older_forms_have_several_spans_a_day_and_ends_without_a_date() -> None:
    old = "20261125:0830-1515,1530-1600;20261126:1700-1215"
    assert told(parse_sessions(old, "CST")) == [
        "2026-11-25T14:30Z to 2026-11-25T21:15Z",
        "2026-11-25T21:30Z to 2026-11-25T22:00Z",
        "2026-11-26T23:00Z to 2026-11-27T18:15Z",
    ]
    assert (
        parse_sessions("20261125:0830-20261125:1515,20261125:1530-20261125:1600", "CST")
        == parse_sessions(old, "CST")[:2]
    )


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("", "US/Central"),
        ("20261128:CLOSED", "US/Central"),
        (WEEK, ""),
        (WEEK, "Mars/Olympus"),
        (WEEK, "../zone"),
        ("20261125:17:00-16:00", "CST"),
        ("20261126:1700-20261126:1600", "CST"),
        ("20261340:1700-1600", "CST"),
        ("20261125:2500-1600", "CST"),
    ],
)
def test_what_is_no_hours_is_refused(text: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        hours_of(text, LIQUID, zone, THANKSGIVING)
    if zone == "CST":
        with pytest.raises(ValueError, match=r"\S"):
            hours_of(WEEK, text, zone, THANKSGIVING)


def test_hours_that_are_the_calendars_change_nothing() -> None:
    hours = hours_of(WEEK, LIQUID, "US/Central", THANKSGIVING)
    assert (hours.since, hours.until) == (at("2026-11-25T23:00"), at("2026-11-30T22:00"))
    assert hours.over(SESSIONS) == [*SESSIONS]
    assert [*hours.trading] == [one for one in SESSIONS if date(2026, 11, 26) <= one.date <= date(2026, 11, 30)]


@pytest.mark.parametrize(("ends", "closes"), [("1100", "17:00"), ("1600", "22:00")])
def test_a_day_that_the_venue_shortens_or_lengthens_goes_before_the_calendar(ends: str, closes: str) -> None:
    hours = hours_of(WEEK.replace("1215", ends), LIQUID, "CST", THANKSGIVING)
    found = {one.date: one for one in hours.over(SESSIONS)}
    assert found.pop(date(2026, 11, 27)).close == at(f"2026-11-27T{closes}")
    assert found == {one.date: one for one in SESSIONS if one.date != date(2026, 11, 27)}


def test_a_session_that_the_venue_leaves_out_or_ends_before_now_is_none() -> None:
    late = at("2026-11-27T17:30")
    after = hours_of("20261128:CLOSED;20261129:1700-20261130:1600", LIQUID, "CST", late)
    assert after.since == late
    assert after.tells(late)
    assert not after.trades(late)
    assert date(2026, 11, 27) not in {one.date for one in after.over(SESSIONS)}


def test_sessions_with_a_break_are_one_of_a_calendar_and_trade_in_neither_of_the_two() -> None:
    hours = hours_of("20261125:0830-1515,1530-1600", "20261125:0830-1500", "CST", at("2026-11-25T15:00"))
    assert [(one.open, one.close) for one in hours.over(())] == [(at("2026-11-25T14:30"), at("2026-11-25T22:00"))]
    assert not hours.trades(at("2026-11-25T21:20"))
    assert hours.session_at(at("2026-11-25T21:20"), date(2026, 11, 25)) == hours.trading[1]
    assert (hours.is_liquid(at("2026-11-25T20:59")), hours.is_liquid(at("2026-11-25T21:00"))) == (True, False)


@pytest.mark.parametrize(
    ("day", "opens"), [("2026-10-30", 22), ("2026-11-02", 23), ("2026-03-06", 23), ("2026-03-09", 22)]
)
def test_hours_follow_the_zones_daylight_saving(day: str, opens: int) -> None:
    last = date.fromisoformat(day)
    begins = last - timedelta(days=1)
    hours = hours_of(
        f"{begins:%Y%m%d}:1700-{last:%Y%m%d}:1600", f"{last:%Y%m%d}:0830-1500", "US/Central", at(f"{begins}T12:00")
    )
    (session,) = hours.trading
    assert (session.open, session.close) == (at(f"{begins}T{opens}:00"), at(f"{day}T{opens - 1}:00"))
