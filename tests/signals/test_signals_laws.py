"""What holds for every component, whatever the source sends: laws, and rows that were made from what is documented."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.signals.source_rows import World, asked, computed, known_from, seeded, spoiled, value_of, world
from tradebot.signals.components import component_names, component_of
from tradebot.signals.kinds import kind_names

Row = dict[str, object]
Swap = Mapping[str, Callable[[Row], Row]]
SEEDS = st.integers(0, 2**32)
FEW = settings(max_examples=10)
VALUES = {name: component_of(name) for name in component_names()}


def _exchanged(row: Row, *pairs: tuple[str, str]) -> Row:
    return row | {one: row[other] for pair in pairs for one, other in (pair, pair[::-1])}


def _negated(row: Row, *names: str) -> Row:
    return row | {name: str(-Decimal(str(row[name]))) for name in names}


def _other_right(row: Row) -> Row:
    contract = str(row["option_symbol"])
    return row | {"option_symbol": contract[:-9] + ("P" if contract[-9] == "C" else "C") + contract[-8:]}


def _mirrored_print(row: Row) -> Row:
    bid, ask, price = (Decimal(str(row[name])) for name in ("nbbo_bid", "nbbo_ask", "price"))
    return row | {"price": str(bid + ask - price)}


_NETS = ("net_call_premium", "net_put_premium")
CALLS_FOR_PUTS: Swap = {
    "flow_alerts": lambda row: row | {"type": {"call": "put", "put": "call"}[str(row["type"])]},
    "market_tide": lambda row: _exchanged(row, _NETS),
    "sector_tide": lambda row: _exchanged(row, _NETS),
    "net_prem_ticks": lambda row: _exchanged(
        row, _NETS, ("call_volume_ask_side", "put_volume_ask_side"), ("call_volume_bid_side", "put_volume_bid_side")
    ),
    "oi_change": _other_right,
    "risk_reversal": lambda row: _negated(row, "risk_reversal"),
}
ASK_FOR_BID: Swap = {
    "flow_alerts": lambda row: _exchanged(row, ("total_ask_side_prem", "total_bid_side_prem")),
    "market_tide": lambda row: _negated(row, *_NETS),
    "sector_tide": lambda row: _negated(row, *_NETS),
    "net_prem_ticks": lambda row: _exchanged(
        _negated(row, *_NETS),
        ("call_volume_ask_side", "call_volume_bid_side"),
        ("put_volume_ask_side", "put_volume_bid_side"),
    ),
    "dark_pool": _mirrored_print,
}
"""Open interest and the skew of volatility have no side of the quote."""
PRICES_ONLY = ("max_pain",)
"""Components that read prices from trades, whichever side started these."""
UNEVEN = ("regime",)
"""Components to which bearish flow says something and bullish flow says nothing."""


def swapped(rows: World, *swaps: Swap) -> World:
    for swap in swaps:
        rows = {name: [swap[name](row) if name in swap else row for row in each] for name, each in rows.items()}
    return rows


def values(rows: World) -> dict[str, float | None]:
    known = known_from(rows)
    return {name: value_of(name, known) for name in VALUES}


def negated_by(swap: Swap, name: str) -> bool:
    """Return True if a component turns with a swap: if the flow does that it follows, or the data that it reads."""
    component = VALUES[name]
    return bool(component.follows) or any(kind.name in swap for kind in component.reads if name not in PRICES_ONLY)


@FEW
@given(seed=SEEDS)
@pytest.mark.parametrize("swap", [CALLS_FOR_PUTS, ASK_FOR_BID], ids=["calls for puts", "ask for bid"])
def test_swapping_calls_and_puts_or_sides_negates_each_directional_component(swap: Swap, seed: int) -> None:
    rows = world(seed)
    turned = values(swapped(rows, swap))
    for name, value in values(rows).items():
        if name in UNEVEN:
            continue
        expected = -value if value is not None and negated_by(swap, name) else value
        assert turned[name] == (None if expected is None else pytest.approx(expected, abs=1e-12)), name


@FEW
@given(seed=SEEDS)
def test_both_swaps_together_leave_components_with_both_unchanged(seed: int) -> None:
    rows = world(seed)
    both = values(swapped(rows, CALLS_FOR_PUTS, ASK_FOR_BID))
    for name, value in values(rows).items():
        if negated_by(CALLS_FOR_PUTS, name) == negated_by(ASK_FOR_BID, name):
            assert both[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


@FEW
@given(seed=SEEDS)
def test_duplicate_rows_and_the_order_of_rows_change_nothing(seed: int) -> None:
    rows, chance = world(seed), seeded(seed)
    again: dict[str, list[Row]] = {}
    for name, each in rows.items():
        unique = list({fact.id: row for row in each for fact in asked(name, row).facts}.values())
        more = unique + chance.sample(unique, chance.randint(0, len(unique)))
        chance.shuffle(more)
        rows = {**rows, name: unique}
        again[name] = more
    assert values(again) == values(rows)


@FEW
@given(seed=SEEDS)
def test_value_is_absent_or_in_range_and_equals_its_formula_for_any_rows(seed: int) -> None:
    for rows in (world(seed), spoiled(world(seed), seed)):
        known = known_from(rows)
        for name in VALUES:
            value = value_of(name, known)
            if value is not None:
                assert isfinite(value), name
                assert -1 <= value <= 1, name
                assert computed(name, known) == pytest.approx(value, abs=1e-9), name


@FEW
@given(seed=SEEDS)
def test_follower_is_a_share_of_the_flow_and_absent_without_a_direction(seed: int) -> None:
    known = known_from(world(seed))
    for name, component in VALUES.items():
        if component.follows:
            value = value_of(name, known)
            assert value is None or (known.flow and abs(value) <= abs(known.flow) * (1 + 1e-12)), name
            for without in (known._replace(flow=None), known._replace(flow=0.0)):
                assert value_of(name, without) is None, name


_PREMIUMS = {
    "flow_alerts": ("total_premium", "total_ask_side_prem", "total_bid_side_prem"),
    "dark_pool": ("premium",),
    "market_tide": _NETS,
    "sector_tide": _NETS,
    "net_prem_ticks": _NETS,
    "options_volume": ("call_premium", "put_premium", "bullish_premium", "bearish_premium"),
}


@FEW
@given(seed=SEEDS, scale=st.sampled_from([Decimal("0.25"), Decimal(8)]))
def test_only_the_proportions_of_premiums_count(seed: int, scale: Decimal) -> None:
    rows = world(seed)
    scaled = {
        name: [
            row | {field: str(Decimal(str(row[field])) * scale) for field in _PREMIUMS.get(name, ())} for row in each
        ]
        for name, each in rows.items()
    }
    found = values(scaled)
    for name, value in values(rows).items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_made_rows_give_every_component_a_nonzero_value() -> None:
    """Without this, the laws above might hold because nothing is ever known."""
    worlds = [world(seed, 60) for seed in range(10)]
    alerts = [world(seed, 12, ("options_volume", "flow_alerts")) for seed in range(60)]
    # A regime takes many rows: of most kinds that it reads, hardly one is recent enough.
    markets = [world(seed, 120, [kind.name for kind in VALUES["regime"].reads]) for seed in range(10)]
    found = [values(rows) for rows in (*worlds, *alerts, *markets)]
    assert [name for name in VALUES if not any(each[name] for each in found)] == []


@pytest.mark.parametrize("name", kind_names())
def test_rows_as_documented_are_read_and_break_no_contract(name: str) -> None:
    rows = [row for seed in range(8) for row in world(seed)[name]]
    intake = asked(name, *rows)
    assert len(intake.rejected) <= len(rows) * 2 / 3
    assert intake.findings == ()


def test_each_component_states_its_origin_and_reads_only_what_has_an_age() -> None:
    for one in VALUES.values():
        assert all((one.after, one.family, one.sign, one.absent, one.follows in ("", "flow"))), one.name
        assert all(kind.max_age_s for kind in one.reads), one.name
