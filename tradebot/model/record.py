"""What we record about each pass, and the facts it was based on."""

from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.model.bar import WaitingStrategy
from tradebot.model.candidate import Candidate, Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.flow import FLOW_ALERTS, FlowAlert, Quota
from tradebot.model.intent import Operation
from tradebot.model.margin import MarginSeen
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace


class Job(StrEnum):
    """The jobs of the timetable. Each one is also a command."""

    FETCH_FLOW = "fetch-flow"
    SCORE = "score"
    EVALUATE_EXITS = "evaluate-exits"
    TRADE_ONCE = "trade-once"
    RECONCILE = "reconcile"


class SymbolFacts(Struct, frozen=True):
    """The known facts about one symbol at one time, summarized by kind; a kind without facts is missing.

    It has only what decisions read, because there are thousands of symbols. `received`, `foreign` and `rejected` count
    the rows of the last reply with alerts.
    """

    symbol: str
    known: Mapping[str, object] = field(default_factory=dict)
    alerts_fetched_at: datetime | None = None
    received: int = 0
    foreign: int = 0
    rejected: int = 0

    @property
    def alerts(self) -> tuple[FlowAlert, ...]:
        """Return the session's alerts, oldest first."""
        alerts: tuple[FlowAlert, ...] = self.known.get(FLOW_ALERTS, ())  # type: ignore[assignment]
        return alerts

    @property
    def has_usable_alerts(self) -> bool:
        """Return True if there was a reply with alerts and not all of its rows were foreign or rejected."""
        answered = self.alerts_fetched_at is not None
        return answered and (not self.received or self.foreign + self.rejected < self.received)

    def only(self, kinds: Set[str]) -> "SymbolFacts":
        """Return the facts of some kinds; the row counts of the last reply are included only with alerts."""
        if FLOW_ALERTS in kinds and self.known.keys() <= kinds:
            return self
        facts = {name: value for name, value in self.known.items() if name in kinds}
        return replace(self, known=facts) if FLOW_ALERTS in kinds else SymbolFacts(self.symbol, facts)


class CandidateRecord(Struct, frozen=True):
    """The result of one candidate: every decision, in the order of the gates, and the order it led to.

    `reference_price` (USD) is the price at which the order was sent, or would have been. It is used to measure how well
    the score predicted.
    """

    candidate: Candidate
    decisions: tuple[Decision, ...]
    client_order_id: str | None = None
    reference_price: Decimal | None = None

    @property
    def terminal(self) -> Decision | None:
        """Return the first decision that didn't pass, or None if an order was sent and accepted."""
        return first_failure(self.decisions)

    @property
    def is_cancel(self) -> bool:
        """Return True if this is the cancel of a working order, which is neither a candidate nor an order sent."""
        return self.candidate.source == Operation.CANCEL


class Outcome(NamedTuple):
    """One candidate's result in one pass: the decisions that refused it, in order; empty if an order was sent.

    `slot` is the pass's slot. `client_order_id` is None if no order was recorded.
    """

    at: datetime
    slot: str
    strategy: str
    refusals: tuple[Decision, ...]
    client_order_id: str | None

    @property
    def terminal(self) -> Decision | None:
        """Return the first decision that refused the candidate, or None if an order was sent and accepted."""
        return self.refusals[0] if self.refusals else None


class Scored(NamedTuple):
    """The score that a strategy gave a symbol in one pass, in -1..1."""

    at: datetime
    score: float


class EntryOutcome(NamedTuple):
    """The fields of an entry candidate that are needed to measure how well its score predicted.

    The score is None if its strategy gives none. `components` are names and values, None for a missing one. `gate` is
    the first to refuse it, or None. `was_gated` is False for a candidate that was only scored, so that no gate
    evaluated it except the strategy's own filter.
    """

    at: datetime
    strategy: str
    symbol: str
    side: Side
    score: float | None
    components: tuple[tuple[str, float | None], ...]
    gate: Gate | None
    was_gated: bool


class RefusedTrade(NamedTuple):
    """A trade that the gates refused in every pass of a session, and the time of the first refusal."""

    at: datetime
    strategy: str
    symbol: str
    side: Side


class StrategyRefusal(Struct, frozen=True):
    """A strategy whose entire answer was refused, and why; or a `symbol` that was left out of its universe.

    With a `slot`, the strategy wasn't refused: it missed its own slot, or didn't finish in time.
    """

    strategy: str
    decision: Decision
    symbol: str | None = None
    slot: str = ""


class ExitPrice(Struct, frozen=True):
    """The price at which a position could have been closed during a pass, in USD per share."""

    symbol: str
    price: Decimal


class SessionEnd(Struct, frozen=True):
    """The account at the end of a session: equity in USD, and the price of each position, USD per share.

    In a backtest, or if books and broker were compared after the close, the values are from the close; otherwise they
    are from the last pass. A value that this pass didn't read is from an earlier one; `equity_at` and `marked_at` say
    when. `last_close` is the equity at the previous close that the venue reported during the session, or None.
    """

    session: date
    equity: Decimal | None
    equity_at: datetime | None
    marks: Mapping[str, Decimal]
    marked_at: datetime | None
    last_close: Decimal | None = None


EXITING, REFUSED, NOT_PLACED, DOUBTED = "exiting", "refused", "not_placed", "doubted"
"""Why no stop rests: an exit has replaced it, the venue refused it, it was never sent, or the venue's sources disagree
about whether it works. Otherwise a stop's state.
"""


