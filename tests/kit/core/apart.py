"""A venue whose stops and targets rest apart, with or without reduce-only orders, and with each way to change an order.

It writes a log in the exchange's words, so that the judges of the exchange's log judge it too.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once
from tests.kit.core.venue import LOST, REJECTED, FakeVenue, Wanting
from tests.kit.values import CASH, EXITS, LIMITS, NOW, SESSION, Killed
from tradebot.cycle import flatten
from tradebot.errors import TemporaryError
from tradebot.exits.rules import Exits, parse
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, Operation
from tradebot.model.limits import Protection
from tradebot.model.order import Fill, Order, OrderClass, OrderStatus, OrderType, Reply, TimeInForce, WriteOutcome
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, ClientIds, Edit, End, Pairs, Proof
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import Open
from tradebot.ports.broker import Ending
from tradebot.ports.world import Call, World
from tradebot.venues.alpaca.capabilities import ALPACA

# A venue that is everything Alpaca is not: ids that come back, ends that are told late, orders that are forgotten.

PROVES_AFTER = timedelta(seconds=10)
"""How long a request may be on its way here; the history of orders is complete up to then."""
MADE_UP = replace(
    ALPACA,
    name="madeup",
    title="Made-up",
    lives=frozenset({TimeInForce.GTC}),
    client_ids=ClientIds.WHILE_OPEN,
    edit=Edit.NONE,
    pairs=Pairs.TWO_ORDERS,
    calendar="24/7",
    day=VenueDay("UTC"),
    short_reserve=Decimal(1),
    reduce_only=True,
)


class MadeUpVenue(FakeVenue):
    """Keeps every order it makes in `made`, whatever their ids, and each id that it was sent in `received`.

    Its list of orders forgets one once it has ended, as some venues do after seconds; only the history still has it.
    `history_answers` is False while that can't be asked.
    """

    def __init__(self, session: Session, now: datetime, cash: Decimal, can: Capabilities = MADE_UP) -> None:
        super().__init__(session, now, cash)
        self.capabilities = can
        self.received: list[str] = []
        self.history_answers = True

    @property
    def made(self) -> list[Order]:
        """Return every order, in the order in which they arrived."""
        return list(self.book.values())

    def order(self, client_order_id: str) -> Order | None:
        found = [order for order in self.made if order.client_order_id == client_order_id]
        working = [order for order in found if not order.status.terminal]
        if not working and not self.history_answers:
            raise TemporaryError("the history does not answer")
        return next(reversed(working or found), None)

    def follower(self, venue_id: str) -> Order | None:
        return next((order for order in self.made if order.venue_id == venue_id), None)

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        order = None if intent.operation is Operation.CANCEL else self.order(intent.client_order_id)
        if order is not None:
            return Proof.of(order)
        if now < intent.at + PROVES_AFTER:
            return Proof(End.UNKNOWN, "its history may not have it yet")
        return Proof(End.OVER, "its history has no such order")

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        found = super().listings(symbols)
        around = {name: replace(one.instrument, calendar=self.capabilities.calendar) for name, one in found.items()}
        return {name: replace(one, instrument=around[name]) for name, one in found.items()}

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:  # type: ignore[override]
        return ""

    def submit(self, intent: Intent) -> Reply:
        self.received.append(intent.client_order_id)
        if self._is_taken(intent.client_order_id):
            return REJECTED
        # What fills at another venue's id must not overwrite it.
        taken = self.book.pop(intent.client_order_id, None)
        if taken is not None:
            self.book[f"{intent.client_order_id} {taken.venue_id}"] = taken
        reply = super().submit(intent)
        return replace(reply, order=None) if reply.outcome is WriteOutcome.UNKNOWN else reply

    def _is_taken(self, client_order_id: str) -> bool:
        """Return True if the id of a request is refused, as the venue's capabilities say."""
        same = [order for order in self.made if order.client_order_id == client_order_id]
        if self.capabilities.client_ids is ClientIds.UNIQUE:
            return bool(same)
        return self.capabilities.client_ids is ClientIds.WHILE_OPEN and any(o.status is OrderStatus.NEW for o in same)


