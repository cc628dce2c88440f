"""What we record about each pass, and what was known when it ran."""

from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.model.bar import Waiting
from tradebot.model.candidate import Candidate, Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.flow import FLOW_ALERTS, FlowAlert, Quota
from tradebot.model.margin import MarginSeen
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace


class Job(StrEnum):
    """The jobs of the timetable. Each one is also a verb that a person can type."""

    FETCH_FLOW = "fetch-flow"
    SCORE = "score"
    EVALUATE_EXITS = "evaluate-exits"
    TRADE_ONCE = "trade-once"
    RECONCILE = "reconcile"


class SymbolFacts(Struct, frozen=True):
    """What was known about one symbol at one time, summed up by kind; a kind of which nothing is known is absent.

    It holds only what decisions read, because there are thousands of symbols. `received`, `foreign` and `rejected`
    count the rows of the last reply with alerts.
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
        """Return True if the last reply was about this symbol, not made up entirely of foreign or rejected rows."""
        answered = self.alerts_fetched_at is not None
        return answered and (not self.received or self.foreign + self.rejected < self.received)

    def only(self, kinds: Set[str]) -> "SymbolFacts":
        """Return what is known of some kinds; the last reply with alerts belongs to the alerts."""
        if FLOW_ALERTS in kinds and self.known.keys() <= kinds:
            return self
        known = {name: value for name, value in self.known.items() if name in kinds}
        return replace(self, known=known) if FLOW_ALERTS in kinds else SymbolFacts(self.symbol, known)


class CandidateRecord(Struct, frozen=True):
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


class Outcome(NamedTuple):
    """What became of one candidate in one pass: the answers that refused it, in the order of asking; none for an order.

    `slot` is that of the pass. `client_order_id` is None if no order was promised.
    """

    at: datetime
    slot: str
    strategy: str
    refusals: tuple[Decision, ...]
    client_order_id: str | None

    @property
    def terminal(self) -> Decision | None:
        """Return the first answer that refused it, or None if an order was sent and accepted."""
        return self.refusals[0] if self.refusals else None


class Scored(NamedTuple):
    """The score that a strategy gave a symbol in one pass, in -1..1."""

    at: datetime
    score: float


class EntryOutcome(NamedTuple):
    """What is needed of a recorded entry candidate to measure whether its score predicted anything.

    The score is None if its strategy gives none. `components` are names and values, None for an absent one. `gate`
    refused it first; None if none did. `was_gated` is False for a candidate that was only scored, so that no gate but
    the strategy's own filter was asked.
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
    """A trade that gates refused in every pass of a session, and when they did first."""

    at: datetime
    strategy: str
    symbol: str
    side: Side


class StrategyRefusal(Struct, frozen=True):
    """A strategy whose entire answer was refused, and why; or a `symbol` that was left out of what it saw.

    With a `slot` of its own clock, the strategy wasn't refused; the slot was missed, or not done in time.
    """

    strategy: str
    decision: Decision
    symbol: str | None = None
    slot: str = ""


class Mark(Struct, frozen=True):
    """The price at which a position could have been closed during a pass, in USD per share."""

    symbol: str
    price: Decimal


class SessionEnd(Struct, frozen=True):
    """The account at the end of a session: equity in USD, and the price of each position, USD per share.

    That is the close in a backtest, or if something compared books and broker after it; otherwise it is what the last
    pass saw. Either may be of an earlier pass if the
    last one didn't read it; `equity_at` and `marked_at` say so. `last_close` is what the venue said during the session
    that the account was worth at the close before; None if it didn't.
    """

    session: date
    equity: Decimal | None
    equity_at: datetime | None
    marks: Mapping[str, Decimal]
    marked_at: datetime | None
    last_close: Decimal | None = None


EXITING, REFUSED, NOT_PLACED, DOUBTED = "exiting", "refused", "not_placed", "doubted"
"""Why no stop rests: an exit has taken its place, the venue refused it, it was never sent, or the venue's sources
disagree about whether it works. Else a stop's state."""


class Gap(Struct, frozen=True, omit_defaults=True):
    """Whole shares of a position, unsigned, for which no stop at the broker can trigger since a time.

    `why` is "exiting" if an exit has taken the stop's place, "not_placed", "refused", "doubted" if the broker's sources
    disagree about the stop, or the state of the last stop. `sent` is True if the pass that saw it sent them one, which
    no report shows at work yet.
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
        """Return what differs, for a person."""
        return f"{self.symbol}: the books have {self.books:f}, the broker's positions {self.broker:f}"


class CycleRecord(Struct, frozen=True):
    """One pass of one job; `job_decision` is set if the pass itself was refused.

    Passes that read the account have `equity` (USD) and `marks`; passes that fetch flow have the source's `quota`.
    `waiting` are the strategies that weren't asked, because they weren't due by their own clocks. `gaps` are those that
    a pass of exits left in the protection at the broker; None if nobody looked. `code` has the digest of the code of
    each strategy that a pass of entries could ask; None for other passes. `last_close` is what the venue says the
    account was worth at the close before this session, in USD. `margin` is None for an account that pays for what it
    buys. `closed` are the limits on the account that refused every entry in a pass of entries, whatever it proposed.
    `quoted_at` is when the oldest quote among its marks was given, and `doubted` are the symbols held whose quotes
    nothing confirmed. `differing` are positions on which books and broker contradicted each other. `clock_ahead_s` is
    how far the venue's clock was ahead of the second one, if a pass went on although they disagreed.
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
        """Return this pass without prices, and with these candidates, of which only decisions with a reason are left.

        It has all that a later pass compares itself with.
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
"""Why a pass is recorded as refused of which the rest is still to come."""
AT_CLOSE = "close"
"""The slot of the record in which a backtest, or a comparison, keeps what the account was worth at a close."""


def session_end(cycle: CycleRecord, marked: CycleRecord | None) -> SessionEnd:
    """Return the end of a session from two of its passes: the last that read the equity, and the last with prices.

    A record of the close has all prices, even if there are none.
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
    """How many candidates of a symbol ended at one question; without a `gate`, they were sent.

    `about` is the question's name if a strategy asks several of its own, and `place` where it stands among what was
    asked. An order whose outcome isn't known was asked for by the id `unknown`.
    """

    symbol: str
    gate: Gate | None
    about: str
    place: int
    unknown: str | None
    candidates: int


class SampledCandidate(NamedTuple):
    """A candidate of a pass at a time that stands for `number` candidates that ended as it did, itself among them.

    Of a few that matter besides the first, such as the one with the oldest data, the number is 0.
    """

    at: datetime
    record: CandidateRecord
    number: int


class SpanEnds(NamedTuple):
    """The passes of a span without candidates, and a few candidates that stand for all; the last pass is `whole`."""

    passes: tuple[CycleRecord, ...]
    standing: tuple[SampledCandidate, ...]
    whole: CycleRecord | None


class SymbolOutcomes(NamedTuple):
    """The passes of a span without candidates, oldest first, and what became of those of one symbol, in their order."""

    passes: tuple[CycleRecord, ...]
    outcomes: tuple[Outcome, ...]


class EndedPasses(NamedTuple):
    """Where the candidates of a number of passes ended; the times are None if there was no pass."""

    passes: int
    first_at: datetime | None
    last_at: datetime | None
    ends: tuple[RefusalGroup, ...]
