"""Where a rule is said to stand is where it acts: the exit rules themselves are the judge."""

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import evaluate
from tests.kit.values import LISTED, NOW, ago, quote, there
from tradebot.exits.exit_rule import StopLevel, WatchedPosition, distance
from tradebot.model.decision import Decision
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState

HAIR = Decimal("0.000001")
SIDES = st.sampled_from([Decimal(10), Decimal(-10)])
ENTRIES = st.decimals("1", "900", places=2)
BESTS = st.decimals("0", "0.0299", places=4)


def held(quantity: Decimal, entry: Decimal, best_gain: Decimal = Decimal(0)) -> WatchedPosition:
    position = Position("flow", "AAPL", (Lot(quantity, entry, ago(600)),), Decimal(0), ago(600))
    side = 1 if quantity > 0 else -1
    return WatchedPosition(position, entry * (1 + side * best_gain))


def at_price(of: WatchedPosition, price: Decimal, now: datetime = NOW) -> Decision:
    text = format(price, "f")
    return evaluate(of, quote("AAPL", text, text, at=now), now, LISTED, TradingState.ACTIVE)


def rule(of: WatchedPosition, reason: Reason) -> StopLevel:
    return next(rule.level(of) for rule in LISTED if rule.reason is reason)


@given(SIDES, ENTRIES)
def test_the_stop_and_the_target_act_from_their_price_on_and_not_before(quantity: Decimal, entry: Decimal) -> None:
    of, side = held(quantity, entry), 1 if quantity > 0 else -1
    for reason, beyond in ((Reason.STOP_LOSS, -side), (Reason.PROFIT_TARGET, side)):
        price = there(rule(of, reason).price)
        assert at_price(of, price + beyond * HAIR).reason is reason
        assert at_price(of, price - beyond * HAIR).reason is Reason.HOLD


@given(SIDES, ENTRIES, BESTS)
def test_an_armed_trailing_stop_acts_from_its_price_on(quantity: Decimal, entry: Decimal, best: Decimal) -> None:
    of, side = held(quantity, entry, best), 1 if quantity > 0 else -1
    trailing = rule(of, Reason.TRAILING_STOP)
    assert trailing.price is not None
    if trailing.armed:
        assert at_price(of, trailing.price - side * HAIR).reason is Reason.TRAILING_STOP
        assert at_price(of, trailing.price + side * HAIR).reason is Reason.HOLD
    else:
        there = WatchedPosition(of.position, trailing.price + side * HAIR)
        assert rule(there, Reason.TRAILING_STOP).armed


def test_time_is_up_at_its_moment() -> None:
    of = held(Decimal(5), Decimal(100))
    at = there(rule(of, Reason.TIME_EXIT).at)
    assert at_price(of, Decimal(100), at).reason is Reason.TIME_EXIT
    assert at_price(of, Decimal(100), at - timedelta(seconds=1)).reason is Reason.HOLD


def test_the_way_to_a_rule_is_a_fraction_of_the_price() -> None:
    assert distance(StopLevel(Reason.STOP_LOSS, Decimal(98), None), Decimal(100), 1) == Decimal("0.02")
    assert distance(StopLevel(Reason.TIME_EXIT, None, NOW), Decimal(100), 1) is None


@given(SIDES, ENTRIES, BESTS, st.decimals("-0.05", "0.05", places=3))
def test_the_way_to_a_rule_is_negative_where_it_acts(
    quantity: Decimal, entry: Decimal, best: Decimal, gain: Decimal
) -> None:
    of, side = held(quantity, entry, best), 1 if quantity > 0 else -1
    mark = entry * (1 + side * gain)
    ways = {stop.rule: (distance(stop, mark, side), stop.armed) for stop in (rule.level(of) for rule in LISTED)}
    reason = at_price(of, mark).reason
    way, armed = ways.get(reason, (None, True)) if reason else (None, True)
    if way is not None:
        assert armed
        assert way <= HAIR
    else:
        assert all(found is None or found > -HAIR for found, acts in ways.values() if acts)


def test_a_trailing_stop_that_is_not_armed_is_away_where_the_position_gains() -> None:
    for side in (1, -1):
        arms = StopLevel(Reason.TRAILING_STOP, 100 + side * Decimal(2), None, armed=False, ahead=True)
        assert distance(arms, Decimal(100), side) == Decimal("0.02")
        assert distance(arms, 100 + side * Decimal(4), side) == Decimal(-2) / (100 + side * 4)
