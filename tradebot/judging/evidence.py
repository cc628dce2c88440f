"""Define the evidence for the bot's health, which is gathered from records that were written for other purposes.

A part is None if there was nothing to examine, and `UnreadablePart` if it couldn't be examined. Times of passes are
trading time; `HealthEvidence.at`, `Serve` and `BackupEvidence.newest_at` are this machine's time. Only an audit reads
`Trading`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from tradebot.model.account import Booking, BrokerView
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.books import Books
from tradebot.model.desk import RiskBook
from tradebot.model.finding import Finding
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.lifecycle import State, may_follow
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, EntryTerms, OwnedFill, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.serving import ServeNote
from tradebot.model.totals import Totals
from tradebot.model.trading import Permission, ReconcileMark, SlotClaim, TradingStateRecord
from tradebot.ports.world import Rules
from tradebot.timetable.sessions import Slot

if TYPE_CHECKING:
    from tradebot.judging.signal_health import KindHealth


class UnreadablePart(Struct, frozen=True):
    """The reason why a part couldn't be examined, and the remedy."""

    why: str
    next: str


class Serve(Struct, frozen=True):
    """Evidence about `serve`: whether it holds its lock, its last status note, how many slots were recently claimed,
    and who claimed the last one.

    `was_last` is True if a `serve` claimed the last slot.
    """

    running: bool
    note: ServeNote | None
    claims: int
    last_by: str
    was_last: bool


class Config(Struct, frozen=True):
    """The number of settings, and why the configuration can't be read, in which case the accepted settings apply.

    `without_sector` has symbols that aren't bought because they have no sector.
    """

    settings: int
    unread: str = ""
    without_sector: tuple[str, ...] = ()


class TradingMoment(Struct, frozen=True):
    """Trading time: `session` is the open or last session, and events count from `since` on."""

    now: datetime
    since: datetime
    session: Session | None

    @property
    def is_open(self) -> bool:
        return self.session is not None and self.session.contains(self.now)

    @property
    def market_time(self) -> datetime:
        """Return now, or the last close if the market is closed: data doesn't get older after the close."""
        return self.now if self.is_open or self.session is None else min(self.now, self.session.close)


class SessionEvidence(Struct, frozen=True):
    """The slots due, claimed and recorded in the last session, and in the previous one if the last has just begun.

    `later` is the next session, if it is stored, and `coming` has each job's next slot. `compared` is the last
    comparison with the broker's books. `strategies` and `chores` are those in use now. `tested` has each strategy's
    digests of code in completed backtests of this folder, each with the name of the last run. `positions` are those of
    the books by strategy and symbol, closed ones too.
    """

    now: datetime
    sessions: Sequence[Session]
    later: Sequence[Session]
    coming: Mapping[Job, Slot]
    due: Mapping[Job, Sequence[Slot]]
    claims: Sequence[SlotClaim]
    cycles: Sequence[CycleRecord]
    compared: ReconcileMark | None
    strategies: Sequence[str]
    chores: Collection[str]
    tested: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    positions: Mapping[tuple[str, str], Position] = field(default_factory=dict)


class PriceEvidence(Struct, frozen=True):
    """How many passes read prices, when the last one did, and the positions without a price in that pass.

    `age_s` is how many seconds old that pass's oldest quote was at the time.
    """

    passes: int
    at: datetime
    positions: int
    without: tuple[str, ...] = ()
    age_s: float | None = None


class ParityEvidence(Struct, frozen=True):
    """How many sessions were compared with their backtests, a description of the totals, and the last session's result.

    `ours` counts the differences of the last `session` that have no outside cause.
    """

    sessions: int
    session: date
    words: str
    ours: int


class Replays(Struct, frozen=True):
    """How many passes decided about orders, when the last one did, and how many of them have a record for replay.

    `lacking` counts the passes since the last one with a record.
    """

    passes: int
    at: datetime
    kept: int
    lacking: int