LOST_ON_THE_WAY, LOST_ON_THE_WAY_BACK, REFUSED, SLOW, KILLED = "swallowed", "lost", "refused", "slow", "killed"
FATES = (LOST_ON_THE_WAY, LOST_ON_THE_WAY_BACK, REFUSED, SLOW, KILLED)
"""What may become of a request; a slow one is accepted, and takes effect once the venue has `caught_up`."""
ZERO = Decimal(0)
CHANGEABLE = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_NEW})
"""States in which the venue changes an order; it refuses that of one that it holds back."""


def capabilities(edit: Edit, *, reduce_only: bool, pairs: Pairs = Pairs.TWO_ORDERS) -> Capabilities:
    """Return a venue without pairs."""
    return replace(ALPACA, name="apart", edit=edit, pairs=pairs, reduce_only=reduce_only)


class VenueApart(FakeVenue):
    """One account at such a venue. `fates` befall its next requests; `log` has what happened, as the exchange tells it.
    `answers` are the outcomes of what was `asked`, None where the process ended first.

    An order that only reduces fills no more than is held, and ends once nothing is, unless the venue `hears_late`.
    If it `hides_ends`, nobody is told that an order was canceled, which isn't listed anymore then.
    If it `has_history`, that proves the end of a request as soon as it can't be on its way anymore.
    """

    def __init__(self, can: Capabilities) -> None:
        super().__init__(SESSION, NOW, CASH)
        self.can = self.capabilities = can
        self.fates: list[str] = []
        self.hears_late = self.has_history = self.hides_ends = False
        self.log: list[Mapping[str, Any]] = []
        self.asked: list[Intent] = []
        self.answers: list[WriteOutcome | None] = []
        self._later: list[tuple[str, Intent]] = []
        self._only_reduce: set[str] = set()

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        if not self.has_history:
            return super().end_of(intent, sessions, now)
        return MadeUpVenue.end_of(self, intent, sessions, now)  # type: ignore[arg-type]

    def order(self, client_order_id: str) -> Order | None:
        order = super().order(client_order_id)
        return None if order and order.status is OrderStatus.CANCELED and self.hides_ends else order

    def ended(self, since: datetime) -> Sequence[Order]:
        return [one for one in super().ended(since) if one.status is not OrderStatus.CANCELED or not self.hides_ends]

    def submit(self, intent: Intent) -> Reply:
        return self._request(intent, self._take)

    def replace(self, intent: Intent) -> Reply:
        assert self.can.edit is not Edit.NONE, "the venue changes no orders"
        return self._request(intent, self._change)

    def cancel(self, ending: Ending) -> Reply:
        assert isinstance(ending, Intent), "a bot with books promises each cancel"
        return self._request(ending, self._end)

    def _request(self, intent: Intent, do: Any) -> Reply:
        self.asked.append(intent)
        self.answers.append(None)
        fate = self.fates.pop(0) if self.fates else ""
        if fate:
            self.log.append({**self._line("fault_fired"), "what": fate})
        self.log.append(self._line("request", method=intent.operation, path=f"/{intent.target_venue_id}"))
        reply: Reply = REJECTED if fate == REFUSED else LOST
        if fate not in (REFUSED, LOST_ON_THE_WAY):
            reply = do(intent, slow=fate == SLOW)
        if fate == KILLED:
            raise Killed
        reply = LOST if fate == LOST_ON_THE_WAY_BACK else reply
        self.answers[-1] = reply.outcome
        return reply

    def _take(self, intent: Intent, *, slow: bool) -> Reply:
        known = self.book.get(intent.client_order_id)
        if known is not None:
            return Reply(WriteOutcome.ACCEPTED, known)
        if intent.purpose is not Purpose.OPEN and self.can.reduce_only:
            if self.held.get(intent.instrument.symbol, ZERO) * intent.side.sign >= 0:
                return replace(REJECTED, code="would_not_reduce")
            self._only_reduce.add(intent.client_order_id)
        order = self.rest(intent.client_order_id, intent.instrument.symbol, intent)
        hangs = intent.order_class is OrderClass.BRACKET
        arrived = self._arrived(replace(order, stop_price=None) if hangs else order, "order_accepted", slow=slow)
        return Reply(WriteOutcome.ACCEPTED, arrived, legs=(self._stop_of(arrived, intent),) if hangs else ())

    def _stop_of(self, entry: Order, intent: Intent) -> Order:
        """Let the stop of an entry wait for it, under an id of the venue's own."""
        number, side = len(self.book) + 1, Side.SELL if entry.side is Side.BUY else Side.BUY
        stop = replace(
            entry,
            venue_id=f"venue-{number}",
            client_order_id=f"of-the-venue.PROTE.{number}",
            side=side,
            order_type=OrderType.STOP,
            order_class=OrderClass.SIMPLE,
            limit_price=None,
            stop_price=intent.stop_price,
            time_in_force=TimeInForce.GTC,
            status=OrderStatus.HELD,
            parent=entry.venue_id,
        )
        self._only_reduce |= {stop.client_order_id} if self.can.reduce_only else set()
        return self._put(stop, "order_held")

    def _arrived(self, order: Order, event: str, *, slow: bool) -> Order:
        """Let a new order rest now, or once the venue has caught up."""
        arriving = self._put(replace(order, status=OrderStatus.PENDING_NEW), event)
        return arriving if slow else self._put(order, "order_new")

    def _change(self, intent: Intent, *, slow: bool) -> Reply:
        old = self.follower(intent.target_venue_id or "")
        known = self.book.get(intent.client_order_id)
        if known is not None:
            return Reply(WriteOutcome.ACCEPTED, known)
        if old is None or old.status not in CHANGEABLE:
            return replace(REJECTED, code="not_open")
        if slow:
            self._put(replace(old, status=OrderStatus.PENDING_REPLACE), "order_pending_replace")
            self._later.append(("change", intent))
        else:
            old = self._changed(old, intent)
        return Reply(WriteOutcome.ACCEPTED, self.follower(old.venue_id))

    def _changed(self, old: Order, intent: Intent) -> Order:
        """Let a change take effect; what was filled goes over into it."""
        prices = {"limit_price": intent.limit_price, "stop_price": intent.stop_price}
        working = OrderStatus.PARTIALLY_FILLED if old.filled_quantity else OrderStatus.NEW
        changed = replace(old, **prices, quantity=intent.quantity, status=working)  # type: ignore[arg-type]
        if self.can.edit is Edit.IN_PLACE:
            return self._put(changed, "order_restated")
        venue_id = f"venue-{len(self.book) + 1}"
        if old.client_order_id in self._only_reduce:
            self._only_reduce.add(intent.client_order_id)
        new = self._put(replace(changed, venue_id=venue_id, client_order_id=intent.client_order_id), "order_new")
        self._put(replace(old, status=OrderStatus.REPLACED, replaced_by=venue_id), "order_replaced")
        return new

    def _end(self, intent: Intent, *, slow: bool) -> Reply:
        order = self.follower(intent.target_venue_id or "")
        if order is not None and not order.status.terminal:
            state = OrderStatus.PENDING_CANCEL if slow else OrderStatus.CANCELED
            self._put(replace(order, status=state), f"order_{state}")
            if slow:
                self._later.append(("end", intent))
        return Reply(WriteOutcome.ACCEPTED)

    def catch_up(self) -> None:
        """Let all that was slow take effect."""
        for what, intent in self._later:
            order = self.follower(intent.target_venue_id or "")
            if order is not None and not order.status.terminal and what == "change":
                self._changed(order, intent)
            elif order is not None and not order.status.terminal:
                self._put(replace(order, status=OrderStatus.CANCELED), "order_canceled")
        self._later.clear()
        for order in [order for order in self.book.values() if order.status is OrderStatus.PENDING_NEW]:
            self._put(replace(order, status=OrderStatus.NEW), "order_new")
        self._sweep()

    def suspend(self, order: Order) -> None:
        """Let the venue hold an order back."""
        self._put(replace(order, status=OrderStatus.SUSPENDED), "order_suspended")

    def working(self, *roles: Purpose) -> list[Order]:
        """Return the open orders that were sent for one of these purposes, oldest first."""
        marks = tuple(f".{role[:5].upper()}." for role in roles)
        return [o for name, o in self.book.items() if not o.status.terminal and any(mark in name for mark in marks)]

    def stops(self) -> list[Order]:
        """Return the open stops, oldest first."""
        found = self.working(Purpose.PROTECT)
        return [order for order in found if order.stop_price is not None and order.status is not OrderStatus.HELD]

    def targets(self) -> list[Order]:
        """Return the open targets, oldest first."""
        return [order for order in self.working(Purpose.PROTECT) if order.stop_price is None]

    def fill(self, client_order_id: str, price: str, quantity: Decimal | None = None) -> None:
        """Fill an order, wholly where no quantity is given; one that only reduces fills what is left to reduce."""
        order = self.book[client_order_id]
        held = self.held.get(order.symbol, ZERO)
        amount = order.open_quantity if quantity is None else min(quantity, order.open_quantity)
        if client_order_id in self._only_reduce and not self.hears_late:
            amount = min(amount, abs(held)) if held * order.side.sign < 0 else ZERO
        if amount:
            done = order.filled_quantity + amount
            # What is being changed or canceled stays so while a part of it fills.
            pending = order.status in (OrderStatus.PENDING_REPLACE, OrderStatus.PENDING_CANCEL)
            partly = order.status if pending else OrderStatus.PARTIALLY_FILLED
            status = OrderStatus.FILLED if done == order.quantity else partly
            self.held[order.symbol] = held + amount * order.side.sign
            self.cash -= amount * order.side.sign * Decimal(price)
            self._put(
                replace(order, filled_quantity=done, filled_average_price=Decimal(price), status=status),
                "fill",
                position=f"{self.held[order.symbol]:f}",
            )
            number = len(self.executions) + 1
            told = Fill(f"act-{number}", order.venue_id, order.symbol, order.side, amount, Decimal(price), self.now)
            self.executions.append(told)
        self._sweep()

    def _sweep(self) -> None:
        """End what could only reduce, where nothing is left to be reduced."""
        for order in [o for o in self.book.values() if o.client_order_id in self._only_reduce]:
            gone = self.held.get(order.symbol, ZERO) * order.side.sign >= 0
            waits = order.status is OrderStatus.HELD
            if gone and not (waits or order.status.terminal or self.hears_late):
                self._put(replace(order, status=OrderStatus.CANCELED), "order_canceled")

    def _put(self, order: Order, event: str, **others: str) -> Order:
        """Put an order into the book as it is now, and tell of it."""
        order = replace(order, updated_at=self.now)
        self.book[order.client_order_id] = order
        told = {"order_id": order.venue_id, "client_order_id": order.client_order_id, "status": order.status.value}
        amounts = {"qty": f"{order.quantity or ZERO:f}", "filled_qty": f"{order.filled_quantity:f}"}
        prices = {} if order.stop_price is None else {"stop_price": f"{order.stop_price:f}"}
        parent = {} if order.parent is None else {"parent_id": order.parent}
        about = {"symbol": order.symbol, "side": order.side.value, **amounts, **prices, **parent}
        self.log.append(self._line(event, **told, **about, **others))
        for stop in [one for one in self.book.values() if one.parent == order.venue_id and order.status.terminal]:
            if stop.status is OrderStatus.HELD:
                works = order.status is OrderStatus.FILLED
                self._put(
                    replace(stop, status=OrderStatus.NEW if works else OrderStatus.CANCELED),
                    "order_new" if works else "order_canceled",
                )
        return order

    def _line(self, event: str, **told: str) -> dict[str, str]:
        method = {"method": "DELETE"} if told.get("method") == "cancel" else {}
        return {"at": self.now.isoformat(), "event": event, "account": self.number, **told, **method}


