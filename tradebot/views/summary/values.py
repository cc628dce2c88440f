"""One session as values: its records, and the summary of them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.judging.judgment import Judgment
from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord
from tradebot.model.trade import Trade
from tradebot.model.trading import Request, TradingStateRecord
from tradebot.views.holdings import Holding
from tradebot.views.status import FlowQuota


class RefusalCount(Struct, frozen=True):
    """The number of candidates and whole passes for which a reason was the first refusal."""

    reason: Reason
    count: int
    meaning: str


class Closed(Struct, frozen=True):
    """A closed position, with its profit in USD before fees and a description of the rule that closed it."""

    symbol: str
    strategy: str
    side: str
    profit_usd: Decimal
    rule: str


class SummaryPosition(Struct, frozen=True):
    """An open position of the bot: signed shares, prices in USD per share; `stop_usd` is its stop price.

    `distance` is the distance to the stop, as a fraction of the last price. `at_broker` says whether the stop rests at
    the broker.
    """

    symbol: str
    strategy: str
    quantity: Decimal
    entry_usd: Decimal | None
    price_usd: Decimal | None
    gain_usd: Decimal | None
    stop_usd: Decimal | None
    distance: Decimal | None
    at_broker: bool


class SummaryMoney(Struct, frozen=True):
    """The account at the previous close and now, in USD. `transfers_usd` is the net amount that the owner moved in or
    out in between.

    `benchmark` is SPY's change as a fraction, from close to close, or from the open in the first session of the books.
    If it is None, `without` says why it isn't known. `since` is the date of the close before the bot's first session,
    if that isn't the previous close; `first_usd` is the account's value at that close, and `benchmark_since` SPY's
    change since then.
    """

    before_usd: Decimal
    after_usd: Decimal
    transfers_usd: Decimal
    benchmark: float | None
    without: str = ""
    since: date | None = None
    first_usd: Decimal | None = None
    benchmark_since: float | None = None

    @property
    def profit_usd(self) -> Decimal:
        return self.after_usd - self.before_usd - self.transfers_usd


class MissedByReason(Struct, frozen=True):
    """The number of slots of a job that were missed for one reason, with the first and last of them."""

    job: str
    count: int
    first: str
    last: str
    why: str


class PersonNeed(Struct, frozen=True):
    """Something that needs a person's attention, and what to do about it."""

    what: str
    next: str


class Section(Struct, frozen=True):
    """A heading with its sentences."""

    title: str
    lines: tuple[str, ...]


class Summary(Struct, frozen=True):
    """A finished session, or the present one (`so_far`), as of the last recorded trading time.

    `sections` describe it in full sentences, `short` in one chat message. `health` counts the bot's components by
    state. Health, `positions` with their stops, and `needs` are as of now, so an earlier session has no health.
    `unknown` says what couldn't be determined, and why.
    """

    session: date
    so_far: bool
    as_of: datetime | None
    headline: str
    passes: int
    candidates: int
    orders: int
    refusals: tuple[RefusalCount, ...]
    closed: tuple[Closed, ...]
    money: SummaryMoney | None
    positions: tuple[SummaryPosition, ...]
    missed: tuple[MissedByReason, ...]
    health: Mapping[str, int]
    quota: FlowQuota | None
    needs: tuple[PersonNeed, ...]
    changes: tuple[str, ...]
    unknown: tuple[str, ...]
    sections: tuple[Section, ...]
    short: str


class SessionRecords(Struct, frozen=True):
    """The records of a session, `since` the previous close.

    `passes` are all jobs' passes, without candidates and prices, and `before` the passes of the previous session.
    `ends` has the number of entry candidates, and how many ended for each reason. `opened` are positions that were
    opened in the session and are still open. `accepted` lists who accepted a configuration, when, and which settings it
    changed; `restarts` lists times and program versions. Only the current session has `judgments`. `recorded` is False
    if the decisions can't be read. `beside` compares the session with its backtest. `waiting` are the entries that wait
    for a person's approval now. `liquidated` are the symbols in which the broker liquidated positions.
    """

    session: Session
    is_first: bool
    since: datetime
    so_far: bool
    as_of: datetime | None
    passes: Sequence[CycleRecord]
    before: Sequence[CycleRecord]
    ends: tuple[int, Mapping[Reason, int]]
    opened: Sequence[str]
    closed: Sequence[Trade]
    holdings: Sequence[Holding] | None
    money: SummaryMoney | None
    slots: int
    missed: Sequence[tuple[str, str, str]]
    judgments: Sequence[Judgment]
    notes: Sequence[str]
    states: Sequence[TradingStateRecord]
    accepted: Sequence[tuple[str, datetime, Sequence[str]]]
    restarts: Sequence[tuple[datetime, str]]
    recorded: bool = True
    unknown: Sequence[str] = ()
    beside: Sequence[str] = ()
    waiting: Sequence[Request] = ()
    liquidated: Sequence[str] = ()
