"""Orders, brackets and groups: what works at the venue, and what doesn't yet."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.tws import Client, TwsExchange, order, spec
from papervenue.market.spec import NEXT_BAR


def working(desk: TwsExchange) -> dict[str, str]:
    """Return the status of each open order by its client id."""
    return {one.client_order_id: one.status for one in desk.engine.main.open.values()}


def test_a_bracket_works_once_its_last_order_has_come(desk: TwsExchange, client: Client) -> None:
    parent, target, stop = client.bracket(2, ref="r")
    assert client.say(*parent) == client.say(*target) == []
    assert not desk.engine.main.orders
    assert [one[2] for one in client.say(*stop) if one[0] == "3" and one[1] == "1"][-1] == "Filled"
    assert client.open_orders() == {"rb": "Submitted", "rc": "PreSubmitted"}
    groups = {one[19] for one in client.read(5) if one[0] == "5"}
    assert len(groups) == 1


def test_a_bracket_whose_last_message_is_lost_leaves_nothing_at_work(desk: TwsExchange, client: Client) -> None:
    for message in client.bracket()[:2]:
        client.say(*message)
    desk.tick(600)
    assert not working(desk)
    client.close()
    again = desk.client()
    assert again.read(16) == [["53", "1"]]
    assert again.say(*order(4, "SELL", 1, "STP", stop="5000", parent=1))[0][3] == "135"
    assert not desk.engine.main.orders


def test_a_bracket_with_a_leg_that_is_refused_leaves_nothing_at_work(desk: TwsExchange, client: Client) -> None:
    parent, target, _ = client.bracket()
    for message in (parent, target):
        client.say(*message)
    reply = client.say(*order(3, "SELL", 1, "STP", stop="5000.1", parent=1))
    assert (reply[0][2:4], {one[2] for one in reply if one[0] == "3"}) == (["3", "110"], {"Inactive"})
    assert not desk.engine.main.orders


def test_a_stop_works_for_as_much_as_its_parent_has_filled(tmp_path_factory: pytest.TempPathFactory) -> None:
    partly = NEXT_BAR._replace(volume_share=None, partial_rate=Decimal(1))
    rich = replace(spec(fill=partly), cash=Decimal(1_000_000))
    desk = TwsExchange(folders_of(rich, tmp_path_factory)())
    desk.tick(3 * 3600)
    client, seen = desk.client(), list[tuple[Decimal, str, Decimal | None]]()
    for message in (
        order(1, "BUY", 8, "MKT", transmit=0, ref="p", tif="GTC"),
        order(2, "SELL", 8, "STP", stop="3000", parent=1, tif="GTC", ref="s"),
    ):
        client.say(*message)
    parent, stop = desk.engine.main.orders.newest()
    parent, stop = (parent, stop) if parent.client_order_id == "p" else (stop, parent)
    while not seen or seen[-1][0] < 8:
        seen.append((parent.filled_qty, stop.status, stop.qty))
        desk.tick(60)
        assert len(seen) < 60
    nothing, everything = Decimal(0), Decimal(8)
    assert seen[0] == (nothing, "held", everything)
    assert any(nothing < filled < everything for filled, _, _ in seen)
    assert [one for one in seen[1:] if one[0]] == [(filled, "new", filled) for filled, _, _ in seen[1:] if filled]


def test_legs_end_with_a_parent_that_ends_unfilled(desk: TwsExchange, client: Client) -> None:
    for message in (
        order(1, "BUY", 1, "LMT", limit="3000", transmit=0, ref="p"),
        order(2, "SELL", 1, "STP", stop="2900", parent=1, tif="GTC", ref="s"),
    ):
        client.say(*message)
    assert working(desk) == {"p": "new", "s": "held"}
    assert [one[2:4] for one in client.say(4, 1, 1, "") if one[0] == "4"] == [["1", "202"], ["2", "202"]]
    assert not working(desk)


def test_legs_end_with_a_parent_of_the_day_that_expires(desk: TwsExchange, client: Client) -> None:
    client.say(*order(1, "BUY", 1, "LMT", limit="3000", transmit=0, ref="p"))
    client.say(*order(2, "SELL", 1, "STP", stop="2900", parent=1, tif="GTC", ref="s"))
    desk.tick(24 * 3600)
    assert not working(desk)


def test_canceling_one_leg_leaves_the_other(desk: TwsExchange, client: Client) -> None:
    for message in client.bracket(ref="r"):
        client.say(*message)
    client.say(4, 1, 2, "")
    assert working(desk) == {"rc": "new"}


@pytest.mark.parametrize(("kind", "left"), [(1, {}), (2, {"b": "new"})])
def test_a_fill_in_part_cancels_the_others_of_a_group_or_makes_them_smaller(
    desk: TwsExchange, client: Client, kind: int, left: dict[str, str]
) -> None:
    client.place_order(1, qty=2)
    client.place_order(2, "SELL", 2, "STP", stop="5000", oca="g", oca_type=kind, ref="b")
    client.place_order(3, "SELL", 1, "MKT", oca="g", oca_type=kind, ref="a")
    assert working(desk) == left
    assert [one.qty for one in desk.engine.main.open.values()] == [1] * len(left)


def test_an_exit_that_nobody_canceled_opens_the_other_side(desk: TwsExchange, client: Client) -> None:
    for message in client.bracket(ref="r"):
        client.say(*message)
    client.place_order(4, "SELL")
    assert desk.engine.main.qty("ESZ6") == 0
    client.say(*order(3, "SELL", 1, "STP", stop="6800", parent=1, ref="rc"))
    desk.tick(60)
    assert desk.engine.main.qty("ESZ6") == -1


def test_the_same_id_changes_an_open_order_in_place(desk: TwsExchange, client: Client) -> None:
    client.place_order(1, "BUY", 1, "LMT", limit="3000", ref="p")
    reply = client.place_order(1, "BUY", 2, "LMT", limit="3000.25", ref="p")
    assert [(one[14], one[16]) for one in reply if one[0] == "5"] == [("2", "3000.25")]
    assert client.place_order(1, "BUY", 2, "LMT", limit="3000.30", ref="p")[0][2:4] == ["1", "110"]
    assert working(desk) == {"p": "new"}


def test_what_is_refused_is_inactive_and_what_is_not_there_cannot_be_canceled(client: Client) -> None:
    reply = client.place_order(1, "BUY", 50)
    assert [one[3] for one in reply if one[0] == "4"] == ["201"]
    assert [one[2] for one in reply if one[0] == "3"] == ["Inactive"]
    assert client.say(4, 1, 77, "")[0][3] == "10147"
    assert client.place_order(2, symbol="ESZ5")[0][3] == "200"
    assert client.place_order(3, kind="TRAIL")[0][3] == "387"
    assert client.place_order(5, qty="1.5")[0][3] == "434"


def test_an_exit_of_a_bracket_needs_no_margin_of_its_own(desk: TwsExchange, client: Client) -> None:
    for message in client.bracket(4):
        client.say(*message)
    assert desk.engine.main.qty("ESZ6") == 4


@given(st.permutations(range(3)), st.integers(0, 3), st.lists(st.booleans(), min_size=3, max_size=3))
def test_no_parent_ever_works_without_its_legs(
    shared_desk: TwsExchange, sequence: list[int], count: int, again: list[bool]
) -> None:
    """Whatever arrives of a bracket, in whatever order and how often, the parent works with all its legs or not."""
    client = shared_desk.client()
    messages = client.bracket(ref="x")
    for number in sequence[:count]:
        for _ in range(1 + again[number]):
            client.say(*messages[number])
    client.close()
    orders = [one for one in shared_desk.engine.main.orders.values() if one.is_open or one.filled_qty]
    for one in orders:
        if one.parent is None:
            assert one.legs
    for one in [*shared_desk.engine.main.open.values()]:
        shared_desk.engine.cancel(shared_desk.engine.main, one.id)
    shared_desk.exchange.commit()


def test_every_type_of_order_that_is_taken_is_shown_as_it_was_sent(client: Client) -> None:
    kinds = {"LMT": ("3000", ""), "STP": ("", "9000"), "STP LMT": ("9001", "9000")}
    for number, ((kind, (limit, stop)), tif) in enumerate(product(kinds.items(), ("DAY", "GTC")), 1):
        reply = client.place_order(number, "BUY", 1, kind, limit=limit, stop=stop, tif=tif)
        assert next(one for one in reply if one[0] == "5")[15:19] == [kind, limit or "0", stop or "0", tif]
        client.say(4, 1, number, "")


def test_legs_of_different_groups_are_nothing_to_each_other(desk: TwsExchange, client: Client) -> None:
    client.say(*order(1, "BUY", 2, transmit=0, ref="p"))
    client.say(*order(2, "SELL", 1, "STP", stop="5000", parent=1, transmit=0, oca="one", oca_type=1, ref="s"))
    client.say(*order(3, "SELL", 1, "LMT", limit="5000", parent=1, oca="two", oca_type=1, ref="t"))
    desk.tick(120)
    assert desk.engine.main.qty("ESZ6") == 1
    assert working(desk) == {"s": "new"}


def test_legs_that_wait_need_no_margin_and_of_a_group_only_one_does(desk: TwsExchange, client: Client) -> None:
    client.say(*order(1, "BUY", 2, "LMT", limit="3000", transmit=0))
    client.say(*order(2, "SELL", 2, "LMT", limit="7000", parent=1, transmit=0))
    client.say(*order(3, "SELL", 2, "STP", stop="2900", parent=1))
    two = desk.price() * 50 * 2 * Decimal("0.07")

    def required() -> Decimal:
        return next(Decimal(one[3]) for one in client.say(6, 2, 1, "") if one[2] == "InitMarginReq")

    assert required() == two
    client.say(4, 1, 1, "")
    for number in (4, 5):
        client.place_order(number, "SELL", 2, "LMT", limit="9000", oca="g", oca_type=1)
    assert required() == two


def test_a_leg_that_waits_is_changed_and_goes_on_waiting(desk: TwsExchange, client: Client) -> None:
    client.say(*order(1, "BUY", 1, "LMT", limit="3000", transmit=0, ref="p"))
    client.say(*order(2, "SELL", 1, "STP", stop="2900", parent=1, ref="s"))
    reply = client.say(*order(2, "SELL", 1, "STP", stop="2950", parent=1, ref="s"))
    assert [one[17] for one in reply if one[0] == "5"] == ["2950"]
    assert working(desk) == {"p": "new", "s": "held"}
    desk.tick(120)
    assert working(desk) == {"p": "new", "s": "held"}


def test_an_order_that_the_venue_puts_aside_is_inactive_and_open(desk: TwsExchange, client: Client) -> None:
    client.place_order(1, "BUY", 1, "LMT", limit="3000", ref="p")
    (name,) = desk.engine.main.open
    desk.control("orders", {"order": name, "do": "suspend"})
    assert [one[2] for one in client.line.take_messages() if one[0] == "3"] == ["Inactive"]
    assert client.open_orders() == {"p": "Inactive"}
    desk.control("orders", {"order": name, "do": "resume"})
    assert client.open_orders() == {"p": "Submitted"}
