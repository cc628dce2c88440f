"""Why the bot did or didn't trade, one symbol's path through every gate, and missed slots, as values to show.

For a single symbol, this module also shows its results in all passes of a period: which gates refused it, how often and
when.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.bar import WaitingStrategy
from tradebot.model.candidate import Component
from tradebot.model.decision import Decision, Gate, Number
from tradebot.model.decision import Verdict as DecisionVerdict
from tradebot.model.evidence import Unrecorded
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.record import CycleRecord, EndedPasses, Outcome, RefusalGroup, SymbolOutcomes
from tradebot.model.sentences import plain, pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import SlotClaim
from tradebot.views.explain import Explanation, GatePath, NoOrdersAnswer, next_refusal, remedy_of


class SymbolMiss(Struct, frozen=True):
    """The pass in which a symbol missed one gate by the least; `failed` counts the failed gates, including that one.

    `unit` is the code of the numbers' unit if a strategy's own filter gave them.
    """

    at: datetime
    slot: str
    observed: Number
    limit: Number
    distance: float
    failed: int
    unit: str


class SymbolEnd(Struct, frozen=True):
    """How often a gate was the first to refuse the symbol for a reason, and between which passes.

    `about` is the filter's name if a strategy has several.
    """

    strategy: str
    gate: Gate
    about: str
    reason: Reason
    count: int
    first_at: datetime
    last_at: datetime
    meaning: str
    remedy: str
    nearest: SymbolMiss | None


class SymbolSpan(Struct, frozen=True):
    """One symbol in all passes of a period: candidates = orders + the sum of `ends`, most frequent first.

    `passes` counts all passes, and `looked_at` the passes in which a strategy wanted something for the symbol.
    `nearest` is the gate that the symbol missed by the least. It is taken from the pass with the fewest failed gates
    among those that have numbers to compare. `elsewhere` counts, by reason, the passes and answers that were refused
    before any candidate in the symbol was evaluated. `left_out` describes what a backtest didn't record.
    """

    symbol: str
    session: date | None
    first_at: datetime | None
    last_at: datetime | None
    passes: int
    looked_at: int
    candidates: int
    orders: int
    sent_at: tuple[datetime, ...]
    ends: tuple[SymbolEnd, ...]
    nearest: SymbolEnd | None
    elsewhere: dict[Reason, int]
    sentence: str
    remedy: str
    left_out: str | None = None


def symbol_span(symbol: str, outcome: SymbolOutcomes, session: date | None = None) -> SymbolSpan:
    """Summarize a symbol's results in some passes."""
    cycles, ways = outcome
    ends = _ends(ways)
    elsewhere = _elsewhere(symbol, cycles)
    sent = tuple(way.at for way in ways if way.terminal is None)
    sentence, remedy = _headline(ways, cycles, ends, elsewhere)
    return SymbolSpan(
        symbol=symbol,
        session=session,
        first_at=cycles[0].at if cycles else None,
        last_at=cycles[-1].at if cycles else None,
        passes=len(cycles),
        looked_at=len({way.at for way in ways}),
        candidates=len(ways),
        orders=len(sent),
        sent_at=sent,
        ends=ends,
        nearest=_nearest(ways, ends),
        elsewhere=elsewhere,
        sentence=sentence,
        remedy=remedy,
    )


def _ends(ways: Sequence[Outcome]) -> tuple[SymbolEnd, ...]:
    groups = defaultdict[tuple[str, Gate, str, Reason], list[tuple[Outcome, Decision]]](list)
    for way in ways:
        end = way.terminal
        if end is not None and end.reason is not None:
            groups[way.strategy, end.gate, end.about, end.reason].append((way, end))
    rows = (_end(*key, outcomes) for key, outcomes in groups.items())
    return tuple(sorted(rows, key=lambda row: (-row.count, row.gate.place, row.reason, row.strategy)))


def _end(strategy: str, gate: Gate, about: str, reason: Reason, outcomes: list[tuple[Outcome, Decision]]) -> SymbolEnd:
    misses = (_miss(way, end) for way, end in outcomes)
    nearest = min(filter(None, misses), key=lambda miss: (_is_of_nothing(miss), miss.distance, miss.at), default=None)
    times, row = [way.at for way, _ in outcomes], REASONS[reason]
    remedy = remedy_of(reason, [end for _, end in outcomes])
    return SymbolEnd(
        strategy, gate, about, reason, len(outcomes), min(times), max(times), row.meaning, remedy, nearest
    )  # fmt: skip


def _miss(way: Outcome, end: Decision) -> SymbolMiss | None:
    if isinstance(end.observed, str | None) or isinstance(end.limit, str | None) or end.distance is None:
        return None
    return SymbolMiss(way.at, way.slot, end.observed, end.limit, end.distance, len(way.refusals), end.unit)


