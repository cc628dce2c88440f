"""Rows of trades and lots for people and programs: their selection, and their totals."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeVar

from msgspec import Struct

from tradebot.exits.exit_reasons import UNKNOWN, parse
from tradebot.model.candidate import Component, Side
from tradebot.model.instrument import ONE
from tradebot.model.position import Key, Origin
from tradebot.model.trade import IntentFacts, OrderFacts, OrderSent, Trade
from tradebot.model.venue_day import VenueDay
from tradebot.views.slippage import TotalSlippage
from tradebot.views.trades.days import EVER, DateRange
from tradebot.views.trades.lots import ClosedLot

_ZERO = Decimal(0)


class EntrySource(StrEnum):
    """The source of a trade's entry. RECOVERED is an order of the bot whose intent is missing from the books."""

    BOT = "bot"
    ADOPTED = "adopted"
    TAKEN_OVER = "taken over"
    PLAN = "accepted plan"
    GIVEN_BACK = "given back"
    ACTIVITY = "corporate action"
    RECOVERED = "recovered"


class WithoutOrder(NamedTuple):
    """What to show for a fill that no order of the bot made: the reason if it closed shares, and the source if it
    opened them.
    """

    closed: str
    entered: EntrySource


WITHOUT_ORDER: Mapping[Origin, WithoutOrder] = {
    Origin.PLAN: WithoutOrder("accepted_plan", EntrySource.PLAN),
    Origin.ADOPTION: WithoutOrder("adoption", EntrySource.ADOPTED),
    Origin.ACTIVITY: WithoutOrder("corporate_action", EntrySource.ACTIVITY),
    Origin.GIVEN_BACK: WithoutOrder("given_back", EntrySource.GIVEN_BACK),
    Origin.TAKEN_OVER: WithoutOrder("taken_over", EntrySource.TAKEN_OVER),
    Origin.ASSUMED: WithoutOrder("assumed", EntrySource.PLAN),
}
"""The reason and source by the origin of the fill: a plan that a person accepted, a change of owner, or the broker's
activity, such as a buyout.
"""


def exit_reason(order: OrderFacts, sent: Sequence[IntentFacts]) -> str | None:
    """Return why an order closed shares, given the intents behind it, nearest first; None if nothing was recorded.

    For a protecting order, the reason names the rule of its target first, and the rule of its stop last.
    """
    reason = next((intent.why for intent in sent if intent.why), None)
    if reason is None or not sent[0].protects:
        return reason
    parts = parse(reason)
    return str(parts[0] if order.stop_price is None else parts[-1])


def why_closed(lot: ClosedLot, sent: Mapping[str, OrderSent]) -> str:
    """Return why a piece of a position was closed; `unknown` if nothing was recorded.

    `sent` are the filled orders, by the venue's id. The reason is in the grammar of `exits.exit_reasons` or in a
    strategy's own words. If the price is assumed, the reason says so.
    """
    if lot.by_venue:
        return lot.by_venue
    behind = sent.get(lot.exit_order)
    reason = exit_reason(behind.order, behind.intents) if behind else None
    if reason and lot.origin is Origin.ASSUMED:
        return f"{reason}+{WITHOUT_ORDER[lot.origin].closed}"
    return reason or (WITHOUT_ORDER[lot.origin].closed if lot.origin in WITHOUT_ORDER else UNKNOWN)


def rules_of(reason: str) -> tuple[str, ...]:
    """Return the rules in a reason, without their amounts; none if nothing was recorded.

    A strategy's own words contain no rules, so they are returned whole.
    """
    try:
        return tuple(part.name for part in parse(reason))
    except ValueError:
        return (reason,)


def rule_of(reason: str) -> str:
    """Return the first rule in a reason; reasons are filtered and counted by this rule."""
    return next(iter(rules_of(reason)), UNKNOWN)


LONG, SHORT = "long", "short"


def side_of(side: Side) -> str:
    return LONG if side is Side.BUY else SHORT


