"""A return against the position closes it, on either side."""

from decimal import Decimal

import pytest

from tests.exits.asked import closes, known
from tradebot.exits.kinds.momentum import Momentum

D = Decimal


@pytest.mark.parametrize(("quantity", "momentum", "said"), [
    (10, "-0.01", True), (10, "-0.0099", False), (10, "0.05", False), (-10, "0.01", True), (-10, "-0.05", False),
])  # fmt: skip
def test_momentum_against_the_position_closes_it(quantity: int, momentum: str, said: bool) -> None:
    assert closes(Momentum(adverse_fraction=D("0.01")), known(quantity, momentum=D(momentum))) is said
