"""Explain recorded decisions: the funnel, why no orders were sent, one symbol's path. No gate is evaluated again."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tradebot.learning.policy_decisions import sentences
from tradebot.model.decision import Decision, Gate, Number, format_comparison
from tradebot.model.decision import Verdict as DecisionVerdict
from tradebot.model.reasons import REASONS, Cause, Reason, ReasonRow
from tradebot.model.record import CandidateRecord, CycleRecord, Outcome, SampledCandidate, StrategyRefusal
from tradebot.model.sentences import noun_for, pluralize, span
from tradebot.model.struct_tools import replace


class NearMiss(Struct, frozen=True):
    """The candidate that came closest to passing the gate it failed.

    `observed` and `limit` are the gate's own numbers; `distance` is a fraction of the limit, or the difference itself
    if the limit is zero. If a strategy's own filter gave these numbers, `unit` is the code of their unit.
    """

    symbol: str
    at: datetime
    gate: Gate
    observed: Number
    limit: Number
    distance: float
    unit: str


class ReasonCount(Struct, frozen=True):
    """How many candidates and whole passes ended with one reason, with its meaning, its remedy and the nearest miss."""

    reason: Reason
    cause: Cause
    count: int
    meaning: str
    remedy: str
    nearest: NearMiss | None


class StrategyFunnel(Struct, frozen=True):
    """One strategy's part of a funnel, most frequent reason first: candidates = orders + sum of reasons."""

    strategy: str
    candidates: int
    orders: int
    reasons: Mapping[Reason, int]


class Funnel(Struct, frozen=True):
    """The number of candidates, orders, and refusals by terminal reason.

    candidates + refused passes = orders + sum of reasons. The parts by strategy add up to the candidates.
    """

    passes: int
    refused_passes: int
    candidates: int
    orders: int
    reasons: tuple[ReasonCount, ...]
    by_strategy: tuple[StrategyFunnel, ...]

    @property
    def refused_candidates(self) -> Counter[Reason]:
        """Return how many candidates ended with each reason."""
        return sum((Counter(part.reasons) for part in self.by_strategy), Counter[Reason]())

    @property
    def passes_by_reason(self) -> Mapping[Reason, int]:
        """Return how many passes were refused as a whole for each reason, most frequent first."""
        return dict(_most_first(Counter({row.reason: row.count for row in self.reasons}) - self.refused_candidates))


class EndPoint(NamedTuple):
    """Where one candidate, one strategy's answer or one pass ended; `decision` is None if it became an order.

    It stands for `number` candidates that ended in the same way.
    """

    strategy: str | None
    symbol: str
    at: datetime
    decision: Decision | None
    number: int = 1

    @property
    def reason(self) -> Reason | None:
        return _reason(self.decision) if self.decision else None


class NoOrdersAnswer(StrEnum):
    """The verdict of `why-no-orders`."""

    TRADED = "traded"
    BROKEN = "broken"
    BLOCKED = "blocked"
    IDLE = "idle by design"
    UNKNOWN = "unknown"


class Explanation(Struct, frozen=True):
    """The result of `why-no-orders`: a verdict, a sentence with the deciding reason, and its remedy."""

    verdict: NoOrdersAnswer
    sentence: str
    remedy: str
    funnel: Funnel
    then: str | None = None
    """A sentence on what would refuse most candidates next, without the deciding reason; None if nothing would."""


def funnel(cycles: Sequence[CycleRecord], sampled_candidates: Sequence[SampledCandidate] = ()) -> Funnel:
    """Return the funnel of some passes. A strategy refused entirely counts as one refused candidate.

    `sampled_candidates` are counted in addition to the passes' own candidates.
    """
    ends = list(_ends(cycles, sampled_candidates))
    lost = defaultdict[Reason, list[EndPoint]](list)
    for end in ends:
        if end.reason:
            lost[end.reason].append(end)
    count, orders = (sum(end.number for end in some) for some in (ends, [end for end in ends if not end.decision]))
    reasons = sorted(map(_count, lost, lost.values()), key=lambda row: (-row.count, row.reason))
    assert count == orders + sum(row.count for row in reasons), "a candidate was lost without a reason"
    refused = sum(cycle.job_decision is not None for cycle in cycles)
    parts = _by_strategy(ends)
    assert count == refused + sum(part.candidates for part in parts), "a candidate belongs to no strategy"
    return Funnel(len(cycles), refused, count - refused, orders, tuple(reasons), parts)


