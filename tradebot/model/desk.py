"""What the bot sees at one moment: the desk that strategies, gates and exits decide on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from tradebot.model.account import Account, Worth
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.candidate import Side
from tradebot.model.instrument import Instrument, notional
from tradebot.model.order import Order
from tradebot.model.position import Position
from tradebot.model.record import SymbolFacts, TideFacts
from tradebot.model.trading import Permission, ReconcileMark, TradingStateRecord


@dataclass(frozen=True, slots=True)
class Entered:
    """One entry that was promised; rates count it whatever became of it."""

    strategy: str
    symbol: str
    side: Side
    at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A position on which books and broker differ, and no fill on its way explains it; signed shares."""

    symbol: str
    books: Decimal
    broker: Decimal


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen that may halt the bot.

    `refused` are the times at which the venue refused orders, `unanswered` those at which orders were promised that
    still have no answer. `strangers` are the ids of orders under our mark that the books never promised, or that the
    venue holds with other content; `unreadable` counts its rows that could not be read. `forgotten` are the ids of our
    own orders from before, which books that were put back or made anew do not know.
    """

    refused: tuple[datetime, ...] = ()
    unanswered: tuple[datetime, ...] = ()
    strangers: tuple[str, ...] = ()
    unreadable: int = 0
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """The account with everything that may still happen to it counted at its worst, USD.

    `exposure` is the absolute notional by symbol, of positions and of working orders, ours and foreign alike; `working`
    holds the symbols of all working orders, `own_working` those of ours. `entries` are the session's, `peak_equity` is
    the highest equity that was ever seen, None at the first look. `worth` is what the equity is held against.
    """

    equity: Decimal
    buying_power: Decimal
    day_loss: Decimal
    exposure: Mapping[str, Decimal]
    sector_exposure: Mapping[str, Decimal]
    held: frozenset[str]
    foreign: frozenset[str]
    working: frozenset[str]
    own_working: frozenset[str]
    unresolved: frozenset[str]
    last_fill_at: Mapping[str, datetime]
    gross: Decimal
    new_entries: int = 0
    entries: tuple[Entered, ...] = ()
    peak_equity: Decimal | None = None
    worth: Worth | None = None

    @property
    def open_positions(self) -> int:
        """Return how many symbols are held or may yet be: by a working order, or by one whose fate is unknown."""
        return len(self.held | self.foreign | self.working | self.unresolved)

    def with_order(self, entered: Entered) -> "Book":
        """Return the book with one entry more that was promised, whatever became of it."""
        return replace(self, entries=(*self.entries, entered))

    def with_entry(self, instrument: Instrument, quantity: Decimal, price: Decimal, sector: str) -> "Book":
        """Return the book as if this entry were filled at `price`; the next candidate sees it."""
        cost, symbol = abs(notional(instrument, quantity, price)), instrument.symbol
        return replace(
            self,
            buying_power=self.buying_power - cost,
            exposure={**self.exposure, symbol: self.exposure.get(symbol, Decimal(0)) + cost},
            sector_exposure={
                **self.sector_exposure,
                sector: self.sector_exposure.get(sector, Decimal(0)) + cost,
            },
            working=self.working | {symbol},
            gross=self.gross + cost,
            new_entries=self.new_entries + 1,
        )


@dataclass(frozen=True, slots=True)
class FlowDesk:
    """What was known of flow at one moment, without an account: enough for a score."""

    now: datetime
    universe: Sequence[str]
    facts: Mapping[str, SymbolFacts]
    tide: TideFacts


@dataclass(frozen=True, slots=True)
class Desk:
    """One snapshot, at the venue's time `now`; `session` is the stored calendar's session of that day, if any.

    `positions` are the books' own, `net` is what the broker says it holds: signed quantities by symbol. `astray` is the
    latter as a multiple of what the books hold, ours and others', where they differ and no activity says why.
    `rejected_quotes` says why a symbol has no quote, where the venue sent an unusable one; `unreadable` counts the
    venue's rows of positions and orders that could not be read; `taken_s` is the stopwatch's reading when it was taken.

    `orders` are those that may still fill by the venue or by the books; `left_out` are symbols of our orders that the
    venue's list omits. `differences` are positions on which the two contradict each other; `unproven` are symbols that
    the venue did not confirm when it was asked directly. `steady` is False where our orders moved during each reading.
    `untold` counts foreign fills whose order the venue did not tell: they may be our own.
    `clock_ahead_s` is how far the venue's clock is ahead of a second one, None where there is none.
    """

    now: datetime
    clock: VenueClock
    session: Session | None
    account: Account
    permission: Permission
    state: TradingStateRecord
    reconcile: ReconcileMark | None
    book: Book
    positions: Sequence[Position]
    net: Mapping[str, Decimal]
    orders: Sequence[Order]
    quotes: Mapping[str, Quote]
    universe: Sequence[str]
    sectors: Mapping[str, str]
    facts: Mapping[str, SymbolFacts] = field(default_factory=dict)
    tide: TideFacts = field(default_factory=TideFacts)
    rejected_quotes: Mapping[str, str] = field(default_factory=dict)
    unreadable: int = 0
    taken_s: float = 0.0
    signs: Signs = field(default_factory=Signs)
    astray: Mapping[str, Decimal] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    differences: tuple[Difference, ...] = ()
    unproven: frozenset[str] = frozenset()
    steady: bool = True
    untold: int = 0
    clock_ahead_s: float | None = None

    def with_filled(self, symbol: str, change: Decimal) -> "Desk":
        """Return the desk as if an order of so many signed shares were filled: the next one sees what it leaves."""
        return replace(self, net={**self.net, symbol: self.net.get(symbol, Decimal(0)) + change})

    @property
    def session_open(self) -> bool:
        """Tell whether venue and stored calendar both say that the session is open."""
        return self.clock.is_open and self.session is not None and self.session.contains(self.now)
