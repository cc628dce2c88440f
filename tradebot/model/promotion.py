"""The ladder that a strategy climbs from candidate to real money: the rungs, their conditions, and the decisions on
record.

A promotion belongs to a strategy's code and settings: with different ones, the strategy is a candidate again.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import Field

from tradebot.model.limits import Fraction, Frozen, Tighter


class Rung(StrEnum):
    """The rungs of the ladder, lowest first: how far a strategy has been promoted."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    PAPER = "paper"
    LIVE_SMALL = "live_small"
    LIVE = "live"

    @property
    def step(self) -> int:
        return list(Rung).index(self)

    @property
    def following(self) -> "Rung | None":
        """Return the next rung; None at the top."""
        return next((rung for rung in Rung if rung.step == self.step + 1), None)

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


REAL_MONEY = frozenset({Rung.LIVE_SMALL, Rung.LIVE})
"""The rungs on which entries trade real money."""


class PaperRecord(StrEnum):
    """Where the sessions behind an evaluation were traded."""

    BACKTEST = "backtest"
    SHADOW = "shadow"
    SANDBOX = "sandbox"
    PAPER = "paper"
    LIVE = "live"


Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[Decimal, Field(ge=0, le=1)]
Number = Annotated[Decimal, Field(ge=-10, le=10)]


class SplitRules(Frozen):
    """How sessions are split, for learned policies, into sessions to train on and sessions to evaluate.

    Walking forward, each split trains on some months and evaluates the next ones, and both move on by a step. In
    combinatorial purged cross-validation, the sessions are cut into `groups`, and every choice of `judged` groups is
    evaluated by a model trained on the others. `embargo_sessions` are left out between the sessions of training and of
    evaluation.
    """

    train_months: Annotated[Annotated[int, Field(ge=1, le=120)], Tighter.SAME]
    test_months: Annotated[Annotated[int, Field(ge=1, le=24)], Tighter.SAME]
    step_months: Annotated[Annotated[int, Field(ge=1, le=24)], Tighter.SAME]
    embargo_sessions: Annotated[Annotated[int, Field(ge=1, le=100)], Tighter.HIGHER]
    groups: Annotated[Annotated[int, Field(ge=3, le=16)], Tighter.SAME]
    judged: Annotated[Annotated[int, Field(ge=1, le=8)], Tighter.SAME]

    def contradictions(self) -> Iterator[str]:
        """Yield a message for each inconsistency between the values."""
        if self.step_months < self.test_months:
            yield (
                f"promotion.splits.step_months {self.step_months} is below test_months {self.test_months}: a session "
                "would be judged twice"
            )
        if self.judged >= self.groups:
            yield f"promotion.splits.judged {self.judged} is not below groups {self.groups}: none is left to train on"


class PolicyRules(Frozen):
    """Further conditions for a learned policy, in sessions that it wasn't trained on; a condition that is None is off.

    With several seeds, the median of their figures is used, but the deepest of their drawdowns. `left_above` is the
    return that must be exceeded both with doubled costs and with each decision one bar later. `replay_sessions` is the
    required number of paper sessions whose replay differs from the account by less than `replay_costs` of the session's
    costs.
    """

    sessions: Annotated[Annotated[int, Field(ge=20, le=100_000)] | None, Tighter.HIGHER]
    trades: Annotated[Count | None, Tighter.HIGHER]
    seeds: Annotated[Annotated[int, Field(ge=1, le=1_000)] | None, Tighter.HIGHER]
    seeds_positive: Annotated[Share | None, Tighter.HIGHER]
    left_above: Annotated[Number | None, Tighter.HIGHER]
    drawdown: Annotated[Share | None, Tighter.LOWER]
    deflated_sharpe: Annotated[Share | None, Tighter.HIGHER]
    sharpe_low: Annotated[Number | None, Tighter.HIGHER]
    spa_p: Annotated[Fraction | None, Tighter.LOWER]
    replay_sessions: Annotated[Count | None, Tighter.HIGHER]
    replay_costs: Annotated[Share, Tighter.LOWER]

    @property
    def asks(self) -> bool:
        """Return True if any condition is set."""
        return any(bound is not None for name, bound in self if name != "replay_costs")


