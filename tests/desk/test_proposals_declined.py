"""What a strategy declines itself asks no gate, unless someone else reads what gates say of it."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kit.core.recorded import trade_once as recorded_pass
from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import FixedStrategy
from tests.kit.values import SHIPPED
from tradebot.desk.proposals import is_declined
from tradebot.exits.kinds.signals import SignalDecay
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import ApprovalRules, StrategyRules
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.model.view import Needs
from tradebot.ports.world import World
from tradebot.replaying.cycle_comparison import replay
from tradebot.views.explain import GatePath, funnel
from tradebot.views.why_no_orders import explain_symbol

OWN = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, 1, 2)
DECLINED = replace(wanted("MSFT"), decisions=(OWN,), reads_flow=False)
DISPLACEMENT = SHIPPED.displacement.model_copy(update={"enabled": True})
SCORES = {"flow": (SignalDecay(noise_multiple=3, recovery_multiple=1, confirm_passes=2, min_hold_s=600),)}


class Bars(FixedStrategy):
    """Wants what it was given, and reads no flow."""

    needs = Needs()


def world(*candidates: Candidate, own_exits: Mapping[str, Any] | None = None, **rules: object) -> World:
    scene = Scene()
    usual = scene.world(*candidates)
    own = {"flow": StrategyRules(scene.universe, scene.limits, **rules)}  # type: ignore[arg-type]
    return replace(
        usual, strategies=[Bars(*candidates)], rules=replace(usual.rules, own=own, own_exits=own_exits or {})
    )


def test_a_declined_entry_is_recorded_with_its_strategys_answer_alone() -> None:
    cycle = trade_once(world(wanted("AAPL"), DECLINED), call())
    sent, declined = cycle.candidates
    assert (sent.terminal, len(sent.decisions) > 20) == (None, True)
    assert (declined.decisions, declined.terminal, declined.client_order_id) == ((OWN,), OWN, None)
    seen = funnel([cycle])
    assert (seen.candidates, seen.orders, [(row.reason, row.count) for row in seen.reasons]) == (
        2, 1, [(Reason.STRATEGY_DECLINED, 1)],
    )  # fmt: skip


def test_a_closed_permission_is_no_reason_for_what_its_strategy_declines() -> None:
    shut = replace(world(wanted("AAPL"), DECLINED), permission=Permission(closed=((Reason.DRY_RUN, "by hand"),)))
    ends = [record.terminal.reason for record in trade_once(shut, call()).candidates if record.terminal]
    assert ends == [Reason.DRY_RUN, Reason.STRATEGY_DECLINED]


@pytest.mark.parametrize(
    ("candidate", "asking"),
    [
        (replace(DECLINED, reads_flow=True), world()),
        (replace(DECLINED, decisions=()), world()),
        (replace(DECLINED, decisions=(replace(OWN, verdict=Verdict.PASS, reason=None),)), world()),
        (replace(DECLINED, purpose=Purpose.CLOSE), world()),
        (DECLINED, world(displacement=DISPLACEMENT)),
        (DECLINED, world(auction=SHIPPED.displacement)),
        (DECLINED, world(approval=ApprovalRules(wait_s=60))),
        (DECLINED, world(own_exits=SCORES)),
        (DECLINED, replace(world(), ask_declined=True)),
    ],
    ids=("flow", "undecided", "wanted", "a close", "displacement", "auction", "approval", "scores", "earlier program"),
)
def test_gates_are_asked_where_someone_reads_what_they_say(candidate: Candidate, asking: World) -> None:
    assert is_declined(world(), DECLINED)
    assert not is_declined(asking, candidate)


def test_gates_that_are_asked_say_more_than_the_strategy() -> None:
    (record,) = trade_once(Scene().world(DECLINED), call()).candidates
    assert record.candidate.reads_flow
    assert OWN in record.decisions
    assert len(record.decisions) > 20


@pytest.mark.parametrize("ask_declined", [False, True])
def test_a_record_is_decided_again_as_it_was_by_the_program_that_wrote_it(*, ask_declined: bool) -> None:
    taken = recorded_pass(replace(world(wanted("AAPL"), DECLINED), ask_declined=ask_declined), call())
    assert taken.record.given.ask_declined == ask_declined
    found = replay(taken.record, taken.rules)
    assert found.difference is None
    assert found.decisions == sum(len(candidate.decisions) for candidate in taken.outcome.candidates)


def test_why_no_orders_says_that_gates_were_not_asked() -> None:
    cycle = trade_once(world(DECLINED), call())
    told = explain_symbol([GatePath(cycle.at, cycle.slot, cycle.candidates[0])], None, None)
    assert told.sentence.startswith("Declined by the strategy; gates weren't evaluated: ")
    assert (told.decisions, told.then) == ((OWN,), None)
    asked = trade_once(replace(world(DECLINED), ask_declined=True), call())
    told = explain_symbol([GatePath(asked.at, asked.slot, asked.candidates[0])], None, None)
    assert told.sentence.startswith("Refused by gate strategy: ")
