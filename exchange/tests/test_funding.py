"""Funding: it accrues at every moment, and is booked on the hour and with each fill."""

import pytest

from exchange.tests.kit.ring import START, D, Ring, instrument
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


def test_rate_is_for_each_unit_times_the_multiplier() -> None:
    ring = ring_of("0.0001", multiplier="0.1", to=0)
    ring.order("sell", 3)
    ring.to(60)
    assert ring.booked("FUNDING") == [D("0.00003")]


def test_account_that_holds_nothing_pays_nothing() -> None:
    ring = ring_of(to=200)
    assert not ring.events
    assert ring.engine.agenda.next_us == START + 240 * MINUTE
