"""The desk: a snapshot of everything the bot knows at one moment, from which strategies, gates and exits decide."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.model.account import Account, AccountValue
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.books import Books
from tradebot.model.candidate import Side
from tradebot.model.fact_kind import Drift
from tradebot.model.instrument import Hours, Instrument, Listing, of_order
from tradebot.model.margin import Margin
from tradebot.model.order import Order
from tradebot.model.position import ExitInputs, Key, Position, RoundTrip
from tradebot.model.record import PositionDifference, SymbolFacts
from tradebot.model.registry import Registry, TierRules
from tradebot.model.resting_orders import HoldingKey, Resting
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, ReconcileMark, TradingStateRecord

TOGETHER = timedelta(seconds=60)
"""How close in time shocks of different symbols must be to count as one of the whole market."""


class Shock(NamedTuple):
    """A price move larger than the limit: its symbol, and when it ended."""

    at: datetime
    symbol: str


class Shocks(Struct, frozen=True):
    """The latest shock of each symbol, and the time of the latest market-wide shock, or None.

    `known` are the symbols that were checked.
    """

    last: Mapping[str, datetime]
    known: frozenset[str]
    everywhere: datetime | None = None

    @classmethod
    def of(cls, shocks: Iterable[Shock], symbols: Iterable[str], together: int | None) -> "Shocks":
        """Build the shocks; if at least `together` symbols had one within a minute, the shock was market-wide.

        If `together` is None, no shock is market-wide.
        """
        ordered = sorted(shocks)
        last = {shock.symbol: shock.at for shock in ordered}
        return cls(last, frozenset(symbols), _everywhere(ordered, together) if together else None)


def _everywhere(ordered: list[Shock], together: int) -> datetime | None:
    """Return the last time at which at least `together` symbols had a shock within a minute; None if there was none."""
    for index in range(len(ordered) - 1, -1, -1):
        end = ordered[index].at
        within = {shock.symbol for shock in ordered[: index + 1] if end - shock.at <= TOGETHER}
        if len(within) >= together:
            return end
    return None


class SessionEntry(Struct, frozen=True, array_like=True):
    """One entry that was recorded for sending. Rate limits count it no matter what happened to it afterward."""

    strategy: str
    symbol: str
    side: Side
    at: datetime


class StrategyOrder(NamedTuple):
    """A working order of ours; `strategy` is empty if the books don't say which strategy owns it.

    `shares` is its unfilled quantity, unsigned; zero for an exit that was first placed as the limit order of a pair.
    """

    strategy: str
    symbol: str
    side: Side
    shares: Decimal = Decimal(0)


class ExposureRange(NamedTuple):
    """The range of a symbol's signed exposure in USD over every way its open orders may fill; shorts are negative."""

    lowest: Decimal = Decimal(0)
    highest: Decimal = Decimal(0)

    def with_order(self, side: Side, usd: Decimal) -> "ExposureRange":
        """Return the range with one more order, which may or may not fill."""
        return (
            ExposureRange(self.lowest, self.highest + usd)
            if side is Side.BUY
            else ExposureRange(self.lowest - usd, self.highest)
        )


class StrategyExposure(Struct, frozen=True, array_like=True):
    """A strategy's position or potential position in a symbol on one side: its worst-case notional in USD.

    `held` is True for a position, False for an order that may still fill. `risk_usd` is the loss from its entry, or
    from an order's worst price, to its stop; None if it has no stop, or if no limit needs it.
    """

    strategy: str
    symbol: str
    side: Side
    usd: Decimal
    held: bool
    risk_usd: Decimal | None = None

    def on(self, span: ExposureRange) -> ExposureRange:
        if not self.held:
            return span.with_order(self.side, self.usd)
        signed = self.side.sign * self.usd
        return ExposureRange(span.lowest + signed, span.highest + signed)


