"""What became of one symbol in all passes of a session or another span: which gates refused it, how often and when."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from msgspec import Struct

from tradebot.model.decision import Decision, Gate, Number
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.record import CycleRecord, Outcome, SymbolOutcomes
from tradebot.model.text import plain, pluralize
from tradebot.model.values import replace
from tradebot.views.explain import remedy_of


class SymbolMiss(Struct, frozen=True):
    """The pass that missed one gate by the least; `failed` counts the gates that it failed, that one included.

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
    """How often one gate was the first to refuse the symbol for one reason, and between which passes.

    `about` is the question's name if a strategy asks several of its own.
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
    """One symbol in all passes of a span: candidates = orders + the sum of `ends`, the most frequent first.

    `passes` counts all of them, and `looked_at` those in which a strategy wanted something for the symbol. `nearest`
    is the gate at which it came closest of all: in a pass that had something to compare, with the fewest failed gates.
    `elsewhere` counts the passes or answers that were refused before any candidate of it was judged, by reason.
    `left_out` says in a sentence what a backtest didn't record.
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


def symbol_span(symbol: str, seen: SymbolOutcomes, session: date | None = None) -> SymbolSpan:
    """Sum up what became of a symbol in some passes."""
    cycles, ways = seen
    ends = _ends(ways)
    elsewhere = _elsewhere(symbol, cycles)
    sent = tuple(way.at for way in ways if way.terminal is None)
    sentence, remedy = _told(ways, cycles, ends, elsewhere)
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
    rows = (_end(*key, found) for key, found in groups.items())
    return tuple(sorted(rows, key=lambda row: (-row.count, row.gate.place, row.reason, row.strategy)))


def _end(strategy: str, gate: Gate, about: str, reason: Reason, found: list[tuple[Outcome, Decision]]) -> SymbolEnd:
    misses = (_miss(way, end) for way, end in found)
    nearest = min(filter(None, misses), key=lambda miss: (_is_of_nothing(miss), miss.distance, miss.at), default=None)
    times, row = [way.at for way, _ in found], REASONS[reason]
    remedy = remedy_of(reason, [end for _, end in found])
    return SymbolEnd(
        strategy, gate, about, reason, len(found), min(times), max(times), row.meaning, remedy, nearest
    )  # fmt: skip


def _miss(way: Outcome, end: Decision) -> SymbolMiss | None:
    if isinstance(end.observed, str | None) or isinstance(end.limit, str | None) or end.distance is None:
        return None
    return SymbolMiss(way.at, way.slot, end.observed, end.limit, end.distance, len(way.refusals), end.unit)


def _is_of_nothing(miss: SymbolMiss) -> bool:
    """Return True if there was nothing to compare, such as no alert: it was hardly a candidate."""
    return plain(miss.observed) == "0"


def _nearest(ways: Sequence[Outcome], ends: Sequence[SymbolEnd]) -> SymbolEnd | None:
    """Return the end at which the symbol came closest to an order, with the pass that did."""
    found = [(way, end, miss) for way in ways if (end := way.terminal) and (miss := _miss(way, end))]
    if not found:
        return None
    way, end, miss = min(found, key=lambda one: (_is_of_nothing(one[2]), one[2].failed, one[2].distance, one[2].at))
    whose = way.strategy, end.gate, end.about, end.reason
    ended = next(one for one in ends if (one.strategy, one.gate, one.about, one.reason) == whose)
    return replace(ended, nearest=miss)


def _elsewhere(symbol: str, cycles: Sequence[CycleRecord]) -> dict[Reason, int]:
    counts = defaultdict[Reason, int](int)
    for cycle in cycles:
        answers = (each.decision for each in cycle.refused_strategies if each.symbol in (None, symbol))
        for decision in (cycle.job_decision, *answers):
            if decision and decision.reason:
                counts[decision.reason] += 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _told(
    ways: Sequence[Outcome], cycles: Sequence[CycleRecord], ends: Sequence[SymbolEnd], elsewhere: dict[Reason, int]
) -> tuple[str, str]:
    looked, sent = pluralize(len(cycles), "pass", "passes"), len(ways) - sum(end.count for end in ends)
    broken = next((reason for reason in elsewhere if REASONS[reason].cause is Cause.BROKEN), None)
    also = f" Besides, {elsewhere[broken]} ended at {broken}: {REASONS[broken].meaning}" if broken else ""
    if not ways and elsewhere:
        reason = broken or next(iter(elsewhere))
        meaning, times = REASONS[reason].meaning, pluralize(elsewhere[reason], "time")
        return f"Nothing of it was judged in {looked}; {times} because of {reason}: {meaning}", REASONS[reason].remedy
    if not ways:
        return f"No strategy wanted anything for it in {looked}.", "tradebot score"
    many = pluralize(len(ways), "candidate")
    if sent:
        return f"{sent} of its {many} became {'an order' if sent == 1 else 'orders'}.{also}", "tradebot orders --all"
    most = ends[0]
    return f"None of its {many} became an order; {most.count} ended at {most.reason}: {most.meaning}{also}", most.remedy
