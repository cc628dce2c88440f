"""Each way in which a gateway, its connection or its messages go wrong, through the rules of faults."""

from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.tws import Client, TwsExchange, order

SUBMIT = {"request": "submit"}
FILLS = {"stream": "trade_updates", "event": "fill"}


def fired(desk: TwsExchange) -> int:
    return sum(one.fired for one in desk.exchange.faults.book)


def executions(client: Client) -> list[list[str]]:
    return [one for one in client.say(7, 3, 1, 0, "", "", "", "", "", "") if one[0] == "11"]


def test_a_half_armed_gateway_takes_the_connection_and_says_nothing(desk: TwsExchange) -> None:
    desk.arm(when={"request": "GET /v1/tws/session"}, what={"hang": "1h"})
    client = desk.client()
    assert (client.greeting[0][0], client.welcome) == ("178", [])
    assert client.say(61, 1) == []
    assert fired(desk) == 1
    ((seconds, end),) = client.line.due
    assert seconds == 3600
    end()
    assert client.line.is_closed


def test_a_gateway_that_answers_late(desk: TwsExchange, client: Client) -> None:
    desk.arm(when={"request": "positions"}, what={"hang": "5s", "then": "answer"})
    assert client.say(61, 1) == []
    client.line.due[0][1]()
    assert client.line.take_messages() == [["62", "1"]]


def test_an_order_that_is_lost_with_the_connection_is_nowhere(desk: TwsExchange, client: Client) -> None:
    desk.arm(when=SUBMIT, what={"reset": "before"})
    assert client.place_order(1, ref="lost") == []
    assert client.line.is_closed
    client.close()
    again = desk.client()
    assert again.next_id == 1
    assert again.read(16) == [["53", "1"]]
    assert again.say(99, 0) == [["102"]]
    assert executions(again) == []


def test_an_order_whose_answer_is_lost_is_there(desk: TwsExchange, client: Client) -> None:
    desk.arm(when=SUBMIT, what="reply_lost")
    assert client.place_order(1, ref="there") == []
    assert client.line.is_closed
    client.close()
    again = desk.client()
    assert [one[26] for one in executions(again)] == ["there"]
    assert again.next_id == 2


@pytest.mark.parametrize(("back", "quoted"), [(1102, True), (1101, False)])
def test_what_is_sent_while_the_venue_is_out_of_reach_vanishes(
    desk: TwsExchange, client: Client, back: int, quoted: bool
) -> None:
    client.say(1, 11, 50, *order(0)[2:14], 0, "", 0, 0, "")
    desk.arm(when={**SUBMIT, "nth": 1}, what={"connection_lost": "2m", "back": back})
    assert [one[3] for one in client.place_order(1, ref="lost")] == ["1100"]
    assert client.place_order(2, ref="lost too") == []
    assert not desk.engine.main.orders
    desk.tick(120)
    messages = client.line.take_messages()
    assert [one[3] for one in messages if one[0] == "4"] == [str(back)]
    assert any(one[0] == "1" for one in messages) is quoted


def test_an_order_that_arrives_twice_has_one_reference_and_two_ids(desk: TwsExchange, client: Client) -> None:
    desk.arm(when=SUBMIT, what="delivered_twice")
    client.place_order(1, "BUY", 1, "LMT", limit="3000", ref="twice")
    rows = [one for one in client.read(16) if one[0] == "5"]
    assert ([one[23] for one in rows], len({one[25] for one in rows})) == (["twice", "twice"], 2)
    assert sorted(int(one[1]) for one in rows) == [-2, 1], "an id is of one order for ever"
    client.say(4, 1, 1)
    assert [one.status for one in desk.engine.main.orders.values()] == ["canceled", "new"]


def test_a_corrected_execution_raises_its_suffix_and_moves_the_money(desk: TwsExchange, client: Client) -> None:
    desk.arm(when=SUBMIT, what="corrected_execution")
    (first,) = [one for one in client.place_order(1, qty=2) if one[0] == "11"]
    cost = desk.engine.main.positions["ESZ6"].average * 100
    desk.tick(60)
    (second,) = [one for one in client.line.take_messages() if one[0] == "11"]
    assert (first[14][-3:], second[14][-3:], first[14][:-2]) == (".01", ".02", second[14][:-2])
    assert float(second[20]) - float(first[20]) == 0.25
    assert desk.engine.main.positions["ESZ6"].average * 100 - cost == 25
    assert [one[14] for one in executions(client)] == [second[14]]


def test_the_staff_corrects_an_execution_of_a_closed_position_in_cash(desk: TwsExchange, client: Client) -> None:
    (execution,) = [one for one in client.place_order(1) if one[0] == "11"]
    client.place_order(2, "SELL")
    desk.tick(60)
    cash, name, price = desk.engine.main.cash, desk.engine.main.activities[0].id, Decimal(execution[20])
    desk.control("executions", {"execution": name, "price": str(price - 1)})
    assert desk.engine.main.cash - cash == 50


