"""Intents and orders in memory, found by what is asked for, so that no question reads all that there ever were."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.order import Order, Outcome, Reply, lineage

STATE_AFTER: Mapping[Outcome, IntentState] = {
    Outcome.ACCEPTED: IntentState.ACKED,
    Outcome.REJECTED: IntentState.REJECTED,
    Outcome.UNKNOWN: IntentState.UNKNOWN,
}
PROVEN = frozenset({IntentState.ACKED, IntentState.REJECTED})
BEFORE_ALL = -1


class Intents:
    """What was promised, by id, by session, and by whether its outcome is known."""

    def __init__(self) -> None:
        super().__init__()
        self._intents: dict[str, IntentRecord] = {}
        self._verdicts: dict[str, tuple[Decision, ...]] = {}
        self._promised_as: dict[str, int] = {}
        self._of_session: dict[date, list[str]] = {}
        self._days: list[date] = []
        self._unresolved: dict[str, None] = {}
        self._abandoned: dict[str, None] = {}
        self._answers: dict[tuple[object, ...], Any] = {}
        """What was answered since the last write: most passes write nothing, and ask the same."""

    def promise(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        """Write the intent as SENT, with its verdicts. If its id exists already, change nothing and return False."""
        name = intent.client_order_id
        if name in self._intents:
            return False
        self._promised_as[name] = len(self._intents)
        self._put(IntentRecord(intent, IntentState.SENT, None, None, intent.at))
        self._verdicts[name] = tuple(verdicts)
        if intent.session not in self._of_session:
            self._of_session[intent.session] = []
            insort(self._days, intent.session)
        self._of_session[intent.session].append(name)
        return True

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        """Give up an unresolved intent once it is proven that the venue doesn't have it."""
        record = self._require_unresolved(client_order_id)
        self._put(replace(record, state=IntentState.ABANDONED, code=None, message=why, updated_at=at))

    def retry(self, client_order_id: str, at: datetime) -> None:
        """Write that an unresolved intent is about to be sent once more under its own id."""
        record = self._require_unresolved(client_order_id)
        self._put(replace(record, state=IntentState.SENT, code=None, message=None, updated_at=at))

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        """Return intents in the order promised: for one session, for sessions from `since` on, unresolved ones, or all.

        An intent is unresolved while it is SENT or UNKNOWN.
        """
        if unresolved:
            found = self._in_order(self._unresolved)
            first, last = session or since or date.min, session or date.max
            return tuple(record for record in found if first <= record.intent.session <= last)
        if session is not None:
            return tuple(self._intents[name] for name in self._of_session.get(session, ()))
        return self._in_order(self._since(since)) if since else tuple(self._intents.values())

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        """Return unresolved intents of any age and all of sessions from `since` on, in the order promised."""
        asked = "recent", since
        if asked not in self._answers:
            self._answers[asked] = self._in_order({*self._unresolved, *self._since(since)})
        found: tuple[IntentRecord, ...] = self._answers[asked]
        return found

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        """Return unresolved intents of any age, and those given up in sessions from `since` on, as promised."""
        given_up = (name for name in self._abandoned if self._intents[name].intent.session >= since)
        return self._in_order((*self._unresolved, *given_up))

    def promised(self, client_order_ids: Collection[str]) -> Mapping[str, IntentRecord]:
        """Return those of these intents that were ever promised, by client order id."""
        return {name: self._intents[name] for name in client_order_ids if name in self._intents}

    def intent(self, client_order_id: str) -> IntentRecord | None:
        """Return the intent with this id, or None."""
        return self._intents.get(client_order_id)

    def verdicts(self, client_order_id: str) -> tuple[Decision, ...]:
        """Return the verdicts with which an intent was promised."""
        return self._verdicts[client_order_id]

    def last_acknowledged(self) -> str | None:
        """Return the client order id of the last promised order that the venue acknowledged; cancels don't count."""
        newest = reversed(self._intents.values())
        made = (r.intent.client_order_id for r in newest if r.state is IntentState.ACKED and r.intent.makes_order)
        return next(made, None)

    def _put(self, record: IntentRecord) -> None:
        name = record.intent.client_order_id
        self._answers.clear()
        self._intents[name] = record
        self._unresolved.pop(name, None)
        self._abandoned.pop(name, None)
        if record.state.unresolved:
            self._unresolved[name] = None
        elif record.state is IntentState.ABANDONED:
            self._abandoned[name] = None

    def _answered(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        """Write how a request ended; an unknown outcome never replaces a known one."""
        record = self._intents[client_order_id]
        if not (record.state in PROVEN and reply.outcome is Outcome.UNKNOWN):
            self._put(IntentRecord(record.intent, STATE_AFTER[reply.outcome], reply.code, reply.message, at))

    def _require_unresolved(self, client_order_id: str) -> IntentRecord:
        record = self._intents[client_order_id]
        if not record.state.unresolved:
            raise AssertionError(f"{client_order_id} is {record.state}, not unresolved")
        return record

    def _since(self, since: date) -> Iterator[str]:
        for day in self._days[bisect_left(self._days, since) :]:
            yield from self._of_session[day]

    def _in_order(self, names: Iterable[str]) -> tuple[IntentRecord, ...]:
        return tuple(self._intents[name] for name in sorted(names, key=self._promised_as.__getitem__))


class Orders(Intents):
    """The venue's orders, by id, by whether they may still fill, and by when they were last written."""

    def __init__(self) -> None:
        super().__init__()
        self._orders: dict[str, Order] = {}
        self._alone: dict[str, tuple[Order]] = {}
        self._lines: dict[str, tuple[Order, ...]] = {}
        """Chains of orders that were asked for, as long as none of their orders is written."""
        self._named_in: dict[str, set[str]] = defaultdict(set)
        """The venue's ids of those whose chain names an order."""
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._working: dict[str, None] = {}
        self._unpromised: dict[str, str] = {}
        """The client order ids of orders that we never promised, by the venue's ids."""
        self._applied_at: dict[str, datetime] = {}
        self._applied: list[tuple[datetime, int]] = []
        self._replaced: dict[str, str] = {}
        """The venue's ids of replaced orders, by the ids of those that replaced them."""
        self._parents: dict[str, str] = {}

    def promise(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        """Write the intent as SENT, with its verdicts. If its id exists already, change nothing and return False."""
        added = super().promise(intent, verdicts)
        for venue_id in [one for one, name in self._unpromised.items() if added and name == intent.client_order_id]:
            del self._unpromised[venue_id]
        return added

    def settle(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        """Write the result of a request, and the order if the venue returned one."""
        self._answered(client_order_id, reply, at)
        if reply.order is not None:
            self.apply_orders((reply.order, *reply.legs), at)

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        """Write the venue's latest view of these orders; return how many changed."""
        return sum(self._apply_order(order, at) for order in orders)

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        """Return known orders as last reported: all, those that may still fill, or those written from `since` on."""
        if working:
            return tuple(self._orders[name] for name in self._working if not since or self._applied_at[name] >= since)
        return self._listed(self._applied_since(since)) if since else tuple(self._orders.values())

    def recent_orders(self, since: datetime) -> Sequence[Order]:
        """Return known orders that may still fill, that were written from `since` on, or that we never promised."""
        asked = "recent orders", bisect_left(self._applied, (since, BEFORE_ALL))
        if asked not in self._answers:
            held = (self._numbers[name] for name in (*self._working, *self._unpromised))
            self._answers[asked] = self._listed({*held, *self._applied_since(since)})
        found: tuple[Order, ...] = self._answers[asked]
        return found

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        """Return the known orders of each chain: the order itself, then those that it replaced, the nearest first.

        A leg's chain goes on with the order that it belongs to, and those that this one replaced. An order that we
        haven't been told about may have replaced known ones; chains without any are left out.
        """
        found = {}
        for venue_id in venue_ids:
            # Hardly any order was replaced or is a leg, and a pass asks for all orders of the last days.
            linked = venue_id in self._replaced or venue_id in self._parents
            if line := self._line(venue_id) if linked else self._alone.get(venue_id):
                found[venue_id] = line
        return found

    def applied_at(self, venue_id: str) -> datetime:
        """Return when an order was last written."""
        return self._applied_at[venue_id]

    def _apply_order(self, order: Order, at: datetime) -> bool:
        name, known = order.venue_id, self._orders.get(order.venue_id)
        order = order.with_known(known)
        if known is not None and not order.supersedes(known):
            return False
        self._answers.clear()
        self._link(known, order)
        self._forget_lines(name, order.replaced_by, known.replaced_by if known else None)
        self._orders[name], self._alone[name] = order, (order,)
        if order.status.terminal:
            self._working.pop(name, None)
        if known is None:
            self._numbers[name] = len(self._names)
            self._names.append(name)
            if not order.status.terminal:
                self._working[name] = None
            if not self._is_promised(order):
                self._unpromised[name] = order.client_order_id
        else:
            del self._applied[bisect_left(self._applied, (self._applied_at[name], self._numbers[name]))]
            if self._is_promised(order):
                self._unpromised.pop(name, None)
        self._applied_at[name] = at
        insort(self._applied, (at, self._numbers[name]))
        return True

    def _line(self, venue_id: str) -> tuple[Order, ...]:
        if venue_id not in self._lines:
            line = lineage(venue_id, self._replaced, self._parents)
            for name in line:
                self._named_in[name].add(venue_id)
            self._lines[venue_id] = tuple(self._orders[name] for name in line if name in self._orders)
        return self._lines[venue_id]

    def _forget_lines(self, *names: str | None) -> None:
        """Forget the chains that name one of these orders."""
        for name in names:
            for venue_id in self._named_in.pop(name, ()) if name else ():
                self._lines.pop(venue_id, None)

    def _link(self, known: Order | None, order: Order) -> None:
        """Remember which order this one was replaced by, and which one it is a leg of."""
        if known and known.replaced_by and self._replaced.get(known.replaced_by) == known.venue_id:
            del self._replaced[known.replaced_by]
        if order.replaced_by:
            self._replaced[order.replaced_by] = order.venue_id
        if order.parent:
            self._parents[order.venue_id] = order.parent

    def _is_promised(self, order: Order) -> bool:
        """Return True if an order is ours: promised under its own id, or a leg of one that was."""
        return order.client_order_id in self._intents or (
            order.parent in self._orders and order.parent not in self._unpromised
        )

    def _applied_since(self, since: datetime) -> Sequence[int]:
        return [number for _, number in self._applied[bisect_left(self._applied, (since, BEFORE_ALL)) :]]

    def _listed(self, numbers: Iterable[int]) -> tuple[Order, ...]:
        return tuple([self._orders[self._names[number]] for number in sorted(numbers)])
