"""Run each strategy, and turn its wants into candidates."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import asdict

from tradebot.desk.listing_lookup import NOT_LISTED
from tradebot.desk.registry import look_at_coins, look_for_coins
from tradebot.desk.shocks import RecentShocks, recent_shocks
from tradebot.desk.strategy_slots import SlotPlan, claim_slots, plan_slots
from tradebot.desk.strategy_views import StrategyInputs, ViewBuilder
from tradebot.desk.want_validation import OWN_SOURCE, reject_excess_wants, validate_wants
from tradebot.gates.expiry import rolling_of
from tradebot.gates.shared_gates import blocks_entries, fail_without_quote
from tradebot.model.bar import StrategySlot, VenueClock
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk
from tradebot.model.event import EventKind
from tradebot.model.instrument import ONE, Listing, whole_lots
from tradebot.model.limits import StrategyRules, TargetBounds
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, StrategyRefusal
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, Reduce, StrategyView, Target, Want
from tradebot.ports.strategy import Strategy, is_outside
from tradebot.ports.world import Call, Rules, World
from tradebot.timetable.job_times import JobTimes


class Proposals(Struct, frozen=True):
    """The candidates of all strategies, strongest first, and what was refused: whole results of strategies, or single
    symbols.

    `own` is the plan of slots for strategies that have their own clocks. `reads` are the kinds of flow facts that each
    strategy needs, by its name. `code` has the digest of each strategy's code. `moves` are the price shocks that bars
    showed; None if no limit needs them, if they can't be read, or if nothing would be opened.
    """

    candidates: tuple[Candidate, ...]
    refused: tuple[StrategyRefusal, ...]
    own: SlotPlan = SlotPlan()
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    moves: RecentShocks | None = None


def propose(world: World, now: datetime, entries: JobTimes | None = None) -> Proposals:
    """Run every strategy. A strategy with an invalid result is refused in this pass, without affecting the others.

    If `entries` is given, a strategy with its own clock runs only while one of its slots is due.
    """
    planned = plan_slots(world, entries, now)
    if planned.strategies:
        look_for_coins(world, now)
        look_at_coins(world, now)
    sights = ViewBuilder(world, now, [strategy for strategy, _ in planned.strategies])
    candidates, refused, failed = list[Candidate](), list[StrategyRefusal](), list(planned.refused)
    answered = list[StrategySlot]()
    for strategy, slot in planned.strategies:
        answer = ask(world, now, sights, strategy, slot)
        candidates.extend(answer.candidates)
        refused.extend(answer.refused)
        failed.extend([StrategyRefusal(strategy.name, answer.failed)] if answer.failed else [])
        # A strategy whose needs are met for no symbol runs again while its slot is due.
        answered.extend([slot] if slot and answer.looked else [])
    if not world.dry_run:
        for refusal in failed:
            result = refusal.decision
            details = {"strategy": refusal.strategy, "reason": str(result.reason), "observed": str(result.observed)}
            world.events.emit(EventKind.PROPOSAL_REFUSED.at(now, details))
    reads = {strategy.name: strategy.needs.facts for strategy, _ in planned.strategies if strategy.needs.facts}
    strongest = strongest_first(candidates)
    own = planned._replace(strategies=(), asked=tuple(answered))
    opens = any(candidate.purpose is Purpose.OPEN for candidate in candidates)
    moves = recent_shocks(world, now) if opens else None
    return Proposals(strongest, (*failed, *refused), own, reads, world.code(), moves)


def strongest_first(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Sort candidates in the order in which they are evaluated."""
    return tuple(sorted(candidates, key=lambda want: (-abs(want.score or 0.0), want.symbol, want.strategy)))


class StrategyAnswer(NamedTuple):
    """A strategy's candidates and the symbols that were left out; if its whole result is refused, `failed` says why.

    `looked` is False if the strategy's needs weren't met for any symbol.
    """

    candidates: Sequence[Candidate] = ()
    refused: Sequence[StrategyRefusal] = ()
    failed: Decision | None = None
    looked: bool = False


def ask(
    world: World, now: datetime, sights: ViewBuilder, strategy: Strategy, slot: StrategySlot | None
) -> StrategyAnswer:
    """Run one strategy on its inputs, in its own slot if it has one."""
    return build_answer(world.rules, now, sights, inputs_for_strategy(sights, strategy, slot), strategy, slot)


