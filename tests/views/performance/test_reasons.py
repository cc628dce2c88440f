"""Why shares were closed: what was recorded with the order, what rested at the broker, or what happened without one."""

import pytest

from tests.builders import fill
from tests.model.test_lifecycle import EXIT, LEG, PAIR, order
from tradebot.model.candidate import Side
from tradebot.model.filled import Sent
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order
from tradebot.model.origin import Origin
from tradebot.model.values import replace
from tradebot.views.performance.lots import lots_of
from tradebot.views.performance.trade_row import exit_reason, rule_of, why_closed

LIMIT, STOP = order(PAIR), order(PAIR, **LEG)
RESTING = replace(PAIR, why="scale_out+stop_loss")
MOVED = replace(RESTING, operation=Operation.REPLACE, why="trail_stop")
CLOSE = replace(EXIT, why="trail_stop(-1.2%)+signal_decay(0.65)")


@pytest.mark.parametrize(
    ("closed_by", "behind", "reason"),
    [
        (LIMIT, [RESTING], "scale_out"),
        (STOP, [RESTING], "stop_loss"),
        (STOP, [MOVED, RESTING], "trail_stop"),
        (order(EXIT), [CLOSE], CLOSE.why),
        (order(EXIT), [CLOSE, PAIR], CLOSE.why),
        (order(EXIT), [EXIT], None),
        (order(EXIT), [], None),
    ],
)
def test_exit_reason_comes_from_the_nearest_intent(closed_by: Order, behind: list[Intent], reason: str | None) -> None:
    assert exit_reason(closed_by, behind) == reason


def test_lot_has_the_reason_of_its_order() -> None:
    (lot,) = lots_of([fill(1), fill(2, side=Side.SELL)]).closed
    assert why_closed(lot, {"venue-2": Sent(order(EXIT), (CLOSE,))}) == CLOSE.why
    assert why_closed(lot, {"venue-2": Sent(order(EXIT))}) == why_closed(lot, {}) == "unknown"


@pytest.mark.parametrize(("origin", "reason"), [(Origin.PLAN, "accepted_plan"), (Origin.ACTIVITY, "corporate_action")])
def test_lot_closed_without_an_order_names_its_cause(origin: Origin, reason: str) -> None:
    sale = fill(2, side=Side.SELL)
    gone = replace(sale, fill=replace(sale.fill, venue_order_id=""), origin=origin, about="it")
    (lot,) = lots_of([fill(1), gone]).closed
    assert why_closed(lot, {}) == reason
    assert rule_of(reason) == reason


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("trail_stop(-1.2%)+signal_decay(0.65)", "trail_stop"),
        ("displaced_by_XYZ", "displaced_by"),
        ("unknown", "unknown"),
        ("The month is over", "The month is over"),
        ("over ", "over "),
    ],
)
def test_reason_is_counted_by_its_first_rule(reason: str, rule: str) -> None:
    assert rule_of(reason) == rule
