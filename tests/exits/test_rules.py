"""When a position is closed: each rule at its edge, longs and shorts as mirrors of each other.

Where a rule is said to stand is where it acts: the exit rules themselves are the judge.
Lists of exit rules: how they are written, what watches a position, and the loss at which a list closes it.
"""

import re
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from pkgutil import ModuleInfo, iter_modules

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import evaluate
from tests.kit.values import EXITS, LIMITS, LISTED, NOW, ago, instrument, quote, there
from tradebot.exits import kinds as folder
from tradebot.exits.exit_rule import StopLevel, WatchedPosition, best_price, distance, exit_price
from tradebot.exits.kinds import times
from tradebot.exits.kinds.stops import StopLoss
from tradebot.exits.kinds.targets import ProfitTarget
from tradebot.exits.kinds.times import TimeExit
from tradebot.exits.rules import (
    Exits,
    effective_rules,
    kinds,
    parse,
    rule_levels,
    to_rule_list,
    triggered_reason,
    worst_stop,
)
from tradebot.gates.shared_gates import clocks_agree
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import EntryTerms, Lot, Position
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

ACTIVE = TradingState.ACTIVE
prices = st.decimals(50, 150, places=2)


def position(quantity: int = 10, price: str = "100", *, age_s: float = 60) -> Position:
    since = ago(age_s)
    return Position("flow", "AAPL", (Lot(Decimal(quantity), Decimal(price), since),), Decimal(0), since)


def at(price: Decimal | str) -> Quote:
    return quote(bid=str(price), ask=str(price))


def decided(
    price: str | None, *, quantity: int = 10, best: str = "100", age_s: float = 60, state: TradingState = ACTIVE
) -> Decision:
    held = WatchedPosition(position(quantity, age_s=age_s), Decimal(best))
    return evaluate(held, at(price) if price else None, NOW, LISTED, state)


CASES = [
    # price, quantity, best, reason, verdict
    ("98.01", 10, "100", Reason.HOLD, Verdict.FAIL),
    ("98.00", 10, "100", Reason.STOP_LOSS, Verdict.PASS),
    ("101.99", -10, "100", Reason.HOLD, Verdict.FAIL),
    ("102.00", -10, "100", Reason.STOP_LOSS, Verdict.PASS),
    ("102.99", 10, "102.99", Reason.HOLD, Verdict.FAIL),
    ("103.00", 10, "103", Reason.PROFIT_TARGET, Verdict.PASS),
    ("97.00", -10, "97", Reason.PROFIT_TARGET, Verdict.PASS),
    ("99.70", 10, "100.99", Reason.HOLD, Verdict.FAIL),  # a pullback of 1.28 %, and not armed
    ("100.70", 10, "101.90", Reason.HOLD, Verdict.FAIL),  # armed, and back by 1.18 % only
    ("99.70", 10, "101", Reason.TRAILING_STOP, Verdict.PASS),  # armed at exactly 1 %
    ("98.80", 10, "100", Reason.HOLD, Verdict.FAIL),
    ("100.60", 10, "102", Reason.TRAILING_STOP, Verdict.PASS),
    ("99.40", -10, "98", Reason.TRAILING_STOP, Verdict.PASS),
]


@pytest.mark.parametrize(("price", "quantity", "best", "reason", "verdict"), CASES)
def test_each_rule_acts_from_its_edge_on(
    price: str, quantity: int, best: str, reason: Reason, verdict: Verdict
) -> None:
    said = decided(price, quantity=quantity, best=best)
    assert (said.reason, said.verdict) == (reason, verdict)


def test_a_stop_shows_the_loss_its_limit_and_the_age_of_the_quote_which_is_no_veto() -> None:
    said = decided("97.5")
    assert (said.observed, said.limit, said.age_s) == (Decimal("-0.025"), Decimal("-0.02"), 0)
    assert decided("97", best="103").reason is Reason.STOP_LOSS, "it stands before every other price rule"
    old = evaluate(WatchedPosition(position(), Decimal(100)), replace(at("97"), at=ago(3600)), NOW, LISTED, ACTIVE)
    assert (old.reason, old.age_s) == (Reason.STOP_LOSS, 3600)


