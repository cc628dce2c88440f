"""Whether orders may be sent, and what to do if not, in words that every verb shows."""

import pytest

from tests.builders import NOW
from tradebot.judging.judgment import State
from tradebot.judging.permission import permission
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.trading import Permission

SHUT, BLOCKED = Reason.LIVE_NOT_ARMED, Reason.ACCOUNT_BLOCKED
DOOR = ((SHUT, "mode live"),)


@pytest.mark.parametrize(
    ("given", "blocks", "found", "reason"),
    [
        (Permission(DOOR), None, "LIVE_NOT_ARMED (mode live): no orders are sent, including exits", SHUT),
        (Permission(entries_closed=DOOR), (), "LIVE_NOT_ARMED (mode live): no entries are sent, exits continue", SHUT),
        (Permission(), ("x",), "ACCOUNT_BLOCKED (x): no orders are sent, including exits", BLOCKED),
        (Permission(), None, "orders may be sent", None),
        (Permission(), (), "orders may be sent", None),
    ],
)
def test_permission_names_each_closed_door_what_it_stops_and_its_remedy(
    given: Permission, blocks: tuple[str, ...] | None, found: str, reason: Reason | None
) -> None:
    judged = permission(given, NOW, blocks)
    state, remedy = (State.DEGRADED, REASONS[reason].remedy) if reason else (State.OK, "")
    assert (judged.state, judged.found, judged.next) == (state, found, remedy)
    assert judged.count == (1 if blocks is None else 2)
