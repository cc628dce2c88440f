"""What trades would have ended with at shorter times than they were held, by the prices of bars."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from commands.learn.learn_inputs import ShorterOutcomes, setting_of
from tests.kit.trades import DAY, OPEN, Told, numbered_sessions, session, trade
from tests.kit.values import LIMITS
from tradebot.app.settings import load
from tradebot.app.thresholds import LOOSER, setting_at
from tradebot.lab.learn.knobs import HoldingTimeLimit
from tradebot.lab.learn.learn import LearnedStrategy, LearningMaterial, WatchedStrategies
from tradebot.model.decision import Gate

EXITS = WatchedStrategies("", frozenset({"flow"}), None, None, HoldingTimeLimit("exits.time_exit_s", 14_400))


class Priced(Told):
    """Prices that rise by a dollar each minute from 100 on, for half of the session, of one symbol."""

    def __init__(self) -> None:
        self.session = session(0)

    def price(self, symbol: str, at: datetime) -> float | None:
        minutes = (at - OPEN).total_seconds() / 60
        return 100 + minutes if symbol == "S1" and minutes <= 300 else None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Entered at minute 60 and closed at 220, which ends at 321 USD; 84 minutes after the entry it was 244.
        ({"held": timedelta(minutes=160)}, {5040: -770.0, 7200: -410.0, 10_800: None}),
        ({"held": timedelta(minutes=160), "side": "short"}, {5040: 770.0, 7200: 410.0}),
        ({"held": timedelta(minutes=160), "multiplier": Decimal(2)}, {7200: -820.0}),
        ({"held": timedelta(minutes=84)}, {5040: None, 7200: None}),
        ({"held": timedelta(minutes=260)}, {5040: None}),
        ({"held": timedelta(minutes=160), "symbol": "S2"}, {5040: None}),
        ({"held": timedelta(minutes=160), "in_session": 1}, {5040: None}),
    ],
)
def test_price_of_a_shorter_time_is_held_against_that_of_the_exit(
    fields: dict[str, object], expected: dict[int, float | None]
) -> None:
    made = trade(1, 10, minutes=60, **fields)  # type: ignore[arg-type]
    flow = LearnedStrategy("flow", {}, LIMITS, asked_each_time=True)
    material = LearningMaterial([made], numbered_sessions(3), DAY, [flow], [EXITS], None)
    left = ShorterOutcomes(material)
    left.add(Priced())
    (one,) = material.outcomes
    assert {after_s: left(one, after_s) for after_s in expected} == expected
    assert left.has_outcomes is any(value is not None for value in expected.values())


@pytest.mark.parametrize(
    ("own", "setting"),
    [(None, "limits.min_score"), (0.9, "strategies.flow.limits.min_score"), (0.1, "limits.min_score")],
)
def test_the_setting_of_a_gate_is_the_one_whose_limit_is_in_force(own: float | None, setting: str) -> None:
    limits = {"limits": {"min_score": own}} if own else {}
    settings = load(None, {}, {"limits": {"min_score": 0.5}, "strategies": {"flow": limits}}).settings
    found = setting_of(settings, "flow", Gate.SCORE)
    assert found is not None
    assert (found.key, setting_of(settings, "not there any more", Gate.SCORE)) == (
        setting,
        setting_at(settings, ("limits", "min_score"), LOOSER),
    )
    assert setting_of(settings, "flow", Gate.POSITIONED) is None
