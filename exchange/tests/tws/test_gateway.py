"""What clients are told, and that the log alone leads to the same state."""

import socket
from pathlib import Path

from exchange.tests.kit.served import served
from exchange.tests.kit.tws import CLIENT, Client, TwsExchange, framed, order, spec
from papervenue.process import create
from papervenue.snapshot.keeper import Keeper


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