class TradeStatus(StrEnum):
    """Whether a trade is open or closed."""

    OPEN = "open"
    PARTLY_CLOSED = "partly closed"
    CLOSED = "closed"


class RiskFrom(StrEnum):
    """What a trade's initial risk was computed from."""

    RESTING = "first resting stop"
    ENTRY = "stop asked for at entry"


class Excursion(Struct, frozen=True):
    """A trade's best or worst excursion: the price in USD, and the gain there.

    The gain is given as a fraction of the entry price, in USD for all shares that were entered, and in R; `r` is None
    if the trade's initial risk isn't known.
    """

    price: Decimal
    fraction: Decimal
    usd: Decimal
    r: Decimal | None


class LotRow(Struct, frozen=True):
    """A piece of a trade, as it was bought and closed, first in, first out. Amounts are in USD, and fees are negative.

    The fields about its exit are None or empty while it is open; `open_usd` is None once it is closed, or without a
    last price. Fees and net amounts are None until the venue reports the fees.
    """

    trade_id: str
    strategy: str
    symbol: str
    side: str
    quantity: Decimal
    opened_at: datetime
    entry_price: Decimal
    entry_fill: str
    entry_order: str
    held_s: float | None
    market_s: float | None
    fees_usd: Decimal | None
    open_usd: Decimal | None = None
    closed_at: datetime | None = None
    exit_price: Decimal | None = None
    exit_fill: str = ""
    exit_order: str = ""
    reason: str = ""
    gross_usd: Decimal | None = None
    net_usd: Decimal | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.reason,)


# Creating a frozen row takes three times as long, and there is one row per trade.
class TradeRow(Struct, omit_defaults=True):
    """A position from its first fill to its last. Amounts are in USD, prices in USD per share, and fees are negative.

    `id` identifies the trade and never changes. `quantity` counts all shares entered and `closed_quantity` the closed
    ones, in today's shares; prices are averages. `last_exit_at` is None before the first exit, and `closed_at` until
    the last share is closed. `held_s` is the time from the first fill to the last, or to the last recorded moment, and
    `market_s` how long the market was open during it; None if the calendar isn't known. `gross_usd` is the profit of
    closed shares before fees, and `net_usd` after. `open_usd` is the profit of open shares, at the last recorded price.
    `risk_usd` is the loss at the first stop, and `r` is the net profit of a closed trade as a multiple of it. `best`
    and `worst` are the excursions that passes saw. `unknown_fees` counts the fills whose fee isn't known yet.
    `fees_usd` and `net_usd` include neither these fees nor `open_fees_usd`, the fees of open shares. If the position
    was rolled, `story` is the id of its first trade, and `moved_from` and `moved_into` are the contracts before and
    after; all three are empty otherwise.
    """

    id: str
    strategy: str
    symbol: str
    side: str
    status: TradeStatus
    source: EntrySource
    opened_at: datetime
    last_exit_at: datetime | None
    closed_at: datetime | None
    quantity: Decimal
    closed_quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal | None
    reasons: tuple[str, ...]
    entry_score: float | None
    components: tuple[Component, ...]
    held_s: float | None
    market_s: float | None
    gross_usd: Decimal
    fees_usd: Decimal
    net_usd: Decimal
    open_usd: Decimal | None
    risk_usd: Decimal | None
    risk_from: RiskFrom | None
    r: Decimal | None
    best: Excursion | None
    worst: Excursion | None
    slippage: tuple[TotalSlippage, ...]
    tags: tuple[str, ...]
    note: str
    multiplier: Decimal = ONE
    unknown_fees: int = 0
    open_fees_usd: Decimal = _ZERO
    story: str = ""
    moved_from: str = ""
    moved_into: str = ""

    @property
    def key(self) -> Key:
        return self.strategy, self.symbol, self.opened_at


AnyRow = TypeVar("AnyRow", TradeRow, LotRow)


