"""IV rank: cheap options go with the flow, dear ones against it."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, known_of
from tradebot.signals.components.iv_rank import COMPONENT
from tradebot.signals.kinds import iv_rank
from tradebot.signals.kinds.iv_rank import IvRank


@given(rank=st.decimals(0, 100, places=4))
def test_it_is_in_range_and_turns_with_the_direction(rank: Decimal) -> None:
    known = IvRank("d", "AAPL", DAY, rank, Decimal("0.2"))
    up, down = (COMPONENT.value(known_of(iv_rank.KIND, known, flow=flow)) for flow in (0.3, -0.3))
    assert up is not None
    assert down == -up
    assert -1 <= up <= 1
    assert (up > 0) == (rank < 50)
