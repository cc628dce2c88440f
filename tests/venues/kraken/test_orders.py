"""What each answer of Kraken Futures to a write proves: HTTP 200 and "success" don't mean yes."""

import base64
import hashlib
import hmac
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from tests.kit.adapters.kraken import (
    LATER,
    ORDER_ID,
    SYMBOL,
    cancelled,
    error,
    event,
    executed,
    execution,
    intent,
    orders,
    page,
    placed,
    sent,
)
from tests.kit.fakes.scripted import Asked, Script, Scripted, Wire
from tests.kit.values import there
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import ID_CONFLICT, Operation
from tradebot.model.order import OrderStatus, OrderType, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.venues.kraken.capabilities import REFUSED

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
    ("half an answer", Scripted(200, sent("placed", placed()), fault="truncate"), UNKNOWN, "no_answer"),
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
    assert (reply.outcome, wire.asked[0].query) == (
        outcome,
        {"order_id": ORDER_ID, "processBefore": "2026-11-20T15:31:00Z"},
    )
