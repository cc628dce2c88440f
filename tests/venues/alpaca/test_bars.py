"""Bars and corporate actions through the SDK's client against a scripted server: pages, refusals, bad rows."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.kit.adapters.alpaca import venue
from tests.kit.fakes.scripted import Asked, Scripted, Wire
from tradebot.adapters.bars.store import CorporateAction, DelayedError
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.struct_tools import replace
from tradebot.venues.alpaca.bars import AlpacaBars
from tradebot.venues.alpaca.wire import DataPlanError

FIRST, LAST = datetime(2026, 11, 20, 15, 30, tzinfo=UTC), datetime(2026, 11, 20, 15, 35, tzinfo=UTC)
NO_RECENT = {"code": 42210000, "message": "subscription does not permit querying recent SIP data"}


def source(wire: Wire, tally: DriftTally | None = None, feed: str = "sip") -> AlpacaBars:
    return AlpacaBars(replace(venue(wire), feed=feed), tally or DriftTally())


def row(minute: int = 30, **changes: object) -> dict[str, object]:
    prices = {"o": 10, "h": 11, "l": 9, "c": 10.5, "v": 100, "n": 3, "vw": 10}
    return {"t": f"2026-11-20T15:{minute}:00Z"} | prices | changes


def page(token: str | None = None, **bars: object) -> Scripted:
    return Scripted(200, {"bars": bars, "next_page_token": token})


def asked(wire: Wire, symbols: tuple[str, ...] = ("AAPL", "MSFT")) -> list[dict[str, list[RawBar]]]:
    return [dict(found) for found in source(wire).pages(symbols, "1Min", FIRST, LAST)]  # type: ignore[arg-type]


def test_all_symbols_are_asked_in_one_request_for_raw_bars_of_the_feed(wire: Wire) -> None:
    wire.answer(page(AAPL=[row()], MSFT=[row(31)]))
    (found,) = asked(wire)
    start_s = int(FIRST.timestamp())
    assert found == {
        "AAPL": [RawBar(start_s, 10.0, 11.0, 9.0, 10.5, 100.0)],
        "MSFT": [RawBar(start_s + 60, 10.0, 11.0, 9.0, 10.5, 100.0)],
    }
    assert (source(wire).name, source(wire, feed="iex").name) == ("alpaca sip", "alpaca iex")
    (request,) = wire.asked
    assert request.path == "/v2/stocks/bars"
    assert request.query == {
        "symbols": "AAPL,MSFT",
        "timeframe": "1Min",
        "start": "2026-11-20T15:30:00Z",
        "end": "2026-11-20T15:35:00Z",
        "adjustment": "raw",
        "feed": "sip",
        "limit": "10000",
    }


def test_pages_follow_their_tokens_and_one_may_hold_nothing(wire: Wire) -> None:
    empty = Scripted(200, {"bars": None, "next_page_token": "two"})
    wire.answer(page("one", AAPL=[row()]), empty, page("three", AAPL=[row(31)]), page(MSFT=[row()]))
    assert [list(found) for found in asked(wire)] == [["AAPL"], [], ["AAPL"], ["MSFT"]]
    assert [request.query.get("page_token") for request in wire.asked] == [None, "one", "two", "three"]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([page("one"), page("two"), page("one")], "repeats a page"),
        ([Scripted(200, {"bars": [], "next_page_token": None})], "not an object"),
        ([Scripted(200, {"bars": {"AAPL": {}}, "next_page_token": None})], "not a list"),
        ([Scripted(200, {"bars": {}, "next_page_token": 7})], "page token"),
        ([Scripted(200, [])], "did not return a JSON object"),
        ([Scripted(429)], "429"),
        ([Scripted(200, page(AAPL=[row()]).body, fault="truncate")], "GET /stocks/bars"),
    ],
)
def test_pages_that_cannot_be_used_end_the_request(wire: Wire, answers: list[Scripted], problem: str) -> None:
    wire.answer(*answers)
    with pytest.raises(TemporaryError, match=problem):
        asked(wire)


@pytest.mark.parametrize(
    "bad",
    [row(l=10.2), row(h=10.2), row(c=0), row(o=None), row(v=-1), row(t="2026-11-20T15:30:00"), row(o=True), "row"],
)
def test_a_bad_row_is_counted_and_left_out_alone(wire: Wire, bad: object) -> None:
    tally = DriftTally()
    wire.answer(page(AAPL=[row(), bad, row(31)], ZZZZ=[row()]))
    (found,) = source(wire, tally).pages(["AAPL"], "1Min", FIRST, LAST)
    assert {symbol: len(bars) for symbol, bars in found.items()} == {"AAPL": 2}
    assert sum(tally.counts.values()) == 1


def test_plan_without_recent_bars_sets_the_delay_once(wire: Wire) -> None:
    tally = DriftTally()
    bars = source(wire, tally)
    wire.answer(Scripted(403, NO_RECENT))
    with pytest.raises(DelayedError):
        list(bars.pages(["AAPL"], "1Min", FIRST, LAST))
    assert bars.delay == timedelta(minutes=16)
    with pytest.raises(DataPlanError):
        list(bars.pages(["AAPL"], "1Min", FIRST, LAST))
    assert sum(tally.counts.values()) == 1


def test_refused_symbol_does_not_affect_the_others(wire: Wire) -> None:
    def answers(request: Asked) -> Scripted:
        symbols = request.query["symbols"].split(",")
        if "B@D" in symbols:
            return Scripted(400, {"message": "invalid symbol: B@D"})
        return page(None, **{symbol: [row()] for symbol in symbols})

    wire.script = answers
    bars = source(wire)
    found = [symbol for each in bars.pages(["AAPL", "B@D", "MSFT", "SPY"], "1Min", FIRST, LAST) for symbol in each]
    assert found == ["AAPL", "MSFT", "SPY"]
    assert bars.refused_symbols == {"B@D"}


def actions(token: str | None = None, **grouped: object) -> Scripted:
    return Scripted(200, {"corporate_actions": grouped, "next_page_token": token})


DIVIDEND = {"symbol": "AAPL", "ex_date": "2026-11-10", "rate": 0.25, "payable_date": "2026-11-20"}
SPLIT = {"symbol": "AAPL", "ex_date": "2026-11-12", "new_rate": 4, "old_rate": 1}


def of_aapl(wire: Wire, tally: DriftTally | None = None) -> list[CorporateAction]:
    found = source(wire, tally).actions(["AAPL"], date(2026, 11, 1), date(2026, 12, 1))
    assert list(found) == ["AAPL"]
    return list(found["AAPL"])


def test_splits_and_dividends_are_read_page_by_page(wire: Wire) -> None:
    shares = {"symbol": "AAPL", "ex_date": "2026-11-13", "rate": 0.05}
    merged = {"symbol": "AAPL", "ex_date": "2026-11-14", "new_rate": 1, "old_rate": 8}
    wire.answer(
        actions("next", cash_dividends=[DIVIDEND], forward_splits=[SPLIT]),
        actions(stock_dividends=[shares], reverse_splits=[merged], spin_offs=[{"source_symbol": "AAPL"}]),
    )
    assert of_aapl(wire) == [
        CorporateAction(date(2026, 11, 10), "dividend", 0.25),
        CorporateAction(date(2026, 11, 12), "split", 4.0),
        CorporateAction(date(2026, 11, 13), "split", 1.05),
        CorporateAction(date(2026, 11, 14), "split", 0.125),
    ]
    first, _ = wire.asked
    assert first.path == "/v1/corporate-actions"
    assert (first.query["start"], first.query["end"]) == ("2026-11-01", "2026-12-01")


def test_actions_under_an_earlier_name_count_for_the_present_one(wire: Wire) -> None:
    renamed: dict[str, Any] = {"old_symbol": "APPL", "new_symbol": "AAPL", "process_date": "2026-11-15"}
    wire.answer(actions(name_changes=[renamed]), actions(cash_dividends=[DIVIDEND | {"symbol": "APPL"}]))
    assert of_aapl(wire) == [CorporateAction(date(2026, 11, 10), "dividend", 0.25)]
    assert [request.query["symbols"] for request in wire.asked] == ["AAPL", "APPL"]


def test_a_symbol_that_was_renamed_twice_is_known_by_its_last_name(wire: Wire) -> None:
    first, second = (
        {"old_symbol": old, "new_symbol": new, "process_date": "2026-11-15"} for old, new in (("A", "B"), ("B", "C"))
    )
    wire.answer(actions(name_changes=[first]), actions(name_changes=[second]), actions())
    span = date(2026, 1, 1), date(2026, 12, 1)
    assert source(wire).renamed_symbols(["A", "OTHER"], *span) == {"A": "C"}
    assert [request.query["symbols"] for request in wire.asked] == ["A,OTHER", "B", "C"]


@pytest.mark.parametrize("bad", [DIVIDEND | {"rate": 0}, DIVIDEND | {"ex_date": "soon"}, DIVIDEND | {"symbol": None}])
def test_a_bad_action_is_counted_and_left_out_alone(wire: Wire, bad: object) -> None:
    tally = DriftTally()
    wire.answer(actions(cash_dividends=[bad, DIVIDEND]))
    assert of_aapl(wire, tally) == [CorporateAction(date(2026, 11, 10), "dividend", 0.25)]
    assert sum(tally.counts.values()) == 1
