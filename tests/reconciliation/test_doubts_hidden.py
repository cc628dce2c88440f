"""What is held though no position is listed: books and orders say so, and the margin that is tied up."""

from collections.abc import Collection, Mapping
from decimal import Decimal

import pytest

from tests.kit.values import NOW, account, books, fill, leveled
from tests.model.test_lifecycle import PAIR, order, record
from tests.reconciliation.comparing import compared, kinds, margined, trade
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Side
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import ListingRecord
from tradebot.model.order import OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement
from tradebot.reconciliation.doubts import with_hidden_positions


class Kept:
    """The stored listings, of one symbol."""

    def listings(self, symbols: Collection[str] | None = None) -> Mapping[str, ListingRecord]:
        """Return what is stored of these."""
        return {symbol: ListingRecord(leveled(symbol)) for symbol in symbols or () if symbol == "AAPL"}

    def put_listings(self, records: object) -> None:
        """Store nothing."""


def seen(tied_up: str, symbol: str = "AAPL") -> dict[str, Decimal]:
    """Return the positions of a view that lists none, of books with a hundred units at a hundred."""
    told = account(settlement=Settlement.MARGINED, maintenance_margin=Decimal(tied_up))
    held = books(fill(1, symbol=symbol, quantity="100", price="100", at=NOW))
    return {one.symbol: one.quantity for one in with_hidden_positions(Kept(), held, BrokerView(told, (), ())).positions}


def test_positions_that_enough_margin_is_tied_up_for_are_there_though_none_is_listed() -> None:
    needed = leveled().margin_levels[0].maintenance * 10_000
    assert seen(f"{needed * Decimal('0.8'):f}") == {"AAPL": Decimal(100)}
    assert seen(f"{needed * Decimal('0.7'):f}") == {}
    assert seen("0") == {}
    assert seen(f"{needed:f}", "MSFT") == {}, "nobody knows what it needs"


@pytest.mark.parametrize(
    ("status", "is_listed", "is_there"),
    [
        (OrderStatus.NEW, True, True),
        (OrderStatus.NEW, False, False),
        (OrderStatus.ENDED, False, False),
        (OrderStatus.CANCELED, False, True),
    ],
)
def test_margin_of_before_proves_nothing_that_a_stop_may_have_closed_unseen(
    status: OrderStatus, is_listed: bool, is_there: bool
) -> None:
    stop = order(PAIR, status)
    held = books(
        fill(1, quantity="100", price="100"), orders=(stop,), intents_by_id={PAIR.client_order_id: record(PAIR)}
    )
    told = account(settlement=Settlement.MARGINED, maintenance_margin=Decimal(5_000))
    view = BrokerView(told, (), (stop,) if is_listed else ())
    assert bool(with_hidden_positions(Kept(), held, view).positions) is is_there


@pytest.mark.parametrize(("tied_up", "kind"), [("500", FindingKind.VIEW_UNSTEADY), ("0", FindingKind.PHANTOM)])
def test_a_list_without_what_the_margin_keeps_makes_no_phantom_and_no_plan(tied_up: str, kind: FindingKind) -> None:
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    venue.tell_fees()
    venue.held, told = {}, venue.account
    venue.account = lambda: replace(told(), maintenance_margin=Decimal(tied_up))  # type: ignore[method-assign]
    found = compared(scene)
    assert (kinds(found)[0], found.plan is None) == (kind, kind is FindingKind.VIEW_UNSTEADY)
