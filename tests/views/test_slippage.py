"""Slippage: a cost is positive on either side, and totals are the sums of the fills they name."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import make_intent, make_order
from tests.kit.values import NOW, there
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Fill
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import FilledOrder, OrderRequested
from tradebot.views.slippage import FillWithOrder, by_fill, slippage, slippage_of, total_slippage, totals

PRICES = st.decimals(1, 1000, places=2)
CENTS = st.decimals(-1, 1, places=2)


def fill(side: Side, quantity: str, price: Decimal) -> Fill:
    return Fill("act", "venue", "AAPL", side, Decimal(quantity), price, NOW)


def made(of: Fill, decision: Decimal | None, age_s: int | None = None) -> FillWithOrder:
    """Return a fill whose order was decided on at a midpoint, and sent at a quote of an age."""
    quoted_at = None if age_s is None else NOW - timedelta(seconds=age_s)
    return FillWithOrder(
        of, FilledOrder("ours", None, None), OrderRequested("ours", NOW, "", False, decision, None, quoted_at)
    )


def test_slippage_is_positive_when_it_costs() -> None:
    for price, sign in (("100.10", 1), ("99.90", -1)):
        found = there(slippage(fill(Side.BUY, "10", Decimal(price)), Decimal(100)))
        assert (found.usd, found.value_usd, found.bps) == (Decimal(sign), Decimal(1000), Decimal(10 * sign))


@given(PRICES, PRICES)
def test_slippage_of_a_sale_has_the_opposite_sign_of_a_purchase(price: Decimal, middle: Decimal) -> None:
    bought, sold = (there(slippage(fill(side, "7", price), middle)) for side in Side)
    assert (bought.usd, bought.bps) == (-sold.usd, -sold.bps)


@given(st.lists(st.tuples(st.sampled_from(Side), PRICES, CENTS), min_size=1, max_size=6))
def test_slippage_total_is_weighted_by_value(rows: list[tuple[Side, Decimal, Decimal]]) -> None:
    found = totals([made(fill(side, "3", middle + cents / 2), middle) for side, middle, cents in rows])
    paid = sum((side.sign * 3 * cents / 2 for side, _, cents in rows), Decimal(0))
    worth = sum((3 * middle for _, middle, _ in rows), Decimal(0))
    total = there(found[0].total)
    assert (total.usd, total.value_usd, total.bps) == (paid, worth, round(paid / worth * 10_000, 2))


def test_slippage_compares_each_fill_with_its_own_order() -> None:
    seen_at = make_intent().at - timedelta(seconds=7)
    intent = replace(make_intent(), decision_mid=Decimal(99), send_mid=Decimal(100), send_mid_at=seen_at)
    order = replace(make_order("venue"), client_order_id=intent.client_order_id, arrival_mid=Decimal(98))
    record = IntentRecord(intent, IntentState.ACKED, None, None, NOW)
    ours = OwnedFill("flow", fill(Side.BUY, "1", Decimal(100)))
    theirs = OwnedFill(FOREIGN, replace(ours.fill, activity_id="theirs", venue_order_id="unknown"))
    (one,) = by_fill((ours, theirs), (order,), {intent.client_order_id: record}).values()
    found = slippage_of(one)
    assert [of and of.usd for of in (found.decision, found.send, found.arrival)] == [1, 0, 2]
    assert found.send_quote_age_s == 7
    assert [of.oldest_quote_s for of in totals([one, made(ours.fill, None)])] == [None, 7, None]
    rested = replace(record, intent=replace(intent, purpose=Purpose.PROTECT))
    assert by_fill((ours,), (order,), {intent.client_order_id: rested}) == {}


def test_slippage_counts_fills_without_a_midpoint_as_unknown() -> None:
    bought = fill(Side.BUY, "1", Decimal(11))
    decision, send, arrival = totals([made(bought, Decimal(10)), made(bought, None)])
    assert (decision.known, decision.of, decision.total) == (1, 2, slippage(bought, Decimal(10)))
    assert (send.known, send.total, arrival.known, arrival.total) == (0, None, 0, None)
    assert slippage(bought, None) is None


@given(st.lists(st.tuples(PRICES, PRICES), min_size=1, max_size=5), st.integers(0, 5))
def test_slippage_of_parts_sums_to_the_total(rows: list[tuple[Decimal, Decimal]], cut: int) -> None:
    each = [made(fill(Side.BUY, "3", price), middle, 1) for price, middle in rows]
    parts = [totals(part) for part in (each[:cut], each[cut:])]
    assert tuple(total_slippage(list(column)) for column in zip(*parts, strict=True)) == totals(each)
