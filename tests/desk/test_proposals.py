"""What the core makes of strategies' answers: one that errs loses its own pass, whole, and no other's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from math import nan
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from tests.kit.core.scene import NAMES, Scene, call, trade_once, wanted
from tests.kit.core.venue import FixedStrategy, Wanting, opening
from tests.kit.values import NOW, SECTORS, desk, fill, instrument, limits, quote
from tests.orders.test_order_sender import end_of
from tradebot.desk.proposals import propose, score, strategy_quantity, target_to_order
from tradebot.errors import TemporaryError
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.limits import StrategyRules, TargetBounds
from tradebot.model.position import Position, apply_fill
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, RungReached, TradingState, TradingStateRecord
from tradebot.model.view import NOTHING, BarNeed, Close, Needs, Open, Reduce, StrategyView, Target, Want
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.views.explain import funnel, why_no_orders

OWN = StrategyRules(("AAPL",), limits(), Decimal("0.5"))
"""Half of 100,000 USD: at 100 USD a share, a weight of 1 is 500 shares."""


def held(shares: int | Decimal, strategy: str = "momentum") -> Position:
    side = Side.BUY if shares > 0 else Side.SELL
    return apply_fill(Position(strategy, "AAPL", (), Decimal(0)), fill(1, "AAPL", side, str(abs(shares))).fill)


def seen(*positions: Position) -> Desk:
    return replace(desk(), positions=positions, quotes={"AAPL": quote(bid="100", ask="100")})


def target(weight: str | None = None, quantity: str | None = None) -> Candidate:
    return Candidate(
        "momentum",
        instrument("AAPL"),
        Side.BUY,
        Purpose.OPEN,
        NOW,
        quantity=Decimal(quantity) if quantity else None,
        weight=Decimal(weight) if weight else None,
        want=WantKind.TARGET,
    )


def decided(found: Candidate) -> Decision:
    (decision,) = [decision for decision in found.decisions if decision.gate is Gate.TARGET]
    return decision


STEPS = [
    (0, "0.5", Side.BUY, Purpose.OPEN, 250),
    (100, "0.5", Side.BUY, Purpose.OPEN, 150),
    (400, "0.5", Side.SELL, Purpose.REDUCE, 150),
    (400, "0", Side.SELL, Purpose.CLOSE, 400),
    (400, "-0.5", Side.SELL, Purpose.CLOSE, 400),
    (0, "-0.5", Side.SELL, Purpose.OPEN, 250),
    (-100, "-0.5", Side.SELL, Purpose.OPEN, 150),
    (-400, "-0.5", Side.BUY, Purpose.REDUCE, 150),
    (-400, "0", Side.BUY, Purpose.CLOSE, 400),
    (-400, "0.5", Side.BUY, Purpose.CLOSE, 400),
]


@pytest.mark.parametrize(("has", "weight", "side", "purpose", "shares"), STEPS)
def test_a_weight_becomes_the_next_order_toward_it(
    has: int, weight: str, side: Side, purpose: Purpose, shares: int
) -> None:
    found = target_to_order(target(weight), seen(*([held(has)] if has else [])), OWN)
    assert (found.side, found.purpose, found.quantity) == (side, purpose, Decimal(shares))
    assert (decided(found).verdict, decided(found).observed) == (Verdict.PASS, has)
    assert found.why == ("" if purpose is Purpose.OPEN else "rebalance")


def test_a_quantity_is_taken_to_the_share() -> None:
    found = target_to_order(target(quantity="251"), seen(held(250)), OWN)
    assert (found.side, found.purpose, found.quantity) == (Side.BUY, Purpose.OPEN, Decimal(1))
    assert decided(target_to_order(target(quantity="250"), seen(held(250)), OWN)).reason is Reason.TARGET_REACHED


@pytest.mark.parametrize(
    ("has", "quantity", "purpose", "shares"),
    [
        ("5", "2.5", Purpose.REDUCE, "3"),
        ("5", "7.9", Purpose.OPEN, "2"),
        ("5.5", "2", Purpose.REDUCE, "3"),
        ("5.5", "0.5", Purpose.CLOSE, "5.5"),
        ("-5", "-2.5", Purpose.REDUCE, "3"),
    ],
)
def test_only_whole_shares_are_traded_toward_a_target(has: str, quantity: str, purpose: Purpose, shares: str) -> None:
    found = target_to_order(target(quantity=quantity), seen(held(Decimal(has))), OWN)
    assert (found.purpose, found.quantity) == (purpose, Decimal(shares))


@pytest.mark.parametrize(("has", "quantity"), [("2", "2.5"), ("2.5", "2"), ("2.5", "3.4")])
def test_less_than_a_share_away_is_reached(has: str, quantity: str) -> None:
    found = target_to_order(target(quantity=quantity), seen(held(Decimal(has))), OWN)
    assert decided(found).reason is Reason.TARGET_REACHED


@pytest.mark.parametrize(("has", "reached"), [(245, False), (246, True), (250, True), (254, True), (255, False)])
def test_a_weight_is_reached_within_the_tolerance(has: int, reached: bool) -> None:
    decision = decided(target_to_order(target("0.5"), seen(held(has)), OWN))
    assert (decision.reason is Reason.TARGET_REACHED) is reached
    assert (decision.observed, decision.limit) == (has, 250)


def test_a_small_rest_that_is_not_wanted_is_closed() -> None:
    assert target_to_order(target("0"), seen(held(1)), OWN).purpose is Purpose.CLOSE
    assert decided(target_to_order(target("0"), seen(), OWN)).reason is Reason.TARGET_REACHED


@pytest.mark.parametrize(("quantity", "why"), [("7", Reason.OUTSIDE_UNIVERSE), ("3", None), ("0", None), ("-2", None)])
def test_a_symbol_that_left_the_universe_is_only_reduced_or_closed(quantity: str, why: Reason | None) -> None:
    found = target_to_order(target(quantity=quantity), seen(held(5)), replace(OWN, universe=("MSFT",)))
    assert decided(found).reason is why
    assert (found.purpose is Purpose.OPEN) is (why is not None)


def test_another_strategys_shares_do_not_count_toward_a_target() -> None:
    both = seen(held(100), held(400, "flow"))
    assert strategy_quantity(both, "momentum", "AAPL") == 100
    assert target_to_order(target("0.5"), both, OWN).quantity == 150


def test_without_a_quote_a_weight_is_unknown_but_nothing_is_still_a_close() -> None:
    blind = replace(seen(held(100)), quotes={}, rejected_quotes={"AAPL": "no bid"})
    decision = decided(target_to_order(target("0.5"), blind, OWN))
    assert (decision.verdict, decision.reason, decision.observed) == (Verdict.UNKNOWN, Reason.QUOTE_MISSING, "no bid")
    assert target_to_order(target("0"), blind, OWN).purpose is Purpose.CLOSE


@given(st.integers(-2000, 2000), st.decimals(-4, 4, places=4))
@example(0, Decimal(0))
def test_steps_toward_a_target_end_at_it_and_never_beyond(has: int, weight: Decimal) -> None:
    own = replace(OWN, limits=limits(target_tolerance_fraction=Decimal("0.0001")))
    wanted = (weight * 50_000 / 100).to_integral_value(rounding=ROUND_DOWN)
    for _ in range(3):
        found = target_to_order(target(str(weight)), seen(*([held(has)] if has else [])), own)
        if not decided(found).passed:
            break
        assert found.quantity is not None
        before, has = has, has + int(found.quantity) * found.side.sign
        assert abs(wanted - has) < abs(wanted - before)
        assert before == 0 or has == 0 or (before > 0) == (has > 0), "an order never crosses from one side to the other"
    assert abs(wanted - has) * 100 < 5 or has == wanted


def wanting(scene: Scene, *wants: Want) -> World:
    return replace(scene.world(), strategies=[Wanting(*wants)])


def ends(record: CycleRecord) -> list[tuple[str, Purpose, Reason | None]]:
    return [
        (r.candidate.symbol, r.candidate.purpose, r.terminal.reason if r.terminal else None) for r in record.candidates
    ]


def test_a_pass_sells_before_it_buys_and_records_what_is_reached() -> None:
    scene = Scene()
    first = wanting(scene, Target("AAPL", quantity=Decimal(20)), Target("MSFT", quantity=Decimal(10)))
    assert ends(trade_once(first, call())) == [("AAPL", Purpose.OPEN, None), ("MSFT", Purpose.OPEN, None)]
    for intent in scene.venue.submitted:
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(3600)
    wants = (
        Target("JPM", quantity=Decimal(5)),
        Target("AAPL", quantity=Decimal(15)),
        Target("MSFT", weight=Decimal(0)),
    )
    record = trade_once(wanting(scene, *wants), call(slot="open+90m"))
    assert ends(record) == [("AAPL", Purpose.REDUCE, None), ("MSFT", Purpose.CLOSE, None), ("JPM", Purpose.OPEN, None)]
    sent = [(i.instrument.symbol, i.side, int(i.quantity)) for i in scene.venue.submitted[2:]]
    assert sent == [("AAPL", Side.SELL, 5), ("MSFT", Side.SELL, 10), ("JPM", Side.BUY, 5)]
    for intent in scene.venue.submitted[2:]:
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(3600)
    assert {reason for _, _, reason in ends(trade_once(wanting(scene, *wants), call(slot="open+150m")))} == {
        Reason.TARGET_REACHED
    }


DECLINED = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, "no")
JPM, LESS, ZERO = Target("JPM", quantity=Decimal(5)), Target("AAPL", quantity=Decimal(15)), Decimal(0)
TO_CASH = (Target("AAPL", quantity=ZERO), Target("MSFT", quantity=ZERO))
CROSSING = (Target("AAPL", quantity=Decimal(-5)), Target("MSFT", quantity=ZERO))
HALTED_WANTS: Sequence[tuple[Sequence[Want], Mapping[str, int]]] = [
    ((JPM, LESS, TO_CASH[1]), {}),
    ((JPM, *TO_CASH), {}),
    (CROSSING, {"AAPL": 20}),
    ((Target("XOM", weight=Decimal(1)), *TO_CASH), {}),
    (TO_CASH, {"AAPL": 20, "MSFT": 10}),
    ((LESS, Target("MSFT", quantity=Decimal(10))), {"AAPL": 5}),
    ((JPM, Close("AAPL", "its own word"), TO_CASH[1]), {"AAPL": 20}),
    ((Target("JPM", quantity=Decimal(5), decisions=(DECLINED,)), *TO_CASH), {"AAPL": 20, "MSFT": 10}),
]


@pytest.mark.parametrize(("wants", "sells"), HALTED_WANTS)
@pytest.mark.parametrize("state", TradingState)
def test_a_rebalance_swaps_nothing_while_the_bot_is_halted_and_still_sells_to_cash(
    wants: Sequence[Want], sells: Mapping[str, int], state: TradingState
) -> None:
    scene = Scene()
    trade_once(wanting(scene, Target("AAPL", quantity=Decimal(20)), Target("MSFT", quantity=Decimal(10))), call())
    for intent in scene.venue.submitted:
        scene.venue.fill(intent.client_order_id, "100")
    trade_once(wanting(scene), call(slot="open+60m"))
    scene.later(3600)
    scene.ledger.set_trading_state(TradingStateRecord(state, "me", "lunch", NOW))
    del scene.venue.prices["XOM"]
    record = trade_once(wanting(scene, *wants), call(slot="open+90m"))
    sold = {i.instrument.symbol: int(i.quantity) for i in scene.venue.submitted[2:] if i.side is Side.SELL}
    if state is TradingState.REDUCE_ONLY:
        assert sold == sells
        kept = [r for r in record.candidates if r.candidate.purpose is not Purpose.OPEN and not r.client_order_id]
        assert {r.terminal and r.terminal.reason for r in kept} <= {Reason.HALTED}
    else:
        assert sold, "only a halt that keeps positions holds a swap back"


BLOCKED: Sequence[tuple[Permission, Reason]] = [
    (Permission(awaiting_promotion={"w": RungReached(ZERO, "a", "b", Reason.DEMOTED)}), Reason.DEMOTED),
    (Permission(in_shadow=frozenset({"w"})), Reason.IN_SHADOW),
    (Permission(climbed={}), Reason.NOT_PROMOTED),
]


@pytest.mark.parametrize(("wants", "sells"), HALTED_WANTS)
@pytest.mark.parametrize(("permission", "why"), BLOCKED)
def test_a_strategy_that_may_not_enter_swaps_nothing_and_holds_back_no_other(
    wants: Sequence[Want], sells: Mapping[str, int], permission: Permission, why: Reason
) -> None:
    scene = Scene()
    held = Target("JPM", quantity=Decimal(10))
    both = [
        Wanting(held, name="v"),
        Wanting(Target("AAPL", quantity=Decimal(20)), Target("MSFT", quantity=Decimal(10)), name="w"),
    ]
    trade_once(replace(scene.world(), strategies=both), call())
    for intent in scene.venue.submitted:
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(3600)
    trade_once(replace(scene.world(), strategies=[]), call(slot="open+60m"))
    before = len(scene.venue.submitted)
    scene.permission = permission
    swap = [Target("JPM", quantity=ZERO), Target("XOM", quantity=Decimal(10))]
    world = replace(scene.world(), strategies=[Wanting(*swap, name="v"), Wanting(*wants, name="w")])
    record = trade_once(world, call(slot="open+90m"))
    sold = {i.instrument.symbol for i in scene.venue.submitted[before:] if i.side is Side.SELL}
    assert sold - {"JPM"} == {*sells}
    assert ("JPM" in sold) is (permission.climbed is None), "without promotions to real money, only w is blocked"
    kept = [r for r in record.candidates if r.candidate.purpose is not Purpose.OPEN and not r.client_order_id]
    assert {r.terminal and r.terminal.reason for r in kept} <= {why, Reason.TARGET_REACHED}


def test_a_score_pass_records_the_candidates_and_buys_nothing() -> None:
    scene = Scene()
    record = score(scene.world(wanted("AAPL"), wanted("JPM", 0.1)), call(Job.SCORE), scene.venue.clock())
    assert scene.facts.cycles(job=Job.SCORE) == (record,)
    assert len(record.candidates) == 2
    assert scene.venue.submitted == []


GOOD = opening(wanted("AAPL"))
TIMEOUT = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TIMEOUT, "no answer", 10.0)


class Answering(Struct):
    """A strategy that answers what it was given, or what a callable makes of its view."""

    answer: Any
    name: str = "other"
    needs: Needs = NOTHING
    times: str = ""

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        found: Sequence[Want] | Decision = self.answer(view) if callable(self.answer) else self.answer
        return found


def world(scene: Scene, *strategies: Strategy, dry_run: bool = False) -> World:
    return replace(scene.world(dry_run=dry_run), strategies=strategies)


REFUSED: Sequence[tuple[object, Reason]] = [
    (TIMEOUT, Reason.STRATEGY_TIMEOUT),
    ([replace(GOOD, score=nan)], Reason.STRATEGY_INVALID),
    ([GOOD] * 50, Reason.STRATEGY_TOO_MANY),
    (None, Reason.STRATEGY_INVALID),
]


@pytest.mark.parametrize(("answer", "reason"), REFUSED, ids=[row[1].value for row in REFUSED])
@pytest.mark.parametrize("first", [True, False])
def test_a_strategy_that_errs_loses_its_cycle_and_the_others_trade(answer: object, reason: Reason, first: bool) -> None:
    scene = Scene()
    both = [Answering(answer), FixedStrategy(wanted("AAPL"))]
    record = trade_once(world(scene, *(both if first else reversed(both))), call())
    assert [intent.instrument.symbol for intent in scene.venue.submitted] == ["AAPL"]
    assert [(refused.strategy, refused.decision.reason) for refused in record.refused_strategies] == [("other", reason)]
    (event,) = scene.events.emitted
    assert (event.subsystem, event.details["strategy"], event.details["reason"]) == ("strategy", "other", reason)
    seen = funnel([record])
    assert (seen.candidates, seen.orders, [row.reason for row in seen.reasons]) == (2, 1, [reason])
    assert scene.facts.cycles(job=Job.TRADE_ONCE) == (record,)


def test_a_strategy_that_asks_for_more_than_its_section_says_loses_its_cycle() -> None:
    scene = Scene()
    most = TargetBounds(symbol_fraction=Decimal("0.05"), gross_fraction=Decimal(1), positions=3)
    asking = world(scene, Answering([Target("AAPL", weight=Decimal("0.06"))]))
    own = {"other": replace(asking.rules.of("other"), wants=most)}
    record = trade_once(replace(asking, rules=replace(asking.rules, own=own)), call())
    assert not scene.venue.submitted
    (refused,) = record.refused_strategies
    assert "a weight of 0.06, but its section declares wants.symbol_fraction: 0.05" in str(refused.decision.observed)


class Unreachable:
    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        raise TemporaryError("GET /stocks/bars answered 500", "Try again.")


def test_bars_that_cannot_be_had_cost_their_strategy_the_pass_and_no_other() -> None:
    scene = Scene()
    reading = Answering([GOOD], needs=Needs(bars=(BarNeed("1Day", 5),)))
    both = replace(world(scene, reading, FixedStrategy(wanted("AAPL"))), bars=Unreachable())
    record = trade_once(both, call())
    assert [intent.instrument.symbol for intent in scene.venue.submitted] == ["AAPL"]
    (refused,) = record.refused_strategies
    assert (refused.strategy, refused.decision.reason) == ("other", Reason.BARS_UNAVAILABLE)
    assert refused.decision.observed == "GET /stocks/bars answered 500"
    answer = why_no_orders([replace(record, candidates=())])
    assert (answer.verdict.value, "bars fetch" in answer.remedy) == ("broken", True)


def test_a_refused_strategy_explains_why_there_are_no_orders() -> None:
    scene = Scene()
    record = trade_once(world(scene, Answering(TIMEOUT)), call())
    answer = why_no_orders([record])
    assert (answer.verdict.value, "plugins.timeout_s" in answer.remedy) == ("broken", True)


def test_a_score_records_the_refusal_too() -> None:
    scene = Scene()
    record = score(world(scene, Answering(TIMEOUT)), call(Job.SCORE), scene.venue.clock())
    assert [refused.decision for refused in record.refused_strategies] == [TIMEOUT]


def test_a_dry_run_writes_no_event() -> None:
    scene = Scene()
    record = trade_once(world(scene, Answering(TIMEOUT), dry_run=True), call())
    assert (len(record.refused_strategies), scene.events.emitted) == (1, [])


def _add_facts(view: Any) -> None:
    view.facts["AAPL"] = None


def _clear_universe(view: Any) -> None:
    view.universe.clear()


def _set_time(view: Any) -> None:
    view.now = NOW


@pytest.mark.parametrize("change", [_add_facts, _clear_universe, _set_time])
def test_what_a_strategy_is_handed_cannot_be_changed(change: Callable[[Any], None]) -> None:
    scene = Scene()
    with pytest.raises((TypeError, AttributeError)):
        propose(world(scene, Answering(change, needs=Needs(frozenset({"flow_alerts"})))), NOW)


def test_the_strongest_candidate_goes_first_whichever_strategy_proposed_it() -> None:
    def both() -> Iterator[Strategy]:
        yield FixedStrategy(wanted("AAPL", 0.3), wanted("MSFT", 0.7))
        yield Answering([opening(wanted("JPM", 0.5, Side.SELL))])

    found = propose(world(Scene(), *both()), NOW).candidates
    assert [(c.symbol, c.strategy) for c in found] == [("MSFT", "flow"), ("JPM", "other"), ("AAPL", "flow")]


def test_of_two_strategies_on_opposite_sides_of_a_symbol_the_stronger_trades() -> None:
    scene = Scene()
    opposite = Answering([opening(wanted("AAPL", 0.9, Side.SELL))])
    record = trade_once(world(scene, FixedStrategy(wanted("AAPL", 0.5)), opposite), call())
    assert [(i.key.strategy, i.side) for i in scene.venue.submitted] == [("other", Side.SELL)]
    ends = {r.candidate.strategy: r.terminal.reason if r.terminal else None for r in record.candidates}
    assert ends == {"other": None, "flow": Reason.OPPOSITE_SIDE}


def test_a_symbol_that_one_strategy_holds_is_not_opened_on_the_other_side_by_another() -> None:
    scene = Scene()
    trade_once(world(scene, FixedStrategy(wanted("AAPL"))), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100.05")
    scene.later(3600)
    against = Answering([opening(wanted("AAPL", 0.9, Side.SELL))])
    record = trade_once(world(scene, against), call(slot="open+90m"))
    (refused,) = record.candidates
    assert end_of(refused).reason is Reason.OPPOSITE_SIDE
    assert len(scene.venue.submitted) == 1


WANTS = [
    (Open("AAPL", Side.SELL, -0.4), (Side.SELL, Purpose.OPEN, None, WantKind.OPEN)),
    (Target("AAPL", weight=Decimal("-0.2")), (Side.SELL, Purpose.OPEN, None, WantKind.TARGET)),
    (Target("AAPL", quantity=Decimal(7)), (Side.BUY, Purpose.OPEN, Decimal(7), WantKind.TARGET)),
    (Reduce("MSFT", Decimal(2), "enough"), (Side.SELL, Purpose.REDUCE, Decimal(2), WantKind.REDUCE)),
    (Reduce("MSFT", Decimal(99), "enough"), (Side.SELL, Purpose.CLOSE, None, WantKind.REDUCE)),
    (Close("MSFT", "over"), (Side.SELL, Purpose.CLOSE, None, WantKind.CLOSE)),
]


def holding_microsoft() -> tuple[Scene, Decimal]:
    scene = Scene()
    trade_once(world(scene, Answering([opening(wanted("MSFT"))])), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100.05")
    scene.later(60)
    trade_once(world(scene), call(slot="open+31m"))
    (held,) = scene.ledger.totals().own_positions()
    return scene, held.quantity


@pytest.mark.parametrize(("want", "expected"), WANTS, ids=[str(row[0]) for row in WANTS])
def test_a_want_becomes_one_candidate_of_its_kind(
    want: Want, expected: tuple[Side, Purpose, Decimal | None, WantKind]
) -> None:
    scene, held = holding_microsoft()
    asked = Answering([want], needs=Needs(frozenset({"flow_alerts"}), lots=True))
    (candidate,) = propose(world(scene, asked), scene.venue.now).candidates
    side, purpose, quantity, kind = expected
    closed = held if purpose is Purpose.CLOSE else quantity
    assert (candidate.side, candidate.purpose, candidate.quantity, candidate.want) == (side, purpose, closed, kind)
    assert (candidate.strategy, candidate.symbol, candidate.at) == ("other", want.symbol, scene.venue.now)
    assert candidate.reads_flow == (purpose is Purpose.OPEN)
    assert candidate.why == getattr(want, "why", "").strip()


def test_a_strategy_gives_up_only_its_own_lots() -> None:
    scene, _ = holding_microsoft()
    close = Answering([Close("MSFT", "over")], name="another", needs=Needs(lots=True))
    found = propose(world(scene, close), scene.venue.now)
    assert [refused.decision.reason for refused in found.refused] == [Reason.STRATEGY_INVALID]


def test_a_strategy_sees_only_what_it_says_that_it_needs() -> None:
    seen: list[StrategyView] = []

    def look(view: StrategyView) -> list[Want]:
        seen.append(view)
        return []

    everything = Needs(frozenset({"flow_alerts"}), quotes=True, lots=True, equity=True)
    scene, _ = holding_microsoft()
    propose(world(scene, Answering(look), Answering(look, needs=everything)), scene.venue.now)
    nothing, all_of_it = seen
    assert nothing == StrategyView(scene.venue.now, NAMES, sectors=SECTORS)
    assert (set(all_of_it.facts), set(all_of_it.quotes), set(all_of_it.lots)) == (set(NAMES), set(NAMES), {"MSFT"})
    assert all_of_it.equity_usd == scene.venue.account().equity
