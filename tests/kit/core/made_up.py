"""A venue that is everything Alpaca is not: ids that come back, ends that are told late, orders that are forgotten."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tests.kit.core.venue import REJECTED, FakeVenue
from tradebot.adapters.alpaca.capabilities import ALPACA
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order, OrderStatus, Outcome, Reply, TimeInForce
from tradebot.model.values import replace
from tradebot.model.venue import Capabilities, ClientIds, Edit, End, Pairs, Proof
from tradebot.model.venue_day import VenueDay

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
        return replace(reply, order=None) if reply.outcome is Outcome.UNKNOWN else reply

    def _is_taken(self, client_order_id: str) -> bool:
        """Return True if the id of a request is refused, as the venue's capabilities say."""
        same = [order for order in self.made if order.client_order_id == client_order_id]
        if self.capabilities.client_ids is ClientIds.UNIQUE:
            return bool(same)
        return self.capabilities.client_ids is ClientIds.WHILE_OPEN and any(o.status is OrderStatus.NEW for o in same)
