"""Bars over the embedded exchange's TWS."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.adapters.ibkr import ES, Connection, Exchange, intent
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TemporaryError
from tradebot.model.order import WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.venues.ibkr.capabilities import HISTORY_ERROR, IBKR
from tradebot.venues.ibkr.prices import IbkrBars
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
        page["ESU6"]
        for page in one.bars.pages(["ESU6", "ESZ6"], "1Day", day, day + timedelta(days=3))
        if "ESU6" in page
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
