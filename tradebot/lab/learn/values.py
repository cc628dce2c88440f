"""Define the types that learning uses: proposals, their evidence, and the closed trades behind them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.instrument import notional
from tradebot.model.sentences import pluralize
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.trade_row import EntrySource, TradeRow, TradeStatus

LEAST = 30
"""The number of observations needed for a proposal."""
Path = tuple[str, ...]
"""The names of a setting's sections, and its own."""


class Item(StrEnum):
    """The kinds of settings that can be learned."""

    WEIGHTS = "weights"
    TIMING = "timing"
    SIZING = "sizing"
    EXITS = "exits"
    TARGETS = "targets"
    LIMITS = "limits"
    BLOCKED = "blocked"


class Proposal(Struct, frozen=True):
    """The evidence about one setting, and the proposed value; None if no value is proposed.

    `setting` is None if the evidence isn't about a single setting. For a strategy's own list of exit rules, `part`
    identifies the rule and its number. `observed` is the mean that the `evidence` describes, in `unit`, with its 95%
    interval; None if there is too little data. `missing` is how many more closed trades are needed, and
    `missing_sessions` how many more sessions with closed trades are needed. `why_not` says why a value that the
    outcomes suggest isn't proposed. A `looser` value blocks entries until a person accepts it.
    """

    item: Item
    strategy: str
    setting: str | None
    value: str | None
    proposed: str | None
    n: int
    unit: str
    observed: float | None
    low: float | None
    high: float | None
    missing: int
    missing_sessions: int
    evidence: str
    part: str = ""
    why_not: str = ""
    looser: bool = False


class TradeCounts(Struct, frozen=True):
    """How many trades there are, and why some of them aren't counted.

    Only closed positions that the bot opened, with known fees, are `counted`.
    """

    counted: int
    open: int
    not_ours: int
    unknown_fees: int


class TradeOutcome(Struct, frozen=True):
    """A closed trade: the session in which it was opened, and its profit, in USD after fees.

    `since_open_s` is how long after the session's open the trade was opened, and `before_close_s` how long before the
    close. Both are None if the calendar lacks that session.
    """

    trade: TradeRow
    session: date
    since_open_s: float | None
    before_close_s: float | None

    @property
    def net(self) -> float:
        return float(self.trade.net_usd)

    @property
    def worth(self) -> float:
        """Return the cost or proceeds of all shares, in USD."""
        return float(notional(self.trade.quantity, self.trade.entry_price, self.trade.multiplier))

    @property
    def closed_at(self) -> datetime:
        assert self.trade.closed_at, "only a closed trade has an outcome"
        return self.trade.closed_at

    @property
    def order(self) -> tuple[datetime, str]:
        """Return the sort key of outcomes: opening time, then id."""
        return self.trade.opened_at, self.trade.id


def outcomes_of(
    trades: Iterable[TradeRow], sessions: Mapping[date, Session], day: VenueDay
) -> tuple[TradeOutcome, ...]:
    """Return the bot's closed trades, in opening order."""
    return tuple(
        sorted((_outcome(trade, sessions, day) for trade in trades if counts(trade)), key=lambda outcome: outcome.order)
    )


def counts(trade: TradeRow) -> bool:
    """Return True if a trade can be learned from; an open trade can't, because its profit isn't known yet."""
    return trade.status is TradeStatus.CLOSED and trade.source is EntrySource.BOT and not trade.unknown_fees


def counts_of(trades: Sequence[TradeRow]) -> TradeCounts:
    """Return how many trades are counted, and how many aren't, each for the first reason that applies."""
    ours = [row for row in trades if row.source is EntrySource.BOT]
    closed = [our for our in ours if our.status is TradeStatus.CLOSED]
    count = sum(map(counts, closed))
    return TradeCounts(count, len(ours) - len(closed), len(trades) - len(ours), len(closed) - count)


def _outcome(trade: TradeRow, sessions: Mapping[date, Session], day: VenueDay) -> TradeOutcome:
    date_of = day.date_of(trade.opened_at)
    session = sessions.get(date_of)
    if session is None:
        return TradeOutcome(trade, date_of, None, None)
    since, before = trade.opened_at - session.open, session.close - trade.opened_at
    return TradeOutcome(trade, date_of, since.total_seconds(), before.total_seconds())


def more_needed(missing: int, missing_sessions: int = 0) -> str:
    """Describe how many more trades and sessions are needed."""
    parts = [f"{pluralize(missing, 'more closed trade')}"] if missing else []
    parts += [f"{pluralize(missing_sessions, 'more session')} with closed trades"] if missing_sessions else []
    needed = " and ".join(parts)
    return f"{needed} {'is' if missing + missing_sessions == 1 else 'are'} needed."


def plain(number: Decimal | float | str) -> str:
    """Format a value as it is typed in the configuration."""
    return f"{Decimal(str(number)).normalize():f}" if not isinstance(number, str) else number