def _is_of_nothing(miss: SymbolMiss) -> bool:
    """Return True if there was nothing to compare, such as no alert, so it was hardly a candidate."""
    return plain(miss.observed) == "0"


def _nearest(ways: Sequence[Outcome], ends: Sequence[SymbolEnd]) -> SymbolEnd | None:
    """Return the gate at which the symbol came closest to an order, with the miss in that pass."""
    outcomes = [(way, end, miss) for way in ways if (end := way.terminal) and (miss := _miss(way, end))]
    if not outcomes:
        return None
    way, end, miss = min(
        outcomes, key=lambda pair: (_is_of_nothing(pair[2]), pair[2].failed, pair[2].distance, pair[2].at)
    )
    subject = way.strategy, end.gate, end.about, end.reason
    ended = next(end for end in ends if (end.strategy, end.gate, end.about, end.reason) == subject)
    return replace(ended, nearest=miss)


def _elsewhere(symbol: str, cycles: Sequence[CycleRecord]) -> dict[Reason, int]:
    counts = defaultdict[Reason, int](int)
    for cycle in cycles:
        answers = (each.decision for each in cycle.refused_strategies if each.symbol in (None, symbol))
        for decision in (cycle.job_decision, *answers):
            if decision and decision.reason:
                counts[decision.reason] += 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _headline(
    ways: Sequence[Outcome], cycles: Sequence[CycleRecord], ends: Sequence[SymbolEnd], elsewhere: dict[Reason, int]
) -> tuple[str, str]:
    looked, sent = pluralize(len(cycles), "pass", "passes"), len(ways) - sum(end.count for end in ends)
    broken = next((reason for reason in elsewhere if REASONS[reason].cause is Cause.BROKEN), None)
    also = f" Besides, {elsewhere[broken]} ended at {broken}: {REASONS[broken].meaning}" if broken else ""
    if not ways and elsewhere:
        reason = broken or next(iter(elsewhere))
        meaning, times = REASONS[reason].meaning, pluralize(elsewhere[reason], "time")
        return f"It wasn't evaluated in {looked}, {times} because of {reason}: {meaning}", REASONS[reason].remedy
    if not ways:
        return f"No strategy proposed anything for it in {looked}.", "tradebot score"
    many = pluralize(len(ways), "candidate")
    if sent:
        return f"{sent} of its {many} became {'an order' if sent == 1 else 'orders'}.{also}", "tradebot orders --all"
    most = ends[0]
    return f"None of its {many} became an order; {most.count} ended at {most.reason}: {most.meaning}{also}", most.remedy


class MissedSlots(Struct, frozen=True):
    """Slots of one job in one session that were missed for the same reason: how many there were, and the first and the
    last.
    """

    session: date
    job: str
    reason: Reason
    count: int
    first: str
    last: str
    meaning: str


def missed_slots(claims: Iterable[SlotClaim]) -> tuple[MissedSlots, ...]:
    """Return the missed slots among these claims, by session, job and reason, in the order in which they were noticed.

    Strategies' own slots are left out, because their passes report them.
    """
    together: dict[tuple[date, str, Reason], list[str]] = {}
    for claim in claims:
        if claim.missed_reason is not None and " " not in claim.job:
            together.setdefault((claim.session, claim.job, claim.missed_reason), []).append(claim.slot)
    return tuple(
        MissedSlots(
            session,
            job,
            reason,
            len(slots),
            min(slots, key=_minutes_from_open),
            max(slots, key=_minutes_from_open),
            REASONS[reason].meaning,
        )
        for (session, job, reason), slots in together.items()
    )


def _minutes_from_open(slot: str) -> tuple[bool, int]:
    """Return a key that sorts the slots of a session by time: `open+2m`, `open+10m`, `close-10m`."""
    minutes = re.fullmatch(r"(?:open|close)([+-]\d+)m", slot)
    return slot.startswith("close"), int(minutes[1]) if minutes else 0


NOTHING = "none"

"""The recorder that stores no candidates."""

PLAY_AGAIN = "play the backtest again with --recorder full"


class WhyNoOrders(Struct, frozen=True):
    """The answer for the passes from `first_at` to `last_at` in trading time; `now` says what has changed since.

    `waiting` are the strategies that the last pass skipped because they weren't due, each with its next slot.
    `left_out` describes what a backtest didn't record. `missed` are the missed slots in the sessions of these passes.
    `dry` says that the pass was a dry run, or that it only scored. If a time was requested, `asked` says which passes
    are around it.
    """

    explanation: Explanation
    first_at: datetime | None
    last_at: datetime | None
    last_slot: str | None
    now: str | None
    waiting: tuple[WaitingStrategy, ...] = ()
    left_out: str | None = None
    missed: tuple[MissedSlots, ...] = ()
    dry: str | None = None
    asked: str | None = None


