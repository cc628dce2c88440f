"""When a position is closed: each rule at its edge, longs and shorts as mirrors of each other."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import evaluate
from tests.kit.values import LIMITS, LISTED, NOW, ago, quote
from tradebot.exits.exit_rule import WatchedPosition, best_price, exit_price
from tradebot.gates.shared_gates import clocks_agree
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

ACTIVE = TradingState.ACTIVE
prices = st.decimals(50, 150, places=2)


def position(quantity: int = 10, price: str = "100", *, age_s: float = 60) -> Position:
    since = ago(age_s)
    return Position("flow", "AAPL", (Lot(Decimal(quantity), Decimal(price), since),), Decimal(0), since)


def at(price: Decimal | str) -> Quote:
    return quote(bid=str(price), ask=str(price))


def decided(
    price: str | None, *, quantity: int = 10, best: str = "100", age_s: float = 60, state: TradingState = ACTIVE
) -> Decision:
    held = WatchedPosition(position(quantity, age_s=age_s), Decimal(best))
    return evaluate(held, at(price) if price else None, NOW, LISTED, state)


CASES = [
    # price, quantity, best, reason, verdict
    ("98.01", 10, "100", Reason.HOLD, Verdict.FAIL),
    ("98.00", 10, "100", Reason.STOP_LOSS, Verdict.PASS),
    ("101.99", -10, "100", Reason.HOLD, Verdict.FAIL),
    ("102.00", -10, "100", Reason.STOP_LOSS, Verdict.PASS),
    ("102.99", 10, "102.99", Reason.HOLD, Verdict.FAIL),
    ("103.00", 10, "103", Reason.PROFIT_TARGET, Verdict.PASS),
    ("97.00", -10, "97", Reason.PROFIT_TARGET, Verdict.PASS),
    ("99.70", 10, "100.99", Reason.HOLD, Verdict.FAIL),  # a pullback of 1.28 %, and not armed
    ("100.70", 10, "101.90", Reason.HOLD, Verdict.FAIL),  # armed, and back by 1.18 % only
    ("99.70", 10, "101", Reason.TRAILING_STOP, Verdict.PASS),  # armed at exactly 1 %
    ("98.80", 10, "100", Reason.HOLD, Verdict.FAIL),
    ("100.60", 10, "102", Reason.TRAILING_STOP, Verdict.PASS),
    ("99.40", -10, "98", Reason.TRAILING_STOP, Verdict.PASS),
]


@pytest.mark.parametrize(("price", "quantity", "best", "reason", "verdict"), CASES)
def test_each_rule_acts_from_its_edge_on(
    price: str, quantity: int, best: str, reason: Reason, verdict: Verdict
) -> None:
    said = decided(price, quantity=quantity, best=best)
    assert (said.reason, said.verdict) == (reason, verdict)


def test_a_stop_shows_the_loss_its_limit_and_the_age_of_the_quote_which_is_no_veto() -> None:
    said = decided("97.5")
    assert (said.observed, said.limit, said.age_s) == (Decimal("-0.025"), Decimal("-0.02"), 0)
    assert decided("97", best="103").reason is Reason.STOP_LOSS, "it stands before every other price rule"
    old = evaluate(WatchedPosition(position(), Decimal(100)), replace(at("97"), at=ago(3600)), NOW, LISTED, ACTIVE)
    assert (old.reason, old.age_s) == (Reason.STOP_LOSS, 3600)


def test_time_closes_a_position_at_the_second_it_may_be_held_no_longer() -> None:
    assert decided("100", age_s=14_399).reason is Reason.HOLD
    said = decided("100", age_s=14_400)
    assert (said.verdict, said.reason) == (Verdict.PASS, Reason.TIME_EXIT)
    assert (said.observed, said.limit) == (14_400, 14_400)


def test_while_the_clocks_disagree_no_time_closes_a_position_and_prices_and_flatten_do() -> None:
    apart = clocks_agree(86_400.0, LIMITS)

    def said(price: str, state: TradingState = ACTIVE) -> Decision:
        return evaluate(
            WatchedPosition(position(age_s=86_400), Decimal(100)), at(price), NOW, LISTED, state, clocks=apart
        )

    held = said("100")
    assert (held.gate, held.verdict, held.reason) == (Gate.EXIT, Verdict.UNKNOWN, Reason.CLOCKS_DISAGREE)
    assert (held.observed, held.limit) == (86_400.0, 60)
    assert (said("98").reason, said("103").reason) == (Reason.STOP_LOSS, Reason.PROFIT_TARGET)
    assert said("100", TradingState.FLATTEN).reason is Reason.FLATTEN


def test_without_a_quote_the_price_rules_are_unknown_and_time_still_acts() -> None:
    said = decided(None)
    assert (said.verdict, said.reason) == (Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    assert decided(None, age_s=14_400).reason is Reason.TIME_EXIT


def test_a_long_leaves_at_the_bid_and_a_short_at_the_ask() -> None:
    seen = quote(bid="99", ask="101")
    assert (exit_price(position(10), seen), exit_price(position(-10), seen)) == (Decimal(99), Decimal(101))


@given(seen=st.lists(prices, min_size=1, max_size=10), quantity=st.sampled_from([10, -10]))
def test_the_best_price_only_ever_moves_the_positions_way(seen: list[Decimal], quantity: int) -> None:
    held, stored = position(quantity), None
    for price in seen:
        best = best_price(held, at(price), stored)
        before = stored if stored is not None else held.average_price
        assert best >= before if quantity > 0 else best <= before
        stored = best
    extreme = max(*seen, Decimal(100)) if quantity > 0 else min(*seen, Decimal(100))
    assert stored == extreme


@pytest.mark.parametrize(
    ("quantity", "price", "ratio", "said"),
    [
        (10, "50", "2", Reason.SPLIT_UNPROVEN),
        (10, "48", "2", Reason.STOP_LOSS),
        (10, "1000", "0.1", Reason.SPLIT_UNPROVEN),
        (10, "100", "2", Reason.SPLIT_UNPROVEN),
        (-10, "50", "2", Reason.SPLIT_UNPROVEN),
        (-10, "1000", "0.1", Reason.SPLIT_UNPROVEN),
        (10, "97", "0.7", Reason.STOP_LOSS),
        (10, "97", "0", Reason.STOP_LOSS),
        (10, "97", "-1", Reason.STOP_LOSS),
        (10, "100", "0", Reason.HOLD),
    ],
)
def test_where_a_split_may_be_a_price_closes_what_both_would(
    quantity: int, price: str, ratio: str, said: Reason
) -> None:
    held = WatchedPosition(position(quantity), Decimal(100))
    decision = evaluate(held, at(price), NOW, LISTED, ACTIVE, Decimal(ratio))
    assert decision.reason is said
    verdicts = {Reason.SPLIT_UNPROVEN: Verdict.UNKNOWN, Reason.HOLD: Verdict.FAIL}
    assert decision.verdict is verdicts.get(said, Verdict.PASS)


def test_time_and_flatten_close_at_an_unproven_ratio_too() -> None:
    for age_s, state, reason in ((14_400, ACTIVE, Reason.TIME_EXIT), (60, TradingState.FLATTEN, Reason.FLATTEN)):
        held = WatchedPosition(position(age_s=age_s), Decimal(100))
        assert evaluate(held, at("50"), NOW, LISTED, state, Decimal(2)).reason is reason