def _ends(cycles: Sequence[CycleRecord], sampled_candidates: Sequence[SampledCandidate]) -> Iterator[EndPoint]:
    for cycle in cycles:
        if cycle.job_decision is not None:
            yield EndPoint(None, "", cycle.at, cycle.job_decision)
        for refusal in cycle.refused_strategies:
            yield EndPoint(refusal.strategy, refusal.symbol or refusal.strategy, cycle.at, refusal.decision)
    for at, record, count in (*_each(cycles), *sampled_candidates):
        yield EndPoint(record.candidate.strategy, record.candidate.symbol, at, record.terminal, count)


def _each(cycles: Sequence[CycleRecord]) -> Iterator[SampledCandidate]:
    """Yield the candidates of passes, each representing only itself."""
    for cycle in cycles:
        for record in cycle.candidates:
            if not record.is_cancel:
                yield SampledCandidate(cycle.at, record, 1)


def _by_strategy(ends: Sequence[EndPoint]) -> tuple[StrategyFunnel, ...]:
    candidates, lost = Counter[str](), defaultdict[str, Counter[Reason]](Counter)
    for end in ends:
        if end.strategy is not None:
            candidates[end.strategy] += end.number
            if end.reason:
                lost[end.strategy][end.reason] += end.number
    return tuple(
        StrategyFunnel(name, count, count - lost[name].total(), dict(_most_first(lost[name])))
        for name, count in sorted(candidates.items())
    )