RULES = parse(
    [
        {"stop_loss": {"fraction": "0.02"}},
        {"trailing_stop": {"fraction": "0.02", "arm_fraction": "0.005"}},
        {"scale_out": {"levels": [{"fraction": "0.01", "share": "0.4"}, {"fraction": "0.03", "share": "0.4"}]}},
        {"time_exit": {"after_s": 7200}},
    ]
)
"""A stop at 98 that follows the price from 100.50 on, targets of 4 at 101 and of 4 at 103, for ten shares at 100."""


class BotApart:
    """A bot that trades AAPL at such a venue, and each pass of which has a slot of its own.

    `kept` is what its entries ask to be kept, such as a stop.
    """

    def __init__(self, can: Capabilities, rules: Exits = RULES, **kept: Decimal) -> None:
        self.venue = VenueApart(can)
        self.scene = Scene(
            venue=self.venue,
            exits=EXITS.model_copy(update={"protection": Protection.VENUE}),
            limits=LIMITS.model_copy(update={"cooldown_s": 0, "duplicate_window_s": 0}),
        )
        self.rules = rules
        self.kept: Mapping[str, Any] = kept
        self.passes: list[datetime] = []
        """When passes of exits began that ran to their end."""

    def world(self, *wants: Open) -> World:
        world = self.scene.world()
        rules = replace(world.rules, own_exits={"flow": self.rules})
        return replace(world, rules=rules, strategies=(Wanting(*wants, name="flow"),))

    def enter(self, side: Side = Side.BUY, quantity: int = 10) -> Order | None:
        """Let flow open a position; return its order if one works."""
        want = Open("AAPL", side, 0.9 * side.sign, 1.0, quantity=Decimal(quantity), **self.kept)
        self._pass(lambda call: trade_once(self.world(want), call), Job.TRADE_ONCE)
        return next(iter(self.venue.working(Purpose.OPEN)), None)

    def exits(self, seconds: int = 60) -> CycleRecord | None:
        """Run a pass of exits so many seconds later; None if it was killed."""
        self.scene.later(seconds)
        done = self._pass(lambda call: evaluate_exits(self.world(), call), Job.EVALUATE_EXITS)
        self.passes += [self.venue.now] if done else []
        return done

    def flatten(self, seconds: int = 60) -> CycleRecord | None:
        """Close everything by hand."""
        self.scene.later(seconds)
        return self._pass(lambda call: flatten(self.world(), call, None), Job.EVALUATE_EXITS)

    def _pass(self, run: Callable[[Call], CycleRecord], job: Job) -> CycleRecord | None:
        self._slots += 1
        try:
            return run(call(job, f"open+{self._slots}s"))
        except Killed:
            return None

    _slots = 0

    def held(self, shares: int = 10, side: Side = Side.BUY) -> "BotApart":
        """Let it hold so many shares, bought or sold short at 100, with what protects them; return it."""
        self.filled(shares, side).exits()
        return self

    def filled(self, shares: int = 10, side: Side = Side.BUY) -> "BotApart":
        """Let its entry fill at 100, before a pass protects what it holds; return it."""
        order = self.enter(side, shares)
        assert order is not None, "the entry was refused"
        self.venue.fill(order.client_order_id, "100")
        return self

    @property
    def position(self) -> Decimal:
        """Return the signed shares of AAPL that the venue holds."""
        return self.venue.held.get("AAPL", ZERO)