def build_answer(
    rules: Rules,
    now: datetime,
    sights: ViewBuilder,
    strategy_inputs: StrategyInputs,
    strategy: Strategy,
    slot: StrategySlot | None,
) -> StrategyAnswer:
    """Return a strategy's result for its inputs: candidates, or the reason for refusing all of it."""
    result = strategy_inputs.unmet or ask_strategy(strategy, strategy_inputs.view, rules.of(strategy.name).wants)
    if isinstance(result, Decision):
        return StrategyAnswer((), strategy_inputs.left_out, result)
    named, candidates, refused = (
        _candidate_maker(strategy, rules, now, slot),
        list[Candidate](),
        list(strategy_inputs.left_out),
    )
    for want in result:
        listing = sights.listing_of(want.symbol, strategy_inputs.view.lots.get(want.symbol))
        if listing is None:
            refused.append(StrategyRefusal(strategy.name, NOT_LISTED, want.symbol))
        else:
            candidates.append(_candidate(named, strategy_inputs.view.lots, listing, want))
    return StrategyAnswer(candidates, refused, None, bool(strategy_inputs.view.universe))


def inputs_for_strategy(sights: ViewBuilder, strategy: Strategy, slot: StrategySlot | None) -> StrategyInputs:
    """Return a strategy's inputs, in its own slot if it has one."""
    return sights.of(strategy, slot=slot.name, as_of=slot.start) if slot else sights.of(strategy)


def ask_strategy(strategy: Strategy, view: StrategyView, most: TargetBounds | None) -> tuple[Want, ...] | Decision:
    """Return a strategy's wants, or why its whole result is refused."""
    answer = strategy.propose(view)
    if isinstance(answer, Decision):
        return answer
    wants = validate_wants(view, answer, strategy.sources if is_outside(strategy) else OWN_SOURCE)
    return wants if most is None or isinstance(wants, Decision) else reject_excess_wants(wants, most) or wants


def claim_strategy_slots(world: World, call: Call, proposed: Proposals, now: datetime) -> Proposals:
    """Claim the strategies' own slots; return the proposals, leaving out those that another pass has already evaluated.

    The caller has the pass lock, and is about to evaluate the candidates.
    """
    own, refused = claim_slots(world, call, proposed.own, now)
    gone = {(slot.strategy, slot.session, slot.name) for slot in proposed.own.asked if slot not in own.asked}
    remaining = tuple(each for each in proposed.candidates if (each.strategy, each.slot_session, each.slot) not in gone)
    return replace(proposed, candidates=remaining, refused=(*proposed.refused, *refused), own=own)


def _candidate_maker(
    strategy: Strategy, rules: Rules, now: datetime, slot: StrategySlot | None
) -> Callable[..., Candidate]:
    """Return a function that builds a strategy's candidate from the fields in which its wants differ."""
    reads_flow = bool(rules.flow_kinds(strategy.needs.facts))
    named = partial(Candidate, strategy=strategy.name, at=now, reads_flow=reads_flow)
    return partial(named, slot=slot.name, slot_session=slot.session) if slot else named


def _candidate(
    named: Callable[..., Candidate], lots: Mapping[str, Position], listing: Listing, want: Want
) -> Candidate:
    """Return the candidate for one want. The core computes a target's side and quantity once it knows the account."""
    of = partial(named, instrument=listing.instrument)
    if isinstance(want, Reduce | Close):
        return _closing(of, lots[want.symbol].quantity, listing, want)
    fields = {name: value for name, value in asdict(want).items() if name != "symbol"}
    if isinstance(want, Target):
        sign = want.weight if want.weight is not None else want.quantity
        fields |= {"side": Side.SELL if sign is not None and sign < 0 else Side.BUY, "want": WantKind.TARGET}
    return of(purpose=Purpose.OPEN, **fields)


def _closing(of: Callable[..., Candidate], held_quantity: Decimal, listing: Listing, want: Reduce | Close) -> Candidate:
    partly = isinstance(want, Reduce) and want.quantity < abs(held_quantity)
    return of(
        side=Side.of(-held_quantity),
        purpose=Purpose.REDUCE if partly else Purpose.CLOSE,
        reads_flow=False,
        quantity=listing.whole_lots(want.quantity) if isinstance(want, Reduce) and partly else abs(held_quantity),
        want=WantKind.REDUCE if isinstance(want, Reduce) else WantKind.CLOSE,
        why=want.why.strip(),
    )


ZERO = Decimal(0)
REBALANCE = "rebalance"
"""The reason for closing shares beyond a target, in the grammar of `exits.why`."""


def pending_changes(
    world: World, desk: Desk, proposed: Proposals, done: Collection[tuple[str, str]]
) -> Sequence[Candidate]:
    """Return the candidates that this pass hasn't sent yet, with closes and reductions before entries.

    Targets become the changes that reach them. `done` are the strategies and symbols already sent.
    """
    remaining = (candidate for candidate in proposed.candidates if (candidate.strategy, candidate.symbol) not in done)
    changes = [
        target_to_order(_as_listed(candidate, desk), desk, world.rules.of(candidate.strategy))
        for candidate in remaining
    ]
    changes = _without_swaps(desk, changes, _blocked_strategies(desk, changes))
    return sorted(changes, key=lambda candidate: candidate.purpose is Purpose.OPEN)


