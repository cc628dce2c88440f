"""Funding: it accrues at every moment, and is booked on the hour and with each fill."""

from decimal import Decimal

import pytest

from exchange.tests.kit.ring import START, D, Ring, instrument
from papervenue.margined import accounts
from papervenue.margined.accounts import net_position
from papervenue.times import MINUTE


def ring_of(rate: str = "0.9", multiplier: str = "1", to: float = 0) -> Ring:
    one = instrument("PF_XBTUSD", "0.5", lot=D("0.0001"), funding=D(rate), multiplier=D(multiplier))
    return Ring({0: "30000"}, (one,), cash="5000", to=to)


@pytest.mark.parametrize(("side", "sign"), [("buy", -1), ("sell", 1)])
def test_long_position_pays_a_positive_rate_on_the_hour_and_a_short_one_earns_it(side: str, sign: int) -> None:
    ring = ring_of(to=20)
    ring.order(side, "1.5")
    ring.to(59.9)
    assert not ring.booked("FUNDING")
    ring.to(180)
    # 40 minutes, and two hours.
    assert ring.booked("FUNDING") == [sign * D(one) for one in ("0.90", "1.35", "1.35")]
    assert ring.account.cash == 5000 + sign * D("3.60")
    assert ring.event_lines("activity") == ["60 activity", "120 activity", "180 activity"]


def test_fill_books_the_funding_up_to_it_before_the_position_changes() -> None:
    ring = ring_of(to=0)
    ring.order("buy", "1.5")
    ring.to(20)
    ring.order("sell", "0.5")
    ring.to(60)
    ring.order("sell", 1)
    ring.to(120)
    # Twenty minutes of 1.5, then forty of 1.
    assert ring.booked("FUNDING") == [D("-0.45"), D("-0.6")]
    assert [one.name for one in ring.events if one.name in ("activity", "fill")][:3] == ["fill", "activity", "fill"]


def test_rate_changes_from_a_moment_on() -> None:
    ring = ring_of(to=0)
    ring.order("buy", 1)
    ring.to(30)
    accounts.set_rate(ring.engine, "PF_XBTUSD", D("-0.3"))
    ring.to(60)
    # Half an hour at 0.9 and another at -0.3.
    assert ring.booked("FUNDING") == [D("-0.3")]
    assert accounts.rate_of(ring.engine, "PF_XBTUSD") == D("-0.3")
    assert ring.event_lines("funding_rate_set") == ["30 funding_rate_set"]


def test_rate_is_for_each_unit_times_the_multiplier() -> None:
    ring = ring_of("0.0001", multiplier="0.1", to=0)
    ring.order("sell", 3)
    ring.to(60)
    assert ring.booked("FUNDING") == [D("0.00003")]


def test_what_is_left_below_the_smallest_amount_is_carried() -> None:
    ring = ring_of("0.7")
    for minute in range(7):
        ring.to(minute)
        ring.order("buy", 1)
    ring.to(60)
    exact = sum(Decimal(qty) for qty in range(1, 7)) * D("0.7") / 60 + 7 * D("0.7") * 54 / 60
    assert abs(sum(ring.booked("FUNDING")) + exact) < D("1e-12")
    position = net_position(ring.account, "PF_XBTUSD")
    assert position is not None
    assert not accounts.funding_due(ring.engine, position)


def test_looking_at_what_is_owed_changes_nothing() -> None:
    ring = ring_of(to=0)
    ring.order("buy", "1.5")
    position = net_position(ring.account, "PF_XBTUSD")
    assert position is not None
    for minute in (7, 13, 40):
        ring.to(minute)
        assert accounts.funding_due(ring.engine, position) == D("1.35") * minute / 60
    ring.to(60)
    assert ring.booked("FUNDING") == [D("-1.35")]


def test_account_that_holds_nothing_pays_nothing() -> None:
    ring = ring_of(to=200)
    assert not ring.events
    assert ring.engine.agenda.next_us == START + 240 * MINUTE
