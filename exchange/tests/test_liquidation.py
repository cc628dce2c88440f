"""Margins are watched by the minute: risky orders are canceled first, then positions are liquidated in parts."""

from decimal import Decimal

import pytest

from exchange.tests.kit.ring import FUTURE, D, Ring, instrument
from papervenue.market.venue import Rules

RULES = Rules(liquidation_fee=D("0.005"), taker_fee=D("0.0005"))


@pytest.mark.parametrize(("side", "holds", "falls"), [("buy", "26936.5", "26936"), ("sell", "33003", "33003.5")])
def test_position_is_liquidated_at_the_first_tick_at_which_its_margin_is_gone(
    side: str, holds: str, falls: str
) -> None:
    # The exact prices are 26,936.03 and 33,003.30.
    ring = Ring({0: "30000", 10: holds, 20: falls}, cash="5000", to=1)
    ring.order(side, "1.5")
    ring.to(20)
    assert ring.now.equity > ring.now.maintenance
    assert not ring.event_lines("liquidation")
    ring.to(21)
    assert ring.event_lines("liquidation")[0] == "21 liquidation"


def test_liquidation_closes_parts_at_the_mark_for_a_fee_until_the_margin_holds() -> None:
    ring = Ring({0: "30000", 10: "26900"}, rules=RULES, cash="5000", to=1)
    ring.order("buy", "1.5")
    ring.to(11)
    liquidations = [one for one in ring.fills if one.settled is not None and one.settled.role == "liquidation"]
    assert [one.qty for one in liquidations] == [D("0.375"), D("0.2813")]
    for one in liquidations:
        assert one.settled is not None
        assert ring.grids["PF_XBTUSD"].usd(one.price) == 26_900
        assert one.settled.fee == one.qty * 26_900 * D("0.005")
        assert (one.order.request.type, one.order.status) == ("liquidation", "filled")
        assert one.order.intent == "sell_to_close"
    assert ring.qty() == D("0.8437")
    assert ring.now.equity > ring.now.maintenance
    logged = next(one for one in ring.events if one.name == "liquidation").fields
    assert (logged["role"], logged["realized"], logged["fee"]) == ("liquidation", "-1162.5", "50.4375")
    assert logged["position"] == "1.125"


def test_part_is_at_least_a_lot_and_a_lost_account_ends_flat() -> None:
    ring = Ring({0: "5000", 10: "4000"}, (FUTURE,), cash="40000", to=1)
    ring.order("buy", 2)
    ring.to(11)
    assert [one.qty for one in ring.fills] == [2, 1, 1]
    assert not ring.account.positions
    assert ring.account.cash == 40_000 - 2 * 50 * 1000


def test_below_initial_margin_only_orders_that_add_risk_are_canceled() -> None:
    ring = Ring({0: "100", 10: "89.5"}, (instrument("PF_XBTUSD", "0.5", "0.5", "0.4"),), cash="1000", to=1)
    ring.order("buy", 19)
    adds, reverses = ring.order("buy", 1, limit="80"), ring.order("sell", 20, limit="110")
    reduces, stop = ring.order("sell", 19, limit="120"), ring.order("sell", 19, stop="85", reduce_only=True)
    ring.to(10)
    assert not ring.event_lines("margin_call")
    ring.to(11)
    # Equity is 800.5, and the position needs 850.25.
    assert [one.status for one in (adds, reverses, reduces, stop)] == ["canceled", "canceled", "new", "new"]
    assert ring.event_lines("margin_call") == ["11 margin_call"]
    assert not ring.event_lines("liquidation")
    ring.to(30)
    assert ring.event_lines("margin_call") == ["11 margin_call"]


def test_position_with_the_largest_requirement_goes_first() -> None:
    small, large = instrument("PF_A", "1", "0.1", "0.05"), instrument("PF_B", "1", "0.1", "0.05")
    ring = Ring({"PF_A": {0: "100", 10: "80"}, "PF_B": {0: "100", 10: "100"}}, (small, large), cash="400", to=1)
    ring.order("buy", 13, "PF_A")
    ring.order("buy", 20, "PF_B")
    ring.to(11)
    # Equity is 140, and 52 and 100 are needed.
    assert [(one.order.symbol, one.qty) for one in ring.fills[2:]] == [("PF_B", D(5))]


def test_trading_ends_with_orders_canceled_and_positions_settled_without_a_fee() -> None:
    ends = instrument("ESZ6", "0.25", "0.06", "0.05", multiplier=D(50), last_trading="2026-01-05T02:00:00Z")
    ring = Ring({0: "5000", 60: "5010", 120: "9999"}, (ends,), RULES, cash="100000", to=1)
    ring.order("sell", 3)
    rests = ring.order("buy", 1, limit="4000")
    fees = 3 * 5000 * 50 * D("0.0005")
    ring.to(300)
    assert (rests.status, ring.qty()) == ("canceled", D(0))
    assert ring.event_lines("settlement") == ["120 settlement"]
    assert ring.account.cash == 100_000 - 3 * 50 * 10 - fees
    assert ring.market.price("ESZ6", ring.engine.now_us) == 5010 * 10_000


def test_loss_beyond_the_cash_leaves_an_account_that_owes() -> None:
    ring = Ring({0: "30000", 10: "20000"}, rules=RULES, cash="1000", to=1)
    ring.order("buy", 1)
    ring.to(11)
    lost = Decimal(10_000) + 30_000 * D("0.0005") + 20_000 * D("0.005")
    assert (ring.account.cash, ring.now.available, len(ring.account.positions)) == (1000 - lost, D(0), 0)
