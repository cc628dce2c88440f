"""The whole strategy on walks: every filter says yes and no, and neither the side nor the scale of prices matters.

Coins whose data is odd: each ends in decisions of its own, the others are judged, and no answer knows later bars.
"""

import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.strategies import NOW, WIDTHS, lot, trade, view
from tradebot.desk.want_validation import validate_wants
from tradebot.exits.exit_reasons import AmountUnit, parse
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision
from tradebot.model.position import EntryTerms, RoundTrip
from tradebot.model.reasons import Reason
from tradebot.model.series import PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, Open, StrategyView
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy
from tradebot.views.trades.trade_row import rules_of

SEEDS = range(16, 40)
"""Walks among which there is every kind of setup, on either side; the first 24 or 28 lack some."""
RELATIVE_TO_NOTHING: Mapping[str, object] = {
    "bias": {"band_fraction": 0, "min_depth": 250},
    "structure": {"gap_min_fraction": 0, "hold_fraction": 0, "min_depth": 250},
    "fib": {"near_fraction": 0},
    "change": {"tolerance_fraction": 0, "atr_multiple": 1e-9, "max_tolerance_fraction": 0},
}
"""Settings without thresholds that are fractions of a price: turned over, those would be of another price."""


def opens(seen: StrategyView, settings: Mapping[str, object] | None = None) -> dict[str, Open]:
    wants = SmartMoneyStrategy(settings or {}).propose(seen)
    assert validate_wants(seen, wants) == tuple(wants), "the answer would be refused"
    return {want.symbol: want for want in wants if isinstance(want, Open)}


@cache
def plain() -> Mapping[str, Open]:
    """Return what is wanted of the coins if nothing happened before."""
    return opens(view(SEEDS))


def failed(want: Open) -> list[Decision]:
    return [decision for decision in want.decisions if not decision.passed]


def test_every_filter_is_asked_of_every_coin_and_each_says_yes_and_no_to_longs_and_shorts() -> None:
    asked_for = {"change": {"required": True}, "weekly": {"rule": "required"}}
    names = ["data", "bias", "setup", "regime", "weekly zone", "structure change", "trend", "place", "points"]
    names += ["cost", "cost of the stop", "funding", "same setup", "rest"]
    tight, wide = {"place", "cost"}, {"cost of the stop", "funding"}
    said: dict[tuple[str, Side], set[bool]] = {}
    for own in (asked_for, {**asked_for, "min_strength": 40, "consolidation_strength": 40}):
        for want in opens(view(SEEDS), own).values():
            found = [decision.about for decision in want.decisions]
            # Only an entry at a zone has to be in place, and what a trade may cost depends on its regime.
            assert found in ([name for name in names if name not in others] for others in (tight, wide))
            for decision in want.decisions:
                said.setdefault((decision.about, want.side), set()).add(decision.passed)
    for name in ("setup", "regime", "weekly zone", "structure change", "trend", "place", "points"):
        assert said[name, Side.BUY] == said[name, Side.SELL] == {True, False}, name


def test_some_coins_pass_all_filters_on_either_side_and_carry_what_the_books_need() -> None:
    passed = [want for want in plain().values() if not failed(want)]
    assert {want.side for want in passed} == {Side.BUY, Side.SELL}
    for want in passed:
        assert want.stop_loss_fraction
        assert want.profit_target_fraction
        assert want.invalid_fraction
        assert want.invalid_fraction < want.stop_loss_fraction
        assert want.cluster in {f"tight_smc_{kind}" for kind in ("block", "gap")} | {
            f"wide_structure_{kind}" for kind in ("break", "change")
        }
        assert abs(want.score) >= 0.6
        least = Decimal(2 if want.cluster.startswith("tight") else "1.5")
        assert want.profit_target_fraction >= least * want.stop_loss_fraction - Decimal("1e-8")


def test_a_coin_whose_recent_bars_have_a_hole_is_not_known_and_an_old_hole_does_no_harm() -> None:
    seen = view([1])
    (symbol,) = seen.universe
    for place, reasons in ((-20, [Reason.BARS_HAVE_HOLES]), (-150, [])):
        whole = seen.bars(symbol, "4Hour", price=PriceKind.SPOT)
        columns = {name: getattr(whole, name) for name in ("starts", "open", "high", "low", "close", "volume")}
        torn = replace(whole, **{name: column[:place] + column[place + 2 :] for name, column in columns.items()})
        want = opens(replace(seen, series={**seen.series, torn.key: torn}))[symbol]
        found = [decision for decision in want.decisions if decision.about == "data"]
        assert [decision.reason for decision in found if not decision.passed] == reasons
        assert found[0].observed == (2 if reasons else len(torn))


def shape(want: Open) -> Sequence[object]:
    return [abs(want.score), want.cluster, [(one.about, one.verdict, one.reason) for one in want.decisions]]


