"""What each answer to a write proves, judged at the wire: how many POSTs arrived, and what we concluded."""

import json
from decimal import Decimal

import pytest

from tests.kit.adapters.alpaca import intent, order_row, orders
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.model.intent import Operation
from tradebot.model.order import Order, OrderStatus, WriteOutcome

ACCEPTED, REJECTED, UNKNOWN = WriteOutcome.ACCEPTED, WriteOutcome.REJECTED, WriteOutcome.UNKNOWN
HTML = b"<html><body>Bad gateway</body></html>"


def refused(status: int, code: object, message: str = "no") -> Scripted:
    return Scripted(status, {"code": code, "message": message})


SUBMITS: list[tuple[str, Scripted, WriteOutcome, str | None]] = [
    ("plain yes", Scripted(200, order_row()), ACCEPTED, None),
    ("yes as 201", Scripted(201, order_row()), ACCEPTED, None),
    ("numbers instead of text", Scripted(200, order_row(qty=10, limit_price=100.25)), ACCEPTED, None),
    ("an unknown status", Scripted(200, order_row(status="restated")), ACCEPTED, None),
    ("an unknown type", Scripted(200, order_row(type="iceberg")), ACCEPTED, None),
    ("an unknown field", Scripted(200, order_row(novelty=[1])), ACCEPTED, None),
    ("already filled", Scripted(200, order_row(status="filled", filled_qty="10")), ACCEPTED, None),
    ("another id", Scripted(200, order_row(client_order_id="else")), UNKNOWN, "mismatch"),
    ("another symbol", Scripted(200, order_row(symbol="MSFT")), UNKNOWN, "mismatch"),
    ("another side", Scripted(200, order_row(side="sell")), UNKNOWN, "mismatch"),
    ("another quantity", Scripted(200, order_row(qty="11")), UNKNOWN, "mismatch"),
    ("no quantity", Scripted(200, order_row(qty=None)), UNKNOWN, "mismatch"),
    ("a quantity that is no number", Scripted(200, order_row(qty="ten")), UNKNOWN, "unreadable"),
    ("no id", Scripted(200, order_row(id=None)), UNKNOWN, "unreadable"),
    ("more filled than ordered", Scripted(200, order_row(filled_qty="12")), UNKNOWN, "unreadable"),
    ("an empty body", Scripted(200), UNKNOWN, "unreadable"),
    ("an empty object", Scripted(200, {}), UNKNOWN, "unreadable"),
    ("null", Scripted(200, b"null"), UNKNOWN, "unreadable"),
    ("a list", Scripted(200, [order_row()]), UNKNOWN, "unreadable"),
    ("a page with status 200", Scripted(200, HTML), UNKNOWN, "unreadable"),
    ("half a JSON text", Scripted(200, b'{"id": "1'), UNKNOWN, "unreadable"),
    ("no UTF-8", Scripted(200, b"\xff\xfe"), UNKNOWN, "unreadable"),
    ("deep nesting", Scripted(200, b"[" * 100_000), UNKNOWN, "unreadable"),
    ("no content", Scripted(204), UNKNOWN, "unreadable"),
    ("a redirect", Scripted(302, headers={"Location": "http://127.0.0.1:9/"}), UNKNOWN, "http_302"),
    ("a bad request", refused(400, 40010000), REJECTED, "40010000"),
    ("refused keys", Scripted(401, {"message": "unauthorized."}), REJECTED, "unauthorized"),
    ("a 401 that is a page", Scripted(401, HTML), UNKNOWN, "http_401"),
    ("no buying power", refused(403, 40310000, "insufficient buying power"), REJECTED, "40310000"),
    ("a code as text", refused(403, "40310000"), REJECTED, "40310000"),
    ("a 403 that is a page", Scripted(403, HTML), UNKNOWN, "http_403"),
    ("a 403 without a code", Scripted(403, {"message": "forbidden."}), UNKNOWN, "http_403"),
    ("an unknown asset", refused(404, 40410000), REJECTED, "40410000"),
    ("a 404 that is a page", Scripted(404, HTML), UNKNOWN, "http_404"),
    ("a code of three digits", refused(422, 422), UNKNOWN, "http_422"),
    ("a code that is a list", refused(422, [42210000]), UNKNOWN, "http_422"),
    ("a 422 of another cause", refused(422, 42210001), REJECTED, "42210001"),
    ("a request timeout", refused(408, 40810000), UNKNOWN, "http_408"),
    ("a conflict", refused(409, 40910000), UNKNOWN, "http_409"),
    ("too many requests", refused(429, 42910000), UNKNOWN, "http_429"),
    ("an internal error", refused(500, 50010000), UNKNOWN, "http_500"),
    ("a silent server", Scripted(200, order_row(), fault="hang"), UNKNOWN, "no_answer"),
    ("a reset", Scripted(200, order_row(), fault="reset"), UNKNOWN, "no_answer"),
    ("a body cut short", Scripted(200, order_row(), fault="truncate"), UNKNOWN, "no_answer"),
    ("a body that trickles", Scripted(200, order_row(), fault="trickle"), UNKNOWN, "no_answer"),
    ("a body too large", Scripted(200, b" " * 2_000_001), UNKNOWN, "no_answer"),
]


