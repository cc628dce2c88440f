"""The contracts behind an entry: those of the alerts in its direction, the most premium first."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ago, alert
from tradebot.model.flow import FlowAlert
from tradebot.signals.behind import MOST, contracts_behind

alerts = st.lists(
    st.builds(
        lambda number, contract, ask, bid: alert(
            number, contract=contract, ask_premium=Decimal(ask), bid_premium=Decimal(bid)
        ),
        st.integers(1, 9),
        st.sampled_from("ABCDEFGH"),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)


@given(known=alerts, direction=st.sampled_from([-1, 1]))
def test_each_alert_in_the_direction_counts_for_its_contract_only(known: list[FlowAlert], direction: int) -> None:
    found = contracts_behind(known, direction)
    leaning = [one for one in known if one.direction.sign == direction]
    assert len(found) == min(MOST, len({one.contract for one in leaning}))
    assert [abs(one.net_premium) for one in found] == sorted((abs(one.net_premium) for one in found), reverse=True)
    for one in found:
        its = [each for each in leaning if each.contract == one.symbol]
        assert set(one.alerts) == {each.id for each in its}
        assert one.net_premium == sum(each.net_premium for each in its)
        assert one.net_premium * direction > 0


def test_spread_and_cost_are_those_of_the_newest_alert() -> None:
    older = alert(2, contract="C", bid=Decimal(1), ask=Decimal(3), volume=10)
    newer = alert(1, contract="C", bid=Decimal("1.9"), ask=Decimal("2.1"), volume=90, has_sweep=True)
    (found,) = contracts_behind([older, newer], 1)
    assert (found.spread_fraction, found.cost_usd, found.volume) == (Decimal("0.1"), Decimal("210.0"), 90)
    assert (found.at, found.alerts, found.sweep) == (ago(60), ("alert-1", "alert-2"), True)


def test_without_a_quote_there_is_neither_spread_nor_cost() -> None:
    (found,) = contracts_behind([alert(contract="")], 1)
    assert (found.spread_fraction, found.cost_usd) == (None, None)
    assert found.symbol == "call 100 2026-11-26"
