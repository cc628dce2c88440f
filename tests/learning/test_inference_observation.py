"""What a model is shown: scaled, clipped, and never something in the place of what isn't known."""

import math
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.networks import NAMES, card
from tests.kit.values import NOW, SESSION, ago, there
from tradebot.lab.learning.training import training_rows
from tradebot.learning.inference import HIGHEST, observation, state_of
from tradebot.learning.model_card import Scaling
from tradebot.model.position import Lot, Position
from tradebot.model.view import Situation, StrategyView
from tradebot.signals.features import OBSERVED, DecisionState

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


def view(seen: Situation | None, *held: Position) -> StrategyView:
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
    found = state_of(view(situation(), LONG), "MES", "5Min", NOW)
    gone = (NOW - SESSION.open) / (SESSION.close - SESSION.open)
    assert found == DecisionState(2.0, -194.0, 97_000.0, 0.03, 5, gone, 4)


def test_state_without_a_position_is_flat_and_bars_of_a_position_are_whole_ones_within_the_session() -> None:
    flat = there(state_of(view(situation(unrealized={})), "MES", "5Min", NOW))
    assert (flat.position, flat.unrealized, flat.bars) == (0.0, 0.0, 0), "whatever others hold"
    held = Position("policy", "MES", LONG.lots, Decimal(0), NOW - timedelta(seconds=599))
    assert there(state_of(view(situation(), held), "MES", "5Min", NOW)).bars == 1
    before = there(state_of(view(situation(), LONG), "MES", "5Min", SESSION.open - timedelta(minutes=5)))
    assert (before.gone, before.bars) == (0.0, 0)


@pytest.mark.parametrize("seen", [None, situation(session=None), situation(unrealized={})])
def test_state_is_unknown_without_session_or_price(seen: Situation | None) -> None:
    assert state_of(view(seen, LONG), "MES", "5Min", NOW) is None


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
