"""Brackets, pairs and triggers: what becomes of the others when something befalls one, word by word."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.pit import Pit
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.market.fill import NEXT_BAR, PAPER

WHOLE = PAPER._replace(partial_rate=Decimal(0))


def bracket(pit: Pit, **more: Any) -> tuple[Order, dict[str, Order]]:
    order = pit.order("buy", 10, order_class="bracket", take_profit=105, stop_loss=95, **more)
    return order, {"entry": order, "profit": order.legs[0], "loss": order.legs[-1]}


def test_the_legs_of_a_bracket_are_held_until_its_entry_is_completely_filled() -> None:
    pit = Pit({10: (100, 50), 11: (100, 10_000)})
    _, named = bracket(pit)
    assert pit.account.reserved == Decimal("1000.1")
    pit.pass_minutes(1)
    assert [leg.status for leg in named.values()] == ["partially_filled", "held", "held"]
    assert pit.account.held("AAA") == 5
    pit.pass_minutes(1)
    assert pit.heard(named) == [
        *("10 entry pending_new", "10 profit held", "10 loss held", "10 entry new"),
        *("11 entry partial_fill 5@100.01", "12 entry fill 5@100.01", "12 profit new", "12 loss new"),
    ]
    assert pit.account.held("AAA") == 10
    assert pit.account.reserved == 0


@pytest.mark.parametrize(
    ("quad", "told"),
    [
        ((100, 106, 100, 106), ["13 profit fill 10@105.00", "13 loss canceled"]),
        ((100, 100, 94, 94), ["13 loss fill 10@94.99", "13 profit canceled"]),
        ((100, 106, 94, 94), ["13 loss fill 10@94.99", "13 profit canceled"]),
    ],
)
def test_the_fill_of_one_exit_cancels_the_other_and_the_stop_comes_first(
    quad: tuple[float, float, float, float], told: list[str]
) -> None:
    pit = Pit({12: (quad, 10_000)})
    _, named = bracket(pit)
    pit.pass_minutes(2)
    pit.heard()
    pit.pass_minutes(3)
    assert pit.heard(named) == told
    assert not pit.account.positions
    assert not pit.account.open
    assert pit.account.held("AAA") == 0


def test_a_partly_filled_profit_leaves_the_stop_with_the_rest() -> None:
    pit = Pit({12: ((106, 106, 106, 106), 40), 13: ((94, 94, 94, 94), 10_000)})
    _, named = bracket(pit)
    pit.pass_minutes(2)
    pit.heard()
    pit.pass_minutes(1)
    assert named["loss"].qty == pit.account.held("AAA") == 6
    pit.pass_minutes(1)
    assert pit.heard(named) == [
        *("13 profit partial_fill 4@105.99", "13 loss restated", "14 loss fill 6@93.99", "14 profit canceled"),
    ]
    assert pit.account.positions == {}


@pytest.mark.parametrize("member", ["entry", "profit", "loss"])
def test_canceling_any_member_of_a_waiting_bracket_cancels_all(member: str) -> None:
    pit = Pit()
    _, named = bracket(pit, limit=99)
    pit.heard()
    pit.cancel(named[member])
    assert sorted(pit.heard(named)) == ["10 entry canceled", "10 loss canceled", "10 profit canceled"]
    assert pit.account.reserved == 0


def test_canceling_one_exit_cancels_the_other_and_leaves_the_position() -> None:
    pit = Pit()
    _, named = bracket(pit)
    pit.pass_minutes(1)
    pit.heard()
    pit.cancel(named["loss"])
    assert pit.heard(named) == ["11 loss canceled", "11 profit canceled"]
    assert pit.account.qty("AAA") == 10
    assert pit.account.held("AAA") == 0


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, ["390 profit expired", "390 loss expired"]),
        ({"limit": 99}, ["390 entry expired", "390 profit expired", "390 loss expired"]),
    ],
)
def test_what_is_open_of_a_day_bracket_expires_at_the_close(entry: dict[str, Any], told: list[str]) -> None:
    pit = Pit()
    _, named = bracket(pit, **entry)
    pit.pass_minutes(1)
    pit.heard()
    pit.to_minute(391)
    assert pit.heard(named) == told


def test_a_lasting_bracket_goes_on_in_the_next_session() -> None:
    pit = Pit({1003: ((106, 106, 106, 106), 10_000)})
    _, named = bracket(pit, tif="gtc")
    pit.to_minute(390)
    pit.heard()
    pit.to_minute(10, session=1)
    assert pit.heard(named) == ["1444 profit fill 10@105.99", "1444 loss canceled"]


def test_a_short_bracket_buys_back() -> None:
    pit = Pit({12: ((96, 96, 94, 94), 10_000)})
    order = pit.order("sell", 10, order_class="bracket", take_profit=95, stop_loss=(105, 106))
    named = {"entry": order, "profit": order.legs[0], "loss": order.legs[1]}
    assert [leg.intent for leg in named.values()] == ["sell_to_open", "buy_to_close", "buy_to_close"]
    assert [leg.request.type for leg in named.values()] == ["market", "limit", "stop_limit"]
    pit.pass_minutes(5)
    assert pit.heard(named)[4:] == [
        *("11 entry fill 10@99.99", "11 profit new", "11 loss new", "13 profit fill 10@95.00", "13 loss canceled"),
    ]


def test_a_rejected_entry_takes_its_legs_with_it() -> None:
    pit = Pit()
    _, named = bracket(pit, fate="reject")
    assert pit.heard(named)[3:] == ["10 entry rejected", "10 profit canceled", "10 loss canceled"]


def test_an_oto_order_brings_its_one_leg_when_it_has_filled() -> None:
    pit = Pit({13: ((94, 94, 94, 94), 10_000)})
    order = pit.order("buy", 10, order_class="oto", stop_loss=95)
    (leg,) = order.legs
    pit.pass_minutes(2)
    assert pit.account.held("AAA") == 10
    pit.pass_minutes(3)
    assert pit.heard({"entry": order, "loss": leg}) == [
        *("10 entry pending_new", "10 loss held", "10 entry new", "11 entry fill 10@100.01", "11 loss new"),
        "14 loss fill 10@93.99",
    ]


def test_the_two_orders_of_a_pair_come_together_and_claim_the_shares_once() -> None:
    pit = Pit({12: ((94, 94, 94, 94), 10_000)})
    pit.hold(10)
    order = pit.order("sell", 10, order_class="oco", limit=105, take_profit=105, stop_loss=95)
    named = {"profit": order, "loss": order.legs[0]}
    assert len(order.legs) == 1
    assert pit.account.held("AAA") == 10
    pit.pass_minutes(5)
    assert pit.heard(named) == [
        *("10 profit pending_new", "10 loss held", "10 profit new", "10 loss new"),
        *("13 loss fill 10@93.99", "13 profit canceled"),
    ]


def test_a_pair_placed_outside_the_session_wakes_together() -> None:
    pit = Pit(minute=-10)
    pit.hold(10)
    order = pit.order("sell", 10, order_class="oco", limit=105, take_profit=105, stop_loss=95)
    pit.to_minute(1)
    told = pit.heard({"profit": order, "loss": order.legs[0]})
    assert told == ["-10 profit accepted", "-10 loss held", "0 profit new", "0 loss new"]


def test_on_paper_a_bracket_is_live_as_soon_as_it_is_placed() -> None:
    pit = Pit(spec=WHOLE)
    _, named = bracket(pit)
    assert pit.heard(named)[3:] == ["10 entry new", "10 entry fill 10@100.01", "10 profit new", "10 loss new"]


def test_the_price_of_a_leg_can_be_replaced_while_it_is_held_and_after() -> None:
    pit = Pit({13: ((97, 97, 96, 96), 10_000)})
    order, named = bracket(pit)
    held = pit.replace(named["loss"], stop=94)
    assert (held.status, held.parent, order.legs) == ("held", order, (named["profit"], held))
    pit.pass_minutes(1)
    live = pit.replace(held, stop=97)
    named |= {"held": held, "live": live}
    assert pit.account.held("AAA") == 10
    pit.pass_minutes(5)
    assert pit.heard(named)[4:] == [
        *("10 held held", "10 loss replaced"),
        *("11 entry fill 10@100.01", "11 profit new", "11 held new"),
        *("11 held pending_replace", "11 live pending_new", "11 held replaced", "11 live new"),
        *("14 live fill 10@96.99", "14 profit canceled"),
    ]


def test_the_replaced_stop_protects_no_more_than_the_profit_has_left() -> None:
    pit = Pit({12: ((106, 106, 106, 106), 40)})
    _, named = bracket(pit)
    pit.pass_minutes(3)
    assert pit.replace(named["loss"], stop=96).qty == 6


def test_the_replaced_entry_of_a_bracket_keeps_its_legs() -> None:
    pit = Pit({12: ((98, 98, 98, 98), 10_000)})
    old, named = bracket(pit, limit=97)
    new = pit.replace(old, limit=99)
    assert new.legs == (named["profit"], named["loss"])
    assert all(leg.parent is new for leg in new.legs)
    pit.pass_minutes(5)
    assert [named[name].status for name in ("entry", "profit", "loss")] == ["replaced", "new", "new"]


def test_a_cancel_that_comes_late_meets_a_leg_that_its_fellow_has_ended() -> None:
    pit = Pit({11: ((106, 106, 106, 106), 10_000)}, NEXT_BAR._replace(latency_s=90))
    _, named = bracket(pit)
    pit.pass_minutes(1)
    pit.heard()
    pit.cancel(named["loss"])
    pit.pass_minutes(3)
    assert pit.heard(named) == ["11 loss pending_cancel", "12 profit fill 10@105.99", "12 loss canceled"]
