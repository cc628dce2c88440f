"""The books at one moment: a pass reads them from the ledger once, and computes positions, cash and states from
them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.model.account import EquityPeak
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import Instrument
from tradebot.model.intent import TARGET_DONE, Intent, IntentRecord, IntentState, Operation, behind_leg
from tradebot.model.lifecycle import NOTHING, Records, State, has_entered, state_of
from tradebot.model.order import Order
from tradebot.model.position import EntryTerms, Key, OwnedFill, Position, complete
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import ReconcileMark, TradingStateRecord
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay


class AccountState(NamedTuple):
    """The state of an account in the ledger, cash in USD; a field is None until it is first written."""

    opened_at: datetime | None
    opening_cash: Decimal | None
    cash_adjustments: Decimal
    reconciled: ReconcileMark | None
    peak: EquityPeak | None
    settlement: Settlement = Settlement.PAID


class Books(Struct, frozen=True, dict=True):
    """What the ledger contains as of the venue's time `at`, read once.

    `day` is the venue's trading day; it includes the stored sessions of `calendar` around that moment.
    `other_calendars` has the sessions of instruments that use a different calendar.

    `with_others` are fills that aren't ours, and fills that moved shares between us and others; `acknowledged` are the
    foreign positions that a person acknowledged, as signed shares by symbol. `orders` are orders that may still fill,
    that were reported recently, or that have no intent in these books. `chains` maps each order to itself and the
    orders it replaced, `intents_by_id` has their intents by client order id, and `filled` the booked shares of each
    order. `intents` are all unresolved intents and all intents of the last sessions. `kept` has the stored terms of our
    open positions.

    `over` are the venue's ids of our working orders whose expiry the venue's adapter can prove. Without proof, an order
    may still fill.

    Some orders carry our mark but were never recorded here: `sent_by_another_copy` are those sent while these books
    were in use, and `noted_too_early` those reported after a person had acknowledged their symbol as foreign. Both
    contain venue order ids.

    `pending` are fills that already count although the ledger doesn't have them yet. `doubted` are the venue's ids of
    orders that one source shows as working and another doesn't; shares they protect count as unprotected.
    """

    at: datetime
    account_number: str
    standing: AccountState
    state: TradingStateRecord
    day: VenueDay
    calendar: Sequence[Session] = ()
    other_calendars: Mapping[str, Sequence[Session]] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    with_others: tuple[OwnedFill, ...] = ()
    acknowledged: Mapping[str, Decimal] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()
    chains: Mapping[str, Sequence[Order]] = field(default_factory=dict)
    intents_by_id: Mapping[str, IntentRecord] = field(default_factory=dict)
    filled: Mapping[str, Decimal] = field(default_factory=dict)
    intents: tuple[IntentRecord, ...] = ()
    kept: Mapping[Key, EntryTerms] = field(default_factory=dict)
    sent_by_another_copy: frozenset[str] = frozenset()
    noted_too_early: frozenset[str] = frozenset()
    over: frozenset[str] = frozenset()
    pending: tuple[OwnedFill, ...] = ()
    doubted: frozenset[str] = frozenset()

    @property
    def cash(self) -> Decimal:
        """Return the cash in USD: the opening balance plus fills and accepted movements."""
        opening = self.standing.opening_cash
        assert opening is not None, "the books were opened before they are compared"
        return self.totals.cash(opening, self.standing.settlement) + self.standing.cash_adjustments

    @cached_property
    def working(self) -> tuple[Order, ...]:
        return tuple([order for order in self.orders if not order.status.terminal])

    @cached_property
    def unresolved_intents(self) -> tuple[IntentRecord, ...]:
        """Return the intents without a known outcome, in the order recorded."""
        return tuple(record for record in self.intents if record.state.is_unresolved)

    @cached_property
    def canceled_now(self) -> frozenset[str]:
        """Return the venue ids of orders whose cancel was just sent or resent.

        The latest report of such an order may not show the cancel yet.
        """
        cancels = (record for record in self.intents if record.intent.operation is Operation.CANCEL)
        records = (record for record in cancels if record.state not in (IntentState.REJECTED, IntentState.ABANDONED))
        sent = (record.intent.target_venue_id for record in records if record.updated_at >= self.at)
        return frozenset(name for name in sent if name)

    @cached_property
    def cancels_accepted(self) -> frozenset[str]:
        """Return the venue ids of orders whose cancel was accepted; the venue may not yet report them as ended."""
        cancels = (record for record in self.intents if record.intent.operation is Operation.CANCEL)
        accepted = (record.intent.target_venue_id for record in cancels if record.state is IntentState.ACKED)
        return frozenset(name for name in accepted if name)

    def newest_protection(self, holding: tuple[str, str], side: Side, *, is_target: bool) -> Sequence[IntentRecord]:
        """Return the intents that requested new stops for a position, or new targets, newest first."""
        return self._protection.get((holding, side, is_target), ())

    @cached_property
    def _protection(self) -> Mapping[tuple[tuple[str, str], Side, bool], Sequence[IntentRecord]]:
        requests = defaultdict[tuple[tuple[str, str], Side, bool], list[IntentRecord]](list)
        for record in reversed(self.intents):
            intent = record.intent
            if intent.protects and intent.operation is Operation.SUBMIT:
                requests[intent.holding, intent.side, intent.is_target].append(record)
        return requests

    @cached_property
    def refused_edits(self) -> frozenset[str | None]:
        """Return the venue ids of orders that the venue refused to change, except targets that had already filled."""
        edits = (record for record in self.intents if record.intent.operation is Operation.REPLACE)
        refused = (r for r in edits if r.state is IntentState.REJECTED and r.code != TARGET_DONE)
        return frozenset(record.intent.target_venue_id for record in refused)

    @cached_property
    def intents_by_position(self) -> Mapping[tuple[str, str], Sequence[IntentRecord]]:
        """Return the intents of each strategy's symbols, in the order recorded."""
        by_position = defaultdict[tuple[str, str], list[IntentRecord]](list)
        for record in self.intents:
            by_position[record.intent.holding].append(record)
        return by_position

    def terms_of(self, position: Position) -> EntryTerms:
        """Return an open position's stored terms, completed from its fills; empty terms if none are stored."""
        return complete(self.kept.get(position.key), position)

    def opened_as(self, position: Position) -> Instrument | None:
        """Return the instrument of the order that opened one of our positions; None if no order of ours opened it."""
        entry_terms = self.kept.get(position.key)
        return entry_terms.instrument if entry_terms else None

    def opened_otherwise(self, instrument: Instrument) -> Instrument | None:
        """Return an open position's own instrument if its multiplier or currency differs from `instrument`'s; else
        None.
        """
        for opened in self._instruments_by_symbol.get(instrument.symbol, ()):
            if (opened.multiplier, opened.currency) != (instrument.multiplier, instrument.currency):
                return opened
        return None

    @cached_property
    def _instruments_by_symbol(self) -> Mapping[str, tuple[Instrument, ...]]:
        by_symbol = defaultdict[str, tuple[Instrument, ...]](tuple)
        for (_, symbol, _), entry_terms in self.kept.items():
            by_symbol[symbol] += (entry_terms.instrument,) if entry_terms.instrument else ()
        return by_symbol

    def intents_of_session(self, session: date) -> tuple[IntentRecord, ...]:
        """Return the intents of a recent session, in the order recorded."""
        return self._by_session.get(session, ())

    def intents_of_trade_date(self, trade_date: date) -> tuple[IntentRecord, ...]:
        """Return the intents of the recent sessions that belong to a trade date, in the order recorded."""
        sessions = (session for session in self._by_session if self.day.trade_date(session) == trade_date)
        return tuple(record for session in sessions for record in self._by_session[session])

    @cached_property
    def _by_session(self) -> Mapping[date, tuple[IntentRecord, ...]]:
        records_by_day = defaultdict[date, list[IntentRecord]](list)
        for record in self.intents:
            records_by_day[record.intent.session].append(record)
        return {session: tuple(records) for session, records in records_by_day.items()}

    def sessions(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return the stored sessions of a calendar from `start` through `end`, if they are near the books' own time."""
        sessions = self.other_calendars.get(calendar, ()) if calendar else self.calendar
        return tuple(session for session in sessions if start <= session.date <= end)

    def quantities(self) -> dict[str, Decimal]:
        """Return signed quantities by symbol, including acknowledged foreign positions and excluding zeros."""
        return self.totals.quantities(self.acknowledged)

    def intent_behind(self, order: Order) -> IntentRecord | None:
        """Return the intent that created this order or the nearest order it replaced; None if there is none."""
        key = order.venue_id, order.client_order_id
        if key not in self._behind:
            records = (self.intents_by_id.get(name) for name in self._names(order))
            nearest = next((record for record in records if record and record.intent.makes_order), None)
            self._behind[key] = behind_leg(nearest, order) if nearest else None
        return self._behind[key]

    @cached_property
    def _behind(self) -> dict[tuple[str, str], IntentRecord | None]:
        return {}

    def has_entered(self, order: Order) -> bool:
        """Return True if the parent of this leg has filled completely."""
        return has_entered(self._orders_by_id.get(order.parent or ""), self.filled.get(order.parent or "", Decimal(0)))

    @cached_property
    def _orders_by_id(self) -> Mapping[str, Order]:
        return {order.venue_id: order for order in self.orders}

    def protects(self, order: Order) -> bool:
        """Return True if the order rests at the venue to protect a position and hasn't been turned into an exit."""
        record = self.intent_behind(order)
        return record is not None and record.intent.protects

    def states(self) -> Mapping[tuple[str, str], State]:
        """Return the state of each position by strategy and symbol, including closed ones and those being opened."""
        orders = (order for chain in (self.orders, *self.chains.values()) for order in chain)
        records = Records().after((*orders, *self.intents_by_id.values(), *self.unresolved_intents))
        work, positions = records.work(self.filled), self.totals.positions
        return {
            key: state_of(
                key[0],
                positions[key].quantity if key in positions else Decimal(0),
                of_one := work.get(key, NOTHING),
                traded=of_one.entering is None,
            )
            for key in {**positions, **work}
        }

    def booked_of_chain(self, order: Order) -> Decimal:
        """Return how many shares of an order and the orders it replaced are booked, unsigned."""
        # A leg's chain continues with its parent, whose fills don't belong to the leg.
        same = (link for link in self.chains.get(order.venue_id, (order,)) if bool(link.parent) == bool(order.parent))
        return sum((self.filled.get(order.venue_id, Decimal(0)) for order in same), Decimal(0))

    def with_pending(self, fills: Sequence[OwnedFill]) -> "Books":
        """Return the books as if these fills, which are reported or otherwise proven, were booked."""
        if not fills:
            return self
        filled, behind = dict(self.filled), {order.venue_id: self.intent_behind(order) for order in self.orders}
        opened = dict[Key, EntryTerms]()
        for owned in fills:
            fill, record = owned.fill, behind.get(owned.fill.venue_order_id)
            filled[fill.venue_order_id] = filled.get(fill.venue_order_id, Decimal(0)) + fill.quantity
            if record and record.intent.purpose is Purpose.OPEN:
                opened[owned.strategy, fill.symbol, fill.at] = terms_set_by_entry(record.intent)
        totals = self.totals.after(fills)
        held_keys = {position.key for position in totals.own_positions()}
        terms_by_key = {**{key: position for key, position in opened.items() if key in held_keys}, **self.kept}
        return replace(self, totals=totals, filled=filled, kept=terms_by_key, pending=(*self.pending, *fills))

    def _names(self, order: Order) -> Iterator[str]:
        yield order.client_order_id
        yield from (link.client_order_id for link in self.chains.get(order.venue_id, ()))


def terms_set_by_entry(intent: Intent) -> EntryTerms:
    """Return the terms that an entry sets for the position it opens."""
    return EntryTerms(
        stop_loss_fraction=intent.stop_loss_fraction,
        profit_target_fraction=intent.profit_target_fraction,
        entry_score=intent.score,
        components=intent.components,
        targets=intent.targets,
        instrument=intent.instrument,
        atr_fraction=intent.atr_fraction,
        invalid_fraction=intent.invalid_fraction,
        cluster=intent.cluster,
        worst_price=intent.worst_price,
    )
