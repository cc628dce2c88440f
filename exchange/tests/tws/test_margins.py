"""Orders that only ask what margin they would need: nothing is placed, and the figures are the account's own."""

from decimal import Decimal

import pytest

from exchange.tests.kit.tws import Client, TwsExchange
from papervenue.jsontext import decode_object, plain

UNSET = "1.7976931348623157E308"
AT, NUMBERS = 86, ("initial", "maintenance", "equity")


def what_if_margins(client: Client, number: int, action: str = "BUY", qty: int = 1) -> list[dict[str, list[str]]]:
    """Return what would be before, change and be after, message by message, with commission and warning."""
    reply = client.place_order(number, action, qty, "LMT", limit="6000", what_if=1, ref="w")
    assert {(one[0], one[AT - 2], one[AT - 1], one[25]) for one in reply} == {("5", "1", "PreSubmitted", "0")}
    return [
        {name: one[AT + index : AT + 9 : 3] for index, name in enumerate(NUMBERS)} | {"rest": one[AT + 9 : AT + 14]}
        for one in reply
    ]


def test_an_order_that_only_asks_is_told_its_margin_and_placed_nowhere(desk: TwsExchange, client: Client) -> None:
    logged = len([*desk.exchange.log.lines(0)])
    worth = desk.price() * 50 * 2
    (reply,) = what_if_margins(client, 1, "SELL", 2)
    initial, maintenance = (plain((worth * Decimal(part)).quantize(Decimal("0.01"))) for part in ("0.07", "0.063"))
    assert reply == {
        "initial": ["0", initial, initial],
        "maintenance": ["0", maintenance, maintenance],
        "equity": ["100000", "-4.5", "99995.5"],
        "rest": ["4.5", UNSET, UNSET, "USD", ""],
    }
    desk.tick(120)
    assert not desk.engine.main.orders
    assert client.read(5) == [["53", "1"]]
    events = [decode_object(line.decode())["event"] for line in [*desk.exchange.log.lines(0)][logged:]]
    assert not [one for one in events if "order" in str(one)]


@pytest.mark.parametrize(("action", "sign"), [("BUY", 1), ("SELL", -1)])
def test_what_is_held_is_added_to_or_taken_from(desk: TwsExchange, client: Client, action: str, sign: int) -> None:
    client.place_order(1, "BUY", 2)
    (reply,) = what_if_margins(client, 2, action)
    one = desk.price() * 50 * Decimal("0.07")
    assert [Decimal(figure) for figure in reply["initial"]] == [
        (one * contracts).quantize(Decimal("0.01")) for contracts in (2, sign, 2 + sign)
    ]


def test_a_closed_market_warns_first_without_figures(desk: TwsExchange, client: Client) -> None:
    desk.tick(20 * 3600 + 1800)
    first, second = what_if_margins(client, 1)
    assert {*first["initial"], *first["maintenance"], *first["equity"], *first["rest"][:3]} == {UNSET}
    assert first["rest"][4] == second["rest"][4] != ""
    assert Decimal(second["initial"][1]) > 0


def test_more_than_the_account_can_carry_is_told_too(client: Client) -> None:
    (reply,) = what_if_margins(client, 1, qty=50)
    assert Decimal(reply["initial"][2]) > Decimal(reply["equity"][2])


def test_an_ended_contract_has_no_margin_and_a_rule_makes_one_unknown(desk: TwsExchange, client: Client) -> None:
    assert client.place_order(1, symbol="ESZ5", what_if=1)[0][3] == "200"
    desk.arm(when={"request": "GET /v1/tws/margins"}, what={"wrong_value": "initMarginChange", "is": f'"{UNSET}"'})
    (reply,) = what_if_margins(client, 2)
    assert reply["initial"][1] == UNSET
