"""Judge each part of the bot by its evidence. A part of which nothing was looked at is UNKNOWN, never OK."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from tradebot.model.record import Gap, Job
from tradebot.text import counted
from tradebot.views.health import parts
from tradebot.views.health.evidence import Evidence, Passes, Unread
from tradebot.views.health.finding import Finding, State
from tradebot.views.health.freshness import by_slots
from tradebot.views.health.parts import Judged

Judge = Callable[[Evidence, Any], Judged]

STORES = frozenset({"ledger", "journal", "facts", "disk"})
"""The parts that have failed if they can't be read; any other part that can't be looked at is UNKNOWN."""


def _of_job(evidence: Evidence, found: Passes, *, job: Job) -> Judged:
    """Judge a job by its last finished pass, which has to be as new as the slots are."""
    said = f"{found.claimed:,} of {counted(found.slots, 'slot')} claimed; {counted(found.finished, 'pass', 'passes')}"
    fresh = by_slots(evidence, found.finished_at, job)
    state, following = State.OK if found.finished_at else State.UNKNOWN, f"tradebot {job}; tradebot events"
    if found.gaps and found.finished_at:
        bare = "; ".join(_bare(gap, evidence.now or found.finished_at) for gap in found.gaps[: parts.SHOWN])
        return Judged(State.DEGRADED, f"{said} finished; {bare}", "tradebot positions", found.finished, fresh)
    return Judged(state, f"{said} finished", following, found.finished, fresh)


def _bare(gap: Gap, now: datetime) -> str:
    lasted_s = (now - gap.since).total_seconds()
    return f"{gap.shares:f} {gap.symbol} without a stop at the broker for {lasted_s:,.0f} s ({gap.why})"


JUDGES: Mapping[str, Judge] = {
    "serve": parts.serve,
    "config": parts.config,
    "exits": partial(_of_job, job=Job.EVALUATE_EXITS),
    "entries": partial(_of_job, job=Job.TRADE_ONCE),
    "flow": partial(_of_job, job=Job.FETCH_FLOW),
    "scores": partial(_of_job, job=Job.SCORE),
    "signals": parts.signals,
    "prices": parts.prices,
    "broker": parts.broker,
    "books": parts.books,
    "orders": parts.orders,
    "ledger": parts.ledger,
    "journal": parts.journal,
    "facts": parts.facts,
    "calendar": parts.calendar,
    "clock": parts.clock,
    "disk": parts.disk,
    "storage": parts.storage,
    "strategies": parts.strategies,
    "backup": parts.backup,
    "schedule": parts.schedule,
    "chores": parts.chores,
    "stream": parts.stream,
    "halts": parts.halts,
}
"""Every part, in the order in which it is shown, and what judges it: only its own part of the evidence."""


def health(evidence: Evidence) -> tuple[Finding, ...]:
    """Return a finding about each part; about the stream only if alerts come over one."""
    return tuple(judged(name, evidence) for name in JUDGES if name != "stream" or evidence.streams)


def judged(name: str, evidence: Evidence) -> Finding:
    """Return the finding about one part."""
    part = getattr(evidence, name)
    if part is None:
        return Finding(name, State.UNKNOWN, None, 0, None, None, None, "there is nothing to look at", "tradebot doctor")
    if isinstance(part, Unread):
        state = State.FAILED if name in STORES else State.UNKNOWN
        return Finding(name, state, None, 0, None, None, None, part.why, part.next)
    verdict = JUDGES[name](evidence, part)
    state, fresh, found = verdict.state, verdict.fresh, verdict.found
    if fresh.overdue:
        state, found = State.FAILED, f"{found}; newer evidence has been due for {fresh.late_s:,.0f} s"
    following = "" if state is State.OK else verdict.next
    at, age_s, late_s, budget_s = fresh
    return Finding(name, state, at, verdict.count, age_s, late_s, budget_s, found, following)
