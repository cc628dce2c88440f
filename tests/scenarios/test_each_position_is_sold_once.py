"""Whatever is lost, late, killed or done by a twin while a position is left: it is sold once, and each fill is kept."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, FakeVenue
from tests.kit.values import CASH, NOW, SESSION, Killed
from tradebot.model.candidate import Side
from tradebot.model.intent import ID_CONFLICT, Intent
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.record import Job
from tradebot.ports.broker import Ending

FATES = ("answered", "lost", "swallowed", "late", "killed before", "killed after")
WORDS = st.sampled_from(FATES)
PASSES = st.tuples(st.just("pass"), st.tuples(st.sampled_from([0, 1]), st.lists(WORDS, max_size=3)))
MOVES = st.one_of(
    PASSES,
    PASSES,
    st.tuples(st.just("time"), st.sampled_from([60, 180, 300])),
    st.tuples(st.just("price"), st.sampled_from([90, 93, 96, 97])),
    st.tuples(st.just("fill"), st.sampled_from([1, 9, 49])),
    st.tuples(st.just("arrive"), st.just(0)),
)


class Late(NamedTuple):
    """A request that is still under way."""

    arrive: Callable[[Intent], Reply]
    intent: Intent


class FatefulVenue(FakeVenue):
    """A venue that takes an id once, ends and replaces an order once, and whose every answer may have another fate.

    What a new order is asked for comes in time, or never: two machines that know nothing of one another cannot tell
    an order that is late from one that nobody sent. What is asked about an order may come at any time.
    """

    def __init__(self) -> None:
        super().__init__(SESSION, NOW, CASH)
        self.fates: list[str] = []
        self.late: list[Late] = []

    def submit(self, intent: Intent) -> Reply:
        return self._meets_its_fate(self._accepted, intent, ("late", "swallowed"))

    def replace(self, intent: Intent) -> Reply:
        return self._meets_its_fate(self.replacement, intent, ("swallowed",))

    def cancel(self, intent: Ending) -> Reply:
        assert isinstance(intent, Intent)
        return self._meets_its_fate(self._cancelled, intent, ("swallowed",))

    def arrive(self) -> None:
        waiting, self.late = self.late, []
        for request in waiting:
            request.arrive(request.intent)

    def _meets_its_fate(self, arrives: Callable[[Intent], Reply], intent: Intent, never: tuple[str, ...]) -> Reply:
        fate = self.fates.pop(0) if self.fates else "answered"
        if fate == "killed before":
            raise Killed
        if fate == "late" and fate not in never:
            self.late.append(Late(arrives, intent))
        if fate in never or fate == "late":
            return LOST
        reply = arrives(intent)
        if fate == "killed after":
            raise Killed
        return LOST if fate == "lost" else reply

    def _accepted(self, intent: Intent) -> Reply:
        held = self.book.get(intent.client_order_id)
        if held is None:
            return Reply(WriteOutcome.ACCEPTED, self.rest(intent.client_order_id, intent.instrument.symbol, intent))
        same = intent.matches_order(held)
        return Reply(WriteOutcome.ACCEPTED if same else WriteOutcome.REJECTED, held, None if same else ID_CONFLICT)

    def _cancelled(self, intent: Intent) -> Reply:
        if any(o.venue_id == intent.target_venue_id and o.status.terminal for o in self.book.values()):
            return Reply(WriteOutcome.ACCEPTED)
        return super().cancel(intent)


@dataclass
class Machine(Scene):
    """A machine with its own books, on an account that another one may trade too."""

    venue: FatefulVenue = field(default_factory=FatefulVenue)


def holding(number: int) -> list[Machine]:
    """Return so many machines that have bought one position in one slot, and know it; their stop is reached."""
    first = Machine()
    machines = [first, *(Machine(venue=first.venue) for _ in range(number - 1))]
    for machine in machines:
        trade_once(machine.world(wanted("AAPL")), call())
    first.venue.fill(first.venue.view().orders[0].client_order_id, "100")
    first.later(60)
    first.price("AAPL", "97")
    return machines


def passes(machine: Machine, fates: tuple[str, ...] = ()) -> None:
    """Run the pass of exits of this minute, which may be killed."""
    venue = machine.venue
    venue.fates = list(fates)
    with suppress(Killed):
        evaluate_exits(machine.world(), call(Job.EVALUATE_EXITS, f"{venue.now:%H:%M}"))
    venue.fates = []


def fills(venue: FatefulVenue, most: int) -> None:
    price = venue.prices["AAPL"].bid
    for order in venue.view().orders:
        if order.limit_price is None or order.limit_price <= price:
            venue.fill(order.client_order_id, str(price), min(order.open_quantity, Decimal(most)))


def sold_once(venue: FatefulVenue) -> bool:
    selling = sum((o.open_quantity for o in venue.view().orders if o.side is Side.SELL), Decimal(0))
    return selling <= venue.held["AAPL"]


def befalls(machines: list[Machine], what: str, how: Any) -> None:
    first = machines[0]
    if what == "pass":
        number, fates = how
        passes(machines[number % len(machines)], fates)
    elif what == "time":
        first.later(how)
    elif what == "price":
        first.price("AAPL", str(how))
    elif what == "fill":
        fills(first.venue, how)
    else:
        first.venue.arrive()


def heals(machines: list[Machine]) -> None:
    """Let everything arrive and time pass, until nothing can be left to do."""
    venue = machines[0].venue
    venue.arrive()
    for price in ("92", "91", "90"):
        for machine in machines:
            passes(machine)
        assert sold_once(venue)
        machines[0].later(310)
        machines[0].price("AAPL", price)
        for machine in machines:
            passes(machine)
        assert sold_once(venue)
        fills(venue, 1000)
        machines[0].later(60)
    for machine in machines:
        passes(machine)


@settings(max_examples=2 * settings().max_examples)
@given(st.integers(1, 2), st.lists(MOVES, min_size=2, max_size=12))
def test_a_position_is_left_once_whatever_befalls_the_requests(number: int, moves: list[tuple[str, Any]]) -> None:
    machines = holding(number)
    venue = machines[0].venue
    for what, how in moves:
        befalls(machines, what, how)
        assert sold_once(venue)
    heals(machines)
    assert venue.held["AAPL"] == 0
    for machine in machines:
        kept = {owned.fill.activity_id: owned.strategy for owned in machine.ledger.fills()}
        assert kept.keys() == {execution.activity_id for execution in venue.executions}
        assert number > 1 or set(kept.values()) == {"flow"}
        assert machine.ledger.intents(unresolved=True) == ()