class HaltEvidence(Struct, frozen=True):
    """Observations that may halt the bot.

    `refused` are the times at which the venue rejected orders. `unanswered` are the times of recorded orders that still
    have no answer. `unknown_orders` are the ids of orders that carry our mark but were never recorded in the books, or
    whose content differs at the venue. `unreadable` counts the venue's rows we couldn't parse. `forgotten` are the ids
    of our earlier orders that are missing from the books, because the books were restored or started over.
    """

    refused: tuple[datetime, ...] = ()
    unanswered: tuple[datetime, ...] = ()
    unknown_orders: tuple[str, ...] = ()
    unreadable: int = 0
    forgotten: tuple[str, ...] = ()


class RiskBook(Struct, frozen=True, dict=True):
    """The account in USD, assuming the worst case for every open order.

    `exposure` is the absolute notional by symbol of positions and working orders, ours and foreign. `working` has the
    symbols of all working orders, `own_orders` only our own orders. `entries` are the entries of this session;
    `new_entries` names the strategy of each entry of this pass. `peak_equity` is the highest equity ever seen, or None
    in the first pass. `worth` is cash plus positions, to compare with the reported equity. `stakes` are each strategy's
    part of the exposure. `last_fill_at` has the time of the last fill by symbol, `own_fill_at` by strategy and symbol.

    `spans` are the signed exposures by symbol. `themes` has each symbol's configured theme, or None, and `betas` its
    configured beta. `round_trips` are the recently closed positions, oldest first. `lost_at` is when each strategy last
    closed shares of each symbol at a loss. `day_results` is each strategy's profit in this session, negative for a
    loss; None if one of its positions has no price.

    `contracts` counts the units of all positions, long and short alike, and of all orders that may still add to them;
    it isn't split by strategy.

    `margin` is None in a cash account. In a margin account, `buying_power` is the margin left for new orders, and an
    entry uses its initial margin.
    """

    equity: Decimal
    buying_power: Decimal
    day_loss: Decimal
    exposure: Mapping[str, Decimal]
    sector_exposure: Mapping[str, Decimal]
    held: frozenset[str]
    foreign: frozenset[str]
    working: frozenset[str]
    own_orders: tuple[StrategyOrder, ...]
    unresolved: frozenset[str]
    last_fill_at: Mapping[str, datetime]
    gross: Decimal
    new_entries: tuple[str, ...] = ()
    entries: tuple[SessionEntry, ...] = ()
    peak_equity: Decimal | None = None
    worth: AccountValue | None = None
    stakes: tuple[StrategyExposure, ...] = ()
    own_fill_at: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    spans: Mapping[str, ExposureRange] = field(default_factory=dict)
    themes: Mapping[str, str | None] = field(default_factory=dict)
    betas: Mapping[str, Decimal] = field(default_factory=dict)
    round_trips: tuple[RoundTrip, ...] = ()
    lost_at: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    contracts: Decimal = Decimal(0)
    day_results: Mapping[str, Decimal | None] = field(default_factory=dict)
    margin: Margin | None = None

    @cached_property
    def open_symbols(self) -> frozenset[str]:
        """Return the symbols with a position, a working order, or an unresolved order."""
        return self.held | self.foreign | self.working | self.unresolved

    def own(self, strategy: str, equity: Decimal, sectors: Mapping[str, str]) -> "RiskBook":
        """Return the part of the book that belongs to one strategy, as if the account had only its `equity` in USD."""
        stakes = tuple(stake for stake in self.stakes if stake.strategy == strategy)
        exposure, by_sector = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
        spans = defaultdict[str, ExposureRange](ExposureRange)
        for stake in stakes:
            spans[stake.symbol] = stake.on(spans[stake.symbol])
            exposure[stake.symbol] += stake.usd
            by_sector[sectors.get(stake.symbol, "")] += stake.usd
        return replace(
            self,
            equity=equity,
            exposure=exposure,
            sector_exposure=by_sector,
            held=frozenset(stake.symbol for stake in stakes if stake.held),
            foreign=frozenset(),
            working=frozenset(stake.symbol for stake in stakes if not stake.held),
            own_orders=(),
            unresolved=frozenset(),
            last_fill_at={symbol: at for (name, symbol), at in self.own_fill_at.items() if name == strategy},
            gross=sum(exposure.values(), Decimal(0)),
            new_entries=tuple(name for name in self.new_entries if name == strategy),
            entries=tuple(entered for entered in self.entries if entered.strategy == strategy),
            worth=None,
            stakes=stakes,
            spans=spans,
            round_trips=tuple(trip for trip in self.round_trips if trip.strategy == strategy),
            lost_at={key: at for key, at in self.lost_at.items() if key[0] == strategy},
        )

    def opposite(self, strategy: str, symbol: str, side: Side) -> tuple[str, ...]:
        """Return the other strategies with a position or order in a symbol on the opposite side."""
        across = [stake for stake in self.stakes if stake.symbol == symbol and stake.side is not side]
        return tuple(dict.fromkeys(stake.strategy for stake in across if stake.strategy != strategy)) if across else ()

    def with_closing(self, symbol: str) -> "RiskBook":
        """Return the book as if a closing order were working on a symbol, for evaluating the next candidate."""
        return replace(self, working=self.working | {symbol})

    def with_order(self, entered: SessionEntry) -> "RiskBook":
        """Return the book with one more recorded entry, whatever its outcome."""
        return replace(self, entries=(*self.entries, entered))

    def with_entry(
        self,
        entered: SessionEntry,
        cost_usd: Decimal,
        sector: str,
        quantity: Decimal = Decimal(0),
        price: Decimal | None = None,
        risk_usd: Decimal | None = None,
    ) -> "RiskBook":
        """Return the book as if this entry had filled at its worst-case cost, for evaluating the next candidate.

        `quantity` (unsigned) affects only the contract count and the margin, and `price` (the worst one) only the
        margin. `risk_usd` is the entry's loss at its stop.
        """
        symbol, order = entered.symbol, (entered.symbol, entered.side, quantity, cost_usd)
        return replace(
            self,
            buying_power=self.buying_power - (self.margin.initial_of(*order) if self.margin else cost_usd),
            margin=self.margin.with_order(*order, price) if self.margin else None,
            exposure={**self.exposure, symbol: self.exposure.get(symbol, Decimal(0)) + cost_usd},
            sector_exposure={**self.sector_exposure, sector: self.sector_exposure.get(sector, Decimal(0)) + cost_usd},
            working=self.working | {symbol},
            gross=self.gross + cost_usd,
            contracts=self.contracts + quantity,
            spans={**self.spans, symbol: self.spans.get(symbol, ExposureRange()).with_order(entered.side, cost_usd)},
            new_entries=(*self.new_entries, entered.strategy),
            stakes=(*self.stakes, StrategyExposure(entered.strategy, symbol, entered.side, cost_usd, False, risk_usd)),
        )