def test_a_commission_comes_later_or_never_but_can_be_read(desk: TwsExchange, client: Client) -> None:
    desk.arm(when={"stream": "trade_updates", "event": "commission"}, what="mute_stream")
    reply = client.place_order(1)
    assert [one[0] for one in reply].count("11") == 1
    assert "59" not in {one[0] for one in reply + client.say(7, 3, 1, 0, "", "", "", "", "", "")}
    desk.tick(60)
    assert "59" not in {one[0] for one in client.line.take_messages()}
    assert fired(desk) == 1
    (fee,) = [one for one in client.say(7, 3, 1, 0, "", "", "", "", "", "") if one[0] == "59"]
    assert fee[3:5] == ["2.25", "USD"]


def test_a_message_cut_short_comes_as_a_shorter_message_or_as_the_end(desk: TwsExchange, client: Client) -> None:
    whole = client.say(9, 8, 1, *order(0)[2:14], 0, "", "", "")
    desk.arm(when={"request": "assets"}, what="truncated_json")
    half = client.say(9, 8, 1, *order(0)[2:14], 0, "", "", "")
    assert len(half[0]) < len(whole[0])
    assert half[1:] == whole[1:]
    desk.control("faults", [{"name": "closed", "what": {"truncated_json": None, "connection": "closed"}}])
    desk.exchange.faults.book.clear("trouble")
    assert client.say(9, 8, 1, *order(0)[2:14], 0, "", "", "") == []
    assert client.line.data
    assert client.line.is_closed


def test_a_field_that_is_missing_shortens_an_execution_alone(desk: TwsExchange, client: Client) -> None:
    desk.arm(when=FILLS, what={"missing_field": "lastLiquidity"})
    reply = client.place_order(1)
    assert [len(one) for one in reply if one[0] == "11"] == [31]
    assert [one[2] for one in reply if one[0] == "3"][-1] == "Filled"
    assert [len(one) for one in executions(client)] == [32]


def test_a_restart_in_the_middle_of_a_bracket_forgets_what_was_not_transmitted(
    desk: TwsExchange, client: Client
) -> None:
    messages = client.bracket(ref="r")
    for message in messages[:2]:
        client.say(*message)
    restarted = TwsExchange(desk.folder)
    again = restarted.client()
    assert again.read(16) == [["53", "1"]]
    assert again.say(*messages[2])[0][3] == "135"
    assert not restarted.engine.main.orders


@pytest.mark.parametrize(
    ("what", "number", "count"),
    [
        ({"missing_rows": None}, "61", 0),
        ({"repeated_rows": None}, "61", 2),
        ("opposite_side", "61", 1),
        ({"stale_account": "2h"}, "61", 0),
        ({"missing_rows": None, "symbol": "GC*"}, "61", 1),
    ],
)
def test_positions_that_lie(desk: TwsExchange, client: Client, what: Any, number: str, count: int) -> None:
    client.place_order(1)
    desk.tick(60)
    desk.arm(when={"request": "positions"}, what=what)
    rows = [one for one in client.say(61, 1) if one[0] == number]
    assert len(rows) == count
    assert {one[-2] for one in rows} <= {"-1" if what == "opposite_side" else "1"}


def test_a_status_or_a_refusal_instead_of_an_answer_is_an_error(desk: TwsExchange, client: Client) -> None:
    desk.arm(when={"request": "account"}, what={"status": 503})
    assert client.say(6, 2, 1, "")[0][3] == "322"
    desk.control("faults", [{"name": "stay", "when": {"request": "cancel"}, "what": "refused"}])
    client.place_order(1, "BUY", 1, "LMT", limit="3000", ref="p")
    assert client.say(4, 1, 1, "")[0][3] == "161"
    assert len(desk.engine.main.open) == 1


def test_an_order_rejected_after_it_was_taken_is_inactive(desk: TwsExchange, client: Client) -> None:
    desk.arm(when=SUBMIT, what="reject_after_acceptance")
    reply = client.place_order(1, ref="r")
    assert [one[3] for one in reply if one[0] == "4"] == ["201"]
    assert [one[2] for one in reply if one[0] == "3"][-1] == "Inactive"
    assert [one[0] for one in client.say(99, 0)] == ["101", "102"]


def test_time_that_is_wrong(desk: TwsExchange, client: Client) -> None:
    desk.arm(when={"request": "clock"}, what={"clock_skew": "1h"})
    assert int(client.read(49)[0][2]) == desk.engine.now_us // 1_000_000 + 3600
