"""Clients greet, start under an id that is theirs alone, and get what they ask for."""

import pytest

from exchange.tests.kit.tws import CLIENT, Client, TwsExchange, contract, framed


def numbers(messages: list[list[str]]) -> list[str]:
    return [one[0] for one in messages]


def test_a_client_is_greeted_with_the_version_and_told_account_and_ids(desk: TwsExchange, client: Client) -> None:
    assert (client.greeting[0][0], client.welcome[0]) == ("178", ["15", "1", desk.engine.main.number])
    assert client.welcome[1] == ["9", "1", "1"]
    assert [one[3] for one in client.welcome[2:]] == ["2104", "2106", "2158"]


def test_another_client_with_the_same_id_is_turned_away(desk: TwsExchange, client: Client) -> None:
    second = desk.client()
    said = "Unable to connect as the client id is already in use. Retry with a unique client id."
    assert second.welcome == [["4", "2", "-1", "326", said, ""]]
    assert second.line.is_closed
    client.close()
    assert desk.client().next_id == 1


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", b"API\0" + framed("v100..157"), b"API\0\xff\xff\xff\xff"])
def test_what_no_client_sends_ends_the_connection(desk: TwsExchange, sent: bytes) -> None:
    client = Client(desk, start=False)
    client.conversation = desk.application.lines["tws"](client.line)
    client.conversation.receive(sent)
    assert client.line.is_closed


def test_nothing_is_answered_before_the_start_and_nothing_that_is_unknown(desk: TwsExchange) -> None:
    client = Client(desk, start=False)
    assert client.say(61, 1)[0][3] == "504"
    client.say(71, 2, CLIENT, "")
    assert client.say(9999, 1)[0][3] == "505"
    assert client.say(3, 1)[0][3] == "505"
    assert client.say(4, 1, "x", "")[0][3] == "320"


def test_ids_go_on_where_a_client_left_them_and_never_fall(desk: TwsExchange, client: Client) -> None:
    client.place_order(7)
    assert client.place_order(6)[0][3] == "103"
    assert client.place_order(7)[0][3] == "103"
    client.close()
    assert desk.client().next_id == 8
    assert desk.client(3).next_id == 1


def test_an_account_is_told_when_it_changes_and_its_cost_includes_the_multiplier(
    desk: TwsExchange, client: Client
) -> None:
    assert numbers(client.say(6, 2, 1, desk.engine.main.number))[-1] == "54"
    client.place_order(1, qty=2)
    client.line.take_messages()
    desk.tick(60)
    messages = client.line.take_messages()
    (row,) = [one for one in messages if one[0] == "7"]
    bought = desk.engine.main.positions["ESZ6"].average
    assert (row[13], float(row[16])) == ("2", float(bought) * 50)
    values = {one[2]: one[3] for one in messages if one[0] == "6"}
    assert float(values["NetLiquidation"]) == float(values["TotalCashValue"]) + float(values["UnrealizedPnL"])
    (position,) = [one for one in client.say(61, 1) if one[0] == "61"]
    assert position[-2:] == ["2", row[16]]


def test_quotes_come_at_once_and_again_only_where_they_have_changed(desk: TwsExchange, client: Client) -> None:
    first = client.say(1, 11, 50, *contract("ESZ6"), 0, "", 0, 0, "")
    prices = {one[3]: one[4] for one in first if one[0] == "1"}
    assert float(prices["1"]) < float(prices["4"]) < float(prices["2"])
    desk.tick(60)
    again = [one for one in client.line.take_messages() if one[0] in ("1", "2", "46")]
    assert 0 < len(again) < len([one for one in first if one[0] in ("1", "2", "46")])
    client.say(2, 2, 50)
    desk.tick(60)
    assert client.line.take_messages() == []


def test_two_months_are_quoted_with_the_carry_between_them(client: Client) -> None:
    near, far = (
        float(next(one[4] for one in client.say(1, 11, n, *contract(symbol), 0, "", 1, 0, "") if one[0] == "1"))
        for n, symbol in ((1, "ESZ6"), (2, "ESH7"))
    )
    assert 1.005 < far / near < 1.015
