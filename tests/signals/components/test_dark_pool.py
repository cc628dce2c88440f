"""Dark pool: the mean direction of recent prints, weighted by premium."""

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ago, known, known_of
from tradebot.signals.components.dark_pool import COMPONENT
from tradebot.signals.kinds import dark_pool
from tradebot.signals.kinds.dark_pool import SignedPrint

print_lists = st.lists(
    st.builds(SignedPrint, st.just(ago(60)), st.floats(0.01, 1e9), st.sampled_from([-1, 0, 1])), max_size=8
)


def value(*prints: SignedPrint) -> float | None:
    return COMPONENT.value(known_of(dark_pool.KIND, dark_pool.KIND.condense(prints)) if prints else known())


@given(prints=print_lists)
def test_it_is_in_range_and_turns_with_the_signs(prints: list[SignedPrint]) -> None:
    found = value(*prints)
    if found is None:
        assert prints == []
    else:
        assert -1 <= found <= 1
        assert value(*(trade._replace(sign=-trade.sign) for trade in prints)) == -found


def test_prints_older_than_the_lookback_are_absent_data() -> None:
    assert value(SignedPrint(ago(1800), 5000.0, 1)) is None
    assert value(SignedPrint(ago(1799), 5000.0, 1)) == 1


def test_prints_weigh_by_their_premium_and_a_neutral_one_counts_in_the_whole() -> None:
    assert value(*(SignedPrint(ago(60), usd, sign) for usd, sign in ((600.0, 1), (100.0, -1), (300.0, 0)))) == 0.5