def _as_listed(candidate: Candidate, desk: Desk) -> Candidate:
    """Return a candidate with its instrument's current listing, which may have changed since it was proposed."""
    listing = desk.listings.get(candidate.symbol)
    if listing is None or listing.instrument is candidate.instrument:
        return candidate
    return replace(candidate, instrument=listing.instrument)


def _blocked_strategies(desk: Desk, changes: Iterable[Candidate]) -> Mapping[str, Reason | None]:
    """Return the strategies that may not enter, each with the reason: all of them, or those that aren't promoted.

    While the bot is being flattened, positions are closed anyway, so none is returned.
    """
    refusals = {name: blocks_entries(desk, name) for name in {candidate.strategy for candidate in changes}}
    return {
        name: refusal.reason for name, refusal in refusals.items() if refusal and refusal.reason is not Reason.FLATTEN
    }


def _without_swaps(desk: Desk, changes: Sequence[Candidate], blocked: Mapping[str, Reason | None]) -> list[Candidate]:
    """Return the changes to make while strategies may not enter: their positions that would make room for others are
    kept.

    Otherwise, a strategy whose entries stay blocked would sell all its positions, one rebalance after the other. A
    strategy whose targets increase nothing sells to cash, which is allowed. So is closing a position that should change
    sides.
    """
    growing = {change.strategy for change in changes if change.strategy in blocked and wants_more(desk, change)}
    return [
        leave_target_unchanged(candidate, blocked[candidate.strategy])
        if candidate.strategy in growing and candidate.purpose is not Purpose.OPEN and not changes_sides(candidate)
        else candidate
        for candidate in changes
    ]


def changes_sides(candidate: Candidate) -> bool:
    """Return True for the close of a position whose target is on the other side: it makes room only for itself."""
    decision = next((each for each in candidate.decisions if each.gate is Gate.TARGET), None)
    return candidate.purpose is Purpose.CLOSE and decision is not None and bool(decision.limit)


def wants_more(desk: Desk, candidate: Candidate) -> bool:
    """Return True for a target that needs more shares, long or short, or may need them because it has no quote.

    It needs none if the strategy declines it, or holds as many in the contract that still has to be rolled.
    """
    decision = next((each for each in candidate.decisions if each.gate is Gate.TARGET), None)
    if decision is None or any(each.verdict is Verdict.FAIL for each in candidate.decisions):
        return False
    before = _position_before_roll(desk, candidate)
    if before is not None and decision.limit is not None and abs(before.quantity) >= abs(Decimal(decision.limit)):
        return False
    return candidate.purpose is Purpose.OPEN or changes_sides(candidate)


def leave_target_unchanged(candidate: Candidate, why: Reason | None) -> Candidate:
    """Mark the candidate's target decision as failed for this reason, so that no order is sent."""
    decisions = (
        replace(each, verdict=Verdict.FAIL, reason=why) if each.gate is Gate.TARGET else each
        for each in candidate.decisions
    )
    return replace(candidate, decisions=tuple(decisions))


def target_to_order(candidate: Candidate, desk: Desk, own: StrategyRules) -> Candidate:
    """Turn a target into an order to open, reduce or close, with the decision behind it; return other wants unchanged.

    For a target on the opposite side, the position is closed first; the remainder follows once it is closed. So is a
    position in the contract before, which still has to be rolled, unless the target is on its side. A change smaller
    than the tolerance is ignored. A symbol that left the strategy's universe is only reduced or closed.
    """
    if candidate.want is not WantKind.TARGET:
        return candidate
    held_quantity = strategy_quantity(desk, candidate.strategy, candidate.symbol)
    wanted = _wanted_shares(candidate, desk, own)
    if wanted is None:
        unpriced = fail_without_quote(Gate.TARGET, desk.rejected_quotes.get(candidate.symbol))
        return replace(candidate, decisions=(*candidate.decisions, unpriced))
    before = _position_before_roll(desk, candidate)
    if before is not None and before.quantity * wanted <= 0 and (listing := desk.listing_of(before)) is not None:
        candidate, held_quantity = replace(candidate, instrument=listing.instrument), before.quantity
    if _is_reached(candidate, desk, own, held_quantity, wanted):
        reached = Decision(Gate.TARGET, Verdict.FAIL, Reason.TARGET_REACHED, held_quantity, wanted)
        return replace(candidate, quantity=abs(wanted - held_quantity), decisions=(*candidate.decisions, reached))
    side, purpose, quantity = _step(held_quantity, wanted)
    if purpose is not Purpose.CLOSE:
        quantity = whole_lots(candidate.instrument, quantity)
    decision = Decision(Gate.TARGET, Verdict.PASS, None, held_quantity, wanted)
    if purpose is Purpose.OPEN and candidate.symbol not in own.universe:
        decision = Decision(Gate.TARGET, Verdict.FAIL, Reason.OUTSIDE_UNIVERSE, held_quantity, wanted)
    why = candidate.why if purpose is Purpose.OPEN else REBALANCE
    decisions = (*candidate.decisions, decision)
    return replace(candidate, side=side, purpose=purpose, quantity=quantity, decisions=decisions, why=why)


