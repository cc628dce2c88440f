"""All rules of a list together: no order changes the outcome, and a rule that can't tell hides no other rule's exit."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, SESSION, ago, instrument, quote
from tradebot.exits.exit_reasons import compose
from tradebot.exits.exit_rule import ExitMoment, ExitRule, Measure, RuleInput, WatchedPosition
from tradebot.exits.rules import ExitCall, Exits, evaluate_rules, kinds, parse
from tradebot.model.decision import Decision, Verdict
from tradebot.model.position import EntryTerms, ExitInputs, Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

D, ACTIVE = Decimal, TradingState.ACTIVE
EVERY = parse(
    [
        {"stop_loss": {"fraction": 0.05}},
        {"trailing_stop": {"fraction": 0.02, "arm_fraction": 0.01}},
        {"profit_target": {"fraction": 0.12}},
        {"scale_out": {"levels": [{"fraction": 0.02, "share": 0.3}, {"fraction": 0.05, "share": 0.3}]}},
        {"time_exit": {"after_s": 900_000}},
        {"end_of_day": {"before_close_s": 600}},
        {"stale": {"after_days": 3, "gain_fraction": 0.01}},
        {
            "signal_decay": {
                "noise_multiple": 2, "recovery_multiple": 1, "confirm_passes": 2, "min_hold_s": 600
            }
        },
        {"flow_reversal": {"min_flow": 0.3}},
        {"open_interest_gone": {"min_kept_fraction": 0.5}},
        {"regime": {"longs": ["high_vol"], "shorts": ["high_vol"], "loss_fraction": 0.005}},
        {"drawdown": {"fraction": 0.03}},
        {"low_movement": {"movement_fraction": 0.002, "after_s": 7200}},
        {"momentum": {"adverse_fraction": 0.01}},
        {"liquidation_distance": {"trim_below": 0.18, "trim_share": 0.5, "close_below": 0.10}},
        {"event_ahead": {"before_s": 3600}},
        {"stop_ticks": {"ticks": 500}},
        {"target_ticks": {"ticks": 1200}},
        {"urgency": {"reduce_at": 3, "exit_at": 6, "reduce_share": 0.5}},
    ]
)  # fmt: skip
# No list has this beside a scale-out, which closes parts too.
EVERY += parse(
    [
        {"ladder": {"levels": [{"r": 1, "share": 0.4}, {"r": 2.5, "share": 0.4}], "near_fraction": 0}},
        {"atr_trail": {"multiple": 1.5, "arm_r": 1, "tighten": [{"r": 3, "multiple": 1}]}},
    ]
)
PLAIN = tuple(rule for rule in EVERY if rule.reason is not Reason.TRAILING_STOP)
"""All but the trailing stop, which is a fraction of the best price: that is no mirror of itself on the other side."""

fractions = st.decimals("-0.15", "0.15", places=3)
outlooks = st.builds(
    ExitInputs,
    scores=st.lists(st.sampled_from([-0.4, 0.0, 0.2, 0.35, 0.5]), max_size=4).map(tuple),
    noise=st.sampled_from([None, 0.05, 0.2]),
    flow=st.sampled_from([None, -0.5, -0.1, 0.4]),
    open_interest_kept=st.sampled_from([None, D("0.2"), D("0.9")]),
    regime=st.sampled_from([None, "high_vol", "mixed"]),
    event_at=st.sampled_from([None, NOW + timedelta(minutes=30), NOW + timedelta(days=5)]),
    momentum=st.sampled_from([None, D("-0.02"), D("0.004")]),
    movement=st.sampled_from([None, D("0.001"), D("0.03")]),
    liquidation=st.sampled_from([None, D("0.09"), D("0.17"), D("0.35")]),
)


@st.composite
def longs(draw: st.DrawFn) -> WatchedPosition:
    """Return a long position bought at 100, some of it perhaps closed already."""
    opened = ago(draw(st.sampled_from([60, 1_200, 10_000, 300_000, 1_000_000])))
    position = Position("flow", "AAPL", (Lot(D(draw(st.integers(1, 10))), D(100), opened),), D(0), opened)
    kept = EntryTerms(
        entry_score=draw(st.sampled_from([None, 0.5])),
        original_quantity=draw(st.sampled_from([None, D(10)])),
        stop_loss_fraction=draw(st.sampled_from([None, D("0.02")])),
        atr_fraction=draw(st.sampled_from([None, D("0.015")])),
        first_gain=draw(st.sampled_from([None, D(0), D("0.03")])),
        instrument=instrument(),
    )
    return WatchedPosition(position, 100 * (1 + draw(st.decimals("0", "0.15", places=3))), kept, draw(outlooks))


def mirrored(of: WatchedPosition) -> WatchedPosition:
    """Return the short that is the long's mirror image: every price as far below 100 as that was above."""
    (lot,), outlook, entry = of.position.lots, of.outlook, of.kept.entry_score
    return WatchedPosition(
        replace(of.position, lots=(replace(lot, quantity=-lot.quantity),)),
        200 - of.best,
        replace(of.kept, entry_score=None if entry is None else -entry),
        replace(
            outlook,
            scores=tuple(-score for score in outlook.scores),
            flow=None if outlook.flow is None else -outlook.flow,
            momentum=None if outlook.momentum is None else -outlook.momentum,
        ),
    )


