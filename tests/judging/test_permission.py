"""Whether orders may be sent, and what to do if not, in words that every verb shows."""

import pytest

from tests.builders import NOW
from tradebot.judging.judgment import State
from tradebot.judging.permission import permission
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.trading import Permission

DOOR = ((Reason.LIVE_NOT_ARMED, "mode live"),)


@pytest.mark.parametrize(
    ("given", "blocks", "found", "reason"),
    [
        (Permission(DOOR), None, "LIVE_NOT_ARMED (mode live): no orders are sent, including exits", DOOR[0][0]),
        (
            Permission(entries_closed=DOOR),
            (),
            "LIVE_NOT_ARMED (mode live): no entries are sent, exits continue",
            DOOR[0][0],
        ),
        (
            Permission(),
            ("trading_blocked",),
            "ACCOUNT_BLOCKED (trading_blocked): no orders are sent, including exits",
            Reason.ACCOUNT_BLOCKED,
        ),
    ],
)
def test_a_closed_door_is_told_with_what_it_stops_and_its_own_remedy(
    given: Permission, blocks: tuple[str, ...] | None, found: str, reason: Reason
) -> None:
    judged = permission(given, NOW, blocks)
    assert (judged.state, judged.found, judged.next) == (State.DEGRADED, found, REASONS[reason].remedy)


def test_with_every_door_open_orders_may_be_sent() -> None:
    assert (permission(Permission(), NOW).state, permission(Permission(), NOW, ()).count) == (State.OK, 2)
