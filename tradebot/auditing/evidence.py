"""The evidence for an audit: records, counts and replies, all read at one moment by the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from tradebot.auditing.leaps import Leap
from tradebot.model.account import BrokerView
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.contract import Drift
from tradebot.model.desk import Book
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Order
from tradebot.model.position import Kept, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import Permission, ReconcileMark, TradingStateRecord
from tradebot.ports.world import Rules
from tradebot.reconciliation.findings import Finding


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of the audit: `session` is open now or was open last; `since` is the start of the span counted."""

    now: datetime
    since: datetime
    session: Session | None

    @property
    def is_open(self) -> bool:
        """Return True if the session is open according to the stored calendar."""
        return self.session is not None and self.session.contains(self.now)

    @property
    def market_time(self) -> datetime:
        """Return now, or the last close if the market is closed: data doesn't go stale after the close."""
        return self.now if self.is_open or self.session is None else min(self.now, self.session.close)


@dataclass(frozen=True, slots=True)
class JobRun:
    """How a job kept to its timetable: `due` slots in the session, `missed` of them since its last pass."""

    job: Job
    due: int
    missed: int
    last_at: datetime | None
    last_slot: str | None
    by: str | None


@dataclass(frozen=True, slots=True)
class Answers:
    """The replies of one endpoint: how many of the `wanted` were ever answered, and row counts since the span began.

    Taking the newest reply for each symbol, `oldest` is the oldest of these and `newest` the newest. `drifts` say how
    their rows differ from what the source documents, the worst first.
    """

    endpoint: str
    wanted: int
    answered: int
    oldest: datetime | None
    newest: datetime | None
    answers: int = 0
    received: int = 0
    foreign: int = 0
    rejected: int = 0
    drifts: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes of trade-once since the span began. The records hold no candidates; `ends` counts them by reason."""

    cycles: Sequence[CycleRecord]
    candidates: int
    ends: Mapping[Reason, int]


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal compared with the ledger: `damage` if one can't be read, and how many rows each lacks."""

    records: int
    rows: int
    missing: int
    ahead: int
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class Backups:
    """How many backups are kept, and why each damaged one can't be restored, by name."""

    kept: int
    damaged: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker's replies. `unapplied` counts facts the books don't have yet; findings are as if they were applied.

    `position_ratios` is the broker's quantity as a multiple of the books', where they differ for no known reason.
    `leaps` are positions that these facts change in a way that no position changes.
    """

    clock: VenueClock
    view: BrokerView
    book: Book
    findings: tuple[Finding, ...]
    unapplied: int
    quotes: Mapping[str, Quote]
    asked_quotes: int
    rejected_quotes: Mapping[str, str]
    position_ratios: Mapping[str, Decimal] = field(default_factory=dict)
    leaps: tuple[Leap, ...] = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there is no reply from the broker: it was left out on request, or it didn't answer."""

    why: str
    command: str | None
    on_request: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """Events a person should see: how often each happened, the newest, and how many `lines` were read."""

    lines: int
    newest: datetime | None
    counts: Mapping[str, int]
    errors: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was looked at. `serving` says who runs the timetable, or is None if nobody does.

    `kept` holds what the ledger keeps of each position besides its fills.
    """

    moment: Moment
    rules: Rules
    settings: int
    calendar_until: date | None
    sessions: int
    serving: str | None
    jobs: Sequence[JobRun]
    data: Sequence[Answers]
    score: CycleRecord | None
    passes: Passes
    exits: CycleRecord | None
    events: Watched | None
    permission: Permission
    state: TradingStateRecord
    mark: ReconcileMark | None
    fills: int
    newest_fill: datetime | None
    positions: Sequence[Position]
    kept: Mapping[tuple[str, str], Kept]
    intents: Mapping[IntentState, int]
    rejected: int
    working: Sequence[tuple[Order, IntentRecord | None]]
    unresolved: Sequence[IntentRecord]
    journal: Journal
    backups: Backups
    broker: Broker | Silence
