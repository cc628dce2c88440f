"""What the history proves of an order: its events and its executions together, and neither too early.

Lists of which more is of one moment than a page holds, as when a large position is liquidated, are read whole.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.adapters.kraken import (
    ACCOUNT,
    AT,
    LATER,
    ORDER_ID,
    SYMBOL,
    event,
    execution,
    intent,
    iso,
    page,
    reader,
    venue_at,
)
from tests.kit.fakes.scripted import Asked, Script, Scripted, Wire
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TemporaryError
from tradebot.model.order import OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End
from tradebot.venues.kraken.bars import KrakenBars
from tradebot.venues.kraken.client import AccountNumber
from tradebot.venues.kraken.history import ROWS, SHARED, build_history
from tradebot.venues.kraken.reader import FILLS_A_PAGE

SOON = AT + timedelta(seconds=4)
GONE = event("OrderCancelled", AT + timedelta(seconds=1))
PART = event("OrderCancelled", AT + timedelta(seconds=1), filled="0.2")
ENDED = event("OrderTriggerCancelled", AT + timedelta(seconds=1))
TAKEN_BACK = event("OrderTriggerCancelled", AT + timedelta(seconds=1), reason="rejected")


@pytest.mark.parametrize(
    ("events", "executions", "told_at", "status", "filled"),
    [
        ([event("OrderPlaced")], [], LATER, OrderStatus.UNKNOWN, "0"),
        ([event("OrderPlaced")], [execution("0.5")], SOON, OrderStatus.FILLED, "0.5"),
        ([event("OrderPlaced"), GONE], [], LATER, OrderStatus.CANCELED, "0"),
        ([GONE, event("OrderPlaced")], [], LATER, OrderStatus.CANCELED, "0"),
        # "Cancelled, filled 0" has been sent for an order that was executed.
        ([event("OrderPlaced"), GONE], [execution("0.5")], LATER, OrderStatus.FILLED, "0.5"),
        ([event("OrderPlaced"), GONE], [execution("0.2")], LATER, OrderStatus.CANCELED, "0.2"),
        # The history may lack its newest rows.
        ([event("OrderPlaced"), GONE], [], SOON, OrderStatus.UNKNOWN, "0"),
        ([event("OrderPlaced"), PART], [], LATER, OrderStatus.UNKNOWN, "0"),
        ([event("OrderPlaced"), PART], [execution("0.2")], LATER, OrderStatus.CANCELED, "0.2"),
        ([event("OrderRejected")], [], LATER, OrderStatus.REJECTED, "0"),
        ([event("OrderTriggerPlaced"), ENDED], [], LATER, OrderStatus.CANCELED, "0"),
        ([event("OrderTriggerPlaced"), TAKEN_BACK], [], LATER, OrderStatus.REJECTED, "0"),
        # A page may repeat a row.
        ([event("OrderPlaced")], [execution("0.2"), execution("0.2")], LATER, OrderStatus.UNKNOWN, "0.2"),
        ([event("OrderPlaced")], [execution("0.2"), execution("0.3", number=2)], LATER, OrderStatus.FILLED, "0.5"),
    ],
)
def test_an_order_is_over_by_its_events_and_executions_together(
    events: list[object], executions: list[object], told_at: datetime, status: OrderStatus, filled: str
) -> None:
    order = build_history(events, executions, told_at, ACCOUNT, DriftTally()).orders[ORDER_ID]
    assert (order.status, order.filled_quantity) == (status, Decimal(filled))


def test_rows_that_can_not_be_read_are_counted() -> None:
    events = [event("OrderPlaced"), {"event": {}}, "text", event("OrderPlaced", uid=None)]
    events.append(event("OrderTriggerPlaced", uid="of nothing", quantity="0"))
    found = build_history(events, [{"event": {"Execution": {}}}], LATER, ACCOUNT, DriftTally())
    assert (list(found.orders), found.unreadable) == ([ORDER_ID], 5)


@pytest.mark.parametrize(
    ("events", "told_at", "end"),
    [
        ([event("OrderPlaced"), GONE], LATER, End.OVER),
        ([event("OrderPlaced")], LATER, End.UNKNOWN),
        ([], LATER, End.OVER),
        # It may still arrive, or have come too late to be told.
        ([], AT + timedelta(seconds=65), End.UNKNOWN),
    ],
)
def test_a_request_never_arrived_only_if_it_can_not_arrive_any_more(
    wire: Wire, events: list[object], told_at: datetime, end: End
) -> None:
    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("openorders"):
            return Scripted(200, {"result": "success", "openOrders": [], "serverTime": "x"})
        return Scripted(200, page(told_at, *(events if asked.path.endswith("/orders") else [])))

    wire.script = answer
    assert reader(wire).end_of(intent(), (), LATER).end is end


@pytest.mark.parametrize(
    ("lists", "end"),
    [
        ({"orders": [{"timestamp": 0, "event": {}}]}, End.UNKNOWN),
        ({"executions": [execution("0.5") | {"event": {"Execution": {}}}]}, End.UNKNOWN),
        ({"openorders": [{"order_id": "x"}]}, End.UNKNOWN),
        # What is older than the request isn't about it.
        ({"orders": [event("OrderPlaced", AT - timedelta(hours=1)) | {"event": {}}]}, End.OVER),
        ({}, End.OVER),
    ],
)
def test_a_row_that_can_not_be_read_might_be_about_it(wire: Wire, lists: dict[str, list[object]], end: End) -> None:
    def answer(asked: Asked) -> Scripted:
        rows = lists.get(asked.path.rpartition("/")[2], [])
        if asked.path.endswith("openorders"):
            return Scripted(200, {"result": "success", "openOrders": rows, "serverTime": iso(LATER)})
        return Scripted(200, page(LATER, *rows))

    wire.script = answer
    assert reader(wire).end_of(intent(), (), LATER).end is end
    assert reader(wire).has_ended("unheard of") is (None if not lists else False)


def test_a_history_of_long_ago_does_not_say_that_an_order_is_open_against_a_list_of_now(wire: Wire) -> None:
    told_at, events = AT, list[object]()

    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("openorders"):
            return Scripted(200, {"result": "success", "openOrders": [], "serverTime": iso(LATER)})
        return Scripted(200, page(told_at, *(events if asked.path.endswith("/orders") else [])))

    def found() -> tuple[bool, bool | None]:
        asking = reader(wire)
        return asking.follower(ORDER_ID) is not None, asking.has_ended(ORDER_ID)

    wire.script = answer
    # What the venue has just called gone is gone.
    assert found() == (False, True)
    events = [event("OrderPlaced")]
    assert found() == (False, True)
    told_at = LATER
    assert found() == (True, False)


def test_questions_of_one_moment_share_pages_and_the_account_is_asked_for_once(wire: Wire, tmp_path: Path) -> None:
    now = LATER

    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("openorders"):
            return Scripted(200, {"result": "success", "openOrders": [], "serverTime": iso(now)})
        return Scripted(200, page(now, *([event("OrderPlaced"), GONE] if asked.path.endswith("/orders") else [])))

    wire.script = answer
    asking = reader(wire)
    for number in range(3):
        asking.order(f"tb1.{number}")
        assert asking.end_of(intent(), (), now).end is End.OVER
    assert sum("history" in one.path for one in wire.asked) == 3
    now = LATER + SHARED
    asking.follower(ORDER_ID)
    assert sum("history" in one.path for one in wire.asked) == 6
    AccountNumber(tmp_path, "key").keep(ACCOUNT)
    assert (AccountNumber(tmp_path, "key").cached_id, AccountNumber(tmp_path, "another").cached_id) == (ACCOUNT, "")


MANY = 161


def told_fill(number: int) -> dict[str, object]:
    kind = {"symbol": SYMBOL, "side": "buy", "fillType": "taker", "size": "1", "price": "30000"}
    return {"fill_id": f"e-{number}", "order_id": ORDER_ID, "fillTime": iso(AT), **kind}


def in_history(number: int) -> Any:
    told: Any = execution("1", number=number)
    told["event"]["Execution"]["execution"]["takerOrder"] |= {"tradeable": SYMBOL, "direction": "Buy"}
    return told


def at_once(executions: Sequence[object], rows: Sequence[dict[str, Any]] = ()) -> Script:
    """Answer as a venue of which everything is of one moment: a page before a time is always the same."""

    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("fills"):
            fills = [told_fill(number) for number in range(FILLS_A_PAGE)]
            return Scripted(200, {"result": "success", "serverTime": iso(AT), "fills": fills})
        if asked.path.endswith("account-log"):
            last = int(asked.query.get("to", len(rows)))
            newest_first = [row for row in rows if row["id"] <= last][::-1]
            return Scripted(200, {"accountUid": ACCOUNT, "logs": newest_first[:ROWS]})
        after = int(asked.query.get("continuation_token", 0))
        told = page(AT, *executions[after : after + 100])
        more = {"continuationToken": str(after + 100)} if after + 100 < len(executions) else {}
        return Scripted(200, told | more)

    return answer


def test_executions_of_one_moment_are_told_whole_however_many(wire: Wire) -> None:
    wire.script = at_once([in_history(number) for number in range(MANY)])
    fills = reader(wire).fills(None)
    assert {fill.activity_id for fill in fills} == {f"e-{number}" for number in range(MANY)}
    assert len(fills) == MANY
    # What the list and the history tell of an execution is the same.
    assert len({replace(one, activity_id="any") for one in fills}) == 1


def test_a_page_of_fills_of_which_no_row_can_be_read_ends_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.told_fill", lambda number: {"fill_id": f"e-{number}"})
    wire.script = at_once([in_history(number) for number in range(MANY)])
    with suppress(TemporaryError):
        assert reader(wire).fills(AT - timedelta(hours=1))


def test_fills_that_the_history_knows_under_no_id_are_no_end_of_the_list(wire: Wire) -> None:
    wire.script = at_once([in_history(number) for number in range(MANY, 2 * MANY)])
    with pytest.raises(TemporaryError, match="repeats a page"):
        reader(wire).fills(None)


def test_rows_of_the_account_log_of_one_moment_are_told_apart_by_their_ids(wire: Wire) -> None:
    row = {"date": iso(AT), "asset": "usd", "info": "futures trade", "contract": SYMBOL.lower(), "fee": 1}
    rows = [row | {"id": n, "execution": f"e-{n}", "booking_uid": f"b-{n}"} for n in range(1, ROWS + 62)]
    wire.script = at_once((), rows)
    assert len(reader(wire).activities(AT.replace(hour=0))) == len(rows)


def test_history_and_chart_that_repeat_a_page_are_refused(wire: Wire) -> None:
    wire.answer(Scripted(200, page(AT) | {"continuationToken": "again"}))
    with pytest.raises(TemporaryError, match="repeats a page"):
        reader(wire)._pages.executions(AT)
    wire.answer(Scripted(200, {"candles": [], "more_candles": True}))
    with pytest.raises(TemporaryError, match="repeats a page"):
        list(KrakenBars(venue_at(wire), DriftTally()).pages([SYMBOL], "1Min", AT, AT))
