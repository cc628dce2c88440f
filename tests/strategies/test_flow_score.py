"""The flow score: within its range, and never helped by losing data."""

from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.candidate import Component
from tradebot.strategies.flow import weigh

names = ("flow", "dark_pool", "market_tide", "greek_exposure", "iv_rank", "oi_change")
component_values = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(-1, 1)), st.floats(0, 100)), min_size=6, max_size=6
)


def components(rows: list[tuple[float | None, float]]) -> list[Component]:
    return [Component(name, value, weight, "test") for name, (value, weight) in zip(names, rows, strict=True)]


@given(rows=component_values)
def test_score_and_coverage_stay_in_their_ranges(rows: list[tuple[float | None, float]]) -> None:
    score, coverage = weigh(components(rows))
    assert -1 <= score <= 1
    assert 0 <= coverage <= 1


@given(rows=component_values, lost=st.integers(0, 5))
def test_losing_an_agreeing_component_never_helps_its_side(rows: list[tuple[float | None, float]], lost: int) -> None:
    before, covered = weigh(components(rows))
    value, weight = rows[lost]
    after, left = weigh(components([*rows[:lost], (None, weight), *rows[lost + 1 :]]))
    if value is not None and value * before > 0:
        assert after * (1 if before > 0 else -1) <= abs(before)
    assert left <= covered