@pytest.mark.parametrize(("answer", "outcome", "code"), [case[1:] for case in SUBMITS], ids=[c[0] for c in SUBMITS])
def test_each_answer_to_a_new_order_proves_what_the_table_says_after_exactly_one_post(
    wire: Wire, answer: Scripted, outcome: WriteOutcome, code: str | None
) -> None:
    wire.answer(answer)
    reply = orders(wire).submit(intent())
    assert (reply.outcome, reply.code) == (outcome, code)
    assert wire.count("POST") == 1


def test_submit_sends_plain_text_numbers_with_id_and_keys(wire: Wire) -> None:
    wire.answer(Scripted(200, order_row()))
    orders(wire).submit(intent(quantity=Decimal("1E+1"), limit_price=Decimal("100.250")))
    (asked,) = wire.asked
    assert json.loads(asked.body) == {
        "symbol": "AAPL",
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "client_order_id": intent().client_order_id,
        "limit_price": "100.250",
    }
    assert (asked.path, asked.headers["APCA-API-KEY-ID"]) == ("/v2/orders", "sandbox")


NOT_FOUND = refused(404, 40410000, "order not found")
DUPLICATES = [
    ("ours, found", 40010001, "must be unique", Scripted(200, order_row()), ACCEPTED, None),
    ("ours, other code", 42210000, "must be unique", Scripted(200, order_row()), ACCEPTED, None),
    ("ours, new words", 40010001, "taken", Scripted(200, order_row()), ACCEPTED, None),
    ("another quantity", 40010001, "must be unique", Scripted(200, order_row(qty="9")), REJECTED, "id_conflict"),
    ("another limit", 40010001, "must be unique", Scripted(200, order_row(limit_price="9")), REJECTED, "id_conflict"),
    ("not found", 40010001, "must be unique", NOT_FOUND, UNKNOWN, "duplicate_not_found"),
    ("another cause", 40010001, "qty must be > 0", NOT_FOUND, REJECTED, "40010001"),
    ("look-up fails", 40010001, "must be unique", Scripted(503), UNKNOWN, "duplicate_not_read"),
    ("look-up unreadable", 40010001, "must be unique", Scripted(200, {}), UNKNOWN, "duplicate_not_read"),
    ("look-up refused", 40010001, "must be unique", Scripted(401), UNKNOWN, "duplicate_not_read"),
]


@pytest.mark.parametrize(
    ("code", "message", "held", "outcome", "reply_code"),
    [case[1:] for case in DUPLICATES],
    ids=[case[0] for case in DUPLICATES],
)
def test_submit_looks_up_a_taken_id_and_never_sends_again(
    wire: Wire, code: int, message: str, held: Scripted, outcome: WriteOutcome, reply_code: str | None
) -> None:
    wire.script = lambda asked: refused(422, code, message) if asked.method == "POST" else held
    reply = orders(wire).submit(intent())
    assert (reply.outcome, reply.code) == (outcome, reply_code)
    assert wire.count("POST") == 1


NEW_PRICE = intent(Operation.REPLACE)
DONE = refused(422, 42210000, "order already replaced")
REPLACES = [
    ("yes", Scripted(200, order_row()), ACCEPTED, None),
    ("another order", Scripted(200, order_row(client_order_id="else")), UNKNOWN, "mismatch"),
    ("an empty body", Scripted(200), UNKNOWN, "unreadable"),
    ("an order that is not there", refused(404, 40410000), REJECTED, "40410000"),
    ("a 404 that is a page", Scripted(404, HTML), UNKNOWN, "http_404"),
    ("refused keys", Scripted(401, {"message": "unauthorized."}), REJECTED, "unauthorized"),
    ("a reset", Scripted(200, order_row(), fault="reset"), UNKNOWN, "no_answer"),
    ("less, because some was filled before", Scripted(200, order_row(qty="7")), ACCEPTED, None),
    ("more than before", Scripted(200, order_row(qty="11")), UNKNOWN, "mismatch"),
]