class Desk(Struct, frozen=True):
    """A snapshot at the venue's time `now`; `session` is that day's session in the stored calendar, if any.

    `calendar` is the name of the venue's own calendar; `other_sessions` has the sessions of instruments on other
    calendars, by calendar name.

    `books` is the ledger's content. `positions` are the positions in the books, and `net` the broker's, as signed
    quantities by symbol. `facts` say only when each symbol's alerts were fetched and what that reply contained.
    `position_ratios` are the broker's quantities divided by the books' total, ours and others', where they differ and
    no activity explains it. `rejected_quotes` says why a symbol has no quote if the venue sent an unusable one.
    `unreadable` counts the venue's rows of positions and orders that couldn't be parsed. `taken_s` is the stopwatch's
    reading when the snapshot was taken. `decision_started_s` is the reading when the snapshot was complete, or when the
    pass finished an earlier order; it is set only if decision time is limited.

    `orders` are those that may still fill according to the venue or the books; `omitted_orders` are symbols of our
    orders missing from the venue's list, and `canceled` the venue's ids of the orders whose cancel it accepted.
    `differences` are positions on which books and venue contradict each other; `unproven` are symbols that the venue
    didn't confirm when asked directly, and `awaited` the symbols of our fills that neither the fill list nor the
    positions show yet. `steady` is False if our orders changed during each reading. `untraced_fills` counts the orders
    behind foreign fills about which the venue hasn't replied: they may be ours. `clock_ahead_s` is how far the venue's
    clock is ahead of a second one; None without one. `resting` are the orders that protect positions at the venue.
    `core_drifts` says, by strategy, which of the core signals that it reads differs most from its documentation, and
    how. `calendar_differs` says how the broker's calendar and exchange_calendars differ on this day; empty if they
    agree, and in exit passes. `outlooks` are what exit rules read about each position besides prices; they are empty
    unless a rule needs them. `listings` are the listings in force; `unlisted` are symbols that the venue didn't list
    when it was queried for this snapshot. `registry` says which symbols may be entered; None if the bot has no
    registry, and in exit passes. `shocks` are price moves after which entries wait; None if no limit needs them, or if
    they are unknown. `other_contracts` maps a symbol to other symbols of the same coin that have a position or order.
    """

    now: datetime
    clock: VenueClock
    calendar: str
    session: Session | None
    account: Account
    permission: Permission
    state: TradingStateRecord
    reconcile: ReconcileMark | None
    book: RiskBook
    books: Books
    positions: Sequence[Position]
    net: Mapping[str, Decimal]
    orders: Sequence[Order]
    quotes: Mapping[str, Quote]
    sectors: Mapping[str, str]
    facts: Mapping[str, SymbolFacts] = field(default_factory=dict)
    rejected_quotes: Mapping[str, str] = field(default_factory=dict)
    unreadable: int = 0
    taken_s: float = 0.0
    decision_started_s: float = 0.0
    halt_evidence: HaltEvidence = field(default_factory=HaltEvidence)
    position_ratios: Mapping[str, Decimal] = field(default_factory=dict)
    omitted_orders: frozenset[str] = frozenset()
    canceled: frozenset[str] = frozenset()
    differences: tuple[PositionDifference, ...] = ()
    unproven: frozenset[str] = frozenset()
    awaited: frozenset[str] = frozenset()
    steady: bool = True
    untraced_fills: int = 0
    clock_ahead_s: float | None = None
    resting: Mapping[HoldingKey, tuple[Resting, ...]] = field(default_factory=dict)
    core_drifts: Mapping[str, Drift] = field(default_factory=dict)
    calendar_differs: str = ""
    outlooks: Mapping[Key, ExitInputs] = field(default_factory=dict)
    listings: Mapping[str, Listing] = field(default_factory=dict)
    unlisted: frozenset[str] = frozenset()
    other_sessions: Mapping[str, Session] = field(default_factory=dict)
    registry: Registry | None = None
    other_contracts: Mapping[str, str] = field(default_factory=dict)

    def tier_of(self, symbol: str) -> TierRules | None:
        """Return the tier rules of a symbol; None without a registry, or if the symbol has no tier now."""
        return self.registry.tier_of(symbol, self.now) if self.registry else None

    shocks: Shocks | None = None

    def listing_of(self, position: Position) -> Listing | None:
        """Return the venue's listing of a position's instrument, or one built from its opening order, or None."""
        opened = self.books.opened_as(position)
        return self.listings.get(position.symbol) or (of_order(opened, self.now) if opened else None)

    def listing_for(self, instrument: Instrument) -> Listing:
        """Return the venue's current listing of an instrument, or one built from the instrument of an order."""
        return self.listings.get(instrument.symbol) or of_order(instrument, self.now)

    def hours_of(self, symbol: str) -> Hours | None:
        """Return the trading hours that the venue gives for a symbol; None if it gives none that cover this moment."""
        listing = self.listings.get(symbol)
        return listing.hours if listing and listing.hours and listing.hours.tells(self.now) else None

    def session_of(self, instrument: Instrument) -> Session | None:
        """Return today's session of an instrument, from the venue or from its calendar; None without either."""
        if hours := self.hours_of(instrument.symbol):
            return hours.session_at(self.now, self.books.day.date_of(self.now))
        own = instrument.calendar == self.calendar
        return self.session if own else self.other_sessions.get(instrument.calendar)

    def with_filled(self, symbol: str, change: Decimal) -> "Desk":
        """Return the desk as if an order for `change` signed shares had filled, for deciding on the next order."""
        return replace(self, net={**self.net, symbol: self.net.get(symbol, Decimal(0)) + change})
