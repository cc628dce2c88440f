"""What a venue may do to pairs and replacements where nobody's documents say it: each way, and the usual one."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.pit import Pit, protect
from papervenue.engine.orders import USUAL, Policy
from papervenue.market.spec import PAPER
from papervenue.refusal import Refusal
from papervenue.shares.amending import bust
from papervenue.times import MINUTE

WHOLE = PAPER._replace(partial_rate=Decimal(0))
LATE = Policy(tells_after_us=2 * MINUTE)


@pytest.mark.parametrize(("quantity", "free"), [(10, "0"), (15, "5")])
def test_a_replacement_may_need_shares_besides_those_that_the_exit_claims(quantity: int, free: str) -> None:
    pit = Pit()
    pair, counts = protect(pit, quantity), Policy(counts_own_shares=True)
    for order, change in ((pair["target"], {"limit": 104}), (pair["stop"], {"stop": 96})):
        with pytest.raises(Refusal) as refused:
            pit.replace(order, counts, **change)
        assert (refused.value.status, refused.value.body["code"], refused.value.body["available"]) == (
            *(403, 40310000),
            free,
        )
        assert refused.value.body["related_orders"] == [pair["target"].id]
        assert order.status == "new"
    pit.hold(20 - quantity)
    assert pit.replace(pair["stop"], counts, stop=96).status == "new"
    assert pit.replace(pair["target"], counts, limit=104).status == "new"


@pytest.mark.parametrize("policy", [USUAL, Policy(starts_over=True)])
def test_a_bust_reaches_only_a_replacement_that_took_over_the_fill(policy: Policy) -> None:
    pit = Pit({10: (106, 40), 11: (100, 30)})
    pair = protect(pit, 20)
    pit.pass_minutes(1)
    new = pit.replace(pair["target"], policy, limit=99.9)
    pit.pass_minutes(1)
    assert new.filled_qty == (7 if policy is USUAL else 3)
    first = next(event.fields["activity_id"] for event in pit.events if event.name == "fill")
    bust(pit.engine, pit.account, first)
    assert new.filled_qty == 3
    assert pair["target"].filled_qty == 0


def test_the_stream_never_calls_a_stop_new_that_is_shown_as_held() -> None:
    for policy, updates in ((USUAL, ["held", "new"]), (Policy(holds_legs=True), ["held"])):
        pit = Pit()
        pair = protect(pit, policy=policy)
        events = [event.update.event for event in pit.events if event.update and event.update.order is pair["stop"]]
        assert events == updates
        assert pair["stop"].status == "new"


@pytest.mark.parametrize("member", ["target", "stop"])
def test_the_shares_of_a_canceled_pair_may_come_back_late(member: str) -> None:
    pit = Pit()
    pair = protect(pit, 15)
    pair[member].frees_after_us = 2 * MINUTE
    pit.cancel(pair[member])
    assert [order.status for order in pair.values()] == ["canceled", "canceled"]
    assert pit.account.claimed_shares("AAA") == 0
    assert pit.account.kept_back("AAA") == 10
    pit.order("sell", 5)
    for minutes in (0, 1.99):
        pit.pass_minutes(minutes)
        with pytest.raises(Refusal, match="available: 0"):
            pit.order("sell", 1, stop=95)
    pit.pass_minutes(0.01)
    assert pit.order("sell", 10, stop=95).status == "new"
    freed = [event for event in pit.events if event.name == "shares_freed"]
    assert [((event.at_us - pit.engine.now_us), event.fields) for event in freed] == [
        (0, {"symbol": "AAA", "qty": "10"})
    ]


def test_only_what_a_partly_filled_exit_had_left_comes_back_late() -> None:
    pit = Pit({10: (106, 40)})
    pair = protect(pit)
    pit.pass_minutes(1)
    pair["target"].frees_after_us = MINUTE
    pit.cancel(pair["target"])
    assert pit.account.kept_back("AAA") == pit.account.qty("AAA") == 6


@pytest.mark.parametrize("quantity", [10, -10])
def test_in_a_fast_market_both_exits_may_fill_and_the_position_goes_through_zero(quantity: int) -> None:
    for policy, left, ends in ((LATE, -quantity, ("filled", "filled")), (USUAL, 0, ("canceled", "filled"))):
        pit = Pit({12: ((100, 106, 94, 100), 10_000)})
        pair = protect(pit, quantity, policy=policy)
        pit.pass_minutes(20)
        assert tuple(order.status for order in pair.values()) == ends
        assert pit.account.qty("AAA") == left
        assert {order.unheard for order in pair.values()} == {Decimal(0)}


@given(
    bars=st.lists(st.tuples(st.integers(92, 108), st.integers(92, 108), st.sampled_from([20, 50, 10_000])), max_size=8),
    minutes=st.integers(0, 4),
    quantity=st.sampled_from([10, 20]),
)
@settings(max_examples=40)
def test_exits_that_learn_late_sell_at_most_twice_and_those_that_learn_at_once_at_most_once(
    bars: list[tuple[int, int, int]], minutes: int, quantity: int
) -> None:
    quads = [((100, max(one, 100), min(other, 100), 100), volume) for one, other, volume in bars]
    pit = Pit({12 + at: quad for at, quad in enumerate(quads)})
    pair = protect(pit, quantity, policy=Policy(tells_after_us=minutes * MINUTE))
    pit.pass_minutes(20)
    target, stop = pair.values()
    sold = target.filled_qty + stop.filled_qty
    assert pit.account.qty("AAA") == quantity - sold
    assert max(target.filled_qty, stop.filled_qty) <= 10
    assert sold <= (20 if minutes else 10)
    assert {target.unheard, stop.unheard} == {Decimal(0)}
    assert target.is_open == stop.is_open == (sold < 10)
    if target.is_open:
        assert target.remaining == stop.remaining == 10 - sold
