"""Clients greet, start under an id that is theirs alone, and get what they ask for.

What clients are told, and that the log alone leads to the same state.
Messages are framed, whatever pieces they come in; and whatever a client sends, the exchange goes on.
Contracts are named by number, local symbol or month, and say when they trade.
Orders that only ask what margin they would need: nothing is placed, and the figures are the account's own.
Bars of any size add up, and a holiday's short session belongs to the next day.
"""

import socket
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tests.kit.served import served
from exchange.tests.kit.tws import CLIENT, Client, TwsExchange, contract, framed, order, spec
from papervenue.faces.tws.face import REQUESTS
from papervenue.faces.tws.wire import Frames, TwsMessage, WireError
from papervenue.faces.tws.wire import frame as written
from papervenue.jsontext import decode_object, plain
from papervenue.process import create
from papervenue.snapshot.keeper import Keeper


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


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", b"API\0" + framed("v100..156"), b"API\0\xff\xff\xff\xff"])
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


def test_an_account_is_told_when_it_changes_and_its_cost_includes_multiplier_and_commission(
    desk: TwsExchange, client: Client
) -> None:
    assert numbers(client.say(6, 2, 1, desk.engine.main.number))[-1] == "54"
    client.place_order(1, qty=2)
    client.line.take_messages()
    desk.tick(60)
    messages = client.line.take_messages()
    (row,) = [one for one in messages if one[0] == "7"]
    bought = desk.engine.main.positions["ESZ6"].average
    assert (row[13], float(row[16])) == ("2", float(bought) * 50 + 2.25)
    values = {one[2]: one[3] for one in messages if one[0] == "6"}
    cash, gain, commission = float(values["TotalCashValue"]), float(values["UnrealizedPnL"]), 2 * 2.25
    assert float(values["NetLiquidation"]) == cash + gain + commission
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


def state(desk: TwsExchange) -> list[list[str]]:
    """Return everything that a client can read."""
    client = desk.client(77)
    replies = [
        client.say(*request)
        for request in ((61, 1), (16, 1), (99, 0), (7, 3, 1, 0, "", "", "", "", "", ""), (6, 2, 1, ""))
    ]
    client.close()
    return [fields for answer in replies for fields in answer]


def test_the_log_leads_to_the_same_state_with_and_without_a_snapshot(desk: TwsExchange, client: Client) -> None:
    for message in client.bracket(2, ref="r"):
        client.say(*message)
    client.place_order(4, "BUY", 1, "LMT", limit="3000", ref="p", oca="g", oca_type=1)
    client.place_order(4, "BUY", 1, "LMT", limit="3001", ref="p", oca="g", oca_type=1)
    client.place_order(5, "SELL", 1, "STP", stop="4000", ref="q", oca="g", oca_type=1)
    desk.arm(when={"request": "submit"}, what="corrected_execution")
    client.place_order(6, "SELL", ref="c")
    desk.tick(120)
    before = state(desk)
    assert any(fields[0] == "11" and fields[14].endswith(".02") for fields in before)
    assert state(TwsExchange(desk.folder)) == before
    Keeper(desk.exchange, desk.folder).finish()
    assert (desk.folder / "snapshot").exists()
    again = TwsExchange(desk.folder)
    assert state(again) == before
    again.client().say(4, 1, 2, "")
    assert {one.client_order_id for one in again.engine.main.open.values()} == {"p", "q", "rc"}


def test_each_client_is_told_of_its_own_orders_and_may_ask_for_all(desk: TwsExchange, client: Client) -> None:
    other = desk.client(3)
    client.place_order(1, "BUY", 1, "LMT", limit="3000", ref="mine")
    assert other.line.take_messages() == []
    assert other.read(5) == [["53", "1"]]
    assert [one[23] for one in other.read(16) if one[0] == "5"] == ["mine"]
    assert other.say(4, 1, 1, "")[0][3] == "10147"


def test_a_position_is_told_to_who_follows_positions(desk: TwsExchange, client: Client) -> None:
    other = desk.client(3)
    other.say(61, 1)
    client.place_order(1)
    assert [one[-2] for one in other.line.take_messages()] == ["1"]
    client.place_order(2, "SELL")
    assert [one[-2] for one in other.line.take_messages()] == ["0"]
    other.say(64, 1)
    client.place_order(3)
    assert other.line.take_messages() == []


