"""Reduce-only orders fill no more than the position: they are made smaller or canceled as it shrinks."""

import pytest

from exchange.tests.kit.ring import PERPETUAL, D, Ring, Written, instrument
from papervenue.engine.orders import Policy, StopLoss
from papervenue.market.venue import Grid, Rules
from papervenue.refusal import Refusal
from papervenue.times import MINUTE


def ring_with_position(qty: object = 10, **prices: str) -> Ring:
    """Return a ring that holds a position, bought or sold at 100; `m10` is the price from minute 10 on."""
    written: Written = {0: "100", **{int(name[1:]): price for name, price in prices.items()}}
    ring = Ring(written, cash="1000", to=1)
    ring.order("buy" if D(qty) > 0 else "sell", abs(D(qty)))
    return ring


@pytest.mark.parametrize(("qty", "side"), [(10, "buy"), (-10, "sell")])
def test_order_that_would_increase_is_refused(qty: int, side: str) -> None:
    with pytest.raises(Refusal) as refused:
        ring_with_position(qty).order(side, 1, reduce_only=True)
    assert refused.value.body["code"] == "would_not_reduce"


def test_order_for_more_than_the_position_is_made_smaller_as_it_comes() -> None:
    ring = ring_with_position(10)
    order = ring.order("sell", 25, limit="110", reduce_only=True)
    assert (order.qty, order.request.qty) == (D(10), D(25))
    assert ring.event_lines("order_restated") == ["1 order_restated"]


def test_exits_that_hear_late_of_each_other_can_close_more_than_is_held() -> None:
    ring = ring_with_position(10, m10="110", m12="90")
    late = Policy(tells_after_us=5 * MINUTE)
    target = ring.order("sell", 10, limit="110", reduce_only=True, policy=late)
    stop = ring.order("sell", 10, stop="95", reduce_only=True, policy=late)
    ring.to(12)
    assert (target.status, stop.status, ring.qty()) == ("filled", "new", D(0))
    ring.to(13)
    assert (stop.status, ring.qty()) == ("filled", D(-10))


def test_exit_that_hears_in_time_is_canceled() -> None:
    ring = ring_with_position(10, m10="110", m20="90")
    late = Policy(tells_after_us=5 * MINUTE)
    target = ring.order("sell", 10, limit="110", reduce_only=True, policy=late)
    stop = ring.order("sell", 10, stop="95", reduce_only=True, policy=late)
    ring.to(30)
    assert (target.status, stop.status, ring.qty()) == ("filled", "canceled", D(0))


def test_exit_of_an_account_that_its_margin_can_t_carry_is_admitted() -> None:
    ring = Ring({0: "100", 10: "60"}, (instrument("PF_XBTUSD", "0.5", "0.5", "0.05"),), cash="1000", to=1)
    ring.order("buy", 20)
    ring.to(11)
    assert ring.now.equity < ring.now.initial
    stop = ring.order("sell", 20, stop="50", reduce_only=True)
    assert (stop.status, ring.order("sell", 20, limit="90").status) == ("new", "new")
    with pytest.raises(Refusal) as refused:
        ring.order("sell", 41, limit="95")
    assert refused.value.body["code"] == "insufficient_margin"


def test_stop_that_hangs_on_an_entry_works_once_that_has_filled_and_only_reduces() -> None:
    ring = Ring({0: "100", 10: "101", 20: "94"}, cash="1000", rules=Rules(brackets=True), to=1)
    entry = ring.order("buy", 10, limit="99", order_class="oto", stop_loss=StopLoss(95 * Grid(PERPETUAL).units, None))
    (stop,) = entry.legs
    assert (stop.status, stop.request.reduce_only) == ("held", True)
    other = ring.order("buy", 5)
    assert stop.status == "held", "what others fill doesn't make it smaller"
    ring.engine.cancel(ring.account, entry.id)
    assert (entry.status, stop.status, other.status) == ("canceled", "canceled", "filled")


def test_stop_of_an_entry_closes_what_the_entry_bought_and_no_more() -> None:
    ring = Ring({0: "100", 10: "94"}, cash="1000", rules=Rules(brackets=True), to=1)
    entry = ring.order("buy", 10, order_class="oto", stop_loss=StopLoss(95 * Grid(PERPETUAL).units, None))
    (stop,) = entry.legs
    assert (entry.status, stop.status) == ("filled", "new")
    ring.order("sell", 4)
    assert stop.remaining == 6
    ring.to(12)
    assert (stop.status, ring.qty()) == ("filled", D(0))


def test_stop_of_an_entry_lies_on_a_tick() -> None:
    with pytest.raises(Refusal) as refused:
        Ring({0: "100"}, rules=Rules(brackets=True)).order("buy", 1, order_class="oto", stop_loss=StopLoss(1, None))
    assert refused.value.body["code"] == "tick_size"
