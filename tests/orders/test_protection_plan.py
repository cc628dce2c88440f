"""Stops that rest apart are fitted to the shares, one after the other: what one gives up isn't taken again."""

from collections.abc import Iterable
from decimal import Decimal

import pytest

from tests.kit.rows import make_intent, make_order
from tests.kit.values import NOW, books, desk, held, listing
from tradebot.exits.rules import ExitLevels
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import OrderStatus
from tradebot.model.resting_orders import Resting
from tradebot.model.struct_tools import replace
from tradebot.orders.protection_plan import ProtectionState, ProtectionStep, stop_steps, target_steps
from tradebot.orders.separate_protection import _symbols_perhaps_entered

D = Decimal
GONE, LESS, TIGHTER, NEW = "STOP_SPARE", "STOP_RESIZED", "STOP_TIGHTENED", "STOP_MISSING"
ARRIVES = OrderStatus.ACCEPTED


def stop(shares: int, price: int, status: OrderStatus = OrderStatus.NEW) -> Resting:
    """Return a stop that rests for so many shares of a long position."""
    order = replace(make_order(f"{shares} at {price}", status), quantity=D(shares), side=Side.SELL, stop_price=D(price))
    return Resting(IntentRecord(make_intent(), IntentState.ACKED, None, None, NOW), None, order, status.can_trigger)


def target(shares: int, price: int, status: OrderStatus = OrderStatus.NEW) -> Resting:
    """Return a target that rests for so many shares of a long position, apart from its stops."""
    apart = stop(shares, price, status)
    order, sent = replace(apart.first, stop_price=None, limit_price=D(price)), apart.record.intent
    sent = replace(sent, key=replace(sent.key, role=Purpose.PROTECT))
    return Resting(replace(apart.record, intent=sent), order, None, can_trigger=False)


def described(steps: Iterable[ProtectionStep]) -> list[tuple[str, int, int, str]]:
    """Return the reason, shares and price of each step, and the order that it is about."""
    return [(s.why, int(s.shares), int(s.price), s.old.first.venue_id if s.old else "") for s in steps]


@pytest.mark.parametrize(
    ("shares", "stops", "steps"),
    [
        (10, [stop(10, 95)], []),
        (10, [stop(4, 94)], [(TIGHTER, 4, 95, "4 at 94"), (NEW, 6, 95, "")]),
        # Spare ones go, the loosest first, as long as others can trigger for every share.
        (10, [stop(4, 95), stop(10, 96)], [(GONE, 0, 0, "4 at 95")]),
        (10, [stop(4, 95), stop(5, 96), stop(10, 97)], [(GONE, 0, 0, "4 at 95"), (GONE, 0, 0, "5 at 96")]),
        (10, [stop(4, 95), stop(9, 96)], [(LESS, 1, 95, "4 at 95")]),
        (10, [stop(4, 95), stop(8, 96), stop(2, 97)], [(GONE, 0, 0, "4 at 95")]),
        (10, [stop(3, 95), stop(3, 96), stop(8, 97)], [(GONE, 0, 0, "3 at 95"), (LESS, 2, 96, "3 at 96")]),
        (4, [stop(3, 95), stop(3, 96)], [(LESS, 1, 95, "3 at 95")]),
        (1, [stop(3, 95), stop(3, 96)], [(GONE, 0, 0, "3 at 95"), (LESS, 1, 96, "3 at 96")]),
        (10, [stop(4, 95), stop(10, 96, ARRIVES)], []),
        (10, [stop(4, 95, ARRIVES), stop(10, 96)], []),
        # A loose one is brought to the rules' price for as many shares as nothing rests there, and no more.
        (10, [stop(5, 90), stop(5, 95)], [(TIGHTER, 5, 95, "5 at 90")]),
        (10, [stop(5, 90), stop(8, 95)], [(TIGHTER, 2, 95, "5 at 90")]),
        (10, [stop(5, 90), stop(4, 91), stop(4, 95)], [(TIGHTER, 2, 95, "5 at 90"), (TIGHTER, 4, 95, "4 at 91")]),
        (
            10,
            [stop(5, 90), stop(5, 91), stop(3, 95)],
            [(GONE, 0, 0, "3 at 95"), (TIGHTER, 5, 95, "5 at 90"), (TIGHTER, 5, 95, "5 at 91")],
        ),
        (10, [stop(6, 90), stop(5, 91)], [(TIGHTER, 5, 95, "6 at 90"), (TIGHTER, 5, 95, "5 at 91")]),
        (10, [stop(5, 90), stop(2, 91), stop(8, 95, ARRIVES)], [(TIGHTER, 2, 95, "5 at 90")]),
    ],
)
def test_stops_are_fitted_to_the_shares(
    shares: int, stops: list[Resting], steps: list[tuple[str, int, int, str]]
) -> None:
    cover = ProtectionState(
        ("flow", "AAPL"), Side.SELL, D(shares), tuple(stops), (), held().position, ExitLevels(D(95)), listing=listing()
    )
    assert described(stop_steps(cover, D("0.01"))) == steps


@pytest.mark.parametrize(
    ("shares", "steps"),
    [
        (12, []),
        (11, [(LESS, 3, 107, "4 at 107")]),
        (8, [(GONE, 0, 107, "4 at 107")]),
        (7, [(GONE, 0, 107, "4 at 107"), (LESS, 2, 103, "3 at 103")]),
        (0, [(GONE, 0, 107, "4 at 107"), (GONE, 0, 103, "3 at 103"), (GONE, 0, 101, "3 at 101")]),
    ],
)
def test_targets_are_fitted_to_the_shares_the_farthest_first(
    shares: int, steps: list[tuple[str, int, int, str]]
) -> None:
    targets = (target(3, 101), target(4, 107), target(3, 103), target(2, 105, ARRIVES))
    assert described(target_steps(ProtectionState(("flow", "AAPL"), Side.SELL, D(shares), (), targets))) == steps


@pytest.mark.parametrize(
    ("side", "purpose", "net", "entered"),
    [
        (Side.BUY, Purpose.OPEN, 1, ["AAPL"]),
        (Side.BUY, Purpose.OPEN, 0, []),
        (Side.BUY, Purpose.OPEN, -1, []),
        (Side.SELL, Purpose.OPEN, -1, ["AAPL"]),
        (Side.BUY, Purpose.CLOSE, 1, []),
    ],
)
def test_an_entry_without_an_outcome_has_filled_once_positions_show_more_on_its_side_than_the_books(
    side: Side, purpose: Purpose, net: int, entered: list[str]
) -> None:
    intent = make_intent()
    sent = replace(intent, key=replace(intent.key, side=side, role=purpose), side=side, purpose=purpose)
    unresolved = books(intents=(IntentRecord(sent, IntentState.UNKNOWN, None, None, NOW),))
    assert list(_symbols_perhaps_entered(desk(books=unresolved, net={"AAPL": D(net)}))) == entered
