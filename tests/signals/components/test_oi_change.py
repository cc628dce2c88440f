"""OI change: the net change of call minus put open interest over the gross one."""

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, known_of
from tradebot.signals.components.oi_change import COMPONENT
from tradebot.signals.kinds import oi_change
from tradebot.signals.kinds.oi_change import OiFacts, SignedOiChange

oi_lists = st.lists(st.builds(SignedOiChange, st.just(DAY), st.integers(-(10**6), 10**6)), min_size=1, max_size=8)


def value(changes: OiFacts) -> float | None:
    return COMPONENT.value(known_of(oi_change.KIND, changes))


@given(changes=oi_lists)
def test_it_is_in_range_and_turns_with_the_signs(changes: list[SignedOiChange]) -> None:
    found = value(oi_change.KIND.condense(changes))
    assert found is not None
    assert -1 <= found <= 1
    turned = [change._replace(contracts=-change.contracts) for change in changes]
    assert value(oi_change.KIND.condense(turned)) == -found


def test_it_is_the_net_over_the_gross_and_zero_if_nothing_changed() -> None:
    assert value(OiFacts(200, 600, 3, DAY)) == 200 / 600
    assert value(OiFacts(0, 0, 3, DAY)) == 0
