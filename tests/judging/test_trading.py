"""Fills that the broker reports take a position only to states that can follow; anything else is a leap."""

from decimal import Decimal

import pytest

from tests.builders import books, fill
from tests.model.test_lifecycle import ENTRY, EXIT, order, record
from tradebot.judging.trading import Leap, leaps
from tradebot.model.books import Books
from tradebot.model.candidate import Side
from tradebot.model.intent import IntentState
from tradebot.model.lifecycle import State
from tradebot.model.order import OrderStatus
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.values import replace

BOUGHT, SOLD = fill(1), fill(2, side=Side.SELL)
ANOTHER = fill(3, side=Side.SELL)
KEY = ("flow", "AAPL")


def entering(*fills: OwnedFill) -> Books:
    """Return books in which an entry works."""
    promised = {ENTRY.client_order_id: record(ENTRY, IntentState.ACKED)}
    return books(*fills, orders=(order(ENTRY),), promised=promised)


@pytest.mark.parametrize(
    ("before", "pending", "leap"),
    [
        (books(), (), None),
        (books(BOUGHT), (SOLD,), None),
        (books(BOUGHT, SOLD), (ANOTHER,), Leap(*KEY, State.CLOSED, State.OPEN)),
        (books(), (BOUGHT,), Leap(*KEY, State.CLOSED, State.OPEN)),
        (entering(), (BOUGHT,), None),
        (entering(BOUGHT, SOLD), (fill(3),), None),
        (entering(), (BOUGHT, SOLD), None),
        (books(), (replace(BOUGHT, strategy=FOREIGN),), None),
    ],
)
def test_unexplained_fill_is_a_leap(before: Books, pending: tuple[OwnedFill, ...], leap: Leap | None) -> None:
    assert next(leaps(before, pending), None) == leap


def test_states_of_the_books_include_what_is_on_its_way_and_what_is_over() -> None:
    assert books(BOUGHT, SOLD).states() == {KEY: State.CLOSED}
    assert entering().states() == {KEY: State.WORKING}
    assert replace(entering(), orders=(), intents=(record(ENTRY),)).states() == {KEY: State.INTENDED}
    exit_of_it = {EXIT.client_order_id: record(EXIT, IntentState.ACKED)}
    closing = books(BOUGHT, orders=(order(EXIT),), promised=exit_of_it)
    assert closing.states() == {KEY: State.CLOSING}
    filled = order(EXIT, OrderStatus.FILLED, 10)
    unbooked = replace(closing, orders=(filled,))
    assert unbooked.states() == {KEY: State.CLOSING}
    assert replace(unbooked, filled={filled.venue_id: Decimal(10)}).states() == {KEY: State.OPEN}
