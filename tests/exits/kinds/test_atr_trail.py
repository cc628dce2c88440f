"""The stop of an ATR trail follows the best price, closer from step to step, and only ever toward profit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import held, instrument
from tradebot.exits.kind import Held, Input, Measure
from tradebot.exits.kinds.atr_trail import AtrTrail, Tightening
from tradebot.exits.lists import ExitRulesError, parse
from tradebot.model.position import Kept
from tradebot.model.values import replace

D = Decimal
STEPS = tuple(Tightening(r=D(r), multiple=D(multiple)) for r, multiple in (("3", "1.5"), ("5", "1.4"), ("8", "1.0")))
RULE = AtrTrail(multiple=D("1.5"), arm_r=D(1), tighten=STEPS)
LOOSENING = AtrTrail(multiple=D("1.5"), arm_r=D(0), tighten=(Tightening(r=D(3), multiple=D("1.8")),))


def of(best: str | Decimal, side: int = 1) -> Held:
    """Return a position entered at 100 with an ATR of 4 and its stop 2 away, so R is 2; a short is its mirror."""
    kept = Kept(stop_loss_fraction=D("0.02"), atr_fraction=D("0.04"), instrument=instrument())
    return replace(held(str(10 * side)), best=D(best) if side > 0 else 200 - D(best), kept=kept)


@pytest.mark.parametrize(
    ("best", "stop"),
    [
        ("101.99", None),
        ("102", "96"),
        ("106", "100"),  # 3 R
        ("109.99", "103.99"),
        ("110", "104.4"),  # 5 R
        ("116", "112"),  # 8 R
        ("120", "116"),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_the_stop_is_as_close_as_the_best_gain_asks_for(best: str, stop: str | None, side: int) -> None:
    level = RULE.level(of(best, side))
    assert level.armed is (stop is not None)
    expected = D(stop) if stop else D(102)
    assert level.price == (expected if side > 0 else 200 - expected)


def test_it_closes_at_its_level_and_not_before() -> None:
    def closes(one: Held, price: str) -> bool:
        measure = RULE.measure(one, D(price))
        assert isinstance(measure, Measure)
        return measure.closes

    assert (closes(of("110"), "104.41"), closes(of("110"), "104.4")) == (False, True)
    assert (closes(of("110", -1), "95.59"), closes(of("110", -1), "95.6")) == (False, True)
    assert not closes(of("101.99"), "90")


def test_a_step_with_a_larger_multiple_loosens_nothing() -> None:
    assert LOOSENING.level(of("107")).price == D(101)


@given(st.lists(st.decimals("80", "130", places=2), min_size=2, max_size=12), st.sampled_from([1, -1]))
def test_the_stop_only_moves_toward_profit(prices: list[Decimal], side: int) -> None:
    best, last = D(100), None
    for price in prices:
        best = max(best, price)
        for rule in (RULE, LOOSENING):
            level = rule.level(of(best, side))
            if rule is RULE and level.armed:
                assert level.price is not None
                assert last is None or (level.price - last) * side >= 0
                last = level.price
            measure = rule.measure(of(best, side), price if side > 0 else 200 - price)
            assert isinstance(measure, Measure)
            stop = level.price if level.armed else None
            assert measure.closes is (stop is not None and ((price if side > 0 else 200 - price) - stop) * side <= 0)


def test_without_the_stop_or_the_range_of_its_entry_it_can_not_tell() -> None:
    one = of("110")
    stopless, rangeless = replace(one.kept, stop_loss_fraction=None), replace(one.kept, atr_fraction=None)
    for kept, missing in ((stopless, Input.ENTRY_STOP), (rangeless, Input.ENTRY_ATR)):
        bare = replace(one, kept=kept)
        assert (RULE.measure(bare, D(90)), RULE.level(bare).armed, RULE.level(bare).price) == (missing, False, None)


def test_steps_that_do_not_rise_do_not_load() -> None:
    steps = [{"r": 5, "multiple": 1.4}, {"r": 3, "multiple": 1.5}]
    with pytest.raises(ExitRulesError, match="rises from one to the next"):
        parse([{"atr_trail": {"multiple": 1.5, "arm_r": 1, "tighten": steps}}])
