"""Lists of exit rules: how they are written, what watches a position, and the loss at which a list closes it."""

import re
import sys
from decimal import Decimal
from itertools import accumulate
from pkgutil import ModuleInfo, iter_modules

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import evaluate
from tests.kit.values import EXITS, LISTED, NOW, ago, instrument, quote, there
from tradebot.exits import kinds as folder
from tradebot.exits.exit_rule import WatchedPosition, best_price
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
from tradebot.model.decision import Decision, Verdict
from tradebot.model.position import EntryTerms, Lot, Position
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

FIRST = (
    "atr_trail break_even drawdown end_of_day event_ahead flow_reversal ladder liquidation_distance low_movement "
    "momentum open_interest_gone profit_target regime scale_out signal_decay stale stop_loss stop_ticks target_ticks "
    "time_exit trailing_stop urgency"
)
"""The names in configurations since the first system, none of which may ever go."""
ACTIVE = TradingState.ACTIVE
D, ENTRY = Decimal, Decimal(100)
fractions = st.decimals("0.001", "0.5", places=3)
moves = st.lists(st.decimals("-0.02", "0.02", places=3), min_size=1, max_size=12)


def held(quantity: int = 10, best: Decimal = ENTRY) -> WatchedPosition:
    position = Position("flow", "AAPL", (Lot(D(quantity), D(100), ago(600)),), D(0), ago(600))
    return WatchedPosition(position, best)


def decided(of: WatchedPosition, price: Decimal | None, rules: Exits, state: TradingState = ACTIVE) -> Decision:
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
            "break_even's after_share 0.9 is above 0.8, the sum of ladder's shares: its levels never close as much",
        ),
        (
            [{"scale_out": {"levels": [{"fraction": 0.1, "share": 0.5}]}}, {"break_even": {"after_share": 0.51}}],
            "break_even's after_share 0.51 is above 0.5, the sum of scale_out's shares: its levels never close as much",
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
        assert decided(held(), price, ()).reason is Reason.HOLD
        assert decided(held(), price, (), TradingState.FLATTEN).reason is Reason.FLATTEN
    assert decided(held(), D(99), ()).limit is None
    assert worst_stop(()) is None


def test_rules_of_time_need_no_price_and_are_asked_before_any_wherever_they_are_listed() -> None:
    assert decided(held(), None, (TimeExit(after_s=601),)).verdict is Verdict.FAIL
    assert decided(held(), None, (TimeExit(after_s=600),)).reason is Reason.TIME_EXIT
    assert decided(held(), None, LISTED).reason is Reason.QUOTE_MISSING
    assert decided(held(), D(50), (StopLoss(fraction=D("0.1")), TimeExit(after_s=600))).reason is Reason.TIME_EXIT


@given(own=fractions, listed=fractions)
def test_of_two_stops_the_nearer_one_is_in_force_and_is_where_both_close(own: Decimal, listed: Decimal) -> None:
    rules = (StopLoss(fraction=listed), ProfitTarget(fraction=listed))
    watching = effective_rules(rules, EntryTerms(None, own, own))
    nearer = min(own, listed)
    assert sorted(type(rule).__name__ for rule in watching) == ["ProfitTarget", "StopLoss"]
    assert (worst_stop(watching), effective_rules(rules, EntryTerms(D(100)))) == (nearer, rules)
    for quantity in (10, -10):
        for stop in (rule.level(held(quantity)) for rule in watching):
            side = held(quantity).direction * (1 if stop.ahead else -1)
            assert stop.price == 100 * (1 + side * nearer)


def test_a_position_that_was_opened_with_a_stop_has_it_also_where_its_strategy_has_no_list() -> None:
    watching = effective_rules((), EntryTerms(None, D("0.01"), None))
    assert decided(held(), D("99.01"), watching).reason is Reason.HOLD
    assert decided(held(), D("99"), watching).reason is Reason.STOP_LOSS


@given(moves=moves)
def test_a_list_closes_at_its_worst_stop_at_the_latest(moves: list[Decimal]) -> None:
    worst = worst_stop(LISTED)
    assert worst == EXITS.stop_loss_fraction
    for gain in accumulate(moves):
        for quantity in (10, -10):
            price = 100 * (1 + (gain if quantity > 0 else -gain))
            assert gain > -worst or decided(held(quantity), price, LISTED).passed


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
SIDES = st.sampled_from(["10", "-10"])


def at_best(quantity: str, best: Decimal) -> WatchedPosition:
    return replace(held(int(quantity), best), kept=EntryTerms(original_quantity=D(10), instrument=instrument()))


@given(PRICES, SIDES, st.lists(st.sampled_from(STOPS), unique=True).map(tuple))
def test_the_stop_never_moves_away_from_profit(prices: list[Decimal], quantity: str, rules: Exits) -> None:
    best, before = None, None
    for price in prices:
        of = held(int(quantity))
        best = best_price(of.position, quote(bid=str(price), ask=str(price), at=NOW), best)
        stop = rule_levels(at_best(quantity, best), rules).stop
        assert before is None or stop is not None, "a stop that was there is gone"
        if stop is not None:
            assert before is None or of.direction * stop >= of.direction * before
            before = stop


@given(PRICES, SIDES)
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
