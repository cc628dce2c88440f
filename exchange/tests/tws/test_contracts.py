"""Contracts are named by number, local symbol or month, and say when they trade."""

from datetime import date

from exchange.tests.kit.tws import Client, TwsExchange, contract


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