class OrderEvidence(Struct, frozen=True):
    """How many records of the books were examined, and the orders with an unknown outcome.

    `unfinished` describes each close that ended too early. `unbooked` has the fills that the books lack, and
    `unbooked_at` says since when. `entering` maps each symbol with a working entry to the time when the entry was sent.
    `bare` maps each symbol that lacks a required stop at the broker to the time when its position was opened.
    """

    records: int
    unresolved: int
    oldest_at: datetime | None
    oldest: str = ""
    unfinished: tuple[str, ...] = ()
    unbooked: tuple[str, ...] = ()
    unbooked_at: datetime | None = None
    entering: Mapping[str, datetime] = field(default_factory=dict)
    bare: Mapping[str, datetime] = field(default_factory=dict)


class LedgerEvidence(Struct, frozen=True):
    """Evidence about an intact ledger: how many pages it has, and which is the last journal record that it knows."""

    pages: int
    sealed: int


class CalendarEvidence(Struct, frozen=True):
    """The stored sessions from today on, the last of them that the broker also has, and how the broker's calendar
    differs today.

    `unusual` describes the difference if the broker's own hours take precedence.
    """

    sessions: int
    until: date
    differs: str = ""
    unusual: str = ""


class Disk(Struct, frozen=True):
    """The free space on the state folder's disk, how much is needed to continue, and its file system.

    `unfit` says why that file system isn't suitable for a bot's folder. If `fatal` is set, a bot can't run there at
    all.
    """

    free_bytes: int
    total_bytes: int
    needed_bytes: int
    free_inodes: int | None
    kind: str = ""
    unfit: str = ""
    fatal: bool = False


class StoreEvidence(Struct, frozen=True):
    """The size of one type of file that tradebot never deletes, and what a person can do to make it smaller."""

    name: str
    bytes: int
    shrink: str


class Storage(Struct, frozen=True):
    """The files that only a person deletes, largest first, and the total size at which they are reported."""

    stores: tuple[StoreEvidence, ...]
    tell_bytes: int


class BackupEvidence(Struct, frozen=True):
    """The number of backups, and the last one; `due` is the session that should have one by now.

    `failed` says why that session's last attempt failed and when the next one is; empty if none failed. `damaged` has
    the backups that changed since they were made. `coming` is when the next session ends. `not_copied` says why the
    last copy to another machine failed, and `archived_at` when `archive push` last succeeded.
    """

    kept: int
    newest: date | None
    newest_at: datetime | None
    due: date | None
    due_since: datetime | None
    failed: str = ""
    damaged: tuple[str, ...] = ()
    coming: datetime | None = None
    not_copied: str = ""
    archived_at: datetime | None = None


class ChoreEvidence(Struct, frozen=True):
    """The last run of a chore: when it began, whether it succeeded, and how it ended."""

    chore: str
    at: datetime
    well: bool
    outcome: str


class ChoresEvidence(Struct, frozen=True):
    """How many chores the timetable has, whether any was due yet, and the last run of each.

    `coming` is when the next chore is due.
    """

    lines: int
    due: bool
    runs: tuple[ChoreEvidence, ...]
    coming: datetime | None = None


class Stream(Struct, frozen=True):
    """When the stream was last seen connected or lost, and whether it is lost."""

    at: datetime
    lost: str = ""


class NoticeEvidence(Struct, frozen=True):
    """How many notice channels there are, which lack an address, which notices couldn't be sent, and why."""

    channels: int
    unaddressed: tuple[str, ...]
    waiting: int
    given_up: int
    problem: str


class Chat(Struct, frozen=True):
    """Whether a person is paired with the chat, whether the bot listens, and the current problem, if any."""

    paired: bool
    listening: bool
    trouble: str


class Halts(Struct, frozen=True):
    """The trading state in force and the reason for it, and why the bot had also halted itself (`hidden`)."""

    state: TradingStateRecord
    why: str
    hidden: tuple[str, ...] = ()


class ReplyEvidence(Struct, frozen=True):
    """How many of the flow source's replies were checked, when the last one came, and which changes affect too many
    rows.
    """

    replies: int
    at: datetime
    broken: str = ""