def test_executions_are_those_of_today_and_the_end_of_a_month_is_one_without_an_order(tmp_path: Path) -> None:
    create(tmp_path, spec(sessions=22))
    desk = TwsExchange(tmp_path)
    desk.tick(3 * 3600)
    client = desk.client()
    client.place_order(1)
    request = (7, 3, 1, 0, "", "", "", "", "", "")
    assert [one[0] for one in client.say(*request)] == ["11", "55"]
    desk.tick(26 * 24 * 3600)
    (settled,) = [one for one in client.say(*request) if one[0] == "11"]
    assert (settled[2], settled[18], settled[23]) == ("0", "SLD", "1")
    assert desk.engine.main.qty("ESZ6") == 0
    assert client.say(61, 1) == [["62", "1"]]


def test_a_session_over_a_socket(tmp_path: Path) -> None:
    create(tmp_path, spec())
    with served(tmp_path) as there:
        there.tick(seconds=3 * 3600)
        with socket.create_connection(("127.0.0.1", there.ports["tws"]), timeout=20) as line:
            line.sendall(b"API\0" + framed("v157..178") + framed(f"71\0002\0{CLIENT}\0\0"))
            line.sendall(framed("".join(f"{field}\0" for field in order(1, ref="over a socket"))))
            seen = b""
            while b"Filled" not in seen:
                seen += line.recv(65536)
        assert b"over a socket" in (tmp_path / "log.jsonl").read_bytes()


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def values(fields: dict[str, object]) -> list[str]:
    return TwsMessage(5, fields).payload().decode().split("\0")[:-1]


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=6), max_size=6), st.lists(st.integers(0, 200), max_size=8))
def test_messages_are_read_as_they_were_sent_in_whatever_pieces(sent: list[list[str]], cuts: list[int]) -> None:
    data = b"API\0" + b"".join(framed("".join(f"{field}\0" for field in fields)) for fields in sent)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    frames, begin, read = Frames(), 0, list[list[str]]()
    for end in ends:
        read += frames.read(data[begin:end])
        begin = end
    assert read == sent


@given(TEXTS, st.integers(-(10**12), 10**12), st.decimals(-(10**9), 10**9, places=5), st.booleans())
def test_each_field_is_text_that_ends_with_a_zero(text: str, number: int, price: Decimal, flag: bool) -> None:
    decoded = values({"a": text, "b": number, "c": price, "d": flag, "e": None, "f": [{"g": 1}, {"g": text}]})
    assert (decoded[0], decoded[1], int(decoded[2]), Decimal(decoded[3])) == ("5", text, number, price)
    assert decoded[4:] == ["1" if flag else "0", "", "1", text]
    assert written(b"x") == b"\0\0\0\1x"


def test_no_message_is_longer_than_a_client_may_send() -> None:
    with pytest.raises(WireError):
        list(Frames().read(b"API\0" + (2**20).to_bytes(4, "big")))


def test_client_that_starts_again_under_another_id_keeps_the_one_that_it_has(desk: TwsExchange, client: Client) -> None:
    assert [one[3] for one in client.say(71, 2, 7, "") if one[0] == "4"] == ["501"]
    client.close()
    assert desk.client().next_id == 1
    assert desk.client(7).next_id == 1


@given(
    st.sampled_from(sorted(REQUESTS)),
    st.lists(st.sampled_from(["", "0", "1", "-1", "x", "1e9", "NaN", "ESZ6", "FUT", "CME", "9" * 30]), max_size=44),
)
def test_whatever_a_client_sends_is_answered_or_ends_its_connection(
    shared_desk: TwsExchange, number: int, fields: list[str]
) -> None:
    client = shared_desk.client()
    client.say(number, *fields)
    client.close()
    again = shared_desk.client()
    assert again.next_id >= 1
    again.close()


def test_ten_thousand_messages_that_nobody_knows_change_nothing(desk: TwsExchange, client: Client) -> None:
    before = desk.exchange.log.count
    client.conversation.receive(framed("9999\0x\0") * 10_000)
    assert len(client.line.take_messages()) == 10_000
    assert desk.exchange.log.count == before
    assert [one[0] for one in client.say(*order(1))][-1] == "3"


def details(client: Client, *named: object, expired: int = 0) -> list[list[str]]:
    return [one for one in client.say(9, 8, 1, *named, expired, "", "", "") if one[0] == "10"]


def test_a_root_names_its_months_and_a_month_is_found_by_any_of_its_names(client: Client) -> None:
    rows = details(client, *contract(root="ES"))
    assert [row[9] for row in rows] == ["ESZ6", "ESH7"]
    (one,) = details(client, *contract(id=rows[0][12]))
    assert one == rows[0]
    assert details(client, *contract(root="ES", month="202612")) == [one]
    assert details(client, *contract(root="ES", month="20261218")) == [one]
    assert details(client, *contract(root="ES", exchange="COMEX")) == []


