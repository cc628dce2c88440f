"""What a client may ask for besides orders and bars of trades, in each version of the protocol that it may speak."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from exchange.tests.kit.tws import ES, NEXT, Client, TwsExchange, contract, order
from papervenue.faces.tws.contracts import con_id

FROM, UNTIL, PROFILE_AT = 157, 178, 42
PRICES = ("open", "high", "low", "close")
CONTINUOUS = contract(root="ES", secType="CONTFUT")
GROWN = {
    4: {166: 1},
    5: {158: 1, 160: 1, 162: 1, 170: 5, 177: -1},
    10: {163: 1, 164: 0},
    11: {178: 1},
    101: {170: 5, 177: -1},
}
"""By how many fields each message grows in a version, as the API's own list of server versions has it.

In 164, a contract's details gain two sizes, and lose their version and the size of the market's unit.
"""


def speaking(desk: TwsExchange, newest: int) -> Client:
    """Return a client whose newest version is this one."""
    return Client(desk, versions=f"v100..{newest}")


def test_client_and_exchange_take_the_newest_version_that_both_speak(desk: TwsExchange) -> None:
    spoken = []
    for newest in (FROM, 163, 176, UNTIL, 999):
        client = speaking(desk, newest)
        spoken.append(client.greeting[0][0])
        client.close()
    assert spoken == ["157", "163", "176", "178", "178"]


def test_each_message_has_the_fields_of_its_version(desk: TwsExchange) -> None:
    lengths = dict[int, dict[int, int]]()
    for version in range(FROM, UNTIL + 1):
        client = speaking(desk, version)
        first, side, profile = client.next_id, "BUY" if version % 2 else "SELL", [""] if version < 177 else []
        messages = list[list[str]]()
        for placed in (order(first, "BUY", 1, "LMT", limit="3000"), order(first + 1, side)):
            messages += client.say(*placed[:PROFILE_AT], *profile, *placed[PROFILE_AT:])
        messages += client.say(4, 1, first, "") + client.say(99, 0) + client.say(9, 8, 1, *contract(ES), 0, "", "", "")
        lengths[version] = {int(one[0]): len(one) for one in messages if int(one[0]) in GROWN}
        client.close()
    assert lengths[UNTIL].keys() == GROWN.keys()
    for before, version in pairwise(lengths):
        grown = {kind: lengths[version][kind] - lengths[before][kind] for kind in GROWN}
        assert grown == {kind: by.get(version, 0) for kind, by in GROWN.items()}, version


REFUSED: list[tuple[tuple[Any, ...], str, str]] = [
    ((6, 2, 1, "DU999"), "-1", "321"),
    ((76, 1, 5, "DU999", "", 1), "5", "321"),
    ((92, 5, "DU999", ""), "5", "321"),
    ((94, 5, "DU999", "", 1), "5", "200"),
    ((20, 60, *contract(ES), 0, "", "1 min", "1 D", 0, "ADJUSTED", 1, 0, ""), "60", "321"),
    ((20, 60, *contract(ES), 0, "", "1 secs", "1 D", 0, "TRADES", 1, 0, ""), "60", "162"),
    ((20, 60, *CONTINUOUS, 0, "20261123-00:30:00", "1 day", "5 D", 0, "TRADES", 1, 0, ""), "60", "10339"),
    ((15, 1, 1), "-1", "327"),
    ((10, 5, 7, *contract(ES), 5, 0, ""), "7", "321"),
    ((97, 7, *contract(ES), "Last", 0, 0), "7", "321"),
    ((86, 7, 1, "WM", "", "", 10, ""), "7", "200"),
    ((86, 7, con_id(ES), "WM+BRFG", "", "", 10, ""), "7", "10276"),
    ((86, 7, con_id(ES), "WM", "soon", "", 10, ""), "7", "320"),
    ((86, 7, con_id(ES), "WM", "", "", 301, ""), "7", "320"),
]


@pytest.mark.parametrize(("asked", "own_id", "code"), REFUSED)
def test_what_cannot_be_asked_for_is_refused_with_its_code_and_id(
    client: Client, asked: tuple[Any, ...], own_id: str, code: str
) -> None:
    (refused,) = client.say(*asked)
    assert (refused[0], refused[2], refused[3]) == ("4", own_id, code)


def test_orders_of_another_account_and_changes_of_side_or_contract_are_refused(client: Client) -> None:
    placed = order(1, "BUY", 1, "LMT", limit="3000")
    other = [*placed]
    other[23] = "DU999"
    assert [one[3] for one in client.say(*other)] == ["436"]
    client.say(*placed)
    assert [one[3] for one in client.place_order(1, "SELL", 1, "LMT", limit="3000")] == ["105"]
    assert [one[3] for one in client.place_order(1, "BUY", 1, "LMT", symbol=NEXT, limit="3000")] == ["105"]
    assert client.open_orders() == {"": "Submitted"}


def test_a_cancel_says_whether_its_order_has_filled_or_ended_otherwise(client: Client) -> None:
    client.place_order(1)
    client.place_order(2, "BUY", 1, "LMT", limit="3000")
    client.say(4, 1, 2, "")
    assert [client.say(4, 1, number, "")[0][3] for number in (1, 2, 3)] == ["10148", "161", "10147"]


def test_client_0_is_told_of_orders_that_no_client_has_placed_and_may_cancel_them(desk: TwsExchange) -> None:
    desk.arm(when={"request": "submit"}, what="delivered_twice")
    master, other = desk.client(0), desk.client()
    other.place_order(1, "BUY", 1, "LMT", limit="3000")
    assert master.line.take_messages() == []
    bound, opened, status = master.say(15, 1, 1)
    assert (bound[0], bound[2:]) == ("100", ["0", "-2"])
    assert (opened[0], opened[1], status[1]) == ("5", "-2", "-2")
    other.place_order(2, "BUY", 1, "LMT", limit="3000")
    assert [one[3] for one in master.line.take_messages() if one[0] == "100"] == ["-4"]
    assert {one[0] for one in master.say(4, 1, -2, "")} == {"3", "4"}
    assert sorted(one.status for one in desk.engine.main.orders.values()) == ["canceled", "new", "new", "new"]
    assert desk.client(0).welcome[0][3] == "326"
    master.close()
    assert desk.client(0).next_id == 1


def rows(
    client: Client, size: str, what: str = "TRADES", duration: str = "600 S", of: list[object] | None = None
) -> list[dict[str, float]]:
    """Return historical bars by the names of their fields."""
    dates = 1 if size == "1 day" else 2
    (reply,) = client.say(20, 60, *(of or contract(ES)), 1, "", size, duration, 0, what, dates, 0, "")
    assert reply[0] == "17", reply
    shown = [reply[5 + 8 * index : 13 + 8 * index] for index in range(int(reply[4]))]
    names = ("at", *PRICES, "volume", "average", "count")
    return [dict(zip(names, map(float, row), strict=True)) for row in shown]


@pytest.mark.parametrize("size_s", [1, 5, 10, 15, 30])
def test_seconds_add_up_to_their_minutes(client: Client, size_s: int) -> None:
    minutes, seconds = rows(client, "1 min"), rows(client, f"{size_s} secs")
    assert len(seconds) == len(minutes) * 60 // size_s
    for number, minute in enumerate(minutes):
        parts = seconds[number * 60 // size_s : (number + 1) * 60 // size_s]
        assert (parts[0]["at"], parts[0]["open"], parts[-1]["close"]) == (minute["at"], minute["open"], minute["close"])
        assert max(part["high"] for part in parts) == minute["high"]
        assert min(part["low"] for part in parts) == minute["low"]
        assert sum(part["volume"] for part in parts) == minute["volume"]
        assert all(part[name] % 0.25 == 0 for part in parts for name in PRICES)


def test_bars_of_quotes_lie_around_those_of_trades_and_have_no_volume(client: Client) -> None:
    kinds = (rows(client, "1 min", what) for what in ("TRADES", "BID", "ASK", "MIDPOINT", "BID_ASK"))
    for trade, bid, ask, middle, quote in zip(*kinds, strict=True):
        for name in PRICES:
            assert bid[name] < trade[name] < ask[name]
            assert middle[name] == (bid[name] + ask[name]) / 2
        assert [quote[name] for name in PRICES] == [bid["open"], ask["high"], bid["low"], ask["close"]]
        assert {bar[name] for bar in (bid, ask, middle, quote) for name in ("volume", "average", "count")} == {-1}


def test_bars_of_quotes_are_kept_up_to_date_as_such(desk: TwsExchange, client: Client) -> None:
    client.say(20, 60, *contract(ES), 0, "", "30 secs", "600 S", 0, "BID", 2, 1, "")
    desk.tick(60)
    (update,) = [one for one in client.line.take_messages() if one[0] == "90"]
    newest = rows(client, "30 secs", "BID")[-1]
    assert [float(part) for part in update[3:8]] == [newest[name] for name in ("at", "open", "close", "high", "low")]


def test_a_continuous_future_is_the_front_month_and_its_bars_are_of_each_front_month_in_turn(client: Client) -> None:
    detail, _ = client.say(9, 8, 1, *CONTINUOUS, 0, "", "", "")
    assert (detail[3], detail[9]) == ("CONTFUT", ES)
    days, front = (rows(client, "1 day", duration="1 Y", of=of) for of in (CONTINUOUS, contract(ES)))
    assert days[-5:] == front[-5:]
    assert [day["at"] for day in days] == sorted({day["at"] for day in days})
    before = rows(client, "1 day", duration="1 Y", of=contract("ESU6", month=""))
    assert [day for day in days if day["at"] < 20260901][-5:] == [day for day in before if day["at"] < 20260901][-5:]
    placed = order(1)
    placed[2:14] = CONTINUOUS
    assert [one[3] for one in client.say(*placed)] == ["321"]


def test_profit_of_the_day_adds_up_to_the_change_of_the_account(desk: TwsExchange, client: Client) -> None:
    account = desk.engine.main.number
    assert client.say(92, 5, account, "") == [["94", "5", "0", "0.00", "0.00"]]
    number = client.say(9, 8, 1, *contract(ES), 0, "", "", "")[0][12]
    assert client.say(94, 6, account, "", number) == [["95", "6", "0", "0", "0", "0", "0"]]
    client.place_order(1, qty=2)
    client.place_order(2, "SELL", 1)
    desk.tick(120)
    messages = client.line.take_messages()
    whole, one = ([message for message in messages if message[0] == kind][-1] for kind in ("94", "95"))
    values = {row[2]: row[3] for row in client.say(6, 2, 1, account) if row[0] == "6"}
    daily = Decimal(values["NetLiquidation"]) - Decimal(values["PreviousDayEquityWithLoanValue"])
    assert (Decimal(whole[2]), Decimal(one[3]), one[2]) == (daily, daily, "1")
    assert Decimal(whole[3]) == Decimal(one[4]) == Decimal(values["UnrealizedPnL"])
    assert Decimal(one[6]) == desk.price() * 50
    client.say(93, 5)
    client.say(95, 6)
    desk.tick(60)
    assert not [message for message in client.line.take_messages() if message[0] in ("94", "95")]


@pytest.mark.parametrize(("version", "described"), [(175, []), (178, ["E-mini S&P 500", ""])])
def test_a_text_finds_roots_by_symbol_and_by_name(desk: TwsExchange, version: int, described: list[str]) -> None:
    client = speaking(desk, version)
    for text in ("es", "s&p"):
        (found,) = client.say(81, 5, text)
        assert (found[:3], found[4:]) == (["79", "5", "1"], ["ES", "IND", "CME", "USD", "1", "FUT", *described])
    assert client.say(81, 5, "gold") == [["79", "5", "0"]]


def test_the_earliest_time_of_a_contract_is_that_of_its_first_bar(client: Client) -> None:
    first = rows(client, "1 day", duration="2 Y")[0]
    (text,), (epoch,) = (client.say(87, 5, *contract(ES), 0, 0, "TRADES", dates) for dates in (1, 2))
    assert (text[:2], epoch[:2]) == (["88", "5"], ["88", "5"])
    assert int(first["at"]) - int(text[2][:8]) in (0, 1)
    assert int(epoch[2]) % 60 == 0


def test_headlines_of_a_contract_are_those_of_a_period_newest_first(desk: TwsExchange, client: Client) -> None:
    ((_, count, *provided),) = client.say(85)
    codes = "+".join(provided[::2])
    assert (count, codes) == ("3", "WM+TT+MN")
    *every, end = client.say(86, 7, con_id(ES), codes, "", "", 300, "")
    times = [row[2] for row in every]
    assert end == ["87", "7", "0"]
    assert len({row[4] for row in every}) == len(every) > 30
    assert times == sorted(times, reverse=True)
    assert not any(NEXT in row[5] for row in every)
    # The start doesn't belong to the period, and its end does.
    *some, more = client.say(86, 8, con_id(ES), codes, times[9], times[2], 5, "")
    assert ([row[2] for row in some], more[2]) == (times[2:7], "1")
    *few, more = client.say(86, 8, con_id(ES), "WM", times[9], times[2], 9, "")
    assert [row[4:] for row in few] == [row[4:] for row in every[2:9] if row[3] == "WM"]
    desk.tick(3600)
    *later, _ = client.say(86, 9, con_id(ES), codes, times[0], "", 300, "")
    assert later
    assert all(row[2] > times[0] for row in later)