def test_turned_over_prices_give_the_same_answers_on_the_other_side() -> None:
    long, short = opens(view(SEEDS), RELATIVE_TO_NOTHING), opens(view(SEEDS, over=True), RELATIVE_TO_NOTHING)
    assert {symbol: shape(want) for symbol, want in long.items()} == {s: shape(want) for s, want in short.items()}
    assert all(long[symbol].side is not short[symbol].side for symbol in long)
    assert len({str(shape(want)) for want in long.values()}) > 10, "the walks are all alike"


@pytest.mark.parametrize("tick", ["0.1", "0.00000000001"])
def test_prices_at_another_scale_give_the_same_answers(tick: str) -> None:
    one, other = plain(), opens(view(SEEDS, tick=Decimal(tick)))
    assert {symbol: shape(want) for symbol, want in one.items()} == {s: shape(want) for s, want in other.items()}
    for symbol, want in one.items():
        same = other[symbol]
        for name in ("stop_loss_fraction", "profit_target_fraction", "invalid_fraction"):
            assert getattr(want, name) == getattr(same, name)


def test_only_the_side_of_the_bias_is_judged_unless_the_bias_is_neutral() -> None:
    for want in plain().values():
        (bias,) = (decision for decision in want.decisions if decision.about == "bias")
        assert isinstance(bias.observed, float)
        if abs(bias.observed) > 0.001:
            assert (bias.observed > 0) is (want.side is Side.BUY)


def test_a_block_is_asked_for_where_the_earlier_bot_asked_for_one() -> None:
    today, before = plain(), opens(view(SEEDS), {"setups_need_a_block": True})
    kinds = {want.cluster for want in today.values()}
    assert {"tight_smc_gap", "wide_structure_break"} <= kinds
    assert {want.cluster for want in before.values()} == {"", "tight_smc_block"}
    assert all(failed(want)[0].reason for want in before.values() if not want.cluster)


@pytest.fixture(scope="module")
def good() -> str:
    """Return a coin that passes all filters when nothing happened in it before."""
    return next(symbol for symbol, want in plain().items() if not failed(want))


def after(good: str, trades: Sequence[RoundTrip]) -> Open:
    """Return what is wanted of a coin after these trades in it."""
    seed = next(seed for seed in SEEDS if good == f"PF_{seed}USD")
    return opens(view([seed], trades={good: trades}))[good]


@pytest.mark.parametrize(
    ("trades", "reasons"),
    [
        ([("-0.4", 119)], [Reason.SYMBOL_RESTING]),
        ([("-0.4", 121)], []),
        ([("0.4", 14)], [Reason.SYMBOL_RESTING]),
        ([("0.4", 16)], []),
        ([("-0.5", 700), ("-0.5", 500), ("-0.5", 130)], [Reason.SYMBOL_RESTING]),
        ([("-0.5", 900), ("-0.5", 800), ("-0.5", 721)], []),
        ([("-0.49", 700), ("-0.5", 500), ("-0.5", 130)], []),
        ([("-0.5", 1441), ("-0.5", 500), ("-0.5", 130)], []),
    ],
)
def test_a_coin_rests_after_trades(good: str, trades: Sequence[tuple[str, int]], reasons: Sequence[Reason]) -> None:
    opened = timedelta(days=9)
    past = [trade(good, profit, timedelta(minutes=minutes), opened) for profit, minutes in trades]
    want = after(good, past)
    assert [decision.reason for decision in failed(want)] == reasons


def test_a_coin_rests_after_an_entry_and_its_setup_counts_as_the_same_for_a_while(good: str) -> None:
    past = [trade(good, "0.4", timedelta(minutes=16), timedelta(minutes=44))]
    want = after(good, past)
    found = {decision.reason: decision.observed for decision in failed(want)}
    assert found == {Reason.SETUP_REPEATED: 44 * 60.0, Reason.SYMBOL_RESTING: 44 * 60.0}
    past = [trade(good, "0.4", timedelta(minutes=16), timedelta(minutes=61))]
    assert not failed(after(good, past))


def test_losses_move_the_stop_farther_away(good: str) -> None:
    past = [trade(good, "-0.5", timedelta(minutes=minutes), timedelta(days=2)) for minutes in (300, 200)]
    near, far = after(good, []), after(good, past)
    assert near.atr_fraction
    assert near.stop_loss_fraction
    assert far.stop_loss_fraction
    multiple = Decimal("0.225" if near.cluster.startswith("tight") else "0.55")
    wider = far.stop_loss_fraction - near.stop_loss_fraction
    assert abs(wider - multiple / 2 * near.atr_fraction) < Decimal("1e-8")


def test_the_venues_funding_counts_for_the_side_that_pays_it() -> None:
    dear = opens(view(SEEDS, funding=Decimal("0.0004")))
    for symbol, free in plain().items():
        one, other = (
            next(part.value for part in want.components if part.name == "cost") for want in (free, dear[symbol])
        )
        assert one
        assert other is not None
        assert abs(other) < abs(one) if free.side is Side.BUY else other == one


