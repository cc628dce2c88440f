"""Stops and targets in ticks are so many ticks from the entry price, to the cent, whatever the price is."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import held, instrument
from tradebot.exits.kind import Held, Input, Measure, Moment
from tradebot.exits.kinds.stop_ticks import StopTicks
from tradebot.exits.kinds.target_ticks import TargetTicks
from tradebot.exits.lists import has_stop, levels, parse, worst_stop
from tradebot.model.position import Kept
from tradebot.model.values import replace

D = Decimal
RULES = parse([{"stop_ticks": {"ticks": 8}}, {"target_ticks": {"ticks": 16}}])
STOP, TARGET = RULES


def future(quantity: str, price: str, tick: str, multiplier: str) -> Held:
    contract = instrument(tick=D(tick), multiplier=D(multiplier))
    one = held(quantity, price)
    position = replace(one.position, multiplier=D(multiplier))
    return Held(position, one.best, Kept(instrument=contract, original_quantity=abs(D(quantity))))


@pytest.mark.parametrize(
    ("quantity", "entry", "tick", "multiplier", "stop", "target", "risk"),
    [
        ("1", "5000.25", "0.25", "50", "4998.25", "5004.25", "100"),
        ("-1", "5000.25", "0.25", "50", "5002.25", "4996.25", "100"),
        ("1", "1.08005", "0.00005", "125000", "1.07965", "1.08085", "50"),
        ("-2", "1.08005", "0.00005", "125000", "1.08045", "1.07925", "100"),
    ],
)
def test_levels_are_so_many_ticks_away_to_the_cent(
    quantity: str, entry: str, tick: str, multiplier: str, stop: str, target: str, risk: str
) -> None:
    one = future(quantity, entry, tick, multiplier)
    found = levels(one, RULES)
    assert found.stop == D(stop)
    assert [(each.price, each.shares) for each in found.targets] == [(D(target), abs(D(quantity)))]
    assert one.position.cost - one.position.value_at(D(stop)) == D(risk)
    assert worst_stop(RULES, D(entry), one.kept.instrument) == 8 * D(tick) / D(entry)
    assert has_stop(RULES)
    assert not has_stop([TARGET])


@given(entry=st.integers(200, 40_000), moved=st.integers(-40, 40), side=st.sampled_from(["1", "-1"]))
def test_they_close_at_that_tick_and_not_one_before(entry: int, moved: int, side: str) -> None:
    tick = D("0.25")
    one, price = future(side, str(entry * tick), "0.25", "5"), (entry + moved * int(side)) * tick
    closes = [rule.judge(one, Moment(price=price)) for rule in RULES]
    assert closes == [Measure(moved <= -8, moved, -8), Measure(moved >= 16, moved, 16)]


def test_without_its_instrument_nobody_can_tell() -> None:
    one = replace(held("1", "100"), kept=Kept())
    asked = [rule.judge(one, Moment(price=D(90))) for rule in (StopTicks(ticks=8), TargetTicks(ticks=16))]
    assert asked == [Input.TICK, Input.TICK]
    assert levels(one, RULES).stop is None