def _most_first(counts: Counter[Reason]) -> list[tuple[Reason, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def with_outcomes(cycles: Sequence[CycleRecord], is_wanted: Callable[[str], bool]) -> list[CycleRecord]:
    """Return the passes; an order with an unknown outcome counts as sent if `is_wanted` returns True for its id."""
    return [
        replace(cycle, candidates=tuple(final_record(record, is_wanted) for record in cycle.candidates))
        for cycle in cycles
    ]


def final_record(record: CandidateRecord, is_wanted: Callable[[str], bool]) -> CandidateRecord:
    """Return a candidate's final record; an order with an unknown outcome counts as sent if `is_wanted` says so."""
    terminal, name = record.terminal, record.client_order_id
    if terminal is None or name is None or terminal.reason is not Reason.VENUE_UNKNOWN or not is_wanted(name):
        return record
    sent = Decision(Gate.SEND, DecisionVerdict.PASS, Reason.SENT, "found at the broker later")
    return replace(record, decisions=(*record.decisions[:-1], sent))


def settled_outcome(outcome: Outcome, is_wanted: Callable[[str], bool]) -> Outcome:
    """Return a candidate's final outcome; an order with an unknown outcome counts as sent if `is_wanted` says so."""
    terminal, name = outcome.terminal, outcome.client_order_id
    if terminal is None or name is None or terminal.reason is not Reason.VENUE_UNKNOWN or not is_wanted(name):
        return outcome
    return outcome._replace(refusals=outcome.refusals[:-1])


def _reason(decision: Decision) -> Reason:
    assert decision.reason is not None, f"gate {decision.gate} failed without a reason"
    return decision.reason


def _count(reason: Reason, ends: Sequence[EndPoint]) -> ReasonCount:
    row, remedy = REASONS[reason], remedy_of(reason, [end.decision for end in ends if end.decision])
    nearest = min(filter(None, map(_miss, ends)), key=lambda miss: (miss.distance, miss.symbol, miss.at), default=None)
    return ReasonCount(reason, row.cause, sum(end.number for end in ends), row.meaning, remedy, nearest)


def _miss(end: EndPoint) -> NearMiss | None:
    decision = end.decision
    if decision is None or isinstance(decision.observed, str | None) or isinstance(decision.limit, str | None):
        return None
    numbers, distance = (decision.observed, decision.limit), decision.distance
    return None if distance is None else NearMiss(end.symbol, end.at, decision.gate, *numbers, distance, decision.unit)


ERRORS = frozenset({Reason.PASS_FAILED, Reason.KEYS_REFUSED, Reason.VENUE_UNREACHABLE})
"""Reasons that stand for an error whose message the pass recorded."""
CAUSES_IN_ORDER = (Cause.BROKEN, Cause.BLOCKED, Cause.UNKNOWN, Cause.IDLE)
"""Causes from the worst to the best."""

NOTHING = "No pass is recorded: trade-once hasn't run."


def why_no_orders(cycles: Sequence[CycleRecord], sampled_candidates: Sequence[SampledCandidate] = ()) -> Explanation:
    """Explain why some passes of trade-once sent no orders: the deciding reason, and what would change it.

    A BROKEN cause decides first. Otherwise, if any candidate became an order, the verdict is TRADED; if none did, the
    worst cause decides. If data was too old, the answer gives its age. If an account limit refuses every entry, the
    answer always names that limit, and its verdict is never better than the limit's. `sampled_candidates` are counted
    in addition to the passes' own candidates.
    """
    answer = _by_reasons(cycles, sampled_candidates)
    if texts := sentences(candidate.record for candidate in (*_each(cycles), *sampled_candidates)):
        answer = replace(answer, sentence=f"{answer.sentence} {texts}")
    # If orders were sent later, such a limit no longer applies.
    shut = limits_blocking_entries(cycles[-1:] if answer.funnel.orders else cycles)
    if not shut:
        return answer
    worst = min(map(row_of, shut), key=lambda row: CAUSES_IN_ORDER.index(row.cause))
    shut_text = " ".join(sentence_of(decision, answer.sentence) for decision in shut)
    if answer.verdict in (NoOrdersAnswer.BROKEN, NoOrdersAnswer.BLOCKED):
        then = answer.then if answer.remedy == worst.remedy else worst.remedy
        return replace(answer, sentence=f"{answer.sentence} {shut_text}", then=then)
    return replace(
        answer,
        verdict=NoOrdersAnswer(worst.cause.value),
        sentence=f"{shut_text} {answer.sentence}",
        remedy=worst.remedy,
    )


def _by_reasons(cycles: Sequence[CycleRecord], sampled_candidates: Sequence[SampledCandidate]) -> Explanation:
    """Explain passes by where their candidates ended."""
    refusal_funnel = funnel(cycles, sampled_candidates)
    if not cycles:
        return Explanation(NoOrdersAnswer.UNKNOWN, NOTHING, "tradebot trade-once", refusal_funnel)
    # A failed strategy is mentioned even if others traded.
    refused = (refusal for cycle in reversed(cycles) for refusal in cycle.refused_strategies)
    failed = next((refusal for refusal in refused if refusal.decision.gate is Gate.STRATEGY), None)
    blame = _blame(failed) if failed else ""
    stale = _stale(cycles, sampled_candidates)
    if refusal_funnel.orders:
        return _explain_traded(refusal_funnel, failed, stale)
    if not refusal_funnel.reasons and any(cycle.waiting for cycle in cycles):
        names = sorted({waiting.strategy for cycle in cycles for waiting in cycle.waiting})
        waited = f"No candidates: {', '.join(names)} {noun_for(len(names), 'was', 'were')} not due."
        return Explanation(
            NoOrdersAnswer.IDLE, waited, "tradebot schedule shows when each strategy is due", refusal_funnel
        )
    if not refusal_funnel.reasons:
        return Explanation(NoOrdersAnswer.UNKNOWN, "The strategy proposed nothing.", "tradebot score", refusal_funnel)
    decided = deciding_reason({row.reason: row.count for row in refusal_funnel.reasons})
    deciding = next(row for row in refusal_funnel.reasons if row.reason is decided)
    verdict = NoOrdersAnswer(deciding.cause.value)
    if failed and failed.decision.reason is deciding.reason:
        return Explanation(verdict, f"{blame} {stale}".rstrip(), deciding.remedy, refusal_funnel)
    share = _share(refusal_funnel, deciding.reason)
    first = f"{share} ended at {deciding.reason}: {deciding.meaning}{_message_of(cycles, deciding.reason)}"
    sentence = " ".join(filter(None, (first, _most(refusal_funnel, deciding), blame, stale)))
    return Explanation(
        verdict, sentence, deciding.remedy, refusal_funnel, _then(cycles, sampled_candidates, deciding.reason)
    )


def _share(funnel: Funnel, reason: Reason) -> str:
    """Return how many of the candidates and of the whole passes ended with a reason."""
    whole = funnel.passes_by_reason.get(reason, 0)
    if whole == funnel.passes:
        return "Each pass"
    refused = funnel.refused_candidates[reason]
    of_candidates = f"{refused} of {pluralize(funnel.candidates, 'candidate')}" if refused else ""
    of_passes = f"{whole} of {pluralize(funnel.passes, 'pass', 'passes')}" if whole else ""
    return " and ".join(filter(None, (of_candidates, of_passes)))


def _explain_traded(funnel: Funnel, failed: StrategyRefusal | None, stale: str) -> Explanation:
    """Explain that orders were sent, and what failed at the same time, which then decides the verdict."""
    broken = next((row for row in funnel.reasons if row.cause is Cause.BROKEN), None)
    became = noun_for(funnel.orders, "an order", "orders")
    sentences = [f"{funnel.orders} of {pluralize(funnel.candidates, 'candidate')} became {became}."]
    if broken and not (failed and failed.decision.reason is broken.reason):
        sentences.append(f"But {broken.count} ended at {broken.reason}: {broken.meaning}")
    sentences += filter(None, (_blame(failed) if failed else "", stale))
    remedy = REASONS[_reason(failed.decision)].remedy if failed else broken.remedy if broken else "tradebot status"
    return Explanation(NoOrdersAnswer.BROKEN if broken else NoOrdersAnswer.TRADED, " ".join(sentences), remedy, funnel)


def _most(funnel: Funnel, deciding: ReasonCount) -> str:
    """Describe the most frequent reason, if it isn't the deciding one."""
    most, count = next(iter(_most_first(funnel.refused_candidates)), (deciding.reason, 0))
    return "" if count <= deciding.count else f"Most of the candidates ended for another reason: {count} at {most}."


STALE = frozenset(
    {Reason.FLOW_STALE, Reason.QUOTE_STALE, Reason.BARS_STALE, Reason.RECONCILE_STALE, Reason.CANDIDATE_STALE}
)
"""Reasons for outdated data, whose observed value is its age."""


def _stale(cycles: Sequence[CycleRecord], sampled_candidates: Sequence[SampledCandidate]) -> str:
    """Describe how many candidates were refused for old data, and its age; empty if none were."""
    ages = defaultdict[Reason, list[float]](list)
    for end in _ends(cycles, sampled_candidates):
        if end.decision and end.reason in STALE and (age_s := end.decision.oldness_s) is not None:
            ages[end.reason].append(age_s)
    return " ".join(f"{reason}: the oldest was {span(max(old))} old." for reason, old in sorted(ages.items()))


FROM_NOTHING = "Nothing to do but wait: there was no signal, and no setting changes that."
_ABOVE_ZERO = frozenset({Reason.CLUSTER_TOO_SMALL, Reason.FAMILIES_TOO_FEW, Reason.SCORE_BELOW_MIN})
"""Reasons whose limit is always above zero, so no lower limit lets a candidate without a signal pass."""


def remedy_of(reason: Reason, decisions: Sequence[Decision]) -> str:
    """Return what to do about a reason; if all of these decisions observed zero, say that no setting would let them
    pass.
    """
    above = {decision.is_nonzero for decision in decisions} - {None}
    without_signal = above == {False}
    return FROM_NOTHING if reason in _ABOVE_ZERO and without_signal else REASONS[reason].remedy


def _blame(refusal: StrategyRefusal) -> str:
    reason = _reason(refusal.decision)
    message = f" It said: {refusal.decision.observed}" if refusal.decision.observed else ""
    return f"Strategy {refusal.strategy} is {REASONS[reason].cause}: {reason}: {REASONS[reason].meaning}{message}"


def next_refusal(record: CandidateRecord) -> Decision | None:
    """Return the decision that would refuse the candidate next if the first failure had passed, or None."""
    failures = [decision for decision in record.decisions if not decision.passed]
    return failures[1] if len(failures) > 1 else None


def _then(cycles: Sequence[CycleRecord], sampled_candidates: Sequence[SampledCandidate], reason: Reason) -> str | None:
    """Describe where most candidates with this reason would be refused next, which is known because every gate ran."""
    each = (*_each(cycles), *sampled_candidates)
    ended = [
        record for record in each if record.record.terminal is not None and record.record.terminal.reason is reason
    ]
    following, counts = defaultdict[Reason, list[Decision]](list), Counter[Reason]()
    for sampled_candidate in ended:
        if refusal := next_refusal(sampled_candidate.record):
            following[_reason(refusal)].append(refusal)
            counts[_reason(refusal)] += sampled_candidate.number
    if not following:
        return None
    worst, count = _most_first(counts)[0]
    remedy = remedy_of(worst, following[worst])
    total = sum(candidate.number for candidate in ended)
    who = f"{count:,} of these {total:,}" if count < total else noun_for(total, "It", f"All {total:,}")
    return f"{who} would be refused next, by {worst}. {remedy}"


def _message_of(cycles: Sequence[CycleRecord], reason: Reason) -> str:
    ends = (cycle.job_decision for cycle in reversed(cycles) if reason in ERRORS and cycle.job_decision)
    observed = next((end.observed for end in ends if end.reason is reason), None)
    return f" It said: {observed}" if observed else ""


_NEEDS_APPROVAL = frozenset({Reason.APPROVAL_WAITING, Reason.APPROVAL_EXPIRED})
"""Reasons of entries that passed every gate and would be orders with a person's approval."""


def deciding_reason(reasons: Mapping[Reason, int]) -> Reason:
    """Return the deciding reason among these counts: the most frequent one of the worst cause.

    Unless something is broken, an entry that lacks only an approval decides.
    """
    missing = next((reason for reason in reasons if reason in _NEEDS_APPROVAL), None)
    worst = min((REASONS[reason].cause for reason in reasons), key=CAUSES_IN_ORDER.index)
    if missing and worst is not Cause.BROKEN:
        return missing
    return max((reason for reason in reasons if REASONS[reason].cause is worst), key=lambda reason: reasons[reason])


class GatePath(Struct, frozen=True):
    """One symbol's path through one pass: every gate's decision, and where it ended; `id` is the pass's id."""

    at: datetime
    slot: str
    record: CandidateRecord
    id: str = ""


def of_strategy(strategy: str, cycles: Sequence[CycleRecord]) -> list[CycleRecord]:
    """Return the passes with only one strategy's candidates."""
    return [
        replace(
            cycle,
            candidates=tuple(record for record in cycle.candidates if record.candidate.strategy == strategy),
            refused_strategies=tuple(each for each in cycle.refused_strategies if each.strategy == strategy),
            waiting=tuple(each for each in cycle.waiting if each.strategy == strategy),
        )
        for cycle in cycles
    ]


def gate_paths_of(symbol: str, cycles: Sequence[CycleRecord]) -> tuple[GatePath, ...]:
    """Return a symbol's path through each pass that evaluated it, oldest first."""
    looked = ((cycle, record) for cycle in cycles for record in cycle.candidates)
    return tuple(
        GatePath(cycle.at, cycle.slot, record, cycle.id)
        for cycle, record in looked
        if record.candidate.symbol == symbol and not record.is_cancel
    )


def limits_blocking_entries(cycles: Iterable[CycleRecord]) -> tuple[Decision, ...]:
    """Return the limits that refused every entry in any of these passes, each from the last such pass."""
    return tuple({decision.reason: decision for cycle in cycles for decision in cycle.closed}.values())


def row_of(decision: Decision) -> ReasonRow:
    """Return the row of the reason table for a limit that refuses every entry."""
    assert decision.reason is not None, "a refusal has a reason"
    return REASONS[decision.reason]


def sentence_of(decision: Decision, shown: str = "") -> str:
    """Describe a limit that refuses every entry, without repeating what `shown` says."""
    first, meaning = f"Entries are blocked ({decision.reason}, {format_comparison(decision)})", row_of(decision).meaning
    return f"{first}." if meaning in shown else f"{first}: {meaning}"