class SymbolWhy(Struct, frozen=True, kw_only=True):
    """How the last pass that evaluated a symbol decided on it; `passes` counts such passes in the period.

    Quantities are in shares, prices in USD. `sentence` says which gate refused the symbol, `remedy` what would change
    that, and `then` which gate would refuse it next. `others` are other strategies that evaluated it in the same pass,
    each with the reason for the refusal, or None if an order was sent. `left_out` describes what a backtest didn't
    record, `dry` that the pass was a dry run, or only scored, and `asked` which passes are around a requested time. If
    a setting refused it, `what_if` is the command that decides the pass again with another value of that setting.
    """

    symbol: str
    strategy: str | None = None
    others: Mapping[str, Reason | None] = {}
    at: datetime | None = None
    slot: str | None
    passes: int
    side: str | None = None
    score: float | None = None
    coverage: float | None = None
    price: Decimal | None = None
    components: tuple[Component, ...] = ()
    decisions: tuple[Decision, ...]
    reason: str | None
    sentence: str
    remedy: str
    then: str | None = None
    now: str | None
    left_out: str | None = None
    dry: str | None = None
    asked: str | None = None
    what_if: str | None = None


def as_unsent(cycle: CycleRecord) -> CycleRecord:
    """Return a dry or scoring pass in which each candidate that passed every gate ends at DRY_RUN."""
    end = Decision(Gate.SEND, DecisionVerdict.FAIL, Reason.DRY_RUN)
    ended = (r if r.terminal else replace(r, decisions=(*r.decisions, end)) for r in cycle.candidates)
    return replace(cycle, candidates=tuple(ended), dry_run=True)


def left_out(unrecorded: Unrecorded | None) -> str | None:
    """Describe what a backtest didn't record; None if it recorded everything."""
    if unrecorded is None:
        return None
    option = f"(--recorder {unrecorded.recorder})"
    if unrecorded.recorder == NOTHING:
        return f"This backtest recorded no candidates {option}."
    count = sum(each.count for each in unrecorded.refused)
    recorded_text = f"This backtest recorded only candidates for which an order was sent {option}."
    refused = ", ".join(f"{each.count:,} {each.reason}" for each in unrecorded.refused)
    return (
        f"{recorded_text} {pluralize(count, 'other was', 'others were')} refused in all: {refused}."
        if count
        else f"{recorded_text} No other was refused."
    )


def without_records(answer: Explanation, lacking: str | None) -> Explanation:
    """Return the answer without the explanations that would need missing records; orders are always recorded."""
    if lacking is None or answer.funnel.orders:
        return answer
    return replace(answer, verdict=NoOrdersAnswer.UNKNOWN, sentence=lacking, remedy=PLAY_AGAIN, then=None)


def explain_symbol(ways: Sequence[GatePath], halt: tuple[str, str] | None, now: str | None) -> SymbolWhy:
    """Explain a symbol's last path, with the `halt` at that time and its remedy, and what has changed by `now`."""
    same = [way for way in ways if way.at == ways[-1].at]
    # Among several strategies, the one whose order was sent is the most informative.
    way = next((way for way in same if way.record.terminal is None), same[0])
    candidate, terminal = way.record.candidate, way.record.terminal
    ends = {each.record.candidate.strategy: each.record.terminal for each in same if each is not way}
    sentence, remedy = "The order was sent and accepted.", "tradebot status"
    if terminal and terminal.reason:
        more, remedy = halt or ("", remedy_of(terminal.reason, [terminal]))
        ended = f"Refused by gate {terminal.gate}"
        if _is_declined_by_strategy(way):
            ended = "Declined by the strategy; gates weren't evaluated"
        sentence = f"{ended}: {REASONS[terminal.reason].meaning}{more}"
    return SymbolWhy(
        symbol=candidate.symbol,
        strategy=candidate.strategy,
        others={strategy: end.reason if end else None for strategy, end in ends.items()},
        at=way.at,
        slot=way.slot,
        passes=len({each.at for each in ways}),
        side=candidate.side.value,
        score=candidate.score,
        coverage=candidate.coverage,
        price=way.record.reference_price,
        components=candidate.components,
        decisions=way.record.decisions,
        reason=terminal.reason.value if terminal and terminal.reason else None,
        sentence=sentence,
        remedy=remedy,
        then=_then(way),
        now=now,
    )


def _is_declined_by_strategy(way: GatePath) -> bool:
    """Return True if a strategy declined the candidate itself, so only its own answer was recorded."""
    return all(decision.gate is Gate.STRATEGY for decision in way.record.decisions)