def at(of: WatchedPosition, price: Decimal | None, rules: Exits, **context: object) -> ExitCall:
    shown = None if price is None else quote(bid=f"{price:f}", ask=f"{price:f}")
    return evaluate_rules(of, shown, NOW, rules, ACTIVE, session=SESSION, **context)  # type: ignore[arg-type]


prices = st.one_of(st.none(), fractions.map(lambda gain: 100 * (1 + gain)))


@given(longs(), prices, st.permutations(EVERY))
def test_order_of_rules_changes_nothing(of: WatchedPosition, price: Decimal | None, shuffled: list[ExitRule]) -> None:
    assert at(of, price, tuple(shuffled)) == at(of, price, EVERY)


@given(longs(), prices)
def test_what_one_rule_does_not_know_hides_no_other_rules_exit(of: WatchedPosition, price: Decimal | None) -> None:
    together, alone = at(of, price, EVERY), [at(of, price, (rule,)) for rule in EVERY]
    fired = [call for call in alone if call.decision.passed]
    assert together.decision.passed is bool(fired)
    assert {part for call in fired for part in call.why} == set(together.why)
    assert set(together.unknown) == {decision for call in alone for decision in call.unknown}
    if fired:
        assert together.decision in [call.decision for call in fired]
        assert together.shares == (
            None if any(call.shares is None for call in fired) else max(call.shares or D(0) for call in fired)
        )


@given(longs(), prices)
def test_reflected_prices_give_mirrored_decisions(of: WatchedPosition, price: Decimal | None) -> None:
    assert at(of, price, PLAIN) == at(mirrored(of), None if price is None else 200 - price, PLAIN)


@given(longs(), prices)
def test_never_is_more_closed_than_is_held(of: WatchedPosition, price: Decimal | None) -> None:
    shares = at(of, price, EVERY).shares
    assert shares is None or 0 < shares < of.position.quantity


@given(longs(), prices, st.sampled_from(["2", "0.5", "1.5"]))
def test_an_unproven_ratio_closes_no_more_than_either(of: WatchedPosition, price: Decimal | None, ratio: str) -> None:
    if price is not None:
        both = [at(of, price, EVERY), at(of, price * D(ratio), EVERY)]
        call = at(of, price, EVERY, ratio=D(ratio))
        assert call.decision.passed is all(each.decision.passed for each in both)
        if call.decision.passed:
            known = [each.shares for each in both if each.shares is not None]
            assert call.shares == min(known, default=None)


FULL = WatchedPosition(
    Position("flow", "AAPL", (Lot(D(10), D(100), ago(100_000)),), D(0), ago(100_000)),
    D(101),
    EntryTerms(
        entry_score=0.5,
        original_quantity=D(10),
        instrument=instrument(),
        stop_loss_fraction=D("0.02"),
        atr_fraction=D("0.015"),
    ),
    ExitInputs((0.5,), 0.1, 0.2, D("0.9"), "mixed", NOW + timedelta(days=3), D(0), D("0.01"), D("0.3")),
)
THEN = ExitMoment(NOW, D(100), SESSION)
WITHOUT = {
    RuleInput.QUOTE: (FULL, replace(THEN, price=None)),
    RuleInput.CLOCK: (FULL, replace(THEN, now=None)),
    RuleInput.SESSION: (FULL, replace(THEN, session=None)),
    RuleInput.TICK: (replace(FULL, kept=replace(FULL.kept, instrument=None)), THEN),
    RuleInput.ORIGINAL_QUANTITY: (replace(FULL, kept=replace(FULL.kept, original_quantity=None)), THEN),
    RuleInput.ENTRY_STOP: (replace(FULL, kept=replace(FULL.kept, stop_loss_fraction=None)), THEN),
    RuleInput.ENTRY_ATR: (replace(FULL, kept=replace(FULL.kept, atr_fraction=None)), THEN),
    RuleInput.ENTRY_SCORE: (replace(FULL, kept=replace(FULL.kept, entry_score=None)), THEN),
    RuleInput.SCORES: (replace(FULL, outlook=replace(FULL.outlook, scores=())), THEN),
    RuleInput.NOISE: (replace(FULL, outlook=replace(FULL.outlook, noise=None)), THEN),
    RuleInput.FLOW: (replace(FULL, outlook=replace(FULL.outlook, flow=None)), THEN),
    RuleInput.OPEN_INTEREST: (replace(FULL, outlook=replace(FULL.outlook, open_interest_kept=None)), THEN),
    RuleInput.REGIME: (replace(FULL, outlook=replace(FULL.outlook, regime=None)), THEN),
    RuleInput.EVENT: (replace(FULL, outlook=replace(FULL.outlook, event_at=None)), THEN),
    RuleInput.MOMENTUM: (replace(FULL, outlook=replace(FULL.outlook, momentum=None)), THEN),
    RuleInput.MOVEMENT: (replace(FULL, outlook=replace(FULL.outlook, movement=None)), THEN),
    RuleInput.LIQUIDATION: (replace(FULL, outlook=replace(FULL.outlook, liquidation=None)), THEN),
}


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.reason)
def test_a_rule_can_tell_exactly_if_it_has_what_it_says_it_needs(rule: ExitRule) -> None:
    assert isinstance(rule.judge(FULL, THEN), Measure)
    answers = {what: rule.judge(*given) for what, given in WITHOUT.items()}
    assert {what for what, answer in answers.items() if answer == what} == set(rule.needs)
    assert all(isinstance(answer, Measure) for what, answer in answers.items() if what not in rule.needs)
    assert rule.reads <= set(ExitInputs.__struct_fields__)