class Budgets(Struct, frozen=True):
    """How late each component may be, in seconds; `skew_s` is the allowed difference between two clocks.

    `quote_s` is the maximum age of a quote for an entry.
    """

    slot_s: Mapping[Job, int]
    note_s: int
    lane_s: int
    backup_s: int
    calendar_days: int
    skew_s: int
    quote_s: int


class HealthEvidence(Struct, frozen=True):
    """All evidence by subject; `now` is trading time, None if nothing was ever recorded.

    `due` has for each job when its slots began in the last two sessions, and `coming` when its next slot begins.
    `finished` is True for a backtest, because it has ended.
    """

    at: datetime
    now: datetime | None
    budgets: Budgets
    parts: Mapping[str, Any]
    due: Mapping[Job, tuple[datetime, ...]] = field(default_factory=dict)
    coming: Mapping[Job, datetime] = field(default_factory=dict)
    past: SessionEvidence | UnreadablePart | None = None
    finished: bool = False


class ImpossibleChange(NamedTuple):
    """A position that fills would change in a way that isn't possible: its state `before`, and `after` the fills."""

    strategy: str
    symbol: str
    before: State
    after: State


def impossible_changes(books: Books, pending: Sequence[OwnedFill]) -> Iterator[ImpossibleChange]:
    """Yield our positions that would change in an impossible way if the fills that only the broker has were booked."""
    before, after = books.states(), books.with_pending(pending).states()
    for key in sorted({(owned.strategy, owned.fill.symbol) for owned in pending if owned.strategy != FOREIGN}):
        was = before.get(key, State.CLOSED)
        if not may_follow(after[key], was):
            yield ImpossibleChange(*key, was, after[key])


class PassEvidence(Struct, frozen=True):
    """The trade-once passes in a period, without candidates; `ends` counts the refused candidates by reason."""

    cycles: Sequence[CycleRecord]
    candidates: int
    ends: Mapping[Reason, int]


class RowEvidence(Struct, frozen=True):
    """What a comparison of the money rows with the journal found: rows that are missing, and records ahead of the
    ledger.
    """

    records: int
    rows: int
    missing: int
    ahead: int


class Broker(Struct, frozen=True):
    """The broker's replies, and the books as they would be if every new fact in these replies were applied.

    `unapplied` counts the new facts. `totals` and `findings` refer to the books with these facts, and `proven` has the
    bookings that the broker's activities prove. `position_ratios` has the broker's quantity divided by the books',
    where the two differ for no known reason. `leaps` has positions that the new facts would change in an impossible
    way.
    """

    clock: VenueClock
    view: BrokerView
    totals: Totals
    proven: Sequence[Booking]
    book: RiskBook
    findings: tuple[Finding, ...]
    unapplied: int
    quotes: Mapping[str, Quote]
    asked_quotes: int
    rejected_quotes: Mapping[str, str]
    position_ratios: Mapping[str, Decimal] = field(default_factory=dict)
    leaps: tuple[ImpossibleChange, ...] = ()


class WatchedEvents(Struct, frozen=True):
    """The operational events that need attention: how many of each kind, how many lines were read, and how many were
    invalid.
    """

    lines: int
    torn: int
    counts: Mapping[str, int]
    errors: int


class Trading(Struct, frozen=True):
    """The evidence of an audit.

    `due` has the jobs with a slot due in the last session. `kept` has each position's stored terms. `broker` is None if
    the broker wasn't queried.
    """

    moment: TradingMoment
    rules: Rules
    due: Collection[Job]
    kinds: "Sequence[KindHealth]"
    score: CycleRecord | None
    passes: PassEvidence
    exits: CycleRecord | None
    events: WatchedEvents | None
    permission: Permission
    state: TradingStateRecord
    fills: int
    newest_fill: datetime | None
    positions: Sequence[Position]
    kept: Mapping[tuple[str, str], EntryTerms]
    intents: Mapping[IntentState, int]
    rejected: int
    working: Sequence[tuple[Order, IntentRecord | None]]
    rows: RowEvidence | UnreadablePart
    broker: Broker | UnreadablePart | None