def test_a_held_coin_is_closed_once_the_bias_turned_or_a_bar_closed_beyond_the_invalid_price() -> None:
    seen = view(range(3))
    symbols = seen.universe
    last = {symbol: seen.bars(symbol, "4Hour", price=PriceKind.SPOT).close[-1] for symbol in symbols}
    free = opens(seen)
    for symbol in symbols:
        with_bias, entry = 1 if free[symbol].side is Side.BUY else -1, Decimal(repr(last[symbol]))
        for sign, invalid, age, why in (
            (-with_bias, "0.5", timedelta(days=1), "premise_gone"),
            (with_bias, "0.5", timedelta(days=1), None),
            (with_bias, "0.01", timedelta(days=1), "thesis_gone"),
            (with_bias, "0.01", timedelta(), None),
        ):
            # The entry was so far on the other side of the last close that this is or isn't beyond its invalid price.
            held = lot(symbol, 3 * sign, str(entry * (1 + Decimal("0.02") * sign)), age)
            kept = EntryTerms(invalid_fraction=Decimal(invalid))
            wants = SmartMoneyStrategy({}).propose(view(range(3), lots={symbol: held}, kept={symbol: kept}))
            closes = [want.why for want in wants if isinstance(want, Close)]
            assert len(closes) == (why is not None), (symbol, sign, invalid)
            for part in (part for close in closes for part in parse(close)):
                assert (part.name, part.mark) == (why, AmountUnit.PERCENT), "it is named as a rule is"
                assert part.amount is not None
                assert part.amount < 0, "it speaks against the position"
                assert rules_of(str(part)) == (why,), "trades are counted by it"
            assert symbol not in {want.symbol for want in wants if isinstance(want, Open)}


def test_a_strategy_that_keeps_running_answers_like_a_new_one_when_any_input_changes() -> None:
    running, seen = SmartMoneyStrategy({}), view(SEEDS)
    symbol = next(iter(seen.universe))
    quote = seen.quotes[symbol]
    changed = [
        seen,
        seen,
        replace(seen, now=seen.now + timedelta(minutes=5)),
        replace(seen, quotes={**seen.quotes, symbol: replace(quote, bid=quote.bid / 2, ask=quote.ask / 2)}),
        replace(seen, trades={symbol: (trade(symbol, "-50", timedelta(hours=1)),)}),
        replace(seen, costs=None),
        seen,
    ]
    answers = [running.propose(each) for each in changed]
    assert answers == [SmartMoneyStrategy({}).propose(each) for each in changed]
    assert [answers[index] == answers[0] for index in (1, 3, 4, 6)] == [True, False, False, True]


def test_inputs_explain_every_component_of_a_score() -> None:
    seen = view(range(3))
    strategy = SmartMoneyStrategy({})
    for symbol, want in opens(seen).items():
        inputs = strategy.inputs(seen, symbol)
        assert [one.component for one in inputs] == [part.name for part in want.components]
        for one, part in zip(inputs, want.components, strict=True):
            given = {each.name: float(each.value) for each in one.values}
            sign = -1 if one.formula.startswith("-") else 1
            assert sign * given["points"] / given["most"] == pytest.approx(part.value)
    assert seen.now == NOW


COLUMNS = ("starts", "open", "high", "low", "close", "volume")
ODD, OTHERS = "PF_1USD", ("PF_2USD", "PF_3USD")
STRATEGY = SmartMoneyStrategy({})


def asked(seen: StrategyView) -> dict[str, Open]:
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
    before, after = asked(seen), asked(odd)
    (decision,) = after[ODD].decisions
    assert (decision.reason, decision.about) == (Reason.BARS_OUT_OF_ORDER, "data")
    assert timeframe in str(decision.observed)
    assert {symbol: after[symbol] for symbol in OTHERS} == {symbol: before[symbol] for symbol in OTHERS}
    assert STRATEGY.inputs(odd, ODD) == ()
    assert all(ODD not in passing.passing for passing in STRATEGY.variants(odd))
    held = replace(odd, lots={ODD: lot(ODD, 1, "1"), OTHERS[0]: lot(OTHERS[0], 1, "1")})
    assert ODD not in {want.symbol for want in STRATEGY.propose(held)}, "its exits look after it"


@pytest.mark.parametrize("change", [still, stopped])
def test_bars_without_range_or_volume_end_in_decisions_of_their_own(change: Callable[[Series], Series]) -> None:
    seen = view([1, 2, 3])
    before, after = asked(seen), asked(with_changed(seen, change))
    assert after[ODD].decisions
    assert None not in [decision.reason for decision in after[ODD].decisions if not decision.passed]
    assert {symbol: after[symbol] for symbol in OTHERS} == {symbol: before[symbol] for symbol in OTHERS}


def test_a_coin_without_any_range_has_no_average_range_no_trend_and_no_setup() -> None:
    want = asked(with_changed(view([1, 2, 3]), still))[ODD]
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
    want = asked(with_changed(view([1]), change))[ODD]
    assert want.decisions
    assert want.stop_loss_fraction is None or want.stop_loss_fraction < Decimal(1)