@pytest.mark.parametrize(("answer", "outcome", "code"), [case[1:] for case in REPLACES], ids=[c[0] for c in REPLACES])
def test_each_answer_to_a_new_price_proves_what_the_table_says_after_exactly_one_patch(
    wire: Wire, answer: Scripted, outcome: WriteOutcome, code: str | None
) -> None:
    wire.answer(answer)
    reply = orders(wire).replace(NEW_PRICE)
    assert (reply.outcome, reply.code) == (outcome, code)
    assert (wire.count("PATCH"), wire.count("POST")) == (1, 0)


def test_replace_sends_price_and_id_without_a_quantity(wire: Wire) -> None:
    wire.answer(Scripted(200, order_row()))
    orders(wire).replace(NEW_PRICE)
    (asked,) = wire.asked
    assert json.loads(asked.body) == {"limit_price": "100.25", "client_order_id": NEW_PRICE.client_order_id}
    assert asked.path == f"/v2/orders/{NEW_PRICE.target_venue_id}"


@pytest.mark.parametrize(
    ("held", "outcome", "code"),
    [
        (Scripted(200, order_row()), ACCEPTED, None),
        (Scripted(200, order_row(limit_price="99")), REJECTED, "id_conflict"),
        (NOT_FOUND, REJECTED, "42210000"),
        (Scripted(503), UNKNOWN, "duplicate_not_read"),
    ],
)
def test_replace_looks_up_what_was_refused(wire: Wire, held: Scripted, outcome: WriteOutcome, code: str | None) -> None:
    wire.script = lambda asked: DONE if asked.method == "PATCH" else held
    reply = orders(wire).replace(NEW_PRICE)
    assert (reply.outcome, reply.code, wire.count("PATCH")) == (outcome, code, 1)


def cancelled(
    wire: Wire, deleted: Scripted, held: Scripted = NOT_FOUND
) -> tuple[WriteOutcome, str | None, Order | None]:
    wire.script = lambda asked: deleted if asked.method == "DELETE" else held
    reply = orders(wire).cancel(intent(Operation.CANCEL))
    assert wire.count("DELETE") == 1
    return reply.outcome, reply.code, reply.order


CANCELS = [
    ("accepted", Scripted(204), ACCEPTED, None),
    ("not found", NOT_FOUND, REJECTED, "40410000"),
    ("refused keys", Scripted(401, {"message": "unauthorized."}), REJECTED, "unauthorized"),
    ("a 404 page", Scripted(404, HTML), UNKNOWN, "http_404"),
    ("an empty 200", Scripted(200), UNKNOWN, "http_200"),
    ("reset", Scripted(204, fault="reset"), UNKNOWN, "no_answer"),
]


@pytest.mark.parametrize(
    ("deleted", "outcome", "code"), [case[1:] for case in CANCELS], ids=[case[0] for case in CANCELS]
)
def test_each_answer_to_a_cancel_proves_what_the_table_says_after_exactly_one_delete(
    wire: Wire, deleted: Scripted, outcome: WriteOutcome, code: str | None
) -> None:
    assert cancelled(wire, deleted)[:2] == (outcome, code)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("filled", ACCEPTED), ("canceled", ACCEPTED), ("pending_cancel", ACCEPTED), ("new", REJECTED), ("odd", REJECTED)],
)
def test_cancel_is_accepted_when_the_order_has_ended_already(wire: Wire, status: str, outcome: WriteOutcome) -> None:
    answered, code, order = cancelled(wire, refused(422, 42210000), Scripted(200, order_row(status=status)))
    assert (answered, code) == (outcome, "42210000")
    assert order is not None
    assert order.status is OrderStatus(status)


def test_cancel_is_unknown_when_the_order_can_not_be_read(wire: Wire) -> None:
    assert cancelled(wire, refused(422, 42210000), Scripted(503))[:2] == (UNKNOWN, "order_not_read")
