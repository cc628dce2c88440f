"""Bars over the embedded exchange's TWS."""

from datetime import UTC, date, datetime, timedelta

from tests.kit.adapters.ibkr import ES, Connection, Exchange, intent
from tradebot.adapters.ibkr.capabilities import IBKR
from tradebot.model.order import Outcome
from tradebot.model.values import replace


def test_bars_are_those_that_are_over_in_a_span_oldest_first(one: Connection, there: Exchange) -> None:
    now, minute = there.now, timedelta(minutes=1)
    first, last = now - 10 * minute, now + minute
    rows = [row for page in one.bars.pages(["ESZ6", "QQQ"], "1Min", first, last) for row in page.get("ESZ6", ())]
    assert [row.start_s for row in rows] == [first.timestamp() + 60 * n for n in range(10)]
    assert one.bars.refused == {"QQQ"}
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
    assert one.bars.refused == frozenset()
    assert one.reader.listings(["ESU6"]) == {}
    assert one.orders.submit(intent(instrument=replace(ES, symbol="ESU6"))).outcome is not Outcome.ACCEPTED
