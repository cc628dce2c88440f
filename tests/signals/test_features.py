"""Features: between -1 and 1, mirrored by mirrored facts, and None where the data is absent."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOW, ago, alert, fetched_facts
from tradebot.model.candidate import Component, ComponentName
from tradebot.model.flow import FlowAlert, IvRank, SignedPrint, TideTick
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.signals import features
from tradebot.strategies.flow import weigh

LOOKBACK = timedelta(seconds=1800)
SCALE = 1_500_000.0
money = st.decimals(0, 10**9, places=2)
alerts_lists = st.lists(
    st.builds(
        lambda right, ask, bid: alert(1, right, ask_premium=ask, bid_premium=bid),
        st.sampled_from(Right),
        money,
        money,
    ),
    max_size=8,
)
print_lists = st.lists(
    st.builds(SignedPrint, st.just(ago(60)), st.floats(0.01, 1e9), st.sampled_from([-1, 0, 1])),
    max_size=8,
)
signed = st.decimals(-(10**9), 10**9, places=2)


def swapped(right: Right) -> Right:
    return Right.PUT if right is Right.CALL else Right.CALL


def ticks(calls: Decimal, puts: Decimal) -> list[TideTick]:
    return [TideTick("t", NOW, calls, puts, 0)]


@given(alerts=alerts_lists)
def test_flow_is_in_range_and_mirrors_calls_with_puts_and_ask_with_bid(alerts: list[FlowAlert]) -> None:
    value = features.flow(alerts, SCALE)
    assert -1 <= value <= 1
    assert features.flow([replace(a, right=swapped(a.right)) for a in alerts], SCALE) == -value
    turned = [replace(a, ask_premium=a.bid_premium, bid_premium=a.ask_premium) for a in alerts]
    assert features.flow(turned, SCALE) == -value


def test_flow_counts_little_while_it_is_thin() -> None:
    thick = replace(alert(), ask_premium=Decimal(15_000_000))
    assert features.flow([alert()], SCALE) == pytest.approx(400_000 / 1_900_000)
    assert features.flow([thick], SCALE) == pytest.approx(15 / 16.5)
    assert features.flow([], SCALE) == 0


@given(prints=print_lists)
def test_dark_pool_is_in_range_and_turns_with_the_signs(prints: list[SignedPrint]) -> None:
    value = features.dark_pool(prints, NOW, LOOKBACK)
    mirrored = [trade._replace(sign=-trade.sign) for trade in prints]
    if value is None:
        assert prints == []
    else:
        assert -1 <= value <= 1
        assert features.dark_pool(mirrored, NOW, LOOKBACK) == -value


def test_prints_older_than_the_lookback_are_absent_data() -> None:
    assert features.dark_pool([SignedPrint(ago(1800), 5000.0, 1)], NOW, LOOKBACK) is None
    assert features.dark_pool([SignedPrint(ago(1799), 5000.0, 1)], NOW, LOOKBACK) == 1


def test_prints_weigh_by_their_premium_and_a_neutral_one_counts_in_the_whole() -> None:
    prints = [SignedPrint(ago(60), premium_usd, sign) for premium_usd, sign in ((600.0, 1), (100.0, -1), (300.0, 0))]
    assert features.dark_pool(prints, NOW, LOOKBACK) == 0.5


@given(calls=signed, puts=signed)
def test_market_tide_is_in_range_and_mirrors_calls_with_puts(calls: Decimal, puts: Decimal) -> None:
    value = features.market_tide(ticks(calls, puts))
    assert value is not None
    assert -1 <= value <= 1
    assert features.market_tide(ticks(puts, calls)) == -value


def test_market_tide_reads_the_last_tick_with_both_sides_signed() -> None:
    close = ticks(Decimal("-180.8"), Decimal("-113.6"))
    assert features.market_tide([*ticks(Decimal(5), Decimal(1)), *close]) == pytest.approx(-67.2 / 294.4)


@given(gex=st.floats(-1e9, 1e9), scale=st.none() | st.floats(0, 1e9), direction=st.sampled_from([-1, 0, 1]))
def test_greek_exposure_is_in_range_and_turns_with_the_direction(
    gex: float, scale: float | None, direction: int
) -> None:
    facts = SymbolFacts("AAPL", gex=gex, gex_scale=scale)
    value = features.greek_exposure(facts, direction)
    if value is None:
        assert not scale
    else:
        assert -1 <= value <= 1
        assert features.greek_exposure(facts, -direction) == -value


def test_short_gamma_carries_the_flow_on_and_long_gamma_damps_it() -> None:
    assert features.greek_exposure(SymbolFacts("AAPL", gex=-2.0, gex_scale=2.0), 1) == 0.5
    assert features.greek_exposure(SymbolFacts("AAPL", gex=2.0, gex_scale=2.0), 1) == -0.5


@given(rank=st.decimals(0, 100, places=4))
def test_iv_rank_is_in_range_and_turns_with_the_direction(rank: Decimal) -> None:
    facts = SymbolFacts("AAPL", iv_rank=IvRank("d", "AAPL", DAY, rank, Decimal("0.2")))
    up, down = features.iv_rank(facts, 1), features.iv_rank(facts, -1)
    assert up is not None
    assert down == -up
    assert -1 <= up <= 1
    assert (up > 0) == (rank < 50)


def test_oi_change_is_the_net_over_the_gross_and_zero_where_nothing_changed() -> None:
    assert features.oi_change(SymbolFacts("AAPL", oi_net=200, oi_gross=600, oi_contracts=3)) == 200 / 600
    assert features.oi_change(SymbolFacts("AAPL", oi_contracts=3)) == 0


def test_absent_data_is_none_and_never_zero() -> None:
    nothing = SymbolFacts("AAPL")
    assert features.dark_pool((), NOW, LOOKBACK) is None
    assert features.market_tide(()) is None
    assert features.greek_exposure(nothing, 1) is None
    assert features.iv_rank(nothing, 1) is None
    assert features.oi_change(nothing) is None


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"at": ago(1799)}, True),
        ({"at": ago(1800)}, False),
        ({"premium": Decimal(49_999)}, False),
        ({"premium": Decimal(50_000)}, True),
        ({"expiry": DAY - timedelta(days=1)}, False),
        ({"expiry": DAY}, True),
        ({"expiry": DAY + timedelta(days=45)}, True),
        ({"expiry": DAY + timedelta(days=46)}, False),
        ({"has_multileg": True}, False),
    ],
)
def test_an_alert_counts_while_it_is_recent_large_unexpired_near_and_of_one_leg(
    change: dict[str, object], counts: bool
) -> None:
    facts = fetched_facts("AAPL", alerts=(alert(1, **change),))
    assert bool(features.recent_alerts(facts, NOW, LOOKBACK, 50_000, 45)) is counts


names = list(ComponentName)
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


@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100)), min_size=6, max_size=6),
    lost=st.integers(0, 5),
)
def test_where_all_agree_losing_one_never_raises_the_magnitude(rows: list[tuple[float, float]], lost: int) -> None:
    before, _ = weigh(components([*rows]))
    gone = (None, rows[lost][1])
    after, _ = weigh(components([*rows[:lost], gone, *rows[lost + 1 :]]))
    assert abs(after) <= abs(before)
