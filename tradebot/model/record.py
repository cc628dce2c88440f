"""What we record about each pass, and what was known when it ran."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, first_failure
from tradebot.model.flow import FlowAlert, IvRank, Quota, SignedPrint, TideTick
from tradebot.model.slot import Waiting


class Job(StrEnum):
    """The jobs of the timetable. Each one is also a verb that a person can type."""

    FETCH_FLOW = "fetch-flow"
    SCORE = "score"
    EVALUATE_EXITS = "evaluate-exits"
    TRADE_ONCE = "trade-once"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """What was known about one symbol at one time; empty tuples and None mean absent.

    It holds only what decisions read, because there are thousands of symbols. Alerts and prints are oldest first. `gex`
    is dealers' gamma exposure at the end of the last known session; `gex_scale` is the mean magnitude over the
    `gex_sessions` before it, or None if there are none. `oi_net` is the overnight change of call minus put open
    interest and `oi_gross` the sum of the magnitudes, in contracts, both over `oi_contracts` option symbols; if that is
    0, the data is absent. `received`, `foreign` and `rejected` count the rows of the last reply with alerts.
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
        """Return True if the last reply was about this symbol, not made up entirely of foreign or rejected rows."""
        answered = self.alerts_fetched_at is not None
        return answered and (not self.received or self.foreign + self.rejected < self.received)


@dataclass(frozen=True, slots=True)
class TideFacts:
    """What was known about the market tide, oldest first."""

    ticks: tuple[TideTick, ...] = ()


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """What happened to one candidate: every decision, in the order the gates were asked, and the order it led to.

    `reference_price` (USD) is the price it was, or would have been, sent at. It lets us measure the prediction.
    """

    candidate: Candidate
    decisions: tuple[Decision, ...]
    client_order_id: str | None = None
    reference_price: Decimal | None = None

    @property
    def terminal(self) -> Decision | None:
        """Return the first decision that didn't pass, or None if an order was sent and accepted."""
        return first_failure(self.decisions)


@dataclass(frozen=True, slots=True)
class StrategyRefusal:
    """A strategy whose entire answer was refused, and why; or a `symbol` that was left out of what it saw.

    With a `slot` of its own clock, the strategy wasn't refused; the slot was missed, or not done in time.
    """

    strategy: str
    decision: Decision
    symbol: str | None = None
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """The price at which a position could have been closed during a pass, in USD per share."""

    symbol: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One pass of one job; `job_decision` is set if the pass itself was refused.

    Passes that read the account have `equity` (USD) and `marks`; passes that fetch flow have the source's `quota`.
    `waiting` are the strategies that weren't asked, because they weren't due by their own clocks.
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
    waiting: tuple[Waiting, ...] = ()
