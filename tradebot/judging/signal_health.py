"""Judge each signal from stored replies, recorded scores and events alone.

A signal is a kind of facts that strategies in use need, or a component of a score that is computed from such kinds.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.judging.evidence import TradingMoment
from tradebot.model.candidate import Component
from tradebot.model.fact_kind import AnyKind, CheckedReply, Drift, NullCounts, Phase
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.record import CycleRecord
from tradebot.model.sentences import noun_for, pluralize
from tradebot.signals.contracts import drifts, harmful_drifts


class SignalHealth(StrEnum):
    """The state of a signal.

    CRITICAL: it can't be used. DEGRADED: it can, but something is wrong. HEALTHY: nothing is wrong. UNKNOWN: there is
    no evidence, for example while the market is closed.
    """

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"


class SignalVerdict(NamedTuple):
    """The state of a signal and the reason; `idle` is True if the state is UNKNOWN and nobody needs to act."""

    state: SignalHealth
    why: str
    idle: bool = False


class KindEvidence(Struct, frozen=True):
    """The evidence about one kind of facts: its newest replies, one for each of the `wanted` calls, and failures since
    then.

    `at` has the times of the newest replies, with or without rows. `received`, `foreign` and `rejected` count rows in
    all recent replies; `nulls` counts, for each field, the rows in which it is null. `more_nulls` has the fields that
    are null much more often than usual.
    """

    kind: AnyKind
    wanted: int
    at: Sequence[datetime]
    limit_s: float
    interval_s: float
    replies: Sequence[CheckedReply] = ()
    received: int = 0
    foreign: int = 0
    rejected: int = 0
    failed: int = 0
    failure: str = ""
    nulls: NullCounts = field(default_factory=lambda: NullCounts(0, {}))
    more_nulls: tuple[Drift, ...] = ()


class DriftRow(Struct, frozen=True):
    """A difference from the source's documentation, with an example; `broken` if it affects too many rows."""

    what: str
    example: str
    broken: bool


class KindHealth(Struct, frozen=True):
    """The health of one kind of facts; None means that there was nothing to measure.

    Each call has a newest reply; `age_s` is the age of the oldest among these, and `limit_s` its maximum. `rows` counts
    the rows in all recent replies, and `bad` those that are foreign or unreadable. `match_rate` is the fraction of rows
    that belong to the requested ticker, and `null_rate` the fraction of documented values that are null.
    """

    name: str
    core: bool
    state: SignalHealth
    why: str
    idle: bool
    last_success: datetime | None
    age_s: float | None
    limit_s: float
    wanted: int
    answered: int
    rows: int
    match_rate: float | None
    null_rate: float | None
    bad: int
    failed: int
    drifts: tuple[DriftRow, ...]


class ComponentHealth(Struct, frozen=True):
    """The health of one component of a strategy's score: for how many (`used`) of the `symbols` the last scores had a
    value.
    """

    strategy: str
    name: str
    weight: float
    state: SignalHealth
    why: str
    idle: bool
    used: int
    symbols: int
    reads: tuple[str, ...]


class SignalsHealth(Struct, frozen=True):
    """The health of all signals at trading time `as_of`; `scored_at` is when the last scores were made."""

    as_of: datetime
    market_open: bool
    scored_at: datetime | None
    findings: int
    kinds: tuple[KindHealth, ...]
    components: tuple[ComponentHealth, ...]