def _position_before_roll(desk: Desk, candidate: Candidate) -> Position | None:
    """Return the strategy's position in the contract that is rolled into the candidate's; None if there is none."""
    for position in desk.positions:
        rolling = rolling_of(desk, position.symbol) if position.strategy == candidate.strategy else None
        if rolling is not None and rolling.into == candidate.symbol:
            return position
    return None


def strategy_quantity(desk: Desk, strategy: str, symbol: str) -> Decimal:
    quantities = (p.quantity for p in desk.positions if (p.strategy, p.symbol) == (strategy, symbol))
    return next(quantities, ZERO)


def _wanted_shares(candidate: Candidate, desk: Desk, own: StrategyRules) -> Decimal | None:
    """Return the wanted signed shares in whole lots, or None if only a quote could tell.

    A weight is a fraction of the allotment's equity, converted at the quote's midpoint. Both are rounded toward zero.
    """
    if candidate.weight is None:
        assert candidate.quantity is not None, "a target must have a weight or a quantity"
        return whole_lots(candidate.instrument, candidate.quantity)
    if not candidate.weight:
        return ZERO
    quote = desk.quotes.get(candidate.symbol)
    if quote is None:
        return None
    value = candidate.weight * own.allotment_fraction * desk.book.equity
    return whole_lots(candidate.instrument, value / candidate.instrument.notional(ONE, quote.middle))


def _is_reached(candidate: Candidate, desk: Desk, own: StrategyRules, held_quantity: Decimal, wanted: Decimal) -> bool:
    """Return True if no change is needed. A position that isn't wanted at all is closed however small it is."""
    change = abs(wanted - held_quantity)
    if not wanted:
        return not change
    if change < desk.listing_for(candidate.instrument).minimum:
        return True
    if candidate.weight is None:
        return False
    quote = desk.quotes.get(candidate.symbol)
    assert quote is not None, "a target's weight must have been turned into shares at a quote"
    tolerance = own.limits.target_tolerance_fraction * own.allotment_fraction * desk.book.equity
    return candidate.instrument.notional(change, quote.middle) < tolerance


def _step(held_quantity: Decimal, wanted: Decimal) -> tuple[Side, Purpose, Decimal]:
    """Return the side, purpose and unsigned shares of the next order toward the wanted quantity."""
    if held_quantity and held_quantity * wanted <= 0:
        return Side.of(-held_quantity), Purpose.CLOSE, abs(held_quantity)
    if abs(wanted) < abs(held_quantity):
        return Side.of(-held_quantity), Purpose.REDUCE, abs(held_quantity - wanted)
    return Side.of(wanted), Purpose.OPEN, abs(wanted - held_quantity)


def score(world: World, call: Call, clock: VenueClock) -> CycleRecord:
    proposed = propose(world, clock.now)
    records = tuple(CandidateRecord(candidate, candidate.decisions) for candidate in proposed.candidates)
    cycle = CycleRecord(call.cycle_id, call.job, call.session, call.slot, clock.now, world.mode_name, records)
    return world.record(replace(cycle, refused_strategies=proposed.refused))


READ_FROM_SCORES = frozenset({"scores", "noise"})
"""What exit rules read from the records of all passes that run the strategies."""


def is_declined(world: World, candidate: Candidate) -> bool:
    """Return True if the strategy declines this entry and its gates needn't be evaluated.

    Its record then has only the strategy's answer. Gates must be evaluated if something else reads their decisions: if
    candidates replace positions, by displacement or in an auction, if a person approves entries, or if exit rules read
    scores. They are also evaluated if the strategy reads options flow. It may decline just because it saw no flow, and
    gates check whether flow was fresh and as documented.
    """
    if world.ask_declined or candidate.purpose is not Purpose.OPEN or candidate.reads_flow:
        return False
    refused = first_failure(candidate.decisions)
    if refused is None or refused.gate is not Gate.STRATEGY:
        return False
    own = world.rules.of(candidate.strategy)
    if own.displacement is not None or own.auction is not None or own.approval is not None:
        return False
    return not any(READ_FROM_SCORES & set(rule.reads) for rule in world.rules.exits_of(candidate.strategy))


def declined_record(candidate: Candidate) -> CandidateRecord:
    """Return the record of an entry that its strategy declines: its own decisions and no gates."""
    return CandidateRecord(candidate, candidate.decisions)
