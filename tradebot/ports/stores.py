"""Ports to the stores: the ledger, the facts, the bars, the events."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from tradebot.model.account import Booking, CashMovement, Entry, EquityPeak
from tradebot.model.bar import Session
from tradebot.model.books import AccountState
from tradebot.model.decision import Decision
from tradebot.model.event import SystemEvent
from tradebot.model.fact_kind import CheckedReply, Fact
from tradebot.model.flow import Intake
from tradebot.model.instrument import ListingRecord
from tradebot.model.intent import Intent, IntentRecord
from tradebot.model.order import Order, Reply
from tradebot.model.position import EntryTerms, Key, Marks, Origin, OwnedFill
from tradebot.model.record import CycleRecord, Scored, SymbolFacts
from tradebot.model.registry import Coin, Discovery
from tradebot.model.series import Series
from tradebot.model.totals import Totals
from tradebot.model.trade import TradeNote
from tradebot.model.trading import ReconcileMark, Request, SlotClaim, TradingStateRecord
from tradebot.model.venue import Settlement
from tradebot.model.view import BarNeed, FeatureNeed, FeatureRow


class Calendar(Protocol):
    """The stored sessions of the venue's own calendar, and of other calendars that instruments use."""

    def sessions(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return the stored sessions of a calendar from `start` through `end`; without a name, the venue's own."""


class Orders(Protocol):
    """The intents of our orders, recorded before they are sent, and the venue's reports on the orders."""

    def record_intent(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        """Write the intent as SENT, with its verdicts. If its id exists already, change nothing and return False."""

    def record_outcome(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        """Record the result of a request, and the order if the venue returned one."""

    def retry(self, client_order_id: str, at: datetime, limit_price: Decimal | None = None) -> None:
        """Record that an unresolved intent is about to be sent again under its own id, with a new limit price if one is
        given.
        """

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        """Return intents in the order in which they were recorded: for one session, for sessions from `since` on,
        unresolved ones, or all.

        An intent is unresolved while it is SENT or UNKNOWN.
        """

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        """Return unresolved intents of any age and all intents of sessions from `since` on, in the order in which they
        were recorded.
        """

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        """Return unresolved intents of any age, and those given up since the session `since`, in the order in which
        they were recorded.
        """

    def recorded_intents(self, client_order_ids: Collection[str]) -> Mapping[str, IntentRecord]:
        """Return the recorded intents among these ids, by client order id."""

    def intent(self, client_order_id: str) -> IntentRecord | None:
        """Return the intent with this id, or None."""

    def last_acknowledged(self) -> str | None:
        """Return the client order id of our last order that the venue acknowledged, or None; cancels don't count."""

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        """Give up an unresolved intent once it is proven that the venue doesn't have it."""

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        """Record the venue's latest view of these orders; return how many changed."""

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        """Return known orders as last reported: all, those that may still fill, or those written from `since` on."""

    def recent_orders(self, since: datetime) -> Sequence[Order]:
        """Return known orders that may still fill, that were written from `since` on, or that have no intent of
        ours.
        """

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        """Return the known orders of each chain: the order itself, then those that it replaced, nearest first.

        A leg's chain continues with its parent and the orders that its parent replaced. If the order itself isn't
        known, its chain has only the known orders that it replaced. Chains without known orders are left out.
        """


class Money(Protocol):
    """The records from which positions and cash are computed."""

    def opening_cash(self) -> Decimal:
        """Return the account's cash in USD when the books were opened."""

    def open_books(self, opening_cash: Decimal, at: datetime, settlement: Settlement = Settlement.PAID) -> None:
        """Begin the books, once: write the opening balance, and whether trades are paid from cash (`settlement`)."""

    def books_opened_at(self) -> datetime | None:
        """Return when the opening balance was written, or None before the first reconcile."""

    def account_state(self) -> AccountState:
        """Return the account's state: opening, accepted cash movements, last reconcile and highest equity."""

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        """Append the fills whose activity ids are new; return how many there were."""

    def fills(self, symbol: str | None = None) -> Sequence[OwnedFill]:
        """Return all fills and adjustments, or only one symbol's, oldest first."""

    def totals(self) -> Totals:
        """Return the totals of all fills and adjustments."""

    def checkpoint_totals(self) -> None:
        """Store a new checkpoint of the totals if later readers would otherwise have to add up too many fills.

        The checkpoint is only a cache.
        """

    def foreign_and_moved_fills(self) -> Sequence[OwnedFill]:
        """Return the fills that aren't ours, and those that moved shares between others and us, oldest first."""

    def known_fills(self, activity_ids: Collection[str]) -> Collection[str]:
        """Return which of these activity ids are in the books."""

    def fees_awaited(self, activity_ids: Collection[str]) -> Collection[str]:
        """Return which of these fills are booked without a fee, or with an unknown one."""

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        """Return the filled shares of each of these orders, unsigned, without zeros."""

    def last_reported_fill(self, until: datetime) -> datetime | None:
        """Return the time of the last fill up to `until` that the venue reported, or None."""

    def adjust_cash(self, amount: Decimal, why: str, at: datetime, *, origin: Origin, about: str = "") -> None:
        """Record a cash movement that no fill explains, from an accepted plan or a broker's activity."""

    def cash_adjustments(self) -> Decimal:
        """Return the sum of accepted cash movements in USD."""

    def cash_movements(self) -> Sequence[CashMovement]:
        """Return every cash movement that no fill explains, in the order of the books.

        The time of a movement is the broker's if it is known; otherwise it is when the movement was booked.
        """

    def book(self, booking: Booking, at: datetime) -> bool:
        """Record everything the activities prove, atomically.

        If any of them is booked already, change nothing and return False.
        """

    def booked(self, activity_ids: Collection[str] | None = None) -> Mapping[str, Entry]:
        """Return the booked activities, all or those with these ids, by id."""

    def entry_terms(self, held: Collection[Key]) -> Mapping[Key, EntryTerms]:
        """Return what is stored about these open positions besides their fills: entry terms and best and worst price.

        Positions with nothing stored are left out. A position's entry terms are read from the intent behind the fill
        that opened it. The original quantity isn't stored: it follows from the fills.
        """

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        """Store the best and the worst prices of positions, in one transaction."""

    def equity_peak(self) -> EquityPeak | None:
        """Return the highest equity seen so far; None before the first one is stored."""

    def put_equity_peak(self, peak: EquityPeak) -> None:
        """Store the highest equity."""

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        """Record a foreign position as known and left alone; zero removes it."""

    def acknowledged(self) -> Mapping[str, Decimal]:
        """Return the foreign positions that a person has acknowledged, as signed quantities by symbol."""

    def acknowledged_since(self) -> Mapping[str, datetime]:
        """Return when each acknowledged position was first acknowledged, even if its quantity has changed since."""


class Listings(Protocol):
    """The venue's listings, as last read."""

    def listings(self, symbols: Collection[str] | None = None) -> Mapping[str, ListingRecord]:
        """Return the stored listings of these symbols, or all; symbols without one are absent."""

    def put_listings(self, records: Iterable[ListingRecord]) -> None:
        """Store listings, each replacing the earlier one of its symbol, in one transaction."""


class Slots(Calendar, Protocol):
    """The state that one pass stores for the next: claimed slots, the calendar, and the last reconcile."""

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        """Claim one slot of the timetable; the first claim wins and is permanent."""

    def miss_slots(self, slots: Iterable[tuple[str, date, str]], by: str, at: datetime) -> Sequence[SlotClaim]:
        """Claim missed slots, by job, session and name, in one write; return each slot's claim."""

    def slot_claim(self, job: str, session: date, slot: str) -> SlotClaim | None:
        """Return the claim of one slot, or None if it is unclaimed."""

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        """Return the claimed slots of one session, in the order they were claimed."""

    def calendars(self, start: date, end: date) -> Mapping[str, Sequence[Session]]:
        """Return the stored sessions from `start` through `end` by calendar; the venue's own has an empty name."""

    def put_sessions(self, sessions: Iterable[Session], gone: Collection[date] = (), calendar: str = "") -> None:
        """Store sessions of a calendar, replacing any of the same date, and delete the sessions of the dates `gone`."""

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        """Record when a reconcile ran, and how many findings it had."""

    def last_reconcile(self) -> ReconcileMark | None:
        """Return the last reconcile, or None if there was none."""


class States(Protocol):
    """Whether the bot may open positions, who decided it, and since when."""

    def trading_state(self) -> TradingStateRecord:
        """Return the state in force; a lost, damaged or contradictory record means REDUCE_ONLY."""

    def set_trading_state(self, new: TradingStateRecord, over: TradingStateRecord | None = None) -> None:
        """Write a new state; if `over` is given and isn't the state in force anymore, raise OperatorError."""

    def halts(self) -> Sequence[TradingStateRecord]:
        """Return the states recorded since trading was last ACTIVE, oldest first; empty if it is ACTIVE now."""

    def armed(self) -> bool:
        """Return True if `init` armed this state folder and nothing has disarmed it since."""


class Notes(Protocol):
    """The notes that people wrote about trades."""

    def note_trade(self, note: TradeNote) -> None:
        """Store the tags and the note of a trade, replacing earlier ones."""

    def change_note(self, trade: Key, change: Callable[[TradeNote | None], TradeNote]) -> TradeNote:
        """Apply `change` to a trade's current note, store the result and return it, all in one write."""

    def trade_notes(self) -> Mapping[Key, TradeNote]:
        """Return the current tags and note of each trade, by strategy, symbol and opening time."""


class Ledger(Orders, Money, Slots, Listings, States, Notes, Protocol):
    """The money records of one broker account. Each write is durable before its method returns."""

    @property
    def account_number(self) -> str:
        """Return the number of the account that these books belong to."""


class Facts(Protocol):
    """The facts that the bot knew, and its decisions. They explain what the bot did; no money depends on them."""

    def store(self, intake: Intake) -> int:
        """Store one reply's facts and counts; return how many facts were new."""

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        """Return the facts about each symbol known at `now`: the session's events, and dated facts up to its date."""

    def last_answers(self, symbols: Sequence[str], now: datetime) -> Mapping[str, SymbolFacts]:
        """Return, for each symbol, only the counts and time of its last reply with alerts known at `now`."""

    def market(self, session: date, now: datetime) -> Mapping[str, object]:
        """Return the facts about the whole market known at `now`, by kind; for a kind about sectors, by sector."""

    def suspicious_replies(self, since: datetime, now: datetime) -> Sequence[CheckedReply]:
        """Return the check of the newest reply about each kind and symbol in a period, leaving out replies without
        rows.

        If none of the replies in the period has a finding, return nothing.
        """

    def last_fetch(self, endpoint: str, symbol: str | None) -> datetime | None:
        """Return when an endpoint last replied, or None if it never did."""

    def record(self, cycle: CycleRecord) -> None:
        """Store one pass of a job with all its candidates and decisions, replacing any record with the same id."""

    def unfinished(self, cycle: CycleRecord) -> bool:
        """Return True if the stored record of this pass says it was interrupted, or if there is no record."""

    def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
        """Return recorded passes of a job, oldest first: those since a time, or the `last` few."""

    def last_passes(self, job: str, last: int) -> Sequence[CycleRecord]:
        """Return the `last` few recorded passes of a job, oldest first, without their candidates."""

    def before(self, job: str, identity: str, symbols: Collection[str]) -> CycleRecord | None:
        """Return a job's pass before the one with this id, reduced to the reasons of candidates in these symbols.

        Return None if there is no earlier pass. The pass with this id needn't be recorded itself.
        """

    def passes(self, since: datetime) -> Sequence[CycleRecord]:
        """Return the passes of all jobs recorded since a time, oldest first, without their candidates."""

    def scores(
        self, held: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        """Return the scores of these strategies' symbols, oldest first: one per slot, from the newest 120 slots."""

    def marks(self, since: datetime, until: datetime) -> Mapping[str, Decimal]:
        """Return, by symbol, the closing prices recorded by the last exit pass in this period that had any."""

    def stored(self, kind: str, spans: Mapping[str, tuple[date, date]], now: datetime) -> Mapping[str, Sequence[Fact]]:
        """Return facts of a kind by symbol, each for a period of days (both included), as known at `now`."""

    def intakes(self, since: datetime) -> Sequence[Intake]:
        """Return the replies fetched since a time, with their counts but without their facts."""

    def registry(self) -> Mapping[str, Coin]:
        """Return the state of each symbol in the registry of tradable coins that was ever checked."""

    def put_registry(self, coins: Iterable[Coin]) -> None:
        """Store the state of these symbols in the registry of tradable coins, replacing the earlier one, in one
        transaction.
        """

    def discovery(self) -> Discovery:
        """Return the last discovery of the venue's contracts."""

    def put_discovery(self, discovery: Discovery) -> None:
        """Store a discovery, replacing the earlier one."""


class Bars(Protocol):
    """Closed bars, from a local store that fetches missing ones."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first.

        A symbol has fewer bars, or is absent, if there are no more. An incomplete bar is never returned. Raise
        TemporaryError if the source doesn't answer and the store lacks needed bars.
        """


class Features(Protocol):
    """Features of closed bars, computed on request."""

    def row(
        self, need: FeatureNeed, symbol: str, until: datetime, calendar: str, rolls: tuple[date, ...] | None
    ) -> FeatureRow | None:
        """Return a symbol's features at the last bar that was closed at `until`; None without a bar.

        Bars don't contain spreads, releases or news, so features of these are left out. `calendar` names the calendar
        of the symbol's sessions, empty for the venue's own, and `rolls` are its roll dates, None for a symbol without
        expiry. Raise TemporaryError like `Bars`.
        """


class Approvals(Protocol):
    """Requests for approval of entries, and people's answers."""

    def last(self, strategy: str, symbol: str) -> Request | None:
        """Return the last request about a strategy and symbol, or None."""

    def ask(self, request: Request) -> None:
        """Store a new request; earlier ones about its strategy and symbol can't be answered any more."""


class Events(Protocol):
    """The log of operational events."""

    def emit(self, event: SystemEvent) -> None:
        """Append one event; never raise, because a full disk must not stop a pass."""