class Gap(Struct, frozen=True, omit_defaults=True):
    """A gap in the protection of a position: how many whole shares (unsigned) have no working stop at the broker, and
    since when.

    `why` is "exiting" if an exit has replaced the stop, "not_placed", "refused", "doubted" if the broker's sources
    disagree about the stop, or the state of the last stop. `sent` is True if the pass that noticed the gap sent a stop
    that no report shows as working yet.
    """

    strategy: str
    symbol: str
    shares: Decimal
    since: datetime
    why: str
    sent: bool = False


class PositionDifference(Struct, frozen=True):
    """A position on which the books and the broker differ with no pending fill to explain it; signed shares."""

    symbol: str
    books: Decimal
    broker: Decimal

    @property
    def words(self) -> str:
        """Describe the difference for people."""
        return f"{self.symbol}: the books have {self.books:f}, the broker's positions {self.broker:f}"


class CycleRecord(Struct, frozen=True):
    """One pass of one job; `job_decision` is set if the pass itself was refused.

    Passes that read the account have `equity` (USD) and `marks`; passes that fetch flow have the source's `quota`.
    `waiting` are the strategies that weren't due by their own clocks. `gaps` are the gaps in protection at the broker
    after an exit pass; None if the pass didn't check. `code` has the digest of the code of each strategy that an entry
    pass could run; None for other passes. `last_close` is the equity at the previous session's close as the venue
    reports it, in USD. `margin` is None for a cash account. `closed` are the account limits that refused every entry in
    an entry pass. `quoted_at` is the time of the oldest quote among its marks, and `doubted` are the symbols of
    positions whose quotes couldn't be confirmed. `differing` are positions on which books and broker contradicted each
    other. `clock_ahead_s` is how far the venue's clock was ahead of the second one, if the pass continued although they
    disagreed.
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
    marks: tuple[ExitPrice, ...] = ()
    quota: Quota | None = None
    refused_strategies: tuple[StrategyRefusal, ...] = ()
    waiting: tuple[WaitingStrategy, ...] = ()
    gaps: tuple[Gap, ...] | None = None
    code: Mapping[str, str] | None = None
    last_close: Decimal | None = None
    margin: MarginSeen | None = None
    closed: tuple[Decision, ...] = ()
    quoted_at: datetime | None = None
    doubted: tuple[str, ...] = ()
    differing: tuple[PositionDifference, ...] = ()
    clock_ahead_s: float | None = None

    def reasons(self, candidates: Iterable[CandidateRecord]) -> "CycleRecord":
        """Return this pass reduced to what a later pass compares: the decisions of these candidates that have a reason.

        The prices and the components are left out.
        """
        remaining = [
            replace(
                record,
                candidate=replace(record.candidate, components=(), decisions=()),
                decisions=tuple([decision for decision in record.decisions if decision.reason is not None]),
            )
            for record in candidates
        ]
        return replace(self, candidates=tuple(remaining), marks=())


RESUMABLE = frozenset({Reason.CUT_SHORT, Reason.GAVE_WAY})
"""Reasons for which a pass is recorded as refused although it will be resumed."""
AT_CLOSE = "close"
"""The slot of the record in which a backtest, or a comparison, stores the account at a close."""


def session_end(cycle: CycleRecord, marked: CycleRecord | None) -> SessionEnd:
    """Build the end of a session from two of its passes: the last that read the equity, and the last with prices.

    A record of the close has all prices, even if there are no positions.
    """
    marked = cycle if cycle.slot == AT_CLOSE else marked
    return SessionEnd(
        session=cycle.session,
        equity=cycle.equity,
        equity_at=cycle.at,
        marks={mark.symbol: mark.price for mark in marked.marks} if marked else {},
        marked_at=marked.at if marked else None,
        last_close=marked.last_close if marked and cycle.last_close is None else cycle.last_close,
    )


class RefusalGroup(NamedTuple):
    """The number of a symbol's candidates that ended at one gate; without a `gate`, they were sent.

    `about` is the filter's name if a strategy has several, and `place` its position in the order of evaluation.
    `unknown` is the client order id of an order whose outcome isn't known.
    """

    symbol: str
    gate: Gate | None
    about: str
    place: int
    unknown: str | None
    candidates: int


class SampledCandidate(NamedTuple):
    """A recorded candidate that represents `number` candidates that ended in the same way, including itself.

    For a few additional ones, such as the candidate with the oldest data, the number is 0.
    """

    at: datetime
    record: CandidateRecord
    number: int


class SpanEnds(NamedTuple):
    """A period's passes without their candidates, and a few representative candidates.

    `whole` is the last pass, with all of its candidates.
    """

    passes: tuple[CycleRecord, ...]
    standing: tuple[SampledCandidate, ...]
    whole: CycleRecord | None


class SymbolOutcomes(NamedTuple):
    """A period's passes without their candidates, oldest first, and the results of one symbol's candidates."""

    passes: tuple[CycleRecord, ...]
    outcomes: tuple[Outcome, ...]


class EndedPasses(NamedTuple):
    """How many candidates of several passes ended at which gate; the times are None if there was no pass."""

    passes: int
    first_at: datetime | None
    last_at: datetime | None
    ends: tuple[RefusalGroup, ...]
