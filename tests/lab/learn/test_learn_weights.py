"""Weights of signals: intervals, averages and steps by the earlier bot's figures, over trades that count."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import OPEN, outcomes, trade
from tradebot.lab.learn.learn import (
    ALPHA,
    HIGHEST,
    LOWEST,
    NEUTRAL,
    ComponentCall,
    ComponentRecord,
    component_record,
    proposals,
    step_weight,
    unknown_names,
)
from tradebot.lab.learn.values import LEAST
from tradebot.lab.performance.statistics import Interval
from tradebot.model.struct_tools import replace
from tradebot.signals.components import component_names, component_of
from tradebot.views.trades.trade_row import EntrySource, TradeStatus

WEIGHTS = {"flow": 0.4}


def calls(right: int, of: int) -> list[ComponentCall]:
    """Return calls in turn, so that right ones are spread over all of them."""
    rights = [place * right // of != (place + 1) * right // of for place in range(of)]
    return [
        ComponentCall(OPEN + timedelta(hours=place), is_right, 0.01 * is_right) for place, is_right in enumerate(rights)
    ]


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        (20, 30, 0.4878, 0.8077),
        (25, 30, 0.6644, 0.9266),
        (30, 40, 0.5981, 0.8581),
        (15, 50, 0.1910, 0.4375),
        (0, 0, 0, 1),
    ],
)
def test_share_of_right_calls_has_the_interval_of_wilson(right: int, of: int, low: float, high: float) -> None:
    found = component_record(calls(right, of))
    assert (found.right, found.calls) == (right, of)
    assert (found.share.low, found.share.high) == pytest.approx((low, high), abs=5e-5)


def test_recent_share_moves_by_a_share_of_each_call_and_starts_even() -> None:
    wrong, right = (
        ComponentCall(OPEN, right=False, gain=-0.02),
        ComponentCall(OPEN + timedelta(hours=1), right=True, gain=0.01),
    )
    found = component_record([right, wrong])
    after_one = 0.5 * (1 - ALPHA)
    assert found.lately == pytest.approx(after_one * (1 - ALPHA) + ALPHA)
    assert found.gain == pytest.approx(-0.02 * ALPHA * (1 - ALPHA) + 0.01 * ALPHA)


def test_calls_of_one_moment_count_as_often_as_they_are() -> None:
    found = component_record([ComponentCall(OPEN, right=True, gain=0.01), ComponentCall(OPEN, right=False, gain=0.03)])
    assert found.lately == pytest.approx(0.5)
    assert found.gain == pytest.approx(0.02 * (1 - (1 - ALPHA) ** 2))


def of(low: float, high: float, lately: float, gain: float = 0.01, count: int = LEAST) -> ComponentRecord:
    return ComponentRecord(count, count // 2, Interval((low + high) / 2, low, high), lately, gain)


@pytest.mark.parametrize(
    ("found", "before", "after"),
    [
        (of(0.56, 0.8, 0.56), 1.0, 1.05),
        (of(0.55, 0.8, 0.56), 1.0, 1.0),
        (of(0.56, 0.8, 0.55), 1.0, 1.0),
        (of(0.56, 0.8, 0.56, gain=0.0), 1.0, 1.0),
        (of(0.56, 0.8, 0.56, count=LEAST - 1), 1.0, 1.0),
        (of(0.56, 0.8, 0.56), 2.48, HIGHEST),
        (of(0.2, 0.44, 0.44, gain=-0.01), 1.0, 0.95),
        (of(0.2, 0.45, 0.44), 1.0, 1.0),
        (of(0.2, 0.44, 0.45), 1.0, 1.0),
        (of(0.2, 0.44, 0.44), 0.26, LOWEST),
        (of(0.4, 0.6, 0.5, count=61), 1.5, 1.45),
        (of(0.4, 0.6, 0.5, count=60), 1.5, 1.5),
        (of(0.4, 0.6, 0.53, count=61), 1.5, 1.5),
        (of(0.4, 0.6, 0.48, count=61), 0.5, 0.55),
    ],
)
def test_step_follows_what_is_proven_within_its_bounds(found: ComponentRecord, before: float, after: float) -> None:
    assert step_weight(before, found) == pytest.approx(after)


TOLD = st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.floats(-0.5, 0.5)), max_size=120)


@given(TOLD, st.floats(LOWEST, HIGHEST), st.randoms())
def test_multiplier_stays_within_its_bounds_whatever_the_order_of_calls_of_one_moment(
    told: list[tuple[int, bool, float]], before: float, chance: object
) -> None:
    made = [ComponentCall(OPEN + timedelta(hours=hour), right, gain) for hour, right, gain in told]
    found = component_record(made)
    assert LOWEST <= step_weight(before, found) <= HIGHEST
    chance.shuffle(made)  # type: ignore[attr-defined]
    assert component_record(made) == found


def test_component_is_right_if_it_agreed_with_a_gain_or_warned_of_a_loss() -> None:
    found = outcomes(
        trade(1, 10, {"flow": 0.5}),
        trade(2, -10, {"flow": -0.5}),
        trade(3, 10, {"flow": -0.5}),
        trade(4, 10, {"flow": -0.5}, side="short"),
        trade(5, 0, {"flow": 0.5}),
        trade(6, 10, {"flow": 0.0}),
        trade(7, 10, {}),
    )
    (proposal,) = proposals("flow", WEIGHTS, found)
    # What earned nothing, and whoever had no view, says nothing.
    assert (proposal.n, proposal.observed, proposal.missing, proposal.proposed) == (4, 0.75, LEAST - 4, None)
    assert "26 more closed trades are needed" in proposal.evidence


def test_component_that_is_right_gets_a_step_up_and_one_that_is_wrong_a_step_down() -> None:
    says = {"flow": 0.5, "insider": -0.5, "dark_pool": 0.2}
    made = [trade(number, 10 if number % 6 else -10, says, minutes=number) for number in range(48)]
    weights = {"flow": 0.4, "insider": 0.4, "dark_pool": 0.0}
    found = {one.setting: one for one in proposals("flow", weights, outcomes(*made))}
    assert {name: one.proposed for name, one in found.items()} == {
        "strategies.flow.weights.flow": "0.42",
        "strategies.flow.weights.insider": "0.38",
    }


def test_only_trades_with_the_weight_in_force_count_and_the_multiplier_is_of_the_first_weight() -> None:
    old = [trade(number, 10, minutes=number, weight=0.4) for number in range(40)]
    (moved,) = proposals("flow", {"flow": 0.42}, outcomes(*old))
    assert (moved.n, moved.proposed, moved.missing) == (0, None, LEAST)
    new = [trade(100 + number, 10, in_session=1, minutes=number, weight=0.42) for number in range(40)]
    (again,) = proposals("flow", {"flow": 0.42}, outcomes(*old, *new))
    # 1.05 times the first weight becomes 1.1 times.
    assert (again.n, again.proposed) == (40, "0.44")
    top = [replace(one, components=(replace(one.components[0], weight=1.0),)) for one in new]
    (bound,) = proposals("flow", {"flow": 1.0}, outcomes(*old, *top))
    assert (bound.proposed, "at its bound" in bound.evidence) == (None, True)


@given(st.integers(1, 20))
def test_trades_that_are_open_or_not_ours_are_never_counted(count: int) -> None:
    closed = [trade(number, 10, minutes=number) for number in range(LEAST)]
    others = [
        trade(100 + number, -10, minutes=number, **fields)
        for number in range(count)
        for fields in (
            {"status": TradeStatus.OPEN, "closed_at": None},
            {"status": TradeStatus.PARTLY_CLOSED, "closed_at": None},
            {"source": EntrySource.ADOPTED},
            {"unknown_fees": 1},
        )
    ]
    with_others = [*proposals("flow", WEIGHTS, outcomes(*closed, *others))]
    assert with_others == [*proposals("flow", WEIGHTS, outcomes(*closed))]
    assert with_others[0].observed == NEUTRAL


def test_components_of_trades_without_a_weight_are_named() -> None:
    """The earlier bot's learner had other names than its score, and so it learned nothing."""
    weights = dict.fromkeys(component_names(), 0.1)
    known = [trade(number, 10, {component_of(name).name: 0.5}) for number, name in enumerate(component_names())]
    assert unknown_names(weights, outcomes(*known)) == ()
    assert unknown_names(weights, outcomes(*known, trade(99, 10, {"options_flow": 0.5}))) == ("options_flow",)
