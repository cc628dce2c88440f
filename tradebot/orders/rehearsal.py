"""Rehearse the whole order path: send one order that can't fill, then cancel it."""

from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple, Protocol, TypeVar

from msgspec import Struct

from tradebot.desk.listing_lookup import read_listings
from tradebot.desk.snapshot import take_desk
from tradebot.gates.shared_gates import permission_to_enter, session_open, trading_state
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Decisions, first_failure
from tradebot.model.desk import Desk, RiskBook
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent
from tradebot.model.order import Order
from tradebot.orders.order_sender import cancel_intent, send, submit_intent
from tradebot.ports.world import Call, World

T = TypeVar("T")
STRATEGY = "doctor"
FAR = Decimal("0.1")
"""The limit price as a fraction of the bid. No market falls that far in the moment the order is open."""
LOOKS = 20


class RehearsalProgress(Struct, frozen=True):
    """How far a rehearsal got: `sent` and `cancelled` are our decisions, `working` and `ended` the venue's replies.

    Steps that weren't reached are None. If `sent` didn't pass, there was no order to cancel.
    """

    intent: Intent
    sent: Decision
    working: Order | None = None
    cancelled: Decision | None = None
    ended: Order | None = None


class _Placed(NamedTuple):
    """What the first step did: the desk it saw, its order, the decision about it, and the conditions checked."""

    desk: Desk
    intent: Intent
    sent: Decision
    asked: Decisions


class RehearsalStep(Protocol):
    """A function that runs one step of a rehearsal, such as under the pass lock."""

    def __call__(self, step: Callable[[], T]) -> T:
        """Return what the step returns."""


def rehearse(world: World, call: Call, pause: Callable[[], None], turn: RehearsalStep) -> RehearsalProgress | None:
    """Buy the smallest quantity far below the market and cancel it; return None if no free symbol has a quote.

    `pause` waits a moment, for venues that take a while to cancel. `turn` runs one step under the pass lock. If the
    step yields to exits, `turn` may run it again, so a step never yields after its order was sent.
    """
    placed = turn(lambda: _place_far_below(world, call))
    if placed is None:
        return None
    intent, sent = placed.intent, placed.sent
    if not sent.passed:
        return RehearsalProgress(intent, sent)
    working, cancelled = turn(lambda: _cancel_placed(world, call, placed))
    if working is None or cancelled is None:
        return RehearsalProgress(intent, sent)
    ended = _wait_until_ended(world, intent, pause) if cancelled.passed else None
    turn(lambda: world.ledger.apply_orders([ended or working], placed.desk.now))
    return RehearsalProgress(intent, sent, working, cancelled, ended)


def _place_far_below(world: World, call: Call) -> _Placed | None:
    desk = take_desk(world, for_entries=False)
    listed = read_listings(world, world.rules.universe)
    quotes = world.market.quotes(tuple(symbol for symbol in world.rules.universe if symbol in listed))
    quote = _highest_priced(quotes, desk.book)
    if quote is None:
        return None
    listing = listed[quote.symbol]
    candidate = Candidate(STRATEGY, listing.instrument, Side.BUY, Purpose.OPEN, desk.now, source="doctor")
    intent = submit_intent(world, call, desk, candidate, listing.minimum, far_below(listing, quote))
    conditions = (permission_to_enter(desk), trading_state(desk), session_open(desk))
    return _Placed(desk, intent, first_failure(conditions) or send(world, desk, intent, conditions), conditions)


def _cancel_placed(world: World, call: Call, placed: _Placed) -> tuple[Order | None, Decision | None]:
    working = world.reader.order(placed.intent.client_order_id)
    if working is None:
        return None, None
    now, of = placed.desk.now, placed.intent.instrument
    ending = cancel_intent(call, placed.desk.account.number, now, working, of, STRATEGY, Purpose.OPEN)
    return working, send(world, placed.desk, ending, placed.asked)


def far_below(listing: Listing, quote: Quote) -> Decimal:
    """Return a tenth of the bid, rounded down to the tick, never zero."""
    return listing.on_tick(quote.bid * FAR, ROUND_FLOOR)


def _highest_priced(quotes: Mapping[str, Quote], book: RiskBook) -> Quote | None:
    """Return the quote with the highest bid among symbols without positions or orders; None if there is none.

    Venues refuse orders that are worth almost nothing.
    """
    unavailable = book.held | book.foreign | book.working | book.unresolved
    return max(
        (quote for quote in quotes.values() if quote.symbol not in unavailable), key=lambda q: q.bid, default=None
    )


def _wait_until_ended(world: World, intent: Intent, pause: Callable[[], None]) -> Order | None:
    order = world.reader.order(intent.client_order_id)
    for _ in range(LOOKS):
        if order is None or order.status.terminal:
            break
        pause()
        order = world.reader.order(intent.client_order_id)
    return order
