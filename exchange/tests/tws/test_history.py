"""Bars of any size add up, and a holiday's short session belongs to the next day."""

import pytest

from exchange.tests.kit.tws import Client, TwsExchange, contract


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
