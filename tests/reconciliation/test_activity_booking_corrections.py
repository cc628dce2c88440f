"""A corrected execution: whatever was heard of it, and in which order, the books end as the account stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader
from tests.kit.values import NOW, VENUE_DAY, ago
from tradebot.model.account import Activity, ActivityKind, Corrects
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import OwnedFill, Position
from tradebot.reconciliation import activity_booking
from tradebot.reconciliation.read_books import apply_activities, read_books

D = Decimal
MULTIPLIER, MOST = D(5), 8
PRICES = st.integers(20_000, 20_080).map(lambda ticks: D(ticks) / 4)
QUANTITIES = st.integers(1, 4).map(D)


@dataclass
class Execution:
    """One execution at the venue, and what it has been: quantity and price of each of its states."""

    name: str
    side: Side
    states: list[tuple[Decimal, Decimal]]

    def fill(self, number: int = 0) -> Fill:
        quantity, price = self.states[number]
        return Fill(self.name, "o1", "MESZ6", self.side, quantity, price, ago(300), MULTIPLIER)

    def told(self, number: int) -> Activity:
        """Return the correction that made its state with a number."""
        quantity, price = self.states[number]
        names = [f"correction:{self.name}.{each}" for each in range(MOST)]
        of = Corrects(self.name, tuple(names[1:number]), tuple(names[number + 1 :]))
        kind = ActivityKind.CORRECTION
        return Activity(names[number], kind, "", "MESZ6", quantity, price, D(0), ago(300), kind, corrects=of)

    @property
    def cost(self) -> Decimal:
        quantity, price = self.states[-1]
        return quantity * price * MULTIPLIER * self.side.sign

    @property
    def signed(self) -> Decimal:
        return self.states[-1][0] * self.side.sign


@dataclass
class Books:
    """A bot's books, which hear of executions as they are listed."""

    scene: Scene = field(default_factory=Scene)

    def hear(self, listed: Sequence[tuple[Execution, int, bool]]) -> None:
        """Compare with a view: of each execution the state that it has there, with or without its first row."""
        ledger, venue = self.scene.ledger, self.scene.venue
        rows = [one.fill(0 if whole else number) for one, number, whole in listed]
        known = ledger.known_fills({row.activity_id for row in rows})
        ledger.apply_fills([OwnedFill("flow", row) for row in rows if row.activity_id not in known], NOW)
        venue.happened = [one.told(number) for one, number, _ in listed if number]
        books = read_books(ledger, NOW, VENUE_DAY)
        apply_activities(FakeReader(venue), ledger, books, venue.view(), NOW)

    @property
    def cost(self) -> Decimal:
        """Return what all executions have cost, by the books."""
        ledger = self.scene.ledger
        return ledger.totals().spent - ledger.cash_adjustments()

    @property
    def position(self) -> Position | None:
        return self.scene.ledger.totals().positions.get(("flow", "MESZ6"))


STATES = st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=4)
EXECUTIONS = st.lists(st.tuples(st.sampled_from(Side), STATES), min_size=1, max_size=4)


def played(drawn: Sequence[tuple[Side, list[tuple[Decimal, Decimal]]]], chance: st.DataObject) -> None:
    venue = [Execution(f"e{number}", side, states) for number, (side, states) in enumerate(drawn)]
    books, newest = Books(), {one.name: 0 for one in venue}
    for _ in range(chance.draw(st.integers(0, 5))):
        view = []
        for one in chance.draw(st.permutations(venue)):
            if chance.draw(st.booleans()):
                # A view may be old, so a state that was told before may be told again.
                newest[one.name] = chance.draw(st.integers(newest[one.name], len(one.states) - 1))
                number = chance.draw(st.integers(0, newest[one.name]))
                view.append((one, number, chance.draw(st.booleans())))
        books.hear(view)
    for _ in range(2):
        books.hear([(one, len(one.states) - 1, chance.draw(st.booleans())) for one in venue])
        assert books.cost == sum(one.cost for one in venue)
        held = books.position.quantity if books.position else D(0)
        assert held == sum(one.signed for one in venue)


@given(EXECUTIONS, st.data())
def test_the_books_end_as_the_account_stands_whatever_was_heard(
    drawn: list[tuple[Side, list[tuple[Decimal, Decimal]]]], chance: st.DataObject
) -> None:
    played(drawn, chance)


def test_what_is_held_costs_what_it_does_now_and_makes_no_profit() -> None:
    books = Books()
    one = Execution("e1", Side.BUY, [(D(2), D("5000.25")), (D(2), D("5000.50")), (D(2), D("5000.25"))])
    books.hear([(one, 0, True)])
    opened = books.position
    assert opened is not None
    for number, price in ((1, D("5000.50")), (1, D("5000.50")), (2, D("5000.25")), (1, D("5000.25"))):
        books.hear([(one, number, False)])
        held = books.position
        assert held is not None
        assert (held.quantity, held.average_price, held.realized_pnl) == (D(2), price, D(0))
        assert (held.opened_at, held.original_quantity) == (opened.opened_at, D(2))
        assert books.scene.ledger.cash_adjustments() == 0
    assert len(books.scene.ledger.booked()) == 2


def test_what_is_closed_is_cash() -> None:
    books = Books()
    bought = Execution("e1", Side.BUY, [(D(2), D(5000)), (D(2), D(5001))])
    sold = Execution("e2", Side.SELL, [(D(2), D(5010))])
    books.hear([(bought, 0, True), (sold, 0, True)])
    books.hear([(bought, 1, False), (sold, 0, True)])
    assert books.scene.ledger.cash_adjustments() == -10


@pytest.mark.parametrize("broken", ["differences", "no later"])
def test_books_that_take_what_is_told_for_a_difference_are_caught(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = activity_booking.book_correction

    def wrong(held: object, one: Activity, of: Corrects) -> object:
        return right(held, one, Corrects(of.fill_id, (), of.later))  # type: ignore[arg-type]

    if broken == "differences":
        monkeypatch.setattr(activity_booking, "book_correction", wrong)
    else:
        monkeypatch.setattr(Execution, "told", lambda self, number, told=Execution.told: forgetful(told(self, number)))
    one = Execution("e1", Side.BUY, [(D(2), D(5000)), (D(2), D(5001)), (D(2), D(5003))])
    books = Books()
    for number in (0, 1, 2) if broken == "differences" else (0, 2, 1):
        books.hear([(one, number, False)])
    assert books.cost != one.cost


def forgetful(told: Activity) -> Activity:
    """Return a correction that doesn't know of later ones."""
    from tradebot.model.struct_tools import replace

    assert told.corrects is not None
    return replace(told, corrects=replace(told.corrects, later=()))
