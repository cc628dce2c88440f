"""What an audit looks at besides the bot's own records: the broker's replies, and what was read of one span of time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.judging.evidence import Moment, Unread
from tradebot.judging.signals import KindHealth
from tradebot.model.account import BrokerView
from tradebot.model.activity import Booking
from tradebot.model.bar import Quote, VenueClock
from tradebot.model.books import Books
from tradebot.model.desk import Book
from tradebot.model.finding import Finding
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.lifecycle import State, may_follow
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, Kept, OwnedFill, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.totals import Totals
from tradebot.model.trading import Permission, TradingStateRecord
from tradebot.ports.world import Rules


class Leap(NamedTuple):
    """A position that fills take from one state to another that can't follow it."""

    strategy: str
    symbol: str
    before: State
    after: State


def leaps(books: Books, pending: Sequence[OwnedFill]) -> Iterator[Leap]:
    """Yield the leaps of our positions by fills that the broker reports and the books don't have yet."""
    before, after = books.states(), books.with_pending(pending).states()
    for key in sorted({(owned.strategy, owned.fill.symbol) for owned in pending if owned.strategy != FOREIGN}):
        was = before.get(key, State.CLOSED)
        if not may_follow(after[key], was):
            yield Leap(*key, was, after[key])


class Passes(Struct, frozen=True):
    """Passes of trade-once since the span began. The records hold no candidates; `ends` counts them by reason."""

    cycles: Sequence[CycleRecord]
    candidates: int
    ends: Mapping[Reason, int]


class Rows(Struct, frozen=True):
    """The money rows compared with the journal: how many rows aren't in it, and how many records are ahead."""

    records: int
    rows: int
    missing: int
    ahead: int


class Broker(Struct, frozen=True):
    """The broker's replies, and the books as if every fact in them were applied; `unapplied` counts those facts.

    `totals` and `findings` are of these books, and `proven` are the activities among the facts.

    `position_ratios` is the broker's quantity as a multiple of the books', where they differ for no known reason.
    `leaps` are positions that these facts change in a way that no position changes.
    """

    clock: VenueClock
    view: BrokerView
    totals: Totals
    proven: Sequence[Booking]
    book: Book
    findings: tuple[Finding, ...]
    unapplied: int
    quotes: Mapping[str, Quote]
    asked_quotes: int
    rejected_quotes: Mapping[str, str]
    position_ratios: Mapping[str, Decimal] = field(default_factory=dict)
    leaps: tuple[Leap, ...] = ()


class Watched(Struct, frozen=True):
    """Events a person should see: how often each happened, and how many lines were read and how many are no events."""

    lines: int
    torn: int
    counts: Mapping[str, int]
    errors: int


class Trading(Struct, frozen=True):
    """Everything that was looked at. `due` are the jobs of which a slot was due in the last session.

    `kept` holds what the ledger keeps of each position besides its fills. `broker` is None if nobody wanted it asked.
    """

    moment: Moment
    rules: Rules
    due: Collection[Job]
    kinds: Sequence[KindHealth]
    score: CycleRecord | None
    passes: Passes
    exits: CycleRecord | None
    events: Watched | None
    permission: Permission
    state: TradingStateRecord
    fills: int
    newest_fill: datetime | None
    positions: Sequence[Position]
    kept: Mapping[tuple[str, str], Kept]
    intents: Mapping[IntentState, int]
    rejected: int
    working: Sequence[tuple[Order, IntentRecord | None]]
    rows: Rows | Unread
    broker: Broker | Unread | None
