"""What a strategy may answer: a single bad want discredits the whole answer, with a sentence that says what is bad."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW
from tradebot.desk.want_validation import reject_excess_wants, validate_wants
from tradebot.model.candidate import Component, ScaleOutLevel, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import TargetBounds
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, Open, Reduce, StrategyView, Target, Want

D = Decimal
BAD_TARGETS = "its targets are not rising levels whose shares add up to at most 1"

HELD = Position("momentum", "XOM", (Lot(Decimal(-7), Decimal(100), NOW),), Decimal(0), NOW)
VIEW = StrategyView(NOW, ("AAPL", "MSFT", "JPM"), lots={"XOM": HELD})
"""A view with three symbols to look at, and a lot of a fourth that is no longer in the universe."""
OPEN = Open("AAPL", Side.BUY, 0.5, 0.9)
WEIGHT = Target("AAPL", weight=Decimal("0.25"))
REDUCE = Reduce("XOM", Decimal(3), "half of its gain is back")
CLOSE = Close("XOM", "the signal turned")


def own(**changes: Any) -> tuple[Decision, ...]:
    return (replace(Decision(Gate.STRATEGY, Verdict.FAIL, Reason.NO_DIRECTION, 0.1, None), **changes),)


def component(**changes: Any) -> tuple[Component, ...]:
    return (replace(Component("flow", 0.5, 0.4, "3 alerts"), **changes),)


WRONG: Sequence[tuple[Want, Mapping[str, Any], str]] = [
    (OPEN, {"symbol": "ZZZZ"}, "its symbol is not in the universe"),
    (OPEN, {"symbol": "XOM"}, "its symbol is not in the universe"),
    (OPEN, {"symbol": ["AAPL"]}, "its symbol is not in the universe"),
    (OPEN, {"side": "buy"}, "its side is not a Side"),
    (OPEN, {"score": -0.5}, "its score and its side disagree"),
    (OPEN, {"coverage": 1.1}, "its coverage is not between 0 and 1"),
    (OPEN, {"coverage": nan}, "its coverage is not between 0 and 1"),
    (OPEN, {"quantity": 5}, "its quantity is not a Decimal above 0"),
    (OPEN, {"quantity": Decimal(0)}, "its quantity is not a Decimal above 0"),
    (OPEN, {"quantity": Decimal("NaN")}, "its quantity is not a Decimal above 0"),
    (OPEN, {"quantity": Decimal("Infinity")}, "its quantity is not a Decimal above 0"),
    (OPEN, {"hold_s": 0}, "its hold is not a number of seconds above 0"),
    (OPEN, {"hold_s": 3600.0}, "its hold is not a number of seconds above 0"),
    (OPEN, {"stop_loss_fraction": Decimal(1)}, "its stop is not a Decimal between 0 and 1"),
    (OPEN, {"stop_loss_fraction": 0.05}, "its stop is not a Decimal between 0 and 1"),
    (OPEN, {"profit_target_fraction": Decimal(0)}, "its target is not a Decimal between 0 and 10"),
    (OPEN, {"atr_fraction": Decimal(0)}, "its average true range is not a Decimal between 0 and 1"),
    (OPEN, {"atr_fraction": 0.04}, "its average true range is not a Decimal between 0 and 1"),
    (OPEN, {"invalid_fraction": Decimal(1)}, "its invalid distance is not a Decimal between 0 and 1"),
    (OPEN, {"targets": ((D("0.02"), D("0.5")),)}, BAD_TARGETS),
    (OPEN, {"targets": (ScaleOutLevel(0.02, D("0.5")),)}, BAD_TARGETS),  # type: ignore[arg-type]
    (OPEN, {"targets": (ScaleOutLevel(None, D("0.5")),)}, BAD_TARGETS),  # type: ignore[arg-type]
    (OPEN, {"targets": (ScaleOutLevel(D("0.02"), D(0)),)}, BAD_TARGETS),
    (OPEN, {"targets": (ScaleOutLevel(D("0.02"), D("0.5")), ScaleOutLevel(D("0.02"), D("0.5")))}, BAD_TARGETS),
    (OPEN, {"targets": (ScaleOutLevel(D("0.02"), D("0.5")), ScaleOutLevel(D("0.03"), D("0.51")))}, BAD_TARGETS),
    (OPEN, {"targets": tuple(ScaleOutLevel(D(n) / 100, D("0.01")) for n in range(1, 12))}, BAD_TARGETS),
    (OPEN, {"cluster": None}, "its cluster is not a text of at most 200 characters"),
    (OPEN, {"source": "exit"}, "its source is not 'strategy'"),
    (WEIGHT, {"symbol": "ZZZZ"}, "its symbol is not in the universe"),
    (WEIGHT, {"quantity": Decimal(3)}, "it needs a weight or a quantity, not both"),
    (WEIGHT, {"weight": None}, "it needs a weight or a quantity, not both"),
    (WEIGHT, {"weight": 0.25}, "its weight is not a Decimal between -10 and 10"),
    (WEIGHT, {"weight": Decimal("10.01")}, "its weight is not a Decimal between -10 and 10"),
    (WEIGHT, {"weight": Decimal("-Infinity")}, "its weight is not a Decimal between -10 and 10"),
    (WEIGHT, {"weight": Decimal("1E-61")}, "its weight is not a Decimal between -10 and 10"),
    (WEIGHT, {"weight": Decimal("0." + "1" * 201)}, "its weight is not a Decimal between -10 and 10"),
    (OPEN, {"stop_loss_fraction": Decimal("1E-999999")}, "its stop is not a Decimal between 0 and 1"),
    (WEIGHT, {"weight": None, "quantity": 3}, "its quantity is not a Decimal of at most a trillion shares"),
    (WEIGHT, {"score": nan}, "its score is not between -1 and 1"),
    (WEIGHT, {"decisions": own(reason=Reason.SENT)}, "its decisions include one that a strategy may not make"),
    (REDUCE, {"symbol": "AAPL"}, "the strategy doesn't hold its symbol"),
    (REDUCE, {"quantity": Decimal(-3)}, "its quantity is not a Decimal above 0"),
    (REDUCE, {"quantity": 3.0}, "its quantity is not a Decimal above 0"),
    (REDUCE, {"why": " "}, "its reason is not a text of 1 to 200 characters"),
    (CLOSE, {"symbol": "AAPL"}, "the strategy doesn't hold its symbol"),
    (CLOSE, {"why": ""}, "its reason is not a text of 1 to 200 characters"),
    (CLOSE, {"why": "x" * 201}, "its reason is not a text of 1 to 200 characters"),
    (CLOSE, {"why": None}, "its reason is not a text of 1 to 200 characters"),
]


@pytest.mark.parametrize(
    ("want", "change", "fault"), WRONG, ids=lambda each: "" if isinstance(each, Want) else str(each)
)
def test_one_wrong_want_refuses_the_whole_answer_and_says_what_is_wrong(
    want: Want, change: Mapping[str, Any], fault: str
) -> None:
    assert isinstance(validate_wants(VIEW, [replace(OPEN, symbol="MSFT"), want]), tuple)
    decision = validate_wants(VIEW, [replace(OPEN, symbol="MSFT"), replace(want, **change)])
    assert isinstance(decision, Decision)
    assert (decision.gate, decision.verdict, decision.reason) == (
        Gate.STRATEGY,
        Verdict.FAIL,
        Reason.STRATEGY_INVALID,
    )
    assert str(decision.observed).endswith(f": {fault}")


@pytest.mark.parametrize("score", [nan, inf, -inf, 1.001, "0.5", True, None, [0.5]])
def test_a_score_that_is_no_number_within_bounds_is_refused(score: object) -> None:
    decision = validate_wants(VIEW, [replace(OPEN, score=score)])  # type: ignore[arg-type]
    assert isinstance(decision, Decision)
    assert decision.observed == "'AAPL': its score is not between -1 and 1"


@pytest.mark.parametrize(
    "change",
    [
        {"decisions": own(gate=Gate.PERMISSION)},
        {"decisions": own(reason=Reason.SENT)},
        {"decisions": own(reason=None)},
        {"decisions": own(observed=nan)},
        {"decisions": own(unit="parsecs")},
        {"decisions": own(observed="x" * 201)},
        {"decisions": own(verdict="FAIL")},
        {"decisions": list(own())},
        {"decisions": own() * 51},
        {"components": component(value=nan)},
        {"components": component(weight=-1)},
        {"components": component(name=3)},
        {"components": component(name="x" * 201)},
        {"components": component() * 51},
    ],
    ids=lambda change: str(change)[:60],
)
def test_the_fields_inside_a_want_are_checked_too(change: Mapping[str, Any]) -> None:
    decision = validate_wants(VIEW, [replace(OPEN, **change)])
    assert isinstance(decision, Decision)
    assert decision.reason is Reason.STRATEGY_INVALID


NO_WANTS = [None, 3, OPEN, "A", [None], [{"symbol": "AAPL"}], {"AAPL": 0.5}]


@pytest.mark.parametrize("answer", NO_WANTS, ids=repr)
def test_an_answer_that_is_not_a_sequence_of_wants_is_refused(answer: object) -> None:
    decision = validate_wants(VIEW, answer)
    assert isinstance(decision, Decision)
    assert decision.reason is Reason.STRATEGY_INVALID


@pytest.mark.parametrize(("answer", "observed"), [([OPEN] * 1_000_000, 1_000_000), (repeat(OPEN), 5)])
def test_more_wants_than_symbols_are_counted_and_refused(answer: Sequence[Open], observed: int) -> None:
    assert validate_wants(VIEW, answer) == Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TOO_MANY, observed, 4)


@pytest.mark.parametrize("twice", [[OPEN, replace(OPEN, score=0.1)], [WEIGHT, OPEN], [REDUCE, CLOSE]], ids=str)
def test_a_symbol_is_wanted_once_whatever_the_kind(twice: Sequence[Want]) -> None:
    decision = validate_wants(VIEW, twice)
    assert isinstance(decision, Decision)
    assert str(decision.observed).endswith("its symbol appears twice")


def test_a_right_answer_is_taken_as_it_is() -> None:
    full = replace(
        OPEN,
        coverage=None,
        components=component(value=None, name="momentum"),
        decisions=own(reason=Reason.STRATEGY_DECLINED),
        quantity=Decimal("2.5"),
        stop_loss_fraction=Decimal("0.05"),
        profit_target_fraction=Decimal("1.5"),
        targets=(ScaleOutLevel(D("0.02"), D("0.5")), ScaleOutLevel(D("0.05"), D("0.5"))),
        atr_fraction=Decimal("0.04"),
        invalid_fraction=Decimal("0.02"),
    )
    wants = (full, Open("JPM", Side.SELL, -0.5), Target("MSFT", quantity=Decimal(-3), score=0.1), CLOSE)
    assert validate_wants(VIEW, iter(wants)) == wants


@pytest.mark.parametrize("want", [REDUCE, CLOSE, Target("XOM", weight=Decimal(0))], ids=str)
def test_a_lot_outside_the_universe_may_be_given_up(want: Want) -> None:
    assert validate_wants(VIEW, [want]) == (want,)
    assert isinstance(validate_wants(replace(VIEW, lots={}), [want]), Decision)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(Side))
def test_a_score_is_taken_exactly_if_it_is_within_bounds_and_points_to_its_side(score: float, side: Side) -> None:
    answer = validate_wants(VIEW, [replace(OPEN, score=score, side=side)])
    assert isinstance(answer, tuple) == (-1 <= score <= 1 and score * side.sign >= 0)


@given(st.decimals(), st.sampled_from(("open", "reduce", "weight", "shares")))
def test_a_size_is_taken_exactly_if_it_is_finite_and_within_bounds(size: Decimal, kind: str) -> None:
    want: Mapping[str, Callable[[], Want]] = {
        "open": lambda: replace(OPEN, quantity=size),
        "reduce": lambda: replace(REDUCE, quantity=size),
        "weight": lambda: replace(WEIGHT, weight=size),
        "shares": lambda: Target("AAPL", quantity=size),
    }
    most = 10 if kind == "weight" else Decimal(10) ** 12
    signed = kind in ("weight", "shares")
    fits = size.is_finite() and abs(size) <= most and (signed or size > 0)
    assert isinstance(validate_wants(VIEW, [want[kind]()]), tuple) == fits


THIRD = Decimal(1) / 3
THIRDS = TargetBounds(symbol_fraction=D("0.34"), gross_fraction=D(1), positions=3)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ((THIRD, THIRD, -THIRD, D(0)), ""),
        ((D("0.34"), D("0.33"), D("0.3300000000000001")), ""),
        ((D("-0.5"),), "a weight of 0.5, but its section declares wants.symbol_fraction: 0.34"),
        (
            (D("0.34"), D("0.34"), D("-0.34")),
            "weights of 1.02 together, but its section declares wants.gross_fraction: 1",
        ),
        ((D("0.1"),) * 4, "4 symbols, but its section declares wants.positions: 3"),
    ],
)
def test_answer_may_not_ask_for_more_than_its_section_says(weights: Sequence[Decimal], said: str) -> None:
    found = reject_excess_wants([OPEN, *(Target(str(place), weight) for place, weight in enumerate(weights))], THIRDS)
    assert (str(found.observed) if found else "") == (f"its targets ask for {said}" if said else "")


def test_targets_in_shares_count_as_positions() -> None:
    found = reject_excess_wants([Target(str(place), quantity=D(place)) for place in range(5)], THIRDS)
    assert found is not None
    assert found.reason is Reason.STRATEGY_INVALID
    assert reject_excess_wants([Target(str(place), quantity=D(place)) for place in range(4)], THIRDS) is None
