"""What an audit is made from: records, counts and answers, read by others at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from tradebot.model.account import BrokerView
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.desk import Book
from tradebot.model.flow import Endpoint
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Order
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import Permission, ReconcileMark, TradingStateRecord
from tradebot.ports.world import Rules
from tradebot.reconciliation.findings import Finding


@dataclass(frozen=True, slots=True)
class Moment:
    """When: `session` is the one that is open, or was open last; `since` begins the span that is counted."""

    now: datetime
    since: datetime
    session: Session | None

    @property
    def is_open(self) -> bool:
        """Tell whether the stored calendar has the session open."""
        return self.session is not None and self.session.contains(self.now)

    @property
    def market_time(self) -> datetime:
        """Return now, or the last close: what was fresh when the session ended has not gone stale since."""
        return self.now if self.is_open or self.session is None else min(self.now, self.session.close)


@dataclass(frozen=True, slots=True)
class JobRun:
    """How a job kept to its timetable: slots `due` in the session, `missed` of them after its last pass."""

    job: Job
    due: int
    missed: int
    last_at: datetime | None
    last_slot: str | None
    by: str | None


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one endpoint: how many of the `wanted` were ever given, and the rows since the span began.

    `oldest` is the oldest among the newest answers, one for each symbol; `newest` the newest of all.
    """

    endpoint: Endpoint
    wanted: int
    answered: int
    oldest: datetime | None
    newest: datetime | None
    answers: int = 0
    received: int = 0
    foreign: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes of trade-once since the span began: the records hold no candidates, `ends` counts those by reason."""

    cycles: Sequence[CycleRecord]
    candidates: int
    ends: Mapping[Reason, int]


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal beside the ledger: `damage` where either cannot be read, rows of each that the other lacks."""

    records: int
    rows: int
    missing: int
    ahead: int
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class Backups:
    """How many backups are kept, and why some of them cannot be put back as they were made, by name."""

    kept: int
    damaged: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker's answers, with what the books do not know yet counted in `unapplied` and compared as applied.

    `astray` is what it holds as a multiple of what the books hold, where they differ and nothing says why.
    """

    clock: VenueClock
    view: BrokerView
    book: Book
    findings: tuple[Finding, ...]
    unapplied: int
    quotes: Mapping[str, Quote]
    asked_quotes: int
    rejected_quotes: Mapping[str, str]
    astray: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there is no answer of the broker: left out on request, or asked in vain."""

    why: str
    command: str | None
    on_request: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """Events that a person should see, by what happened: how often and the newest; `lines` were read."""

    lines: int
    newest: datetime | None
    counts: Mapping[str, int]
    errors: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was looked at. `serving` says who drives the timetable, None where nobody does.

    `best` holds each position's best price so far, where one was stored.
    """

    moment: Moment
    rules: Rules
    values: int
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
    best: Mapping[tuple[str, str], Decimal]
    intents: Mapping[IntentState, int]
    rejected: int
    working: Sequence[tuple[Order, IntentRecord | None]]
    unresolved: Sequence[IntentRecord]
    journal: Journal
    backups: Backups
    broker: Broker | Silence
