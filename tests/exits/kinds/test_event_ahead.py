"""An event closes a position so long before it, and not once it is over."""

from datetime import timedelta

import pytest

from tests.builders import NOW
from tests.exits.asked import closes, known
from tradebot.exits.kinds.event_ahead import EventAhead


@pytest.mark.parametrize(("left_s", "said"), [(3601, False), (3600, True), (0, True), (-1, False)])
def test_an_event_closes_a_position_before_it_and_not_after(left_s: int, said: bool) -> None:
    assert closes(EventAhead(before_s=3600), known(event_at=NOW + timedelta(seconds=left_s))) is said