def test_every_input_is_needed_by_a_rule() -> None:
    assert {what for rule in EVERY for what in rule.needs} == set(RuleInput) == set(WITHOUT)


def listed(*names: str) -> Exits:
    of = {name: kind for name, kind in kinds().items() if name in names}
    return tuple(rule for rule in EVERY if type(rule) in of.values())


def test_what_is_missing_besides_a_price_shows_beside_hold_and_as_unknown_only_if_no_rule_could_tell() -> None:
    blind = replace(FULL, outlook=ExitInputs())
    call = at(blind, D(100), listed("stop_loss", "flow_reversal", "momentum"))
    assert (call.decision.verdict, call.decision.reason) == (Verdict.FAIL, Reason.HOLD)
    assert [(d.reason, d.observed, d.limit) for d in call.unknown] == [
        (Reason.EXIT_INPUT_MISSING, "flow", "FLOW_REVERSAL"),
        (Reason.EXIT_INPUT_MISSING, "momentum", "MOMENTUM_REVERSAL"),
    ]
    call = at(blind, D(100), listed("flow_reversal", "momentum"))
    assert (call.decision.verdict, call.decision.reason) == (Verdict.UNKNOWN, Reason.EXIT_INPUT_MISSING)


def test_closing_all_is_stronger_than_closing_a_part_and_the_reason_names_both() -> None:
    of = replace(FULL, best=D(105), outlook=replace(FULL.outlook, flow=-0.5))
    call = at(of, D("102.5"), listed("scale_out", "trailing_stop", "flow_reversal"))
    assert (call.decision.reason, call.shares) == (Reason.TRAILING_STOP, None)
    assert compose(call.why) == "trail_stop(-2.4%)+flow_reversal+scale_out(2.5%)"
    part = at(of, D("102.5"), listed("scale_out"))
    assert (part.decision.reason, part.shares, part.decision.observed) == (Reason.SCALE_OUT, D(3), D("0.025"))


def test_exits_run_in_every_trading_state_and_flatten_closes_everything_and_says_so() -> None:
    for state in (TradingState.ACTIVE, TradingState.REDUCE_ONLY):
        call = evaluate_rules(FULL, quote(bid="94", ask="94"), NOW, EVERY, state, session=SESSION)
        assert call.decision.reason is Reason.STOP_LOSS
        assert compose(call.why) == "stop_loss(-6%)+tick_stop(-600)+trail_stop(-6.9%)+drawdown(7%)+urgency(6.5)"
    call = evaluate_rules(FULL, None, NOW, (), TradingState.FLATTEN)
    assert (call.decision.reason, call.shares, compose(call.why)) == (Reason.FLATTEN, None, "flatten")


@pytest.mark.parametrize(("price", "limit"), [("99.5", "-0.03"), ("100.5", "0.12"), ("100", "-0.03")])
def test_a_decision_to_hold_names_the_nearest_level_on_its_side(price: str, limit: str) -> None:
    call = at(replace(FULL, best=D(100)), D(price), listed("stop_loss", "drawdown", "profit_target", "scale_out"))
    assert (call.decision.reason, call.decision.limit) == (Reason.HOLD, D(limit))


def test_a_decision_to_hold_is_the_same_with_and_without_rules_that_only_look_at_signals() -> None:
    def decided(*names: str) -> Decision:
        return at(FULL, D(100), listed(*names)).decision

    assert decided("stop_loss", "time_exit") == decided("stop_loss", "time_exit", "flow_reversal", "signal_decay")
