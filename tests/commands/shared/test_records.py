"""Why an order closed shares: what was recorded with it, or what rested at the broker."""

from dataclasses import replace

import pytest

from commands.shared.records import exit_reason
from tests.model.test_lifecycle import EXIT, LEG, PAIR, order
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order

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
def test_the_nearest_intent_says_why(closed_by: Order, behind: list[Intent], reason: str | None) -> None:
    assert exit_reason(closed_by, behind) == reason
