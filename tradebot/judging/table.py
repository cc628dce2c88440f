"""The table of everything that is judged: by what, renewed by which job, and with which usual next step.

A subject of which nothing was looked at is UNKNOWN, never OK; while nothing was due of it yet, it is NOT_DUE. Every
verb shows a selection of the same judgments, so none of them can contradict another.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tradebot.judging import parts, passes
from tradebot.judging.evidence import Evidence, Unread
from tradebot.judging.judgment import Judgment, State
from tradebot.judging.parts import UNKNOWABLE, Judge, Verdict, by_slots, due_by, just_now
from tradebot.model.record import Job


class Subject(NamedTuple):
    """What judges a subject, what is counted as its evidence, and what to do unless the verdict says otherwise.

    Passes of `renewed_by` make its evidence, if it isn't read again each time. A `store` that can't be read has FAILED;
    anything else that can't be looked at is UNKNOWN.
    """

    judge: Judge
    looked_at: str
    next: str
    renewed_by: Job | None = None
    store: bool = False


RECONCILE, DOCTOR, EVENTS, SERVE = "tradebot reconcile", "tradebot doctor", "tradebot events", "tradebot serve"
EXITS, ENTRIES, FETCH = Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.FETCH_FLOW
RECOVER = "tradebot recover"

TABLE: Mapping[str, Subject] = {
    "ledger": Subject(parts.ledger, "pages of ledger.db", RECOVER, store=True),
    "journal": Subject(parts.journal, "records", RECOVER, store=True),
    "books": Subject(parts.books, "comparison", RECONCILE, Job.RECONCILE),
    "backup": Subject(parts.backup, "backups", "tradebot backup"),
    "orders": Subject(parts.orders, "records", RECONCILE),
    "halts": Subject(parts.halts, "trading state", "tradebot unhalt"),
    "serve": Subject(parts.serve, "notes and claims", SERVE),
    "exits": Subject(passes.of_job(EXITS), "passes", f"tradebot {EXITS}", EXITS),
    "entries": Subject(passes.of_job(ENTRIES), "passes", f"tradebot {ENTRIES}", ENTRIES),
    "flow": Subject(passes.of_job(FETCH), "passes", f"tradebot {FETCH}", FETCH),
    "scores": Subject(passes.of_job(Job.SCORE), "passes", f"tradebot {Job.SCORE}", Job.SCORE),
    "schedule": Subject(passes.schedule, "slots", "tradebot schedule"),
    "chores": Subject(parts.chores, "chores", "tradebot schedule"),
    "strategies": Subject(passes.strategies, "strategies", "tradebot strategy list", ENTRIES),
    "broker": Subject(passes.broker, "answers", DOCTOR, EXITS),
    "prices": Subject(parts.prices, "passes", "tradebot positions", EXITS),
    "stream": Subject(parts.stream, "look", EVENTS),
    "notices": Subject(parts.notices, "channels", "tradebot notify last"),
    "chat": Subject(parts.chat, "listener", "tradebot chat status"),
    "clock": Subject(passes.clock, "passes", DOCTOR, EXITS),
    "calendar": Subject(parts.calendar, "sessions", RECONCILE),
    "signals": Subject(parts.signals, "replies", "tradebot signals", FETCH),
    "facts": Subject(passes.facts, "passes", DOCTOR, EXITS, store=True),
    "config": Subject(parts.config, "settings", "tradebot config check"),
    "disk": Subject(parts.disk, "disk", "Move the state folder to a local disk, then use --state-dir NEW", store=True),
    "storage": Subject(parts.storage, "stores", "tradebot status --stores"),
}
"""Every subject that the bot's own records are evidence of, the most urgent first."""


def judged(evidence: Evidence, subjects: Iterable[str] = TABLE) -> tuple[Judgment, ...]:
    return tuple(judge(name, evidence) for name in subjects if name in evidence.parts)


def judge(name: str, evidence: Evidence) -> Judgment:
    """Return the judgment about one subject, by its own part of the evidence and nothing else."""
    subject, part = TABLE[name], evidence.parts[name]
    if isinstance(part, Unread):
        state = State.FAILED if subject.store else State.UNKNOWN
        return Judgment(name, state, subject.looked_at, 0, part.why, part.next or subject.next)
    seen, job = None if part is None else subject.judge(evidence, part), subject.renewed_by
    renewed = by_slots(evidence, None, job) if job else UNKNOWABLE
    verdict = seen or Verdict(State.UNKNOWN, "there is nothing to look at", 0, renewed)
    fresh = verdict.fresh or just_now(evidence)
    state, found = verdict.state, verdict.found
    if fresh.overdue and seen is not None:
        state, found = State.FAILED, f"{found}; newer evidence has been due for {fresh.late_s:,.0f} s"
    until = verdict.until
    if state is State.UNKNOWN and job and not verdict.count and fresh.late_s is not None and not fresh.overdue:
        until = due_by(evidence, job)
        state = State.NOT_DUE if until else state
    if state is State.NOT_DUE and until:
        found = f"{found}; not due until {until:%Y-%m-%d %H:%M} UTC"
    shown = fresh if seen else UNKNOWABLE
    following = (verdict.next or subject.next) if state.is_finding else ""
    return Judgment(name, state, subject.looked_at, verdict.count, found, following, *shown, until)
