"""What each answer of Kraken Futures to a write proves: HTTP 200 and "success" don't mean yes.

What the history proves of an order: its events and its executions together, and neither too early.

Lists of which more is of one moment than a page holds, as when a large position is liquidated, are read whole.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.kit.adapters.kraken import (
    ACCOUNT,
    AT,
    LATER,
    ORDER_ID,
    SYMBOL,
    cancelled,
    error,
    event,
    executed,
    execution,
    intent,
    iso,
    orders,
    page,
    placed,
    reader,
    sent,
    venue_at,
)
from tests.kit.fakes.scripted import Asked, Script, Scripted, Wire
from tests.kit.values import there
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TemporaryError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import ID_CONFLICT, Operation
from tradebot.model.order import OrderStatus, OrderType, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End
from tradebot.venues.kraken.bars import KrakenBars
from tradebot.venues.kraken.capabilities import REFUSED
from tradebot.venues.kraken.client import AccountNumber
from tradebot.venues.kraken.history import ROWS, SHARED, build_history
from tradebot.venues.kraken.reader import FILLS_A_PAGE

ACCEPTED, REJECTED, UNKNOWN = WriteOutcome.ACCEPTED, WriteOutcome.REJECTED, WriteOutcome.UNKNOWN
MARGIN = {"result": "error", "errors": [{"code": 92, "message": "INSUFFICIENT_MARGIN"}], "serverTime": "x"}
SUBMITS: list[tuple[str, Scripted, WriteOutcome, str | None]] = [
    ("placed", Scripted(200, sent("placed", placed())), ACCEPTED, None),
    ("placed, and nothing else", Scripted(200, sent("placed")), UNKNOWN, "unreadable"),
    ("another id", Scripted(200, sent("placed", placed(cliOrdId="else"))), UNKNOWN, "mismatch"),
    ("another quantity", Scripted(200, sent("placed", placed(quantity=0.6))), UNKNOWN, "mismatch"),
    ("not a quantity", Scripted(200, sent("placed", placed(quantity="NaN"))), UNKNOWN, "unreadable"),
    *((word, Scripted(200, sent(word)), REJECTED, word) for word in sorted(REFUSED)),
    ("attempted", Scripted(200, sent("attempted")), UNKNOWN, "attempted"),
    ("a word nobody knows", Scripted(200, sent("novel", placed())), UNKNOWN, "novel"),
    ("no status", Scripted(200, {"result": "success", "serverTime": "x"}), UNKNOWN, "None"),
    ("too many calls", Scripted(200, error("apiLimitExceeded")), UNKNOWN, "apiLimitExceeded"),
    ("unavailable", Scripted(200, error("unavailable")), UNKNOWN, "unavailable"),
    ("429", Scripted(429, error("apiLimitExceeded")), UNKNOWN, "apiLimitExceeded"),
    ("500", Scripted(500, b"<html>"), UNKNOWN, "http_500"),
    ("500 without margin", Scripted(500, MARGIN), REJECTED, "INSUFFICIENT_MARGIN"),
    ("200 without margin", Scripted(200, MARGIN), REJECTED, "INSUFFICIENT_MARGIN"),
    ("a nonce that is too low", Scripted(200, error("nonceBelowThreshold")), REJECTED, "nonceBelowThreshold"),
    ("a refused key", Scripted(200, error("authenticationError")), REJECTED, "authenticationError"),
    ("too late", Scripted(200, error("requestTimeout")), REJECTED, "requestTimeout"),
    ("no such symbol", Scripted(200, error("invalidArgument: symbol")), REJECTED, "invalidArgument: symbol"),
    ("a market that is down", Scripted(200, error("marketUnavailable")), REJECTED, "marketUnavailable"),
    ("500 with words", Scripted(500, error("marketUnavailable")), UNKNOWN, "marketUnavailable"),
    ("a key that is refused before Kraken", Scripted(401, b""), REJECTED, "http_401"),
    ("an empty body", Scripted(200), UNKNOWN, "http_200"),
    ("a list", Scripted(200, [sent("placed", placed())]), UNKNOWN, "http_200"),
    ("a redirect", Scripted(302, headers={"Location": "http://127.0.0.1:9/"}), UNKNOWN, "http_302"),
    ("no answer", Scripted(fault="reset"), UNKNOWN, "no_answer"),
]


@pytest.mark.parametrize(("told", "outcome", "code"), [row[1:] for row in SUBMITS], ids=[row[0] for row in SUBMITS])
def test_an_order_is_accepted_by_its_status(
    wire: Wire, told: Scripted, outcome: WriteOutcome, code: str | None
) -> None:
    wire.answer(told)
    reply = orders(wire).submit(intent())
    assert (reply.outcome, reply.code, wire.count("POST")) == (outcome, code, 1)


def test_a_request_is_signed_and_bounded_in_time_and_protection_only_reduces(wire: Wire) -> None:
    wire.answer(Scripted(200, sent("invalidPrice")))
    stop = intent(purpose=Purpose.PROTECT, side=Side.SELL, order_type=OrderType.STOP, limit_price=None)
    orders(wire).submit(replace(stop, stop_price=Decimal("28000.5")))
    asked = wire.asked[0]
    assert asked.query == {
        "orderType": "stp",
        "symbol": SYMBOL,
        "side": "sell",
        "size": "0.5",
        "stopPrice": "28000.5",
        "triggerSignal": "mark",
        "reduceOnly": "true",
        "cliOrdId": intent().client_order_id,
        "processBefore": "2026-11-20T15:31:00Z",
    }
    # As the documents describe it, from what arrived.
    signed = f"{urlencode(asked.query)}{asked.headers['Nonce']}/api/v3/sendorder"
    digest = hmac.new(b"key", hashlib.sha256(signed.encode()).digest(), hashlib.sha512).digest()
    assert asked.headers["Authent"] == base64.b64encode(digest).decode()
    assert (asked.path, asked.headers["APIKey"]) == ("/derivatives/api/v3/sendorder", "key")


@pytest.mark.parametrize(
    ("amounts", "status"), [((0.5,), OrderStatus.FILLED), ((0.2, 0.1), OrderStatus.PARTIALLY_FILLED)]
)
def test_what_fills_at_once_comes_with_the_answer(wire: Wire, amounts: tuple[float, ...], status: OrderStatus) -> None:
    parts = [executed(amount, 30_000.0 - number, number) for number, amount in enumerate(amounts)]
    wire.answer(Scripted(200, sent("placed", *parts)))
    order = there(orders(wire).submit(intent()).order)
    assert (order.status, order.filled_quantity) == (status, sum(map(Decimal, map(str, amounts))))


HISTORY = {"orders": [event("OrderPlaced")], "triggers": [], "executions": [execution("0.5")]}


def past_of(history: dict[str, list[dict[str, object]]], first: Scripted) -> Script:
    def answer(asked: Asked) -> Scripted:
        if asked.method == "POST":
            return first
        if asked.path.endswith("openorders"):
            return Scripted(200, {"result": "success", "openOrders": [], "serverTime": "x"})
        return Scripted(200, page(LATER, *history[asked.path.rsplit("/", 1)[1]]))

    return answer


@pytest.mark.parametrize(
    ("history", "outcome", "code"),
    [
        (HISTORY, ACCEPTED, None),
        ({**HISTORY, "orders": []}, UNKNOWN, "not_found"),
        ({**HISTORY, "orders": [event("OrderPlaced", quantity="0.6")]}, REJECTED, ID_CONFLICT),
    ],
)
def test_an_id_that_is_taken_is_looked_up(
    wire: Wire, history: dict[str, list[dict[str, object]]], outcome: WriteOutcome, code: str | None
) -> None:
    wire.script = past_of(history, Scripted(200, sent("clientOrderIdAlreadyExist")))
    reply = orders(wire).submit(intent())
    assert (reply.outcome, reply.code, wire.count("POST")) == (outcome, code, 1)


@pytest.mark.parametrize(
    ("told", "history", "outcome"),
    [
        (cancelled("cancelled"), HISTORY, ACCEPTED),
        (cancelled("filled"), HISTORY, ACCEPTED),
        (cancelled("notFound"), HISTORY, ACCEPTED),
        (cancelled("filled"), {**HISTORY, "executions": []}, UNKNOWN),
        (cancelled("notFound"), {**HISTORY, "orders": []}, REJECTED),
        (cancelled("notFound"), {**HISTORY, "orders": [event("OrderPlaced")], "executions": []}, UNKNOWN),
        (cancelled("notFound"), {"orders": [event("OrderCancelled")], "triggers": [], "executions": []}, ACCEPTED),
        (cancelled("attempted"), HISTORY, ACCEPTED),
        (error("apiLimitExceeded"), HISTORY, UNKNOWN),
    ],
)
def test_a_cancel_is_accepted_if_the_order_has_ended(
    wire: Wire, told: object, history: dict[str, list[dict[str, object]]], outcome: WriteOutcome
) -> None:
    wire.script = past_of(history, Scripted(200, told))
    reply = orders(wire).cancel(intent(Operation.CANCEL))
    assert reply.outcome == outcome
    assert wire.asked[0].query == {"order_id": ORDER_ID, "processBefore": "2026-11-20T15:31:00Z"}


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
