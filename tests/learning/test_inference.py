"""A policy acts: each model is shown its own, answers become one target, and what isn't known ends in a reason.

What a model is shown: scaled, clipped, and never something in the place of what isn't known.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.networks import NAMES, card, results, scaling
from tests.kit.values import NOW, SESSION, ago, following, there
from tradebot.desk.want_validation import validate_wants
from tradebot.lab.learning.training import training_rows
from tradebot.learning.ensemble import Combine, PolicyMode
from tradebot.learning.inference import HIGHEST, Member, ModelSelection, Numbers, Policy, observation, state_of
from tradebot.learning.model_card import Action, Card, Scaling, SessionResult
from tradebot.learning.policy_decisions import ANSWER, MODEL
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureRow, Situation, StrategyView, Target
from tradebot.signals.features import OBSERVED, DecisionState

BAR = timedelta(minutes=5)
MONEY = Decimal(100_000)


def member(name: str, answer: float, made: Card | None = None) -> Member:
    """Return a model that answers the same to everything; a recurrent one adds how often it was asked before."""

    def run(shown: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        return (answer + sum(memory),), tuple(each + 0.25 for each in memory)

    made = made or card()
    return Member(name, made, scaling(), run, (0.0,) if made.recurrent else ())


def acting(mode: PolicyMode = PolicyMode.INFERENCE, combine: Combine = Combine.WEIGHTED, sessions: int = 20,
           later: Mapping[str, tuple[SessionResult, ...]] | None = None) -> ModelSelection:  # fmt: skip
    return ModelSelection(mode, combine, sessions, later or {})


def view(
    at: datetime = NOW, *, session: Session | None = SESSION, symbols: Sequence[str] = ("MES",),
    values: Mapping[str, float] | None = None,
) -> StrategyView:  # fmt: skip
    rows = {(symbol, "5Min"): FeatureRow(at, values or {"rsi_14": 0.1}) for symbol in symbols}
    situation = Situation(session, MONEY, MONEY, {}, 0)
    return StrategyView(at, tuple(symbols), features=rows, situation=situation)


def quantities(policy: Policy, seen: StrategyView) -> dict[str, Decimal | None]:
    wants = validate_wants(seen, policy.targets(seen))
    assert isinstance(wants, tuple), wants
    return {want.symbol: want.quantity for want in wants if isinstance(want, Target)}


def refused(policy: Policy, seen: StrategyView) -> Reason | None:
    found = validate_wants(seen, policy.targets(seen))
    assert isinstance(found, Decision), found
    return found.reason


def test_answer_of_one_model_is_the_target_and_both_are_recorded() -> None:
    policy = Policy(acting(), [member("a" * 16, 0.75)])
    seen = view(symbols=("MES", "MNQ"))
    assert quantities(policy, seen) == {"MES": Decimal(2), "MNQ": Decimal(2)}
    found = policy.targets(seen)
    assert not isinstance(found, Decision)
    told = [(one.about, one.observed, one.limit, one.passed) for one in found[0].decisions]
    assert told == [(MODEL, "a" * 16, None, True), (ANSWER, 1.5, "a" * 16, True)]


def test_answers_are_rounded_once_after_they_were_put_together() -> None:
    # Rounded before that, both would be 1, and so would their mean.
    policy = Policy(acting(PolicyMode.ENSEMBLE, Combine.ADAPTIVE), [member("a", 0.25), member("b", 0.24)])
    assert quantities(policy, view()) == {"MES": Decimal(0)}
    policy = Policy(acting(PolicyMode.ENSEMBLE, Combine.MAJORITY), [member("a", 0.74), member("b", 0.76)])
    assert quantities(policy, view()) == {"MES": Decimal(2)}


def test_weights_are_of_results_before_the_session() -> None:
    won, lost = card(results=results(0.01)), card(results=results(-0.01))
    members = [member("a", 1.0, won), member("b", -0.5, lost)]
    # 2 * .805... - 1 * .195... = 1.4
    assert quantities(Policy(acting(PolicyMode.ENSEMBLE), members), view()) == {"MES": Decimal(1)}
    today = {"b": (SessionResult(SESSION.date, 0.9),)}
    assert quantities(Policy(acting(PolicyMode.ENSEMBLE, later=today), members), view()) == {"MES": Decimal(1)}
    earlier = {"b": (SessionResult(SESSION.date - timedelta(days=1), 0.9),)}
    policy = Policy(acting(PolicyMode.ENSEMBLE, sessions=1, later=earlier), members)
    assert quantities(policy, view()) == {"MES": Decimal(0)}


def test_model_of_a_session_is_chosen_once_and_acts_alone() -> None:
    won, lost = card(results=results(0.01)), card(results=results(-0.01))
    policy = Policy(acting(PolicyMode.META), [member("a", 1.0, lost), member("b", -0.5, won)])
    assert quantities(policy, view()) == {"MES": Decimal(-1)}
    found = policy.targets(view())
    assert not isinstance(found, Decision)
    assert found[0].decisions[0].observed == "b"


@pytest.mark.parametrize("mode", [PolicyMode.META, PolicyMode.ENSEMBLE])
def test_without_earlier_results_nobody_acts(mode: PolicyMode) -> None:
    later = card(results=(SessionResult(SESSION.date, 0.01),))
    assert refused(Policy(acting(mode), [member("a", 1.0, later), member("b", 1.0)]), view()) is Reason.MODEL_UNRANKED


@pytest.mark.parametrize("seen", [view(session=None), replace(view(), situation=None), view(values={"body": 0.1})])
def test_what_is_not_known_ends_in_a_reason(seen: StrategyView) -> None:
    assert refused(Policy(acting(), [member("a", 0.1)]), seen) is Reason.MODEL_INPUT_UNKNOWN


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), 1.01])
def test_answer_that_is_no_number_in_range_ends_in_a_reason(answer: float) -> None:
    assert refused(Policy(acting(), [member("a", answer)]), view()) is Reason.MODEL_NOT_FINITE


def test_discrete_model_answers_with_the_largest_of_five() -> None:
    made = card(action=Action.DISCRETE)
    voting = Member("a", made, scaling(), lambda shown, memory: ((0.0, 0.0, 0.0, 1.0, 3.0), ()))
    assert quantities(Policy(acting(), [voting]), view()) == {"MES": Decimal(2)}


MADE = card(recurrent=True)
OPEN = SESSION.open


def test_memory_grows_bar_by_bar_and_is_empty_at_each_open() -> None:
    policy = Policy(acting(), [member("a", 0.0, MADE)])
    later = following(SESSION)
    # The bar before the open, then those of the session, then the next session's first.
    times = [(OPEN, SESSION), (OPEN + BAR, SESSION), (OPEN + 2 * BAR, SESSION), (later.open, later)]
    found = [quantities(policy, view(at, session=session))["MES"] for at, session in times]
    assert found == [0, 1, 1, 0], "twice 0, 0.25, 0.5, and 0 again, rounded"


def test_same_bar_twice_is_remembered_once() -> None:
    policy, seen = Policy(acting(), [member("a", 0.0, MADE)]), view(OPEN)
    policy.targets(seen)
    later = view(OPEN + BAR)
    assert [quantities(policy, later), quantities(policy, later)] == [{"MES": 1}, {"MES": 1}]
    assert quantities(policy, view(OPEN + 2 * BAR)) == {"MES": 1}
    assert quantities(policy, view(OPEN + 3 * BAR)) == {"MES": 2}


@pytest.mark.parametrize(
    ("bars", "lost"),
    [((2,), True), ((1,), False), ((-3, 1), False), ((-3, 2), True), ((0, 2), True), ((0, 1, 0), True)],
)
def test_missing_bar_means_that_nobody_knows_what_it_would_remember(bars: Sequence[int], lost: bool) -> None:
    policy = Policy(acting(), [member("a", 0.0, MADE)])
    *before, last = (view(OPEN + number * BAR, session=SESSION) for number in bars)
    for seen in before:
        assert quantities(policy, seen) is not None
    found = policy.targets(last)
    assert (isinstance(found, Decision) and found.reason is Reason.MODEL_STATE_LOST) is lost


def test_memories_of_symbols_and_models_are_apart() -> None:
    policy = Policy(acting(PolicyMode.ENSEMBLE, Combine.MAJORITY), [member("a", 0.0, MADE), member("b", 0.5, MADE)])
    assert quantities(policy, view(OPEN, symbols=("MES",))) == {"MES": 1}
    seen = view(OPEN + BAR, symbols=("MES", "MNQ"))
    # Of MES, both have seen a bar before: 0.5 and 1.5. Of MNQ, none: 0 and 1.
    assert quantities(policy, seen) == {"MES": 1, "MNQ": 1}
    assert quantities(policy, view(OPEN + 2 * BAR, symbols=("MES", "MNQ"))) == {"MES": 2, "MNQ": 1}


def test_what_fills_between_two_bars_changes_nothing_about_the_target() -> None:
    asked = list[Numbers]()

    def run(shown: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        asked.append(shown)
        return (0.75 - shown[1],), ()

    policy, seen = Policy(acting(), [Member("a", card(), scaling(), run)]), view()
    lot = Position("policy", "MES", (Lot(Decimal(3), Decimal(5000), NOW),), Decimal(0), NOW)
    assert seen.situation is not None
    filled = replace(seen, lots={"MES": lot}, situation=replace(seen.situation, unrealized={"MES": Decimal(0)}))
    assert quantities(policy, seen) == quantities(policy, filled) == {"MES": 2}
    assert len(asked) == 1
    later = {key: replace(row, at=row.at + BAR) for key, row in filled.features.items()}
    assert quantities(policy, replace(filled, features=later)) == {"MES": -1}


CARD = card(("body", "rsi_14"))
SCALING = Scaling((0.5, 1.0), (2.0, 0.1))
FLAT = DecisionState(0.0, 0.0, 100_000.0, 0.0, 0, 0.5, 0)
LONG = Position("policy", "MES", (Lot(Decimal(2), Decimal(5000), ago(1500)),), Decimal(0), ago(1500))


def situation(**changes: object) -> Situation:
    usual: dict[str, object] = {
        "session": SESSION, "equity": Decimal(97_000), "highest": Decimal(100_000),
        "unrealized": {"MES": Decimal(-194)}, "trades": 4,
    }  # fmt: skip
    return Situation(**{**usual, **changes})  # type: ignore[arg-type]


def view_of(seen: Situation | None, *held: Position) -> StrategyView:
    return StrategyView(NOW, ("MES",), lots={one.symbol: one for one in held}, situation=seen)


def test_features_come_in_the_order_of_the_card_scaled_and_then_the_state() -> None:
    found = observation(CARD, SCALING, {"rsi_14": 1.05, "body": -0.5, "other": 9.0}, FLAT)
    assert found == pytest.approx((-0.5, 0.5, 0, 0, 0, 0, 0.5, 0))


def test_observation_of_all_features_has_sixty_numbers() -> None:
    whole, scaling = card(NAMES), Scaling((0.0,) * OBSERVED, (1.0,) * OBSERVED)
    found = observation(whole, scaling, dict.fromkeys(NAMES, 0.1), FLAT)
    assert len(found) == whole.inputs == 60


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(-9, 9))
def test_each_feature_is_cut_to_five_and_the_state_is_as_it_is(value: float, position: float) -> None:
    state = FLAT._replace(position=position * 100)
    found = observation(CARD, SCALING, {"rsi_14": value, "body": value}, state)
    assert not isinstance(found, str)
    assert all(-HIGHEST <= number <= HIGHEST for number in found[:2])
    assert found[2] == position * 100 / 3


@pytest.mark.parametrize(
    ("values", "state", "missing"),
    [
        ({"body": 0.1}, FLAT, "rsi_14"),
        ({"body": math.nan, "rsi_14": 1.0}, FLAT, "body"),
        ({"body": 0.1, "rsi_14": 1.0}, FLAT._replace(equity=0.0), "unrealized"),
        ({"body": 0.1, "rsi_14": 1.0}, FLAT._replace(drawdown=math.nan), "drawdown"),
    ],
)
def test_what_is_not_known_is_named_and_no_zero(values: dict[str, float], state: DecisionState, missing: str) -> None:
    assert observation(CARD, SCALING, values, state) == missing


def test_state_is_that_of_position_account_and_session() -> None:
    found = state_of(view_of(situation(), LONG), "MES", "5Min", NOW)
    gone = (NOW - SESSION.open) / (SESSION.close - SESSION.open)
    assert found == DecisionState(2.0, -194.0, 97_000.0, 0.03, 5, gone, 4)


def test_state_without_a_position_is_flat_and_bars_of_a_position_are_whole_ones_within_the_session() -> None:
    flat = there(state_of(view_of(situation(unrealized={})), "MES", "5Min", NOW))
    assert (flat.position, flat.unrealized, flat.bars) == (0.0, 0.0, 0), "whatever others hold"
    held = Position("policy", "MES", LONG.lots, Decimal(0), NOW - timedelta(seconds=599))
    assert there(state_of(view_of(situation(), held), "MES", "5Min", NOW)).bars == 1
    before = there(state_of(view_of(situation(), LONG), "MES", "5Min", SESSION.open - timedelta(minutes=5)))
    assert (before.gone, before.bars) == (0.0, 0)


@pytest.mark.parametrize("seen", [None, situation(session=None), situation(unrealized={})])
def test_state_is_unknown_without_session_or_price(seen: Situation | None) -> None:
    assert state_of(view_of(seen, LONG), "MES", "5Min", NOW) is None


def test_lost_account_has_lost_all_of_it() -> None:
    assert situation(equity=Decimal(0), highest=Decimal(0)).drawdown == 1


NUMBERS = st.floats(-1e3, 1e3)


@given(NUMBERS, NUMBERS, NUMBERS, st.floats(0.01, 100), st.floats(1, 1e6), st.integers(-9, 9))
def test_model_is_shown_what_it_was_shown_in_its_training(
    rsi: float, body: float, mean: float, deviation: float, equity: float, held: int
) -> None:
    values = {"rsi_14": rsi, "body": body}
    state = DecisionState(held, held * 12.5, equity, 0.3, 7, 0.5, 3)
    here = observation(CARD, Scaling((mean, 0.5), (deviation, 2.0)), values, state)
    there = training_rows.FittedScaling(CARD.names, (mean, 0.5), (deviation, 2.0)).observation(values, state)
    assert not isinstance(there, str)
    assert np.array(here, dtype=np.float32).tolist() == there.tolist()
