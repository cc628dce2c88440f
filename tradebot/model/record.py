"""What is recorded of each pass, and what was known when it ran."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, first_failure
from tradebot.model.flow import FlowAlert, IvRank, Quota, SignedPrint, TideTick


class Job(StrEnum):
    """The jobs of the timetable, each also a verb that a person may type."""

    FETCH_FLOW = "fetch-flow"
    SCORE = "score"
    EVALUATE_EXITS = "evaluate-exits"
    TRADE_ONCE = "trade-once"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """What was known of one symbol at one time; empty tuples and None mean absent.

    Only what a decision reads is held, because it holds thousands of symbols. Alerts and prints are oldest first. `gex`
    is dealers' gamma exposure at the end of the last session known; `gex_scale` is the mean magnitude of those of the
    `gex_sessions` before it, None where there are none. `oi_net` is the overnight change of call less put open
    interest and `oi_gross` the sum of its magnitudes, in contracts, both over `oi_contracts` option symbols; where
    those are 0, the data is absent. `received`, `foreign` and `rejected` count the rows of the last alert answer.
    """

    symbol: str
    alerts: tuple[FlowAlert, ...] = ()
    prints: tuple[SignedPrint, ...] = ()
    gex: float | None = None
    gex_scale: float | None = None
    gex_sessions: int = 0
    iv_rank: IvRank | None = None
    oi_net: int = 0
    oi_gross: int = 0
    oi_contracts: int = 0
    alerts_fetched_at: datetime | None = None
    received: int = 0
    foreign: int = 0
    rejected: int = 0

    @property
    def has_usable_alerts(self) -> bool:
        """Tell whether the last answer was about this symbol; one of nothing but others' rows is not."""
        answered = self.alerts_fetched_at is not None
        return answered and (not self.received or self.foreign + self.rejected < self.received)


@dataclass(frozen=True, slots=True)
class TideFacts:
    """What was known of the market tide, oldest first."""

    ticks: tuple[TideTick, ...] = ()


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """One candidate's way: every decision in the order of asking, and what became of it.

    `reference_price` (USD) is what it was or would have been tried at, so that its prediction can be measured.
    """

    candidate: Candidate
    decisions: tuple[Decision, ...]
    client_order_id: str | None = None
    reference_price: Decimal | None = None

    @property
    def terminal(self) -> Decision | None:
        """Return the first decision that did not pass, or None where an order was sent and accepted."""
        return first_failure(self.decisions)


@dataclass(frozen=True, slots=True)
class StrategyRefusal:
    """A strategy whose whole answer was refused, and why."""

    strategy: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Mark:
    """What closing a position would have got at the time of a pass, USD a share."""

    symbol: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One pass of one job; `job_decision` is set where the pass itself was refused.

    `equity` (USD) and `marks` are those of a pass that saw the account, `quota` is what a pass of fetching was told.
    """

    id: str
    job: Job
    session: date
    slot: str
    at: datetime
    mode: str
    candidates: tuple[CandidateRecord, ...] = ()
    job_decision: Decision | None = None
    dry_run: bool = False
    equity: Decimal | None = None
    marks: tuple[Mark, ...] = ()
    quota: Quota | None = None
    refused_strategies: tuple[StrategyRefusal, ...] = ()
