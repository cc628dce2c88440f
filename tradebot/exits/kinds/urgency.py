"""Close a position, or a part of it, once everything that speaks against it adds up."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Struct
from pydantic import Field, ValidationInfo, field_validator

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason

MOST = 10.0
"""The highest urgency."""


class Against(Struct, frozen=True):
    """What speaks against a position. Percentages are of the entry price, and hours count nights.

    `score_kept` is the score now as a share of the entry's; `flow_reversed` says that options flow now points against
    the position; `momentum_pct` is the price's momentum in the position's direction.
    """

    score_kept: float
    gain_pct: float
    best_pct: float
    age_h: float
    flow_reversed: bool
    momentum_pct: float


def contributions(against: Against) -> dict[str, float]:
    """Return what each factor adds to the urgency.

    The formula and its weights are those of an earlier bot, whose decisions are recorded: a score that kept less than
    70 % of the entry's adds what it lost; reversed flow adds 2.4; a gain more than 3 points below its best adds up to
    4.5, less for an old position; each two days after the third add 0.8, up to 1.6; momentum of more than half a
    percent against the position adds 1.3 times that; and a loss of more than 5 % adds 2.
    """
    given_back, days = against.best_pct - against.gain_pct, max(1.0, against.age_h / 24)
    return {
        "signal_decay": 1.0 - against.score_kept if against.score_kept < 0.7 else 0.0,
        "flow_reversal": 2.0 * 1.2 if against.flow_reversed else 0.0,
        "drawdown": min(3.0, 0.5 * given_back / days) * 1.5 if given_back > 3.0 else 0.0,
        "time": min(2.0, (against.age_h - 72) / 48) * 0.8 if against.age_h > 72 else 0.0,
        "momentum": -against.momentum_pct * 1.3 if against.momentum_pct < -0.5 else 0.0,
        "loss": 2.0 if against.gain_pct < -5.0 else 0.0,
    }


def urgency_of(against: Against) -> float:
    """Return the urgency of closing the position, from 0 to 10."""
    return min(MOST, sum(contributions(against).values()))


class Urgency(ExitRule):
    """Score everything that speaks against a position from 0 to 10: close it at `exit_at`, a part at `reduce_at`.

    The part is closed once: `reduce_share` of the original quantity, in whole lots.
    """

    reason = Reason.URGENCY
    column = "urgency"
    reads = frozenset({"scores", "flow", "momentum"})
    needs = (
        Input.CLOCK,
        Input.QUOTE,
        Input.ENTRY_SCORE,
        Input.SCORES,
        Input.FLOW,
        Input.MOMENTUM,
        Input.ORIGINAL_QUANTITY,
    )
    reduce_at: Annotated[float, Field(gt=0, le=MOST)]
    exit_at: Annotated[float, Field(gt=0, le=MOST)]
    reduce_share: Fraction

    @field_validator("exit_at")
    @classmethod
    def _above_the_reduction(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("reduce_at", value - 1):
            raise ValueError("must be above reduce_at, or it would never close only a part")
        return value

    def measure(
        self,
        held: Held,
        now: datetime,
        price: Decimal,
        entry: float,
        scores: Sequence[float],
        flow: float,
        momentum: Decimal,
    ) -> Measure | Input:
        against = Against(
            scores[-1] / entry,
            float(held.gain(price) * 100),
            float(held.gain(held.best) * 100),
            (now - held.position.opened_at).total_seconds() / 3600,
            flow * held.direction < 0,
            float(momentum * held.direction * 100),
        )
        urgency, original = urgency_of(against), held.original_quantity
        if urgency >= self.exit_at:
            return Measure(True, urgency, self.exit_at)
        if original is None:
            return Input.ORIGINAL_QUANTITY
        keep = original - held.whole_lots(original * self.reduce_share)
        left = held.whole_lots(abs(held.position.quantity) - keep)
        return Measure(urgency >= self.reduce_at and left > 0, urgency, self.reduce_at, left)


RULES = {"urgency": Urgency}