def test_hours_end_early_on_thanksgiving_and_with_the_last_day(desk: TwsExchange, client: Client) -> None:
    (row,) = details(client, *contract("ESZ6"))
    hours, liquid = row[26].split(";"), row[27].split(";")
    assert hours[3:5] == ["20261125:1700-20261126:1200", "20261126:1700-20261127:1215"]
    assert liquid[0] == "20261123:0830-20261123:1500"
    assert (hours[5], liquid[5]) == ("20261128:CLOSED", "20261128:CLOSED")
    assert hours[6] == "20261129:1700-20261130:1600"
    assert len(row) == 40


def test_a_market_rule_holds_the_tick(client: Client) -> None:
    (row,) = details(client, *contract("ESZ6"))
    assert client.say(91, row[34]) == [["93", row[34], "1", "0", "0.25"]]
    assert client.say(91, "1000000")[0][0] == "4"
    assert date.fromisoformat(row[35]) == date(2026, 12, 18)


def test_a_contract_that_has_ended_is_told_to_those_who_ask_for_such_also_by_its_number(client: Client) -> None:
    (row,) = details(client, *contract("ESU6"), expired=1)
    assert details(client, *contract("ESU6")) == []
    assert details(client, *contract(id=row[12])) == []
    assert details(client, *contract(id=row[12]), expired=1) == [row]


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


def bars(client: Client, size: str, duration: str, symbol: str = "ESZ6", end: str = "", **more: str) -> list[list[str]]:
    """Return the rows of historical bars."""
    expired = more.get("expired", "0")
    (reply,) = client.say(20, 60, *contract(symbol), expired, end, size, duration, 0, "TRADES", 1, 0, "")
    assert reply[0] == "17", reply
    rows = [reply[5 + 8 * index : 13 + 8 * index] for index in range(int(reply[4]))]
    assert len(reply) == 5 + 8 * len(rows)
    return rows


def test_a_day_is_made_of_its_minutes(desk: TwsExchange, client: Client) -> None:
    (day,) = bars(client, "1 day", "1 D")
    for size in ("1 min", "5 mins", "1 hour"):
        rows = bars(client, size, "1 D")
        assert (rows[0][1], rows[-1][4], max(float(row[2]) for row in rows)) == (day[1], day[4], float(day[2]))
        assert sum(int(row[5]) for row in rows) == int(day[5])
    assert day[0] == "20261123"


def test_the_bars_end_where_they_are_asked_to(client: Client) -> None:
    rows = bars(client, "1 min", "600 S", end="20261123-00:30:00")
    assert (len(rows), rows[-1][0]) == (10, "20261122 18:29:00 US/Central")


def test_thanksgiving_belongs_to_the_day_after(desk: TwsExchange, client: Client) -> None:
    desk.tick(4 * 24 * 3600)
    days = bars(client, "1 day", "3 D")
    assert [day[0] for day in days] == ["20261124", "20261125", "20261127"]
    assert sum(int(row[5]) for row in bars(client, "1 hour", "2 D")) == int(days[-1][5])


def test_an_ended_month_is_there_for_who_asks_for_it(client: Client) -> None:
    assert client.say(9, 8, 1, *contract("ESU6"), 0, "", "", "")[0][3] == "200"
    assert client.say(9, 8, 1, *contract("ESU6"), 1, "", "", "")[0][0] == "10"
    assert client.say(20, 61, *contract("ESU6"), 0, "", "1 day", "1 Y", 0, "TRADES", 1, 0, "")[0][3] == "200"
    assert bars(client, "1 day", "1 Y", "ESU6", expired="1")[-1][0] == "20260918"


@pytest.mark.parametrize(
    ("size", "duration", "end"), [("7 mins", "1 D", ""), ("1 min", "1 X", ""), ("1 min", "1 D", "soon")]
)
def test_what_cannot_be_asked_for(client: Client, size: str, duration: str, end: str) -> None:
    reply = client.say(20, 60, *contract("ESZ6"), 0, end, size, duration, 0, "TRADES", 1, 0, "")
    assert [one[3] for one in reply] == ["162"]


def test_bars_that_are_kept_up_to_date_and_live_ones(desk: TwsExchange, client: Client) -> None:
    client.say(20, 60, *contract("ESZ6"), 0, "", "5 mins", "1 D", 0, "TRADES", 2, 1, "")
    client.say(50, 3, 61, *contract("ESZ6"), 5, "TRADES", 0, "")
    desk.tick(60)
    messages = {one[0]: one for one in client.line.take_messages()}
    assert messages["90"][5] == messages["50"][7]
    assert int(messages["50"][3]) + 5 == desk.engine.now_us // 1_000_000
