"""What an entry is expected to earn and to cost: its plan, and the limits that compare the two."""

from decimal import Decimal

import pytest

from tests.gates.test_entry import D
from tests.kit.values import LIMITS, ask, candidate, exit_rules, quote
from tradebot.exits.rules import Exits, account_rules, parse
from tradebot.gates.ask import EntryPlan
from tradebot.gates.costs import plan_of
from tradebot.gates.evaluation import decide
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate, ScaleOutLevel, Side
from tradebot.model.costs import CostModel
from tradebot.model.decision import Gate, Verdict
from tradebot.model.limits import StrategyRules
from tradebot.model.order import Execution, LastStep, Style
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

COSTS = CostModel(D("5"), D("2"), D("2"), D("10"))
ASKING = LIMITS.model_copy(update={"min_edge_ratio": D("6"), "min_reward_ratio": D("2")})
OWN = StrategyRules((), ASKING, costs=COSTS)
SEEN = replace(quote(bid="100", ask="100"), mark=D("100"), funding_rate=D("0"))
TIGHT_S, WIDE_S = 6 * 3600, 36 * 3600
LADDER = (ScaleOutLevel(D("0.029"), D("0.4")), ScaleOutLevel(D("0.0725"), D("0.4")))
"""Targets at 1 R and 2.5 R of a stop of 2.9 %."""


def entry(side: Side = Side.BUY, **changes: object) -> Candidate:
    return replace(candidate(side=side), **changes)  # type: ignore[arg-type]


def plan(of: Candidate, exits: Exits = (), own: StrategyRules = OWN, seen: Quote = SEEN) -> EntryPlan:
    found = plan_of(of, exits, seen, own)
    assert found is not None
    return found


def test_without_a_limit_nothing_is_planned() -> None:
    assert plan_of(entry(), (), SEEN, replace(OWN, limits=LIMITS)) is None


@pytest.mark.parametrize("side", Side)
def test_a_plan_has_the_targets_of_the_entry_and_of_its_strategy_the_nearest_first(side: Side) -> None:
    own = entry(side, stop_loss_fraction=D("0.029"), targets=LADDER, profit_target_fraction=D("0.09"))
    assert plan(own).targets == (D("0.029"), D("0.0725"), D("0.09"))
    assert plan(own).stop == D("0.029")
    listed = account_rules(exit_rules())
    assert plan(entry(side), listed).targets == (D("0.03"),)
    assert plan(entry(side)).targets == ()
    trailing = parse([{"trailing_stop": {"fraction": 0.01, "arm_fraction": 0.02}}])
    assert plan(entry(side), trailing).targets == ()


@pytest.mark.parametrize(("hold_s", "least"), [(TIGHT_S, "0.0099"), (WIDE_S, "0.0174")])
@pytest.mark.parametrize("side", Side)
def test_edges_of_the_specification_pass_with_290_basis_points_and_not_below_their_least(
    side: Side, hold_s: int, least: str
) -> None:
    """Golden example 6: six times the costs of 16.5 basis points are 99, and six times 29 are 174."""

    def edge(first: str) -> tuple[Verdict, object, object]:
        levels = (ScaleOutLevel(D(first), D("0.4")),)
        planned = plan(entry(side, targets=levels, hold_s=hold_s, stop_loss_fraction=D("0.029")))
        found = {one.gate: one for one in decide(ask(limits=ASKING, plan=planned, quote=SEEN))}[Gate.EDGE]
        return found.verdict, found.observed, found.limit

    assert edge("0.0290") == (Verdict.PASS, D("0.029"), D(least))
    assert edge(least)[0] is Verdict.PASS
    assert edge(str(D(least) - D("0.0001")))[0] is Verdict.FAIL


def test_an_entry_rests_only_if_its_last_step_never_takes() -> None:
    resting = replace(OWN, execution=Execution(Style.PASSIVE, last_step=LastStep.CANCEL))
    taking = replace(OWN, execution=Execution(Style.PASSIVE))
    totals = [plan(entry(hold_s=TIGHT_S), own=own).costs for own in (resting, taking, OWN)]
    assert [costs and costs.total for costs in totals] == [D("0.00115"), D("0.00165"), D("0.00165")]


def test_without_assumed_costs_their_limits_refuse_and_the_others_do_not() -> None:
    planned = plan(
        entry(stop_loss_fraction=D("0.029"), profit_target_fraction=D("0.058")), own=StrategyRules((), ASKING)
    )
    said = {one.gate: one for one in decide(ask(limits=ASKING, plan=planned, quote=SEEN))}
    assert (said[Gate.EDGE].verdict, said[Gate.EDGE].reason) == (Verdict.UNKNOWN, Reason.COST_UNKNOWN)
    assert (said[Gate.REWARD].verdict, said[Gate.REWARD].observed) == (Verdict.PASS, Decimal(2))
