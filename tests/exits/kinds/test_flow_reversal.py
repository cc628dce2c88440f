"""Options flow closes a position once it points against it strongly enough, on either side."""

import pytest

from tests.exits.asked import closes, known
from tradebot.exits.kinds.flow_reversal import FlowReversal


@pytest.mark.parametrize(("quantity", "flow", "said"), [
    (10, -0.3, True), (10, -0.29, False), (10, 0.9, False), (-10, 0.3, True), (-10, 0.29, False), (-10, -1.0, False),
])  # fmt: skip
def test_flow_against_the_position_closes_it_from_its_strength_on(quantity: int, flow: float, said: bool) -> None:
    assert closes(FlowReversal(min_flow=0.3), known(quantity, flow=flow)) is said
