"""What margin a contract needs, read by orders that only ask; the exchange's log proves that none is placed."""

import ast
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import tradebot.venues.ibkr
from exchange.tests.kit.tws import ES, order
from papervenue.faces.tws.order_messages import _OPEN, UNSET
from papervenue.faces.tws.wire import TwsMessage
from tests.kit.adapters.ibkr import Connection, Exchange, Message, desk, scripted, usual
from tests.venues.ibkr.test_orders import said
from tests.venues.ibkr.test_reader import LONG_AGO, trades
from tradebot.model.candidate import Side
from tradebot.model.instrument import MarginLevel

WHAT_IF, LIMIT, ACTION = (order(1, what_if=7, limit="L", action="A").index(one) for one in (7, "L", "A"))
PARTS = Decimal("0.07"), Decimal("0.063")


def near(levels: Sequence[MarginLevel]) -> bool:
    """Return True for one level, of what the exchange asks for; its dollars are whole cents."""
    (level,) = levels
    return level.from_quantity == 0 and all(
        0 <= told - part < Decimal("0.00001")
        for told, part in zip((level.initial, level.maintenance), PARTS, strict=True)
    )


def test_levels_are_fractions_of_a_contracts_worth_also_against_what_is_held(one: Connection, there: Exchange) -> None:
    assert near(one.reader.listings([ES])[ES].margin_levels)
    trades(one, there, Side.BUY)
    assert near(one.reader.listings([ES])[ES].margin_levels)
    trades(one, there, Side.SELL)


def test_reading_everything_places_no_order(one: Connection, there: Exchange) -> None:
    logged = len([*there.place.exchange.log.lines(0)])
    one.reader.listings([ES, "ESH7"])
    one.reader.view()
    one.reader.quotes([ES])
    one.reader.fills(None)
    one.reader.activities(LONG_AGO)
    there.passes(120)
    events = [json.loads(line)["event"] for line in [*there.place.exchange.log.lines(0)][logged:]]
    assert not [name for name in events if "order" in name]
    assert not one.reader.view().orders


def test_only_orders_and_margins_can_write_the_message_of_an_order() -> None:
    folder = Path(tradebot.venues.ibkr.__path__[0])
    writers = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "placeOrder"
    }
    assert writers == {"orders.py", "prices.py"}


def preview(initial: object = "22000", maintenance: object = "20000", **more: object) -> Message:
    """Return the order that only asks as the venue tells it, for one of the client's number."""
    contract = (1, "ES", "FUT", "20261218", 0, "", 50, "CME", "USD", "ESZ6", "ES")
    own = {"action": "BUY", "totalQuantity": 1, "orderType": "LMT", "lmtPrice": 5000, "auxPrice": 0, "tif": "DAY"}
    told = {"permId": 0, "clientId": 9102, "whatIf": 1, "status": "PreSubmitted", "account": "DU1"}
    figures = {"initMarginChange": initial, "maintMarginChange": maintenance, **more}
    fields = {**_OPEN, "orderId": "ID", "contract": contract, **own, **told, **figures}
    return tuple(TwsMessage(5, fields).payload().decode().split("\0")[:-1])


def answering(*messages: Message) -> Any:
    """Return a Gateway's answers: a price of 5000, and these messages to each order."""

    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "1":
            return [(1, 6, fields[2], kind, 5000, 1, 0) for kind in (1, 2, 4)]
        return list(said(*messages)(fields))

    return answer


@pytest.mark.parametrize(
    "messages",
    [
        [preview()],
        [preview(UNSET, UNSET, warningText="closed"), preview()],
        [(4, 2, "ID", 399, "Warning: your order will be placed later", ""), preview()],
    ],
)
def test_figures_count_once_they_have_come_whatever_warning_comes_first(messages: list[Message]) -> None:
    with scripted(answering(*messages)) as gateway, desk(gateway.port) as one:
        levels = one.reader.listings([ES])[ES].margin_levels
        assert levels == (MarginLevel(Decimal(0), Decimal("0.088"), Decimal("0.08")),)
        sent = [fields for fields in gateway.heard if fields[0] == "3"]
        assert {(fields[ACTION], fields[WHAT_IF], fields[LIMIT]) for fields in sent} == {
            ("BUY", "1", "4950.00"),
            ("SELL", "1", "5050.00"),
        }


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [preview(UNSET, UNSET)],
        [preview("22000", UNSET)],
        [preview("", "")],
        [preview("0", "0")],
        [preview("-22000", "-20000")],
        [preview("NaN", "20000")],
        [(4, 2, "ID", 321, "The API interface is currently in Read-Only mode.", "")],
    ],
)
def test_whoever_is_not_told_a_whole_answer_knows_no_margin(messages: list[Message]) -> None:
    with scripted(answering(*messages)) as gateway, desk(gateway.port) as one:
        assert one.reader.listings([ES])[ES].margin_levels == ()
        assert one.findings


def test_a_contract_without_a_price_has_no_margin_and_asks_for_none() -> None:
    with scripted(said()) as gateway, desk(gateway.port) as one:
        assert one.reader.listings([ES])[ES].margin_levels == ()
        assert not [fields for fields in gateway.heard if fields[0] == "3"]


def test_an_answer_that_comes_late_is_no_open_order() -> None:
    late = preview(permId=77)

    def answer(fields: Sequence[str]) -> list[Message]:
        return (
            [tuple(8 if one == "ID" else one for one in late), *usual(fields)] if fields[0] == "16" else usual(fields)
        )

    with scripted(answer) as gateway, desk(gateway.port) as one:
        view = one.reader.view()
        assert (view.orders, view.unreadable) == ((), 0)