def test_time_closes_a_position_at_the_second_it_may_be_held_no_longer() -> None:
    assert decided("100", age_s=14_399).reason is Reason.HOLD
    said = decided("100", age_s=14_400)
    assert (said.verdict, said.reason) == (Verdict.PASS, Reason.TIME_EXIT)
    assert (said.observed, said.limit) == (14_400, 14_400)


def test_while_the_clocks_disagree_no_time_closes_a_position_and_prices_and_flatten_do() -> None:
    apart = clocks_agree(86_400.0, LIMITS)

    def said(price: str, state: TradingState = ACTIVE) -> Decision:
        return evaluate(
            WatchedPosition(position(age_s=86_400), Decimal(100)), at(price), NOW, LISTED, state, clocks=apart
        )

    held = said("100")
    assert (held.gate, held.verdict, held.reason) == (Gate.EXIT, Verdict.UNKNOWN, Reason.CLOCKS_DISAGREE)
    assert (held.observed, held.limit) == (86_400.0, 60)
    assert (said("98").reason, said("103").reason) == (Reason.STOP_LOSS, Reason.PROFIT_TARGET)
    assert said("100", TradingState.FLATTEN).reason is Reason.FLATTEN


def test_without_a_quote_the_price_rules_are_unknown_and_time_still_acts() -> None:
    said = decided(None)
    assert (said.verdict, said.reason) == (Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    assert decided(None, age_s=14_400).reason is Reason.TIME_EXIT


def test_a_long_leaves_at_the_bid_and_a_short_at_the_ask() -> None:
    seen = quote(bid="99", ask="101")
    assert (exit_price(position(10), seen), exit_price(position(-10), seen)) == (Decimal(99), Decimal(101))


@given(seen=st.lists(prices, min_size=1, max_size=10), quantity=st.sampled_from([10, -10]))
def test_the_best_price_only_ever_moves_the_positions_way(seen: list[Decimal], quantity: int) -> None:
    held, stored = position(quantity), None
    for price in seen:
        best = best_price(held, at(price), stored)
        before = stored if stored is not None else held.average_price
        assert best >= before if quantity > 0 else best <= before
        stored = best
    extreme = max(*seen, Decimal(100)) if quantity > 0 else min(*seen, Decimal(100))
    assert stored == extreme


@pytest.mark.parametrize(
    ("quantity", "price", "ratio", "said"),
    [
        (10, "50", "2", Reason.SPLIT_UNPROVEN),
        (10, "48", "2", Reason.STOP_LOSS),
        (10, "1000", "0.1", Reason.SPLIT_UNPROVEN),
        (10, "100", "2", Reason.SPLIT_UNPROVEN),
        (-10, "50", "2", Reason.SPLIT_UNPROVEN),
        (-10, "1000", "0.1", Reason.SPLIT_UNPROVEN),
        (10, "97", "0.7", Reason.STOP_LOSS),
        (10, "97", "0", Reason.STOP_LOSS),
        (10, "97", "-1", Reason.STOP_LOSS),
        (10, "100", "0", Reason.HOLD),
    ],
)
def test_where_a_split_may_be_a_price_closes_what_both_would(
    quantity: int, price: str, ratio: str, said: Reason
) -> None:
    held = WatchedPosition(position(quantity), Decimal(100))
    decision = evaluate(held, at(price), NOW, LISTED, ACTIVE, Decimal(ratio))
    assert decision.reason is said
    verdicts = {Reason.SPLIT_UNPROVEN: Verdict.UNKNOWN, Reason.HOLD: Verdict.FAIL}
    assert decision.verdict is verdicts.get(said, Verdict.PASS)


def test_time_and_flatten_close_at_an_unproven_ratio_too() -> None:
    for age_s, state, reason in ((14_400, ACTIVE, Reason.TIME_EXIT), (60, TradingState.FLATTEN, Reason.FLATTEN)):
        held = WatchedPosition(position(age_s=age_s), Decimal(100))
        assert evaluate(held, at("50"), NOW, LISTED, state, Decimal(2)).reason is reason


HAIR = Decimal("0.000001")
SIDES = st.sampled_from([Decimal(10), Decimal(-10)])
ENTRIES = st.decimals("1", "900", places=2)
BESTS = st.decimals("0", "0.0299", places=4)


def held(quantity: Decimal, entry: Decimal, best_gain: Decimal = Decimal(0)) -> WatchedPosition:
    position = Position("flow", "AAPL", (Lot(quantity, entry, ago(600)),), Decimal(0), ago(600))
    side = 1 if quantity > 0 else -1
    return WatchedPosition(position, entry * (1 + side * best_gain))


def at_price(of: WatchedPosition, price: Decimal, now: datetime = NOW) -> Decision:
    text = format(price, "f")
    return evaluate(of, quote("AAPL", text, text, at=now), now, LISTED, TradingState.ACTIVE)


def rule(of: WatchedPosition, reason: Reason) -> StopLevel:
    return next(rule.level(of) for rule in LISTED if rule.reason is reason)


@given(SIDES, ENTRIES)
def test_the_stop_and_the_target_act_from_their_price_on_and_not_before(quantity: Decimal, entry: Decimal) -> None:
    of, side = held(quantity, entry), 1 if quantity > 0 else -1
    for reason, beyond in ((Reason.STOP_LOSS, -side), (Reason.PROFIT_TARGET, side)):
        price = there(rule(of, reason).price)
        assert at_price(of, price + beyond * HAIR).reason is reason
        assert at_price(of, price - beyond * HAIR).reason is Reason.HOLD


@given(SIDES, ENTRIES, BESTS)
def test_an_armed_trailing_stop_acts_from_its_price_on(quantity: Decimal, entry: Decimal, best: Decimal) -> None:
    of, side = held(quantity, entry, best), 1 if quantity > 0 else -1
    trailing = rule(of, Reason.TRAILING_STOP)
    assert trailing.price is not None
    if trailing.armed:
        assert at_price(of, trailing.price - side * HAIR).reason is Reason.TRAILING_STOP
        assert at_price(of, trailing.price + side * HAIR).reason is Reason.HOLD
    else:
        there = WatchedPosition(of.position, trailing.price + side * HAIR)
        assert rule(there, Reason.TRAILING_STOP).armed


def test_time_is_up_at_its_moment() -> None:
    of = held(Decimal(5), Decimal(100))
    at = there(rule(of, Reason.TIME_EXIT).at)
    assert at_price(of, Decimal(100), at).reason is Reason.TIME_EXIT
    assert at_price(of, Decimal(100), at - timedelta(seconds=1)).reason is Reason.HOLD


def test_the_way_to_a_rule_is_a_fraction_of_the_price() -> None:
    assert distance(StopLevel(Reason.STOP_LOSS, Decimal(98), None), Decimal(100), 1) == Decimal("0.02")
    assert distance(StopLevel(Reason.TIME_EXIT, None, NOW), Decimal(100), 1) is None


@given(SIDES, ENTRIES, BESTS, st.decimals("-0.05", "0.05", places=3))
def test_the_way_to_a_rule_is_negative_where_it_acts(
    quantity: Decimal, entry: Decimal, best: Decimal, gain: Decimal
) -> None:
    of, side = held(quantity, entry, best), 1 if quantity > 0 else -1
    mark = entry * (1 + side * gain)
    ways = {stop.rule: (distance(stop, mark, side), stop.armed) for stop in (rule.level(of) for rule in LISTED)}
    reason = at_price(of, mark).reason
    way, armed = ways.get(reason, (None, True)) if reason else (None, True)
    if way is not None:
        assert armed
        assert way <= HAIR
    else:
        assert all(found is None or found > -HAIR for found, acts in ways.values() if acts)


def test_a_trailing_stop_that_is_not_armed_is_away_where_the_position_gains() -> None:
    for side in (1, -1):
        arms = StopLevel(Reason.TRAILING_STOP, 100 + side * Decimal(2), None, armed=False, ahead=True)
        assert distance(arms, Decimal(100), side) == Decimal("0.02")
        assert distance(arms, 100 + side * Decimal(4), side) == Decimal(-2) / (100 + side * 4)


FIRST = (
    "atr_trail break_even drawdown end_of_day event_ahead flow_reversal ladder liquidation_distance low_movement "
    "momentum open_interest_gone profit_target regime scale_out signal_decay stale stop_loss stop_ticks target_ticks "
    "time_exit trailing_stop urgency"
)
"""The names in configurations since the first system, none of which may ever go."""
D, ENTRY = Decimal, Decimal(100)
fractions = st.decimals("0.001", "0.5", places=3)
moves = st.lists(st.decimals("-0.02", "0.02", places=3), min_size=1, max_size=12)


def held_shares(quantity: int = 10, best: Decimal = ENTRY) -> WatchedPosition:
    position = Position("flow", "AAPL", (Lot(D(quantity), D(100), ago(600)),), D(0), ago(600))
    return WatchedPosition(position, best)


def decided_by(of: WatchedPosition, price: Decimal | None, rules: Exits, state: TradingState = ACTIVE) -> Decision:
    at = None if price is None else quote(bid=f"{price:f}", ask=f"{price:f}")
    return evaluate(of, at, NOW, rules, state)


def test_every_kind_has_a_column_and_a_reason_of_its_own() -> None:
    assert {*FIRST.split()} <= kinds().keys()
    assert len({kind.reason for kind in kinds().values()}) == len(kinds())
    assert len({kind.column for kind in kinds().values()}) == len(kinds())
    assert {REASONS[kind.reason].cause for kind in kinds().values()} == {Cause.IDLE}


def test_module_of_a_rule_may_be_renamed_and_its_name_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [replaced(one) for one in iter_modules(folder.__path__)]
    monkeypatch.setitem(sys.modules, f"{folder.__name__}.ages", times)
    monkeypatch.setattr("tradebot.exits.rules.iter_modules", lambda path: found)
    assert [one.name for one in found if one.name == "ages"]
    assert kinds.__wrapped__() == kinds()
    assert kinds()["stale"] is times.Stale
    assert [*kinds()] == sorted(kinds())


def replaced(module: ModuleInfo) -> ModuleInfo:
    return module._replace(name="ages") if module.name == "times" else module


def test_a_list_is_read_as_it_is_written() -> None:
    rules = parse([{"stop_loss": {"fraction": "0.05"}}, {"time_exit": {"after_s": 3600}}])
    assert rules == (StopLoss(fraction=D("0.05")), TimeExit(after_s=3600))
    assert parse(to_rule_list(rules)) == rules
    assert parse([]) == ()
    half = {"scale_out": {"levels": [{"fraction": 0.1, "share": 0.5}]}}
    assert len(parse([half, {"break_even": {"after_share": 0.5}}])) == 2


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([{"stop_los": {"fraction": 0.02}}], "rule 1: there is no exit rule 'stop_los'; did you mean stop_loss?"),
        ([{"moon": {}}], "rule 1: there is no exit rule 'moon'; there are atr_trail, break_even, drawdown, "),
        ([{"stop_loss": {"fraction": 7}}], "rule 1: stop_loss.fraction: must be less than or equal to 1, not 7"),
        ([{"stop_loss": {"frac": 1}}], "stop_loss.frac: there is no such setting; stop_loss has fraction"),
        ([{"stop_loss": {}}], "rule 1: stop_loss.fraction: must be set"),
        ([{"stop_loss": {"fraction": "1e-2"}}], "stop_loss.fraction: must be a number in plain digits"),
        ([{"stop_loss": None}], "rule 1: stop_loss needs its settings: fraction"),
        ([{"time_exit": {"after_s": 9}}, "stop_loss"], "rule 2: must be one exit rule with its settings"),
        ([{"time_exit": {"after_s": 9}, "stop_loss": {"fraction": 0.1}}], "rule 1: must be one exit rule"),
        ([{"time_exit": {"after_s": 9}}, {"time_exit": {"after_s": 8}}], "time_exit is listed twice"),
        ({"stop_loss": {"fraction": 0.02}}, "must be a list of exit rules, such as "),
        (
            [{"trailing_stop": {"fraction": 0.01, "arm_fraction": 0.03}}, {"profit_target": {"fraction": 0.03}}],
            "the target closes first, so the trailing stop could never act",
        ),
        (
            [
                {"break_even": {"after_share": 0.9}},
                {"ladder": {"levels": [{"r": 1, "share": 0.4}, {"r": 2, "share": 0.4}]}},
            ],
            "break_even's after_share 0.9 is above 0.8, the sum of ladder's shares: its levels never close that much",
        ),
        (
            [{"scale_out": {"levels": [{"fraction": 0.1, "share": 0.5}]}}, {"break_even": {"after_share": 0.51}}],
            "break_even's after_share 0.51 is above 0.5, the sum of scale_out's shares: its levels never close that "
            "much",
        ),
    ],
)
def test_a_mistake_in_a_list_is_named(listed: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse(listed)


def test_a_wrong_value_is_shown_as_it_is_written() -> None:
    level = {"fraction": Decimal("0.02"), "share": Decimal("0.7")}
    for listed, words in (
        ([level, level], "not [{fraction: 0.02, share: 0.7}, {fraction: 0.02, share: 0.7}]"),
        (level, "scale_out.levels: must be a list, not {fraction: 0.02, share: 0.7}"),
        ([level | {"share": Decimal("-1")}], "share: must be greater than 0, not -1"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            parse([{"scale_out": {"levels": listed}}])


def test_an_empty_list_closes_nothing_but_when_everything_is_closed() -> None:
    for price in (D(1), D(1000), None):
        assert decided_by(held_shares(), price, ()).reason is Reason.HOLD
        assert decided_by(held_shares(), price, (), TradingState.FLATTEN).reason is Reason.FLATTEN
    assert decided_by(held_shares(), D(99), ()).limit is None
    assert worst_stop(()) is None


def test_rules_of_time_need_no_price_and_are_asked_before_any_wherever_they_are_listed() -> None:
    assert decided_by(held_shares(), None, (TimeExit(after_s=601),)).verdict is Verdict.FAIL
    assert decided_by(held_shares(), None, (TimeExit(after_s=600),)).reason is Reason.TIME_EXIT
    assert decided_by(held_shares(), None, LISTED).reason is Reason.QUOTE_MISSING
    assert (
        decided_by(held_shares(), D(50), (StopLoss(fraction=D("0.1")), TimeExit(after_s=600))).reason
        is Reason.TIME_EXIT
    )


@given(own=fractions, listed=fractions)
def test_of_two_stops_the_nearer_one_is_in_force_and_is_where_both_close(own: Decimal, listed: Decimal) -> None:
    rules = (StopLoss(fraction=listed), ProfitTarget(fraction=listed))
    watching = effective_rules(rules, EntryTerms(None, own, own))
    nearer = min(own, listed)
    assert sorted(type(rule).__name__ for rule in watching) == ["ProfitTarget", "StopLoss"]
    assert (worst_stop(watching), effective_rules(rules, EntryTerms(D(100)))) == (nearer, rules)
    for quantity in (10, -10):
        for stop in (rule.level(held_shares(quantity)) for rule in watching):
            side = held_shares(quantity).direction * (1 if stop.ahead else -1)
            assert stop.price == 100 * (1 + side * nearer)


def test_a_position_that_was_opened_with_a_stop_has_it_also_where_its_strategy_has_no_list() -> None:
    watching = effective_rules((), EntryTerms(None, D("0.01"), None))
    assert decided_by(held_shares(), D("99.01"), watching).reason is Reason.HOLD
    assert decided_by(held_shares(), D("99"), watching).reason is Reason.STOP_LOSS


@given(moves=moves)
def test_a_list_closes_at_its_worst_stop_at_the_latest(moves: list[Decimal]) -> None:
    worst = worst_stop(LISTED)
    assert worst == EXITS.stop_loss_fraction
    for gain in accumulate(moves):
        for quantity in (10, -10):
            price = 100 * (1 + (gain if quantity > 0 else -gain))
            assert gain > -worst or decided_by(held_shares(quantity), price, LISTED).passed


LEVELS = [{"fraction": 0.02, "share": 0.3}, {"fraction": 0.05, "share": 0.3}, {"fraction": 0.10, "share": 0.4}]
STOPS = parse(
    [
        {"stop_loss": {"fraction": 0.05}},
        {"trailing_stop": {"fraction": 0.02, "arm_fraction": 0.03}},
        {"drawdown": {"fraction": 0.04}},
        {"time_exit": {"after_s": 900_000}},
    ]
)
PRICES = st.lists(st.decimals("80", "125", places=2), min_size=1, max_size=12)
QUANTITIES = st.sampled_from(["10", "-10"])


def at_best(quantity: str, best: Decimal) -> WatchedPosition:
    return replace(held_shares(int(quantity), best), kept=EntryTerms(original_quantity=D(10), instrument=instrument()))


@given(PRICES, QUANTITIES, st.lists(st.sampled_from(STOPS), unique=True).map(tuple))
def test_the_stop_never_moves_away_from_profit(prices: list[Decimal], quantity: str, rules: Exits) -> None:
    best, before = None, None
    for price in prices:
        of = held_shares(int(quantity))
        best = best_price(of.position, quote(bid=str(price), ask=str(price), at=NOW), best)
        stop = rule_levels(at_best(quantity, best), rules).stop
        assert before is None or stop is not None, "a stop that was there is gone"
        if stop is not None:
            assert before is None or of.direction * stop >= of.direction * before
            before = stop


@given(PRICES, QUANTITIES)
def test_a_rule_closes_at_the_stop_and_none_just_before_it(prices: list[Decimal], quantity: str) -> None:
    side = 1 if D(quantity) > 0 else -1
    of = at_best(quantity, 100 + side * (max(*prices, D(100)) - 100))
    stop = there(rule_levels(of, STOPS).stop)
    hair = side * D("0.000001")
    assert triggered_reason(of, stop - hair, STOPS) is not None
    assert triggered_reason(of, stop + hair, STOPS) is None


def test_a_list_without_a_stop_in_force_rests_none() -> None:
    assert rule_levels(at_best("10", D(100)), ()).stop is None
    unarmed = parse([{"trailing_stop": {"fraction": 0.02, "arm_fraction": 0.03}}])
    assert rule_levels(at_best("10", D("102.99")), unarmed).stop is None
    assert rule_levels(at_best("10", D("103")), unarmed).stop == D("100.94")


@pytest.mark.parametrize(("quantity", "sign"), [("10", 1), ("-10", -1)])
def test_the_targets_are_those_of_all_rules_with_no_more_shares_than_are_left(quantity: str, sign: int) -> None:
    rules = parse([{"scale_out": {"levels": LEVELS[:2]}}, {"profit_target": {"fraction": 0.08}}])
    assert rule_levels(at_best(quantity, D(100)), rules).targets == (
        (100 + sign * D(2), D(3), "scale_out"),
        (100 + sign * D(5), D(3), "scale_out"),
        (100 + sign * D(8), D(4), "profit_target"),
    )
    whole = parse([{"scale_out": {"levels": LEVELS}}])
    assert [target.shares for target in rule_levels(at_best(quantity, D(100)), whole).targets] == [3, 3, 4]