def was_halted(way: GatePath) -> bool:
    """Return True if the candidate was refused because the bot was halted."""
    return way.record.terminal is not None and way.record.terminal.reason is Reason.HALTED


def _then(way: GatePath) -> str | None:
    end = next_refusal(way.record)
    if end is None or end.reason is None:
        return None
    gate_name = f"{end.gate}: {end.about}" if end.about else end.gate
    return f"{gate_name} would refuse it next, {end.reason}: {remedy_of(end.reason, [end])}"


def why_nothing_shown(symbol: str, cycles: Sequence[CycleRecord], answer: Explanation, now: str | None) -> SymbolWhy:
    """Return why there is nothing to show for a symbol.

    There may have been no pass, a pass that was refused as a whole, or no proposal. `answer` explains all of these
    passes.
    """
    last = cycles[-1] if cycles else None
    refused, sentence, remedy = last.job_decision if last else None, answer.sentence, answer.remedy
    if last and refused is None and not any(each.symbol is None for each in last.refused_strategies):
        sentence, remedy = "No strategy proposed anything for it.", "tradebot score"
    left_out = next((each for each in last.refused_strategies if each.symbol == symbol), None) if last else None
    if left_out and left_out.decision.reason:
        row = REASONS[left_out.decision.reason]
        sentence, remedy = f"{left_out.strategy} didn't evaluate it: {row.meaning}", row.remedy
    return SymbolWhy(
        symbol=symbol,
        slot=last.slot if last else None,
        passes=0,
        decisions=(refused,) if refused else (),
        reason=refused.reason.value if refused and refused.reason else None,
        sentence=sentence,
        remedy=remedy,
        now=now,
    )


class GateCount(Struct, frozen=True):
    """A gate in the order of evaluation: how many candidates reached it, and how many it was the first to refuse."""

    gate: str
    came: int
    refused: int


class SymbolCount(Struct, frozen=True):
    """One symbol's candidates: how many became orders, and how many each gate was the first to refuse, by name.

    candidates = orders + the sum of `refused`.
    """

    symbol: str
    candidates: int
    orders: int
    refused: Mapping[str, int]


class BySymbol(Struct, frozen=True):
    """The candidates of some passes by gate and by symbol; symbols are sorted by name.

    A strategy's own filters have their own names. `left_out` describes what a backtest didn't record.
    """

    passes: int
    first_at: datetime | None
    last_at: datetime | None
    candidates: int
    orders: int
    gates: tuple[GateCount, ...]
    symbols: tuple[SymbolCount, ...]
    left_out: str | None = None


def by_symbol(passes: EndedPasses, is_wanted: Callable[[str], bool], left_out: str | None = None) -> BySymbol:
    """Count the candidates of some passes; passes and strategies that were refused as a whole have none.

    An order with an unknown outcome counts as sent if `is_wanted` returns True for its id.
    """
    ends = [end._replace(gate=None) if end.unknown and is_wanted(end.unknown) else end for end in passes.ends]
    counted = defaultdict[str, Counter[str]](Counter)
    for group in ends:
        counted[group.symbol][_name(group)] += group.candidates
    symbols = tuple(_symbol(name, of_one) for name, of_one in sorted(counted.items()))
    return BySymbol(
        passes=passes.passes,
        first_at=passes.first_at,
        last_at=passes.last_at,
        candidates=sum(each.candidates for each in symbols),
        orders=sum(each.orders for each in symbols),
        gates=tuple(_gates(ends)),
        symbols=symbols,
        left_out=left_out,
    )


_SENT = ""


def _name(of: RefusalGroup) -> str:
    """Return the name of a filter, by its strategy, or else of its gate."""
    return (of.about or of.gate.value) if of.gate else _SENT


def _symbol(name: str, ends: Mapping[str, int]) -> SymbolCount:
    refused = {gate: count for gate, count in ends.items() if gate != _SENT}
    return SymbolCount(name, sum(ends.values()), ends.get(_SENT, 0), dict(sorted(refused.items())))


def _gates(ends: Sequence[RefusalGroup]) -> Iterator[GateCount]:
    """Yield the gates and filters that refused a candidate first, in the order of evaluation."""
    remaining, counts, order_by_gate = sum(end.candidates for end in ends), Counter[str](), dict[str, tuple[int, int]]()
    for refusal_group in ends:
        if refusal_group.gate:
            name = _name(refusal_group)
            counts[name] += refusal_group.candidates
            order_by_gate[name] = max(order_by_gate.get(name, (0, 0)), (refusal_group.gate.place, refusal_group.place))
    for name in sorted(counts, key=lambda name: (order_by_gate[name], name)):
        yield GateCount(name, remaining, counts[name])
        remaining -= counts[name]
