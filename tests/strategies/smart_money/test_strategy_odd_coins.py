"""Coins whose data is odd: each ends in decisions of its own, the others are judged, and no answer knows later bars."""

import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.strategies import WIDTHS, lot, view
from tradebot.desk.want_validation import validate_wants
from tradebot.model.reasons import Reason
from tradebot.model.series import PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import Open, StrategyView
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy

COLUMNS = ("starts", "open", "high", "low", "close", "volume")
ODD, OTHERS = "PF_1USD", ("PF_2USD", "PF_3USD")
STRATEGY = SmartMoneyStrategy({})


def opens(seen: StrategyView) -> dict[str, Open]:
    wants = STRATEGY.propose(seen)
    assert validate_wants(seen, wants) == tuple(wants), "the answer would be refused"
    return {want.symbol: want for want in wants if isinstance(want, Open)}


def with_changed(seen: StrategyView, change: Callable[[Series], Series], *timeframes: str) -> StrategyView:
    """Return the view with the odd coin's bars changed."""
    keys = [seen.bars(ODD, timeframe, price=PriceKind.SPOT).key for timeframe in timeframes or WIDTHS]
    return replace(seen, series={**seen.series, **{key: change(seen.series[key]) for key in keys}})


def made(series: Series, columns: Mapping[str, Any]) -> Series:
    return replace(series, **columns)


def picked(series: Series, places: Sequence[int]) -> Series:
    columns = {name: getattr(series, name) for name in COLUMNS}
    return made(series, {name: array(one.typecode, [one[p] for p in places]) for name, one in columns.items()})


def twice(series: Series) -> Series:
    count = len(series)
    return picked(series, [*range(count - 3), count - 4, *range(count - 3, count)])


def swapped(series: Series) -> Series:
    count = len(series)
    return picked(series, [*range(count - 3), count - 2, count - 3, count - 1])


def still(series: Series) -> Series:
    """Return bars of which none has a range or a volume."""
    prices = array("d", [series.close[-1]] * len(series))
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    return made(series, {**columns, "volume": array("d", [0.0] * len(series))})


def stopped(series: Series) -> Series:
    """Return bars that stand still from two thirds on, as those of a thin pair."""
    columns = {name: array("d", getattr(series, name)) for name in COLUMNS[1:]}
    for place in range(2 * len(series) // 3, len(series)):
        for name in ("open", "high", "low", "close"):
            columns[name][place] = columns["close"][place - 1]
        columns["volume"][place] = 0.0
    return made(series, columns)


@pytest.mark.parametrize("change", [twice, swapped])
@pytest.mark.parametrize("timeframe", WIDTHS)
def test_bars_out_of_order_refuse_their_own_coin_alone(change: Callable[[Series], Series], timeframe: str) -> None:
    seen = view([1, 2, 3])
    odd = with_changed(seen, change, timeframe)
    before, after = opens(seen), opens(odd)
    (decision,) = after[ODD].decisions
    assert (decision.reason, decision.about) == (Reason.BARS_OUT_OF_ORDER, "data")
    assert timeframe in str(decision.observed)
    assert {symbol: after[symbol] for symbol in OTHERS} == {symbol: before[symbol] for symbol in OTHERS}
    assert STRATEGY.inputs(odd, ODD) == ()
    assert all(ODD not in passing.passing for passing in STRATEGY.variants(odd))
    held = replace(odd, lots={ODD: lot(ODD, 1, "1"), OTHERS[0]: lot(OTHERS[0], 1, "1")})
    assert ODD not in {want.symbol for want in STRATEGY.propose(held)}, "its exits look after it"


@pytest.mark.parametrize("change", [still, stopped])
def test_bars_without_range_or_volume_end_in_decisions_of_their_own(
    change: Callable[[Series], Series],
) -> None:
    seen = view([1, 2, 3])
    before, after = opens(seen), opens(with_changed(seen, change))
    assert after[ODD].decisions
    assert None not in [decision.reason for decision in after[ODD].decisions if not decision.passed]
    assert {symbol: after[symbol] for symbol in OTHERS} == {symbol: before[symbol] for symbol in OTHERS}


def test_a_coin_without_any_range_has_no_average_range_no_trend_and_no_setup() -> None:
    want = opens(with_changed(view([1, 2, 3]), still))[ODD]
    reasons = {decision.reason for decision in want.decisions}
    assert {Reason.NO_SETUP, Reason.TREND_TOO_WEAK} <= reasons
    assert (want.atr_fraction, want.stop_loss_fraction) == (None, None)


@st.composite
def moods(draw: st.DrawFn) -> Callable[[Series], Series]:
    """Draw what happens to a coin: crashes and jumps to a thousandth or a thousand times, still bars, huge wicks."""
    seed, scale = draw(st.integers(0, 10**6)), draw(st.sampled_from([1e-8, 1e-5, 1.0, 1e5]))

    def change(series: Series) -> Series:
        chance, factor = random.Random(f"{seed} {series.timeframe}"), scale  # noqa: S311 - replayable
        rows = []
        for place in range(len(series)):
            if chance.random() < 0.02:
                factor *= chance.choice([0.02, 0.3, 3, 40])
            opened, closed = series.open[place] * factor, series.close[place] * factor
            top, bottom = max(opened, closed), min(opened, closed)
            above, below = chance.choice([(1, 1), (1.01, 0.99), (1.2, 0.8), (30, 0.01)])
            if chance.random() < 0.1:
                opened = closed = top = bottom
                above = below = 1
            rows.append((opened, top * above, bottom * below, closed))
        columns = {name: array("d", [float(f"{row[at]:.12g}") for row in rows]) for at, name in enumerate(COLUMNS[1:5])}
        return made(series, columns)

    return change


@given(moods())
@settings(max_examples=20)
def test_whatever_a_coin_does_the_answer_is_one_that_can_be_used(change: Callable[[Series], Series]) -> None:
    want = opens(with_changed(view([1]), change))[ODD]
    assert want.decisions
    assert want.stop_loss_fraction is None or want.stop_loss_fraction < Decimal(1)
