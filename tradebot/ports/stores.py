"""What we ask of the places that remember: the ledger, the facts, the events."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from tradebot.model.account import EquityPeak
from tradebot.model.activity import Booking, Entry
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.event import SystemEvent
from tradebot.model.flow import Endpoint, Intake
from tradebot.model.intent import Intent, IntentRecord
from tradebot.model.order import Order, Reply
from tradebot.model.origin import Origin
from tradebot.model.position import OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, SymbolFacts, TideFacts
from tradebot.model.trading import Override, ReconcileMark, SlotClaim, TradingState, TradingStateRecord


class Ledger(Protocol):
    """The money records of one broker account: durable before each method returns."""

    @property
    def account_number(self) -> str:
        """Return the number of the account that these books belong to."""

    def opening_cash(self) -> Decimal:
        """Return the account's cash when the books began, USD."""

    def open_books(self, opening_cash: Decimal, at: datetime) -> None:
        """Write the opening balance, once."""

    def books_opened_at(self) -> datetime | None:
        """Return when the opening balance was written; None before the first reconcile."""

    def promise(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        """Write the intent as SENT with its verdicts; False where its id is already there, changing nothing."""

    def settle(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        """Write how the submission or cancel ended, and the order where the venue gave one."""

    def retry(self, client_order_id: str, at: datetime) -> None:
        """Write that an unresolved intent is sent once more under its own id, before it is."""

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        """Return intents in the order promised: of one session, of sessions from `since` on, unresolved ones, or all.

        Unresolved are those SENT or UNKNOWN.
        """

    def promised_ids(self) -> Collection[str]:
        """Return the client order id of every intent that was ever promised."""

    def intent(self, client_order_id: str) -> IntentRecord | None:
        """Return one intent."""

    def last_acknowledged(self) -> str | None:
        """Return the client order id of the last promised order that the venue has acknowledged; cancels are none."""

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        """Give up an unresolved intent that the venue has been proven not to hold."""

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        """Write the venue's latest word on orders; return how many changed."""

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        """Return known orders as last told: all, those that may still fill, or those written from `since` on.

        With `since` those that another order took the place of are among them however old: chains lead through them.
        """

    def unpromised_orders(self) -> Sequence[Order]:
        """Return the known orders whose client order ids were never promised here."""

    def owners(self) -> Mapping[str, str]:
        """Return the strategy of each of our orders by the venue's order id, whoever replaced them since."""

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        """Append fills not seen before, by activity id; return how many were new."""

    def fills(self) -> Sequence[OwnedFill]:
        """Return all fills and adjustments, oldest first."""

    def adjust_cash(self, amount: Decimal, why: str, at: datetime, *, origin: Origin, about: str = "") -> None:
        """Write a cash movement that no fill explains; only a person's word does this."""

    def cash_adjustments(self) -> Decimal:
        """Return the sum of accepted cash movements, USD."""

    def book(self, booking: Booking, at: datetime) -> bool:
        """Write all of what activities prove, in one go; False, changing nothing, where one of them is booked."""

    def booked(self) -> Mapping[str, Entry]:
        """Return the activities that are booked, by their ids."""

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        """Claim one slot of the timetable; the first claim wins for ever."""

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        """Return the claimed slots of one session, in the order of claiming."""

    def trading_state(self) -> TradingStateRecord:
        """Return the state in force; anything lost, damaged or contradictory is REDUCE_ONLY."""

    def set_trading_state(
        self,
        state: TradingState,
        who: str,
        why: str,
        at: datetime,
        *,
        causes: Collection[Reason] = (),
        override: Override | None = None,
        over: TradingStateRecord | None = None,
    ) -> None:
        """Write a new state, with the bot's own causes of a halt, or those that a person accepts by ending one.

        With `over`, OperatorError where the state in force is not the one that the person saw.
        """

    def halts(self) -> Sequence[TradingStateRecord]:
        """Return the states recorded since entries were last open, oldest first; none where they are open."""

    def armed(self) -> bool:
        """Tell whether `init` armed this state and nothing took it away since."""

    def sessions(self, start: date, end: date) -> Sequence[Session]:
        """Return the stored calendar between two dates."""

    def put_sessions(self, sessions: Iterable[Session]) -> None:
        """Store calendar sessions, replacing those of the same date."""

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        """Write the result of a reconcile."""

    def last_reconcile(self) -> ReconcileMark | None:
        """Return the last reconcile; None where there was none."""

    def high_water(self, strategy: str, symbol: str, opened_at: datetime) -> Decimal | None:
        """Return the best price that a position has seen since it was opened."""

    def put_high_water(self, strategy: str, symbol: str, opened_at: datetime, price: Decimal) -> None:
        """Store the best price of a position."""

    def equity_peak(self) -> EquityPeak | None:
        """Return the highest equity that was seen; None before the first look."""

    def put_equity_peak(self, peak: EquityPeak) -> None:
        """Store the highest equity."""

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        """Record a foreign position as known and left alone; zero forgets it."""

    def acknowledged(self) -> Mapping[str, Decimal]:
        """Return the foreign positions that a person has acknowledged, signed quantities by symbol."""

    def acknowledged_since(self) -> Mapping[str, datetime]:
        """Return since when each of these positions has been acknowledged, whatever its quantity was meanwhile."""


class Facts(Protocol):
    """Facts and decisions: what explains, never what pays."""

    def store(self, intake: Intake) -> int:
        """Store one answer's facts and counts; return how many facts were new."""

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        """Return what was known of each symbol at `now`."""

    def tide(self, session: date, now: datetime) -> TideFacts:
        """Return what was known of the market tide at `now`."""

    def last_fetch(self, endpoint: Endpoint, symbol: str | None) -> datetime | None:
        """Return when an endpoint was last asked with success."""

    def record(self, cycle: CycleRecord) -> None:
        """Store one pass of a job with all its candidates and decisions; it takes the place of one of the same id."""

    def unfinished(self, cycle: CycleRecord) -> bool:
        """Tell whether the last record of this pass says that it was cut short, or there is none at all."""

    def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
        """Return recorded passes, oldest first: those since a time, or the last so many."""

    def passes(self, since: datetime) -> Sequence[CycleRecord]:
        """Return the recorded passes of all jobs since a time, oldest first, without their candidates."""

    def intakes(self, since: datetime) -> Sequence[Intake]:
        """Return the counts of answers fetched since a time, without their facts."""


class Events(Protocol):
    """Where operational events go."""

    def emit(self, event: SystemEvent) -> None:
        """Append one event; a full disk must not stop a pass."""