def signals(
    moment: TradingMoment,
    largest_share: Decimal,
    kind_evidence: Iterable[KindEvidence],
    scores: CycleRecord | None = None,
    reads: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> SignalsHealth:
    """Return the health of every signal, from the evidence of the kinds and the last scores.

    At most `largest_share` of rows may differ from the source's documentation; `reads` has each component's kinds of
    facts by the component's name.
    """
    kinds = tuple(_kind_health(each, moment, largest_share) for each in kind_evidence)
    components = tuple(_components(scores, reads, {kind.name: kind for kind in kinds}))
    every: tuple[KindHealth | ComponentHealth, ...] = (*kinds, *components)
    findings = sum(signal.state is not SignalHealth.HEALTHY and not signal.idle for signal in every)
    return SignalsHealth(moment.now, moment.is_open, scores.at if scores else None, findings, kinds, components)


def _kind_health(kind_evidence: KindEvidence, moment: TradingMoment, largest_share: Decimal) -> KindHealth:
    findings = (*drifts(kind_evidence.replies), *kind_evidence.more_nulls)
    harmful = harmful_drifts(drifts(kind_evidence.replies), largest_share)
    verdict = _judge_kind(kind_evidence, findings, harmful, moment, largest_share)
    return KindHealth(
        kind_evidence.kind.name,
        kind_evidence.kind.core,
        *verdict,
        last_success=max(kind_evidence.at, default=None),
        age_s=_age_s(kind_evidence, moment) if kind_evidence.at else None,
        limit_s=kind_evidence.limit_s,
        wanted=kind_evidence.wanted,
        answered=len(kind_evidence.at),
        rows=kind_evidence.received,
        match_rate=1 - kind_evidence.foreign / kind_evidence.received if kind_evidence.received else None,
        null_rate=_null_rate(kind_evidence),
        bad=kind_evidence.foreign + kind_evidence.rejected,
        failed=kind_evidence.failed,
        drifts=tuple(DriftRow(str(drift), drift.example, drift in harmful) for drift in findings),
    )


def _null_rate(kind_evidence: KindEvidence) -> float | None:
    fields, rows = kind_evidence.kind.fields, kind_evidence.nulls.rows
    nulls = sum(count for name, count in kind_evidence.nulls.nulls.items() if name in fields)
    return nulls / (rows * len(fields)) if rows and fields else None


def _age_s(kind_evidence: KindEvidence, moment: TradingMoment) -> float:
    return max(0.0, (moment.market_time - min(kind_evidence.at)).total_seconds())


def _judge_kind(
    kind_evidence: KindEvidence,
    drifts: Sequence[Drift],
    harmful: Sequence[Drift],
    moment: TradingMoment,
    largest_share: Decimal,
) -> SignalVerdict:
    """Return the first that applies: it is unusable, it can't be judged, something is wrong, all is well."""
    if not kind_evidence.at and kind_evidence.failed:
        return SignalVerdict(
            SignalHealth.CRITICAL,
            f"{pluralize(kind_evidence.failed, 'call')} failed and none succeeded: {kind_evidence.failure}",
        )
    if not kind_evidence.at:
        return SignalVerdict(SignalHealth.UNKNOWN, "it was never fetched", idle=not moment.is_open)
    if harmful:
        return SignalVerdict(SignalHealth.CRITICAL, harmful[0].description)
    unusable = _unusable(kind_evidence, largest_share)
    if unusable and kind_evidence.kind.name == FLOW_ALERTS:
        return SignalVerdict(SignalHealth.CRITICAL, unusable)
    if not moment.is_open and kind_evidence.kind.phase not in (Phase.MORNING, Phase.EVENING):
        return SignalVerdict(SignalHealth.UNKNOWN, "the market is closed", idle=True)
    age_s = _age_s(kind_evidence, moment)
    if age_s > kind_evidence.limit_s:
        return SignalVerdict(
            SignalHealth.CRITICAL,
            f"too old to be used: {age_s:,.0f} s, above the limit of {kind_evidence.limit_s:,.0f} s",
        )
    wrong = next(_wrong(kind_evidence, drifts, age_s, is_open=moment.is_open), unusable or None)
    if wrong is not None:
        return SignalVerdict(SignalHealth.DEGRADED, wrong)
    if not any(reply.rows for reply in kind_evidence.replies):
        return SignalVerdict(SignalHealth.UNKNOWN, "no reply contains a row, so there is nothing to judge", idle=True)
    return SignalVerdict(SignalHealth.HEALTHY, "fresh, complete and as documented")


def _wrong(kind_evidence: KindEvidence, drifts: Sequence[Drift], age_s: float, *, is_open: bool) -> Iterator[str]:
    """Yield problems of a usable kind, most important first."""
    missing = kind_evidence.wanted - len(kind_evidence.at)
    if missing > 0:
        yield f"{missing:,} of {pluralize(kind_evidence.wanted, 'call')} never answered"
    if kind_evidence.failed:
        yield f"{pluralize(kind_evidence.failed, 'call')} failed since the last reply: {kind_evidence.failure}"
    if is_open and age_s > 2 * kind_evidence.interval_s:
        yield f"late: {age_s:,.0f} s old, and it should be fetched every {kind_evidence.interval_s:,.0f} s"
    if drifts:
        yield drifts[0].description


def _unusable(kind_evidence: KindEvidence, largest_share: Decimal) -> str:
    bad = kind_evidence.foreign + kind_evidence.rejected
    if not kind_evidence.received or Decimal(bad) / kind_evidence.received <= largest_share:
        return ""
    belong = noun_for(bad, "belongs", "belong")
    return f"{bad:,} of {pluralize(kind_evidence.received, 'row')} {belong} to other symbols or can't be read"


def _components(
    scores: CycleRecord | None, reads: Mapping[str, tuple[str, ...]], kinds: Mapping[str, KindHealth]
) -> Iterator[ComponentHealth]:
    parts = defaultdict[tuple[str, str], list[Component]](list)
    for record in scores.candidates if scores else ():
        for part in record.candidate.components:
            parts[record.candidate.strategy, part.name].append(part)
    for (strategy, name), components in parts.items():
        used, kinds_read = sum(part.value is not None for part in components), reads.get(name, ())
        verdict = _judge_used(used, len(components), [kinds[kind] for kind in kinds_read if kind in kinds])
        yield ComponentHealth(strategy, name, components[-1].weight, *verdict, used, len(components), kinds_read)


def _judge_used(used: int, symbols: int, kinds: Collection[KindHealth]) -> SignalVerdict:
    for state in (SignalHealth.CRITICAL, SignalHealth.DEGRADED, SignalHealth.UNKNOWN):
        for kind in kinds:
            if kind.state is state:
                return SignalVerdict(state, f"{kind.name}: {kind.why}", kind.idle)
    if not used:
        return SignalVerdict(
            SignalHealth.DEGRADED, f"absent for all of {pluralize(symbols, 'symbol')}, although its data was fetched"
        )
    return SignalVerdict(SignalHealth.HEALTHY, f"used for {used:,} of {pluralize(symbols, 'symbol')}")
