"""Each small exit rule at its edge, on both sides, and the lists in which it could never act."""

from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import closes, known
from tests.kit.values import NOW, SESSION, held
from tradebot.exits.exit_reasons import ReasonPart
from tradebot.exits.exit_rule import ExitMoment, ExitRule, Measure, WatchedPosition
from tradebot.exits.kinds.signals import FlowReversal, Momentum, OpenInterestGone, RegimeExit
from tradebot.exits.kinds.stops import DrawdownStop, StopLoss, TrailingStop
from tradebot.exits.kinds.targets import GainLevel, ProfitTarget, ScaleOut
from tradebot.exits.kinds.times import EndOfDay, EventAhead, LowMovement, Stale
from tradebot.exits.rules import parse, triggered_reason, worst_stop
from tradebot.model.struct_tools import replace

D = Decimal
DAY_S = 86_400
SINCE_OPEN_S = (NOW - SESSION.open).total_seconds()
EVENT = EventAhead(before_s=3600)
FLOW = FlowReversal(min_flow=0.3)
STILL = LowMovement(movement_fraction=D("0.002"), after_s=7200)
MOMENTUM = Momentum(adverse_fraction=D("0.01"))
INTEREST = OpenInterestGone(min_kept_fraction=D("0.5"))
REGIME = RegimeExit(longs=("high_vol_neg_gamma",), shorts=("low_vol_uptrend",), loss_fraction=D("0.005"))
STALE = Stale(after_days=14, gain_fraction=D("0.03"))
fractions = st.decimals("0.001", "0.5", places=3)
moves = st.lists(st.decimals("0", "0.02", places=3), min_size=1, max_size=12)


def event(left_s: int) -> WatchedPosition:
    return known(event_at=NOW + timedelta(seconds=left_s))


@pytest.mark.parametrize(("rule", "of", "price", "closing"), [
    (EVENT, event(3601), "100", False), (EVENT, event(3600), "100", True), (EVENT, event(0), "100", True),
    (EVENT, event(-1), "100", False),
    (FLOW, known(10, flow=-0.3), "100", True), (FLOW, known(10, flow=-0.29), "100", False),
    (FLOW, known(10, flow=0.9), "100", False), (FLOW, known(-10, flow=0.3), "100", True),
    (FLOW, known(-10, flow=0.29), "100", False), (FLOW, known(-10, flow=-1.0), "100", False),
    (STILL, known(age_s=7200, movement=D("0.0019")), "100", True),
    (STILL, known(age_s=7200, movement=D("0.002")), "100", False),
    (STILL, known(age_s=7199, movement=D("0.0019")), "100", False),
    (MOMENTUM, known(10, momentum=D("-0.01")), "100", True), (MOMENTUM, known(10, momentum=D("-0.0099")), "100", False),
    (MOMENTUM, known(10, momentum=D("0.05")), "100", False), (MOMENTUM, known(-10, momentum=D("0.01")), "100", True),
    (MOMENTUM, known(-10, momentum=D("-0.05")), "100", False),
    (INTEREST, known(age_s=SINCE_OPEN_S + 1, open_interest_kept=D("0.499")), "100", True),
    (INTEREST, known(age_s=SINCE_OPEN_S + 1, open_interest_kept=D("0.5")), "100", False),
    (INTEREST, known(age_s=SINCE_OPEN_S, open_interest_kept=D("0.499")), "100", False),
    (INTEREST, known(age_s=SINCE_OPEN_S), "100", False),
    (REGIME, known(10, regime="high_vol_neg_gamma"), "99.5", True),
    (REGIME, known(10, regime="high_vol_neg_gamma"), "99.51", False),
    (REGIME, known(10, regime="low_vol_uptrend"), "90", False),
    (REGIME, known(-10, regime="low_vol_uptrend"), "100.5", True),
    (REGIME, known(-10, regime="high_vol_neg_gamma"), "110", False),
    (STALE, known(10, 14 * DAY_S), "102.9", True), (STALE, known(-10, 14 * DAY_S), "102.9", True),
    (STALE, known(10, 14 * DAY_S), "97.1", True), (STALE, known(-10, 14 * DAY_S), "97.1", True),
    (STALE, known(10, 14 * DAY_S), "103", False), (STALE, known(-10, 14 * DAY_S), "97", False),
    (STALE, known(10, 14 * DAY_S), "97", False), (STALE, known(-10, 14 * DAY_S), "103", False),
    (STALE, known(10, 14 * DAY_S - 1), "100", False),
])  # fmt: skip
def test_rule_closes_from_its_edge_on_not_before(
    rule: ExitRule, of: WatchedPosition, price: str, closing: bool
) -> None:
    assert closes(rule, of, price) is closing


