"""Limits on an entry's expected cost relative to its notional, its stop and its targets.

These limits apply to single entries, so there is nothing to monitor in the book. A strategy can use `model.costs` for
its own signals.
"""

from collections.abc import Callable
from decimal import Decimal

from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.rules import Exits, effective_rules, rule_levels
from tradebot.gates.ask import CANDIDATE, Ask, EntryPlan, fail_unpriced
from tradebot.gates.gate_declarations import STOPS, STYLE, GateSettings
from tradebot.gates.shared_gates import answer
from tradebot.gates.sizing import stop_distance
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate
from tradebot.model.costs import round_trip
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import ONE
from tradebot.model.limits import Limits, StrategyRules
from tradebot.model.position import NINE_PLACES, EntryTerms, Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

TARGET = "profit_target_fraction"
ROUND_TRIP, HOLDING = ("taker_bps", "maker_bps", "slippage_bps"), ("funding_day_bps", "hold_s")
PLANNED = (*ROUND_TRIP, *HOLDING)
PlanQuestion = Callable[[EntryPlan, Decimal], Decision]
LimitOf = Callable[[Limits], Decimal | None]
_LIMITS: list[LimitOf] = []
"""The limits on costs."""


def _on_plan(gate: Gate, reads: GateSettings, limit: LimitOf) -> Callable[[PlanQuestion], PlanQuestion]:
    """Declare a gate for a limit on an entry's plan; without a quote there is no plan."""
    _LIMITS.append(limit)

    def declare(question: PlanQuestion) -> PlanQuestion:
        @CANDIDATE.gate(gate, reads)
        def decide(ask: Ask) -> Decision | None:
            limit_value = limit(ask.limits)
            if limit_value is None:
                return None
            return fail_unpriced(gate, limit_value) if ask.plan is None else question(ask.plan, limit_value)

        return question

    return declare


def plan_of(candidate: Candidate, exits: Exits, quote: Quote, own: StrategyRules) -> EntryPlan | None:
    """Return an entry's plan from its own stop and targets and its strategy's exits; None if no limit needs it."""
    if all(limit(own.limits) is None for limit in _LIMITS):
        return None
    costs = None
    if own.costs:
        costs = round_trip(own.costs, candidate.side, quote, candidate.hold_s, rests=own.execution.only_rests)
    return EntryPlan(stop_distance(candidate, exits, quote.middle), _targets(candidate, exits, quote.middle), costs)


@_on_plan(
    Gate.COST,
    GateSettings(own={"max_cost_fraction": "a shorter hold, or less funding"}, execution=(STYLE,), costs=ROUND_TRIP),
    lambda limits: limits.max_cost_fraction,
)
def _cost(plan: EntryPlan, limit: Decimal) -> Decision:
    """Compare the expected cost of a round trip with its limit, as a fraction of its notional."""
    total = plan.costs and plan.costs.total
    if total is None:
        return _unknown(Gate.COST, plan, limit)
    return answer(Gate.COST, total <= limit, Reason.COST_ABOVE_MAX, total, limit)


@_on_plan(
    Gate.COST_OF_STOP,
    GateSettings(
        own={"max_cost_of_stop_fraction": "lower costs, or a farther stop"},
        execution=(STYLE,),
        exits=STOPS,
        costs=ROUND_TRIP,
    ),
    lambda limits: limits.max_cost_of_stop_fraction,
)
def _cost_of_stop(plan: EntryPlan, limit: Decimal) -> Decision:
    """Compare the costs with the loss at the stop, as a fraction of that loss."""
    total = plan.costs and plan.costs.total
    if total is None or plan.stop is None:
        return _unknown(Gate.COST_OF_STOP, plan, limit)
    share = total / plan.stop
    return answer(Gate.COST_OF_STOP, share <= limit, Reason.COST_ABOVE_SHARE_OF_STOP, share, limit)


@_on_plan(
    Gate.FUNDING,
    GateSettings(own={"max_funding_fraction": "a shorter hold, or less funding"}, costs=HOLDING),
    lambda limits: limits.max_funding_fraction,
)
def _funding(plan: EntryPlan, limit: Decimal) -> Decision:
    """Compare the funding of the expected hold with its limit, as a fraction of the notional."""
    funding = plan.costs and plan.costs.funding
    if funding is None:
        return _unknown(Gate.FUNDING, plan, limit)
    return answer(Gate.FUNDING, funding <= limit, Reason.FUNDING_ABOVE_MAX, funding, limit)


@_on_plan(
    Gate.REWARD,
    GateSettings(
        own={"min_reward_ratio": "a farther target, or a nearer stop"},
        execution=(STYLE,),
        exits=(*STOPS, TARGET),
        costs=PLANNED,
    ),
    lambda limits: limits.min_reward_ratio,
)
def _reward(plan: EntryPlan, limit: Decimal) -> Decision:
    """Compare the gain at the farthest target with the loss at the stop."""
    if plan.stop is None or not plan.targets:
        return _unknown(Gate.REWARD, plan, limit, target=True)
    ratio = plan.targets[-1] / plan.stop
    return answer(Gate.REWARD, ratio >= limit, Reason.REWARD_BELOW_MIN, ratio, limit)


@_on_plan(
    Gate.EDGE,
    GateSettings(
        own={"min_edge_ratio": "lower costs, or a farther target"}, execution=(STYLE,), exits=(TARGET,), costs=PLANNED
    ),
    lambda limits: limits.min_edge_ratio,
)
def _edge(plan: EntryPlan, limit: Decimal) -> Decision:
    """Compare the gain at the nearest target with a multiple of the costs."""
    total = plan.costs and plan.costs.total
    if total is None or not plan.targets:
        return _unknown(Gate.EDGE, plan, limit, target=total is not None)
    least = limit * total
    return answer(Gate.EDGE, plan.targets[0] >= least, Reason.EDGE_BELOW_MIN, plan.targets[0], least)


def _unknown(gate: Gate, plan: EntryPlan, limit: Decimal, *, target: bool = False) -> Decision:
    """Refuse an entry for the first missing input: a target, the costs, or a stop."""
    if target and not plan.targets:
        return Decision(gate, Verdict.UNKNOWN, Reason.TARGET_UNKNOWN, None, limit)
    costs_known = plan.costs is not None and plan.costs.total is not None
    reason = Reason.STOP_UNKNOWN if target or costs_known else Reason.COST_UNKNOWN
    return Decision(gate, Verdict.UNKNOWN, reason, None, limit)


def _targets(candidate: Candidate, exits: Exits, price: Decimal) -> tuple[Decimal, ...]:
    """Return the targets of a position entered at `price`, as distances in fractions of it."""
    at, signed = candidate.at, ONE * candidate.side.sign
    position = Position(
        candidate.strategy, candidate.symbol, (Lot(signed, price, at),), Decimal(0), at, original_quantity=ONE
    )
    entry_terms = EntryTerms(
        stop_loss_fraction=candidate.stop_loss_fraction,
        profit_target_fraction=candidate.profit_target_fraction,
        targets=candidate.targets,
        original_quantity=ONE,
        # Parts of a single unit wouldn't be whole lots.
        instrument=replace(candidate.instrument, lot=NINE_PLACES),
    )
    price_target = rule_levels(
        WatchedPosition(position, price, entry_terms), effective_rules(exits, entry_terms)
    ).targets
    return tuple(candidate.side.sign * (target.price / price - 1) for target in price_target)
