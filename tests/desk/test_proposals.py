"""What strategies may answer: one that errs loses its own cycle, whole, and no other's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import repeat
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW, ago, candidate
from tests.venues import FixedStrategy
from tests.worlds import Scene, call, trade_once, wanted
from tradebot.cycle import score
from tradebot.desk.proposals import checked, propose
from tradebot.explain import funnel, why_no_orders
from tradebot.model.candidate import Candidate, Component, ComponentName, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import FlowDesk
from tradebot.model.instrument import Instrument
from tradebot.model.reasons import Reason
from tradebot.model.record import Job, TideFacts
from tradebot.ports.strategy import Strategy, StrategyDesk
from tradebot.ports.world import World

DESK = FlowDesk(NOW, ("AAPL", "MSFT", "JPM"), {}, TideFacts())
GOOD = candidate("AAPL")
TIMEOUT = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TIMEOUT, "no answer", 10.0)


@dataclass
class Answering:
    """A strategy that answers what it was given, or what a callable makes of its desk."""

    answer: Any
    name: str = "other"

    def propose(self, desk: StrategyDesk) -> Sequence[Candidate] | Decision:
        found: Sequence[Candidate] | Decision = self.answer(desk) if callable(self.answer) else self.answer
        return found


def world(scene: Scene, *strategies: Strategy, dry_run: bool = False) -> World:
    return replace(scene.world(dry_run=dry_run), strategies=strategies)


def named(found: Candidate, name: str = "other") -> Candidate:
    return replace(found, strategy=name)


def own(**changes: Any) -> tuple[Decision, ...]:
    return (replace(Decision(Gate.STRATEGY, Verdict.FAIL, Reason.NO_DIRECTION, 0.1, None), **changes),)


def component(**changes: Any) -> tuple[Component, ...]:
    return (replace(Component(ComponentName.FLOW, 0.5, 0.4, "3 alerts"), **changes),)


WRONG: Mapping[str, Mapping[str, Any]] = {
    "it names another strategy": {"strategy": "other"},
    "its symbol is not in the universe": {"instrument": Instrument("ZZZZ")},
    "its side is not a Side": {"side": "buy"},
    "its purpose must be to open a position": {"purpose": Purpose.CLOSE},
    "its time is not the desk's": {"at": ago(1)},
    "its score and its side disagree": {"score": -0.5},
    "its coverage is not between 0 and 1": {"coverage": 1.1},
    "it sets a quantity, which strategies may not do": {"quantity": 5},
    "its source is not 'strategy'": {"source": "exit"},
}


@pytest.mark.parametrize(("sentence", "change"), WRONG.items(), ids=list(WRONG))
def test_one_wrong_candidate_refuses_the_whole_answer_and_says_what_is_wrong(
    sentence: str, change: Mapping[str, Any]
) -> None:
    found = checked("flow", DESK, [candidate("MSFT"), replace(GOOD, **change)])
    assert isinstance(found, Decision)
    assert (found.gate, found.verdict, found.reason) == (Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_INVALID)
    assert str(found.observed).endswith(f": {sentence}")


@pytest.mark.parametrize("score", [nan, inf, -inf, 1.001, "0.5", True, [0.5]])
def test_a_score_that_is_no_number_within_bounds_is_refused(score: object) -> None:
    found = checked("flow", DESK, [replace(GOOD, score=score)])  # type: ignore[arg-type]
    assert isinstance(found, Decision)
    assert found.observed == "'AAPL': its score is not between -1 and 1"


@pytest.mark.parametrize(
    "change",
    [
        {"decisions": own(gate=Gate.PERMISSION)},
        {"decisions": own(reason=Reason.SENT)},
        {"decisions": own(reason=None)},
        {"decisions": own(observed=nan)},
        {"decisions": own(observed="x" * 201)},
        {"decisions": own(verdict="FAIL")},
        {"decisions": list(own())},
        {"components": component(value=nan)},
        {"components": component(weight=-1)},
        {"components": component(name="momentum")},
        {"components": component() * 7},
        {"instrument": Instrument("AAPL", lot=Decimal(100))},
        {"instrument": "AAPL"},
        {"instrument": Instrument(["AAPL"])},  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_what_is_inside_a_candidate_is_looked_at_too(change: Mapping[str, Any]) -> None:
    found = checked("flow", DESK, [replace(GOOD, **change)])
    assert isinstance(found, Decision)
    assert found.reason is Reason.STRATEGY_INVALID


@pytest.mark.parametrize("answer", [None, 3, GOOD, "A", [None], [{"symbol": "AAPL"}], {"AAPL": 0.5}], ids=repr)
def test_what_is_no_sequence_of_candidates_is_refused(answer: object) -> None:
    found = checked("flow", DESK, answer)
    assert isinstance(found, Decision)
    assert found.reason is Reason.STRATEGY_INVALID


@pytest.mark.parametrize(("answer", "observed"), [([GOOD] * 1_000_000, 1_000_000), (repeat(GOOD), 4)])
def test_more_candidates_than_symbols_are_counted_and_refused(answer: Sequence[Candidate], observed: int) -> None:
    assert checked("flow", DESK, answer) == Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TOO_MANY, observed, 3)


def test_a_symbol_is_proposed_once() -> None:
    found = checked("flow", DESK, [GOOD, replace(GOOD, score=0.1)])
    assert isinstance(found, Decision)
    assert found.observed == "'AAPL': its symbol appears twice"


def test_a_right_answer_is_taken_as_it_is() -> None:
    full = replace(GOOD, components=component(value=None), decisions=own(reason=Reason.STRATEGY_DECLINED))
    assert checked("flow", DESK, iter([full, candidate("JPM", Side.SELL)])) == (full, candidate("JPM", Side.SELL))


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(Side))
def test_a_score_is_taken_exactly_where_it_is_within_bounds_and_points_to_its_side(score: float, side: Side) -> None:
    found = checked("flow", DESK, [replace(GOOD, score=score, side=side)])
    assert isinstance(found, tuple) == (-1 <= score <= 1 and score * side.sign >= 0)


REFUSED: Sequence[tuple[object, Reason]] = [
    (TIMEOUT, Reason.STRATEGY_TIMEOUT),
    ([named(replace(GOOD, score=nan))], Reason.STRATEGY_INVALID),
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


def _add_facts(desk: Any) -> None:
    desk.facts["AAPL"] = None


def _clear_universe(desk: Any) -> None:
    desk.universe.clear()


def _set_time(desk: Any) -> None:
    desk.now = ago(0)


@pytest.mark.parametrize("change", [_add_facts, _clear_universe, _set_time])
def test_what_a_strategy_is_handed_cannot_be_changed(change: Callable[[Any], None]) -> None:
    scene = Scene()
    with pytest.raises((TypeError, AttributeError)):
        propose(world(scene, Answering(change)), FlowDesk(NOW, ["AAPL"], {}, TideFacts()))


def test_the_strongest_goes_first_whoever_proposed_it() -> None:
    def both() -> Iterator[Strategy]:
        yield FixedStrategy(wanted("AAPL", 0.3), wanted("MSFT", 0.7))
        yield Answering([named(wanted("JPM", 0.5, Side.SELL))])

    found = propose(world(Scene(), *both()), DESK).candidates
    assert [(c.symbol, c.strategy) for c in found] == [("MSFT", "flow"), ("JPM", "other"), ("AAPL", "flow")]


def test_of_two_strategies_on_opposite_sides_of_a_symbol_the_stronger_trades() -> None:
    scene = Scene()
    opposite = Answering([named(wanted("AAPL", 0.9, Side.SELL))])
    record = trade_once(world(scene, FixedStrategy(wanted("AAPL", 0.5)), opposite), call())
    assert [(i.key.strategy, i.side) for i in scene.venue.submitted] == [("other", Side.SELL)]
    ends = {r.candidate.strategy: r.terminal.reason if r.terminal else None for r in record.candidates}
    assert ends == {"other": None, "flow": Reason.ORDER_WORKING}


def test_a_symbol_that_one_strategy_holds_is_not_opened_by_another() -> None:
    scene = Scene()
    trade_once(world(scene, FixedStrategy(wanted("AAPL"))), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100.05")
    scene.later(3600)
    against = Answering(lambda desk: [replace(named(wanted("AAPL", 0.9, Side.SELL)), at=desk.now)])
    record = trade_once(world(scene, against), call(slot="open+90m"))
    (refused,) = record.candidates
    assert refused.terminal is not None
    assert refused.terminal.reason is Reason.ALREADY_POSITIONED
    assert len(scene.venue.submitted) == 1