def test_regime_names_itself_in_the_reason_of_a_close() -> None:
    assert REGIME.part(known(regime="mixed"), Measure(True, None, None)) == ReasonPart("regime_mixed")


@pytest.mark.parametrize(("before", "closing"), [(601, False), (600, True), (1, True)])
@pytest.mark.parametrize("half_day_h", [0, 3])
def test_end_of_day_closes_so_long_before_any_close(before: int, closing: bool, half_day_h: int) -> None:
    close = SESSION.close - timedelta(hours=half_day_h)
    moment = ExitMoment(close - timedelta(seconds=before), None, replace(SESSION, close=close))
    answer = EndOfDay(before_close_s=600).judge(held(), moment)
    assert (isinstance(answer, Measure), answer[:3]) == (True, (closing, before, 600))


@pytest.mark.parametrize(
    ("quantity", "best", "before", "price"),
    [
        ("10", "100", "97.01", "97"),
        ("10", "105", "102.01", "102"),
        ("10", "99", "97.01", "97"),  # shares added at a worse price moved the average past the best
        ("-10", "95", "97.99", "98"),
        ("-10", "100", "102.99", "103"),
    ],
)
def test_drawdown_counts_from_the_best_gain_in_entry_points(quantity: str, best: str, before: str, price: str) -> None:
    rule, of = DrawdownStop(fraction=D("0.03")), held(quantity, "100", best)
    assert (rule.measure(of, D(before)).closes, rule.measure(of, D(price)).closes) == (False, True)
    assert (rule.level(of).price, worst_stop((rule,))) == (D(price), D("0.03"))


@given(moves=moves, fraction=fractions, arm=fractions)
def test_trailing_stop_is_the_same_for_long_and_short(moves: list[Decimal], fraction: Decimal, arm: Decimal) -> None:
    rules = (TrailingStop(fraction=fraction, arm_fraction=arm),)
    for best, pullback in zip(accumulate(moves), moves, strict=True):
        long, short = held("10", best=str(100 * (1 + best))), held("-10", best=str(100 * (1 - best)))
        closing = triggered_reason(long, long.best * (1 - pullback), rules)
        assert triggered_reason(short, short.best * (1 + pullback), rules) is closing
        assert (closing is not None) == (best >= arm and pullback >= fraction)


@pytest.mark.parametrize(
    ("target", "share", "never"),
    [("0.02", None, True), ("0.021", None, False), ("0.05", "1", True), ("0.05", "0.5", False)],
)
def test_trailing_stop_contradicts_targets_that_come_first_alone(target: str, share: str | None, never: bool) -> None:
    rule = TrailingStop(fraction=D("0.01"), arm_fraction=D("0.02"))
    others: list[ExitRule] = [ProfitTarget(fraction=D(target))]
    if share is not None:
        others.append(ScaleOut(levels=(GainLevel(fraction=D("0.02"), share=D(share)),)))
    assert (rule.contradiction((StopLoss(fraction=D("0.005")), rule, *others)) is not None) is never


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([{"low_movement": {"movement_fraction": 0.01, "after_s": 60}}, {"time_exit": {"after_s": 60}}],
         "low_movement's after_s of 60 s is not shorter than time_exit's after_s 60"),
        ([{"stale": {"after_days": 1, "gain_fraction": 0.03}}, {"time_exit": {"after_s": DAY_S}}],
         "stale's after_days of 86400 s is not shorter"),
        ([{"regime": {"longs": ["mixed"], "shorts": [], "loss_fraction": 0.02}}, {"stop_loss": {"fraction": 0.02}}],
         "the stop closes first, so regime could never act"),
        ([{"regime": {"longs": ["Mixed!"], "shorts": [], "loss_fraction": 0.02}}], r"regime\.longs\.0: "),
    ],
)  # fmt: skip
def test_rule_that_could_never_act_does_not_load(listed: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(listed)