class StepRules(Frozen):
    """The conditions for reaching one rung; a condition that is None is off."""

    traded: Annotated[list[PaperRecord], Field(min_length=1), Tighter.FEWER]
    sessions: Annotated[Count | None, Tighter.HIGHER]
    sessions_here: Annotated[Count | None, Tighter.HIGHER]
    trades: Annotated[Annotated[int, Field(ge=2, le=100_000)] | None, Tighter.HIGHER]
    parity_sessions: Annotated[Count | None, Tighter.HIGHER]
    parity_worse_bps: Annotated[Annotated[Decimal, Field(ge=0, le=1000)] | None, Tighter.LOWER]
    mean_above: Annotated[Number | None, Tighter.HIGHER]
    deflated_sharpe: Annotated[Share | None, Tighter.HIGHER]
    wins_low: Annotated[Share | None, Tighter.HIGHER]
    effect: Annotated[Number | None, Tighter.HIGHER]
    costs_times: Annotated[Annotated[Decimal, Field(ge=1, le=100)] | None, Tighter.HIGHER]
    spa_p: Annotated[Fraction | None, Tighter.LOWER]
    sharpe_gain: Annotated[Number | None, Tighter.HIGHER]
    sharpe_gain_low: Annotated[Number | None, Tighter.HIGHER]
    drawdown_worse: Annotated[Share | None, Tighter.LOWER]
    policy: PolicyRules


class PromotionRules(Frozen):
    """The conditions of each rung above the lowest, and the settings they share.

    `error` is the highest accepted probability that the mean return of a strategy without an edge is ever found above
    its bound, however often it is checked. `small_fraction` is the part of its allotment that a strategy trades with on
    the rung `live_small`. `learned` are the installed strategies that act by a trained model; a rung's `policy` applies
    to these and to any other strategy with an `evaluation`. `splits` is how their sessions are split. `by_itself` is
    the rung up to which tradebot promote --by-itself promotes a strategy that is in shadow until it is promoted; with
    None, only a person does.
    """

    error: Annotated[Annotated[Decimal, Field(gt=0, le=Decimal("0.2"))], Tighter.LOWER]
    small_fraction: Annotated[Fraction, Tighter.LOWER]
    learned: Annotated[Annotated[list[str], Field(max_length=100)], Tighter.SAME]
    by_itself: Annotated[Literal[Rung.PAPER] | None, Tighter.SAME]
    splits: SplitRules
    shadow: StepRules
    paper: StepRules
    live_small: StepRules
    live: StepRules

    def of(self, rung: Rung) -> StepRules:
        """Return the conditions for reaching a rung above the lowest."""
        steps = {Rung.SHADOW: self.shadow, Rung.PAPER: self.paper, Rung.LIVE_SMALL: self.live_small}
        return self.live if rung is Rung.LIVE else steps[rung]


class MeanInterval(Struct, frozen=True):
    """A confidence interval of the mean return per session, valid however often it is checked, and the session count.

    `deviation` is the standard deviation of one session's return.
    """

    low: float
    high: float
    sessions: int
    deviation: float


class Promotion(Struct, frozen=True):
    """A decision on a strategy's rung: who made it and when, with the hash of the strategy's code and settings.

    `based_on` is the interval of the evidence, and `numbers` are the figures behind its conditions, by name; without
    evidence both are empty, and `sentence` is what a person typed instead. `why` is the reason for a demotion. `models`
    are those that a learned policy acted by.
    """

    strategy: str
    rung: Rung
    digest: str
    who: str
    at: datetime
    based_on: MeanInterval | None = None
    numbers: Mapping[str, float] = {}
    sentence: str = ""
    why: str = ""
    models: tuple[str, ...] = ()