class TradeRows(Struct, frozen=True):
    """All trades in opening order, and their lots in the order of exits, open ones last."""

    trades: tuple[TradeRow, ...]
    lots: tuple[LotRow, ...]


class Choice(Struct, frozen=True):
    """The selection of trades and pieces of profit; None selects all.

    `reason` is a whole reason, or the name of one rule in it; like `is_open`, it only applies to trades. A trade
    belongs to the day of its last exit, or to all days from its entry on while it is open.
    """

    days: DateRange = EVER
    strategy: str | None = None
    symbol: str | None = None
    reason: str | None = None
    is_open: bool | None = None

    @property
    def whole(self) -> bool:
        return self.strategy is None and self.symbol is None

    def has(self, strategy: str, symbol: str, day: date) -> bool:
        """Return True if the selection includes this owner, symbol and day."""
        return self.strategy in (None, strategy) and self.symbol in (None, symbol) and self.days.includes(day)

    def covers(self, trade: Trade | TradeRow | LotRow, day: VenueDay) -> bool:
        """Return True if a row matches the selection except for its reason."""
        if self.strategy not in (None, trade.strategy) or self.symbol not in (None, trade.symbol):
            return False
        if trade.closed_at:
            return self.is_open is not True and self.days.has(trade.closed_at, day)
        return self.is_open is not False and not self.days.is_after(day.date_of(trade.opened_at))


class TradeTotals(Struct, frozen=True, omit_defaults=True):
    """The totals of trades, in USD. A trade is won if its net profit is positive, and lost if it is negative.

    `won`, `lost` and `even` add up to the `closed` trades. `held` counts the trades with open shares, of which
    `partly_closed` are closed in part. `open_usd` is the profit of open shares, except in `unpriced` trades, which have
    no last price. `unknown_fees` counts the fills whose fee isn't known yet. `fees_usd` are the fees of closed shares,
    and `open_fees_usd` the fees of open ones.
    """

    trades: int
    closed: int
    held: int
    partly_closed: int
    won: int
    lost: int
    even: int
    gross_usd: Decimal
    fees_usd: Decimal
    net_usd: Decimal
    open_usd: Decimal
    unpriced: int
    unknown_fees: int = 0
    open_fees_usd: Decimal = _ZERO


def select_rows(rows: Iterable[AnyRow], choice: Choice, day: VenueDay) -> tuple[AnyRow, ...]:
    """Return the selected trades or lots, in their order; a lot has its own day and reason."""
    wanted = choice.reason

    def says_so(row: AnyRow) -> bool:
        return wanted is None or any(reason == wanted or wanted in rules_of(reason) for reason in row.reasons)

    return tuple(row for row in rows if choice.covers(row, day) and says_so(row))


def totals_of(rows: Sequence[TradeRow]) -> TradeTotals:
    closed = [row for row in rows if row.status is TradeStatus.CLOSED]
    trade_rows = [row for row in rows if row.status is not TradeStatus.CLOSED]
    won, lost = (sum(1 for row in closed if row.net_usd * sign > 0) for sign in (1, -1))
    return TradeTotals(
        trades=len(rows),
        closed=len(closed),
        held=len(trade_rows),
        partly_closed=sum(1 for row in trade_rows if row.status is TradeStatus.PARTLY_CLOSED),
        won=won,
        lost=lost,
        even=len(closed) - won - lost,
        gross_usd=sum((row.gross_usd for row in rows), _ZERO),
        fees_usd=sum((row.fees_usd for row in rows), _ZERO),
        net_usd=sum((row.net_usd for row in rows), _ZERO),
        open_usd=sum((row.open_usd for row in trade_rows if row.open_usd is not None), _ZERO),
        unpriced=sum(1 for row in trade_rows if row.open_usd is None),
        unknown_fees=sum(row.unknown_fees for row in rows),
        open_fees_usd=sum((row.open_fees_usd for row in rows), _ZERO),
    )
