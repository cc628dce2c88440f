"""A recorded pass decided by other rules: without a change it is the record, and a change lets exactly that through."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.core.recorded import Taken, entries, evaluate_exits, leave_orders_unanswered, trade_once
from tests.kit.core.scene import Scene, call, wanted
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Rules
from tradebot.replaying.hypothetical_ports import decide, recorded_before, supposed_tape, with_inputs
from tradebot.replaying.passes import RecordedCycle, bytes_of


def suppose(record: RecordedCycle, rules: Rules) -> CycleRecord:
    return decide(record, rules).cycle


def with_limits(rules: Rules, **limits: Any) -> Rules:
    return replace(rules, limits=rules.limits.model_copy(update=limits))


def ends(cycle: CycleRecord) -> dict[str, Gate | None]:
    return {one.candidate.symbol: one.terminal.gate if one.terminal else None for one in cycle.candidates}


def promised_twice(scene: Scene) -> list[Taken]:
    """The pass runs a second time in its slot, and finds its order promised."""
    return [trade_once(scene.world(wanted("AAPL")), call()), trade_once(scene.world(wanted("AAPL")), call())]


def exits(scene: Scene) -> list[Taken]:
    first = entries(scene)
    scene.later(60)
    scene.price("AAPL", "50")

    leave_orders_unanswered(scene)
    return [*first, evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "stop"))]


@pytest.mark.parametrize("passes", [entries, promised_twice, exits], ids=lambda one: one.__name__)
def test_without_a_change_the_pass_is_decided_as_recorded_however_often(passes: Callable[[Scene], list[Taken]]) -> None:
    for taken in passes(Scene()):
        record = taken.record
        assert [bytes_of(suppose(record, taken.rules)) for _ in range(2)] == [record.outcome] * 2


def test_lower_limit_lets_exactly_the_candidate_through_that_it_refused() -> None:
    scene = Scene()
    (taken,) = entries(scene)
    sent = len(scene.venue.submitted)
    assert ends(taken.outcome) == {"MSFT": None, "AAPL": None, "JPM": Gate.SCORE}
    now = suppose(taken.record, with_limits(taken.rules, min_score=0.0001))
    assert ends(now) == {"MSFT": None, "AAPL": None, "JPM": None}
    assert now.candidates[-1].client_order_id is not None
    assert len(scene.venue.submitted) == sent


def test_the_next_candidate_sees_what_the_change_sent_before_it() -> None:
    (taken,) = entries(Scene())
    changed = with_limits(taken.rules, min_score=0.0001, max_new_entries=2)
    assert ends(suppose(taken.record, changed)) == {"MSFT": None, "AAPL": None, "JPM": Gate.NEW_ENTRIES}
    tighter = with_limits(taken.rules, max_new_entries=1)
    assert ends(suppose(taken.record, tighter)) == {"MSFT": None, "AAPL": Gate.NEW_ENTRIES, "JPM": Gate.SCORE}


def test_order_that_was_promised_before_the_pass_stays_unsent_whatever_changes() -> None:
    _, again = promised_twice(Scene())
    assert ends(again.outcome) == ends(suppose(again.record, with_limits(again.rules, max_new_entries=1)))


def test_order_that_another_pass_promised_meanwhile_is_not_promised_with_a_change_either() -> None:
    (taken,) = entries(Scene())
    sent = decide(taken.record, taken.rules).sent[0]
    lost = Decision(Gate.SEND, Verdict.FAIL, Reason.DUPLICATE_INTENT, sent.client_order_id)
    first, *others = taken.outcome.candidates
    outcome = replace(taken.outcome, candidates=(replace(first, decisions=(*first.decisions[:-1], lost)), *others))
    assert recorded_before(bytes_of(outcome)) == {sent.client_order_id}
    record = replace(taken.record, outcome=bytes_of(outcome))
    tape = supposed_tape(record)
    world = tape.world(taken.rules, record.given.permission, sends=True, shadow=False)
    assert not world.ledger.record_intent(sent, ())
    assert world.ledger.record_intent(replace(sent, client_order_id="another"), ())


def test_pass_can_be_decided_on_another_desk() -> None:
    (taken,) = entries(Scene())
    record = taken.record
    desk = record.given.desk
    quotes = {symbol: quote for symbol, quote in desk.quotes.items() if symbol != "MSFT"}
    now = suppose(with_inputs(record, desk=replace(desk, quotes=quotes)), taken.rules)
    assert ends(now) == {"MSFT": Gate.QUOTE_FRESH, "AAPL": None, "JPM": Gate.SCORE}
