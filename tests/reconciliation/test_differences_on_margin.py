"""A margined account compared: the venue's net positions beside the lots of the books, fees that come later, plans."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader, MarginedVenue
from tests.kit.rows import make_intent
from tests.kit.values import CASH, NOW, VENUE_DAY, fill
from tests.reconciliation.comparing import accepted, compared, kinds, margined, trade
from tradebot.model.candidate import Side
from tradebot.model.finding import FindingKind
from tradebot.model.order import Fee, fee_id
from tradebot.model.position import FOREIGN
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement
from tradebot.reconciliation.adoption import acknowledge
from tradebot.reconciliation.read_books import position_ratios, read_books


def test_cash_of_a_margined_account_differs_by_fees_until_they_are_told() -> None:
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    trade(scene, venue, "open+6m", Side.BUY, 2, "106")
    trade(scene, venue, "open+7m", Side.SELL, 3, "110")
    (finding,) = compared(scene).findings
    assert finding.kind is FindingKind.CASH
    assert finding.ours is not None
    assert finding.broker == finding.ours - 3 * venue.fee_usd
    # The books closed the oldest contracts and the venue a part of all: both make up the same account.
    assert finding.ours == CASH + 3 * 10 * 50
    assert venue.cash == CASH + 3 * 8 * 50 - 3 * venue.fee_usd
    venue.tell_fees()
    assert compared(scene).findings == ()
    assert compared(scene).bookings == 0, "each fee is booked once"
    books = read_books(scene.ledger, NOW, VENUE_DAY)
    assert books.cash == CASH + 3 * 10 * 50 - 3 * venue.fee_usd


def test_fee_that_came_with_its_fill_or_is_of_no_fill_in_the_books_is_not_booked_again() -> None:
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    (told,) = venue.executions
    venue.executions[0] = replace(told, fee=Fee(venue.fee_usd))
    assert compared(scene).findings == ()
    venue.tell_fees()
    venue.happened.append(replace(venue.happened[0], id=fee_id("not there"), fill_id="not there"))
    found = compared(scene)
    assert (found.findings, found.bookings, scene.ledger.booked()) == ((), 0, {})


def bought_before(scene: Scene, venue: MarginedVenue) -> FakeReader:
    """Let the account have held contracts before the books began."""
    venue.held, venue.averages = {"AAPL": Decimal(6)}, {"AAPL": Decimal(96)}
    assert kinds(compared(scene)) == [FindingKind.FOREIGN_POSITION]
    return FakeReader(venue)


def test_what_others_hold_on_margin_is_noted_without_moving_cash() -> None:
    scene, venue = margined()
    _, after = acknowledge(bought_before(scene, venue), scene.ledger, "AAPL", "ann")
    assert after.findings == ()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    venue.tell_fees()
    assert compared(scene).findings == ()
    assert scene.ledger.cash_adjustments() == -venue.fee_usd


def test_plan_on_margin_puts_back_only_what_it_moved() -> None:
    scene, venue = margined()
    for slot, side, quantity, price in (
        ("5m", Side.BUY, 4, "100"),
        ("6m", Side.BUY, 2, "106"),
        ("7m", Side.SELL, 3, "110"),
    ):
        trade(scene, venue, f"open+{slot}", side, quantity, price)
    venue.tell_fees()
    assert compared(scene).findings == ()
    # A contract left in a way that nobody knows, with its profit.
    venue.held["AAPL"] -= 1
    venue.cash += 250
    found = compared(scene)
    assert kinds(found) == [FindingKind.QUANTITY, FindingKind.CASH]
    assert accepted(scene, found).findings == ()
    # It left the books at 100, what it had cost, and the venue at 102, the average.
    assert scene.ledger.cash_adjustments() == 250 + 2 * 50 - 3 * venue.fee_usd


def test_trade_by_hand_on_margin_is_noted_with_what_it_has_gained() -> None:
    scene, venue = margined()
    by_hand = fill(1, strategy=FOREIGN, quantity="2", price="90", multiplier="50")
    scene.ledger.apply_fills([by_hand], NOW)
    venue.held, venue.averages = {"AAPL": Decimal(2)}, {"AAPL": Decimal(90)}
    assert kinds(compared(scene)) == [FindingKind.BY_HAND]
    _, after = acknowledge(FakeReader(venue), scene.ledger, "AAPL", "ann")
    assert after.findings == ()
    assert not scene.ledger.cash_adjustments()


def by_hand(scene: Scene, venue: MarginedVenue, side: Side, quantity: int, price: str) -> None:
    """Let someone else's order fill, and the venue tell its fee."""
    name = f"hand-{len(venue.book)}"
    venue.rest(name, "AAPL", replace(make_intent(name), client_order_id=name, side=side, quantity=Decimal(quantity)))
    venue.fill(name, price)
    venue.tell_fees()


@pytest.mark.parametrize("closings", [[(Side.SELL, 2, "110")], [(Side.SELL, 4, "110"), (Side.BUY, 2, "120")]])
def test_trades_by_hand_that_closed_our_position_explain_the_cash(closings: list[tuple[Side, int, str]]) -> None:
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 2, "100")
    for closing in closings:
        by_hand(scene, venue, *closing)
    found = compared(scene)
    assert kinds(found) == [FindingKind.OFFSET]
    assert accepted(scene, found).findings == ()


def test_note_that_was_closed_by_hand_is_named_and_settled_and_blocks_nothing() -> None:
    scene, venue = margined()
    acknowledge(bought_before(scene, venue), scene.ledger, "AAPL", "ann")
    by_hand(scene, venue, Side.SELL, 6, "100")
    found = compared(scene)
    assert [(one.kind, one.subject, one.blocking) for one in found.findings] == [
        (FindingKind.NOTE_CLOSED, "AAPL", False)
    ]
    assert accepted(scene, found).findings == ()
    assert not scene.ledger.acknowledged()
    assert scene.ledger.cash_adjustments() == 6 * 4 * 50 - venue.fee_usd
    # What differs beyond what the shares were closed for can't be their profit.
    venue.cash -= 1
    assert kinds(compared(scene)) == [FindingKind.CASH]


@pytest.mark.parametrize(("held", "ratio"), [(6, None), (2, None), (30, None), (0, Decimal(0)), (-2, Decimal("-0.5"))])
def test_where_nothing_is_split_a_difference_says_nothing_of_what_a_unit_is(held: int, ratio: Decimal | None) -> None:
    scene, venue = margined()
    trade(scene, venue, "ours", Side.BUY, 4, "100")
    compared(scene)
    venue.held["AAPL"] = Decimal(held)
    books = read_books(scene.ledger, scene.venue.now, VENUE_DAY)
    found = position_ratios(books, venue.view())
    assert found == ({} if ratio is None else {"AAPL": ratio})
    paid = replace(venue.view(), account=replace(venue.account(), settlement=Settlement.PAID))
    assert position_ratios(books, paid) == {"AAPL": Decimal(held) / 4}
