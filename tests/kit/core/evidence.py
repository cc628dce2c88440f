"""Evidence of a bot of which every part is well, in the middle of a session."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.kit.values import DAY, NOW, SESSION, SHIPPED, ago
from tradebot.judging import evidence as seen
from tradebot.judging.component_health import ModelSeen, ModelsSeen
from tradebot.judging.evidence import HealthEvidence, SessionEvidence
from tradebot.model.decision import Decision, Gate
from tradebot.model.decision import Verdict as Answer
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.serving import ServeNote
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark, SlotClaim, TradingState, TradingStateRecord
from tradebot.timetable.sessions import Slot

EVERY_S = {
    Job.FETCH_FLOW: 300,
    Job.SCORE: 300,
    Job.EVALUATE_EXITS: 60,
    Job.TRADE_ONCE: 300,
    Job.RECONCILE: 900,
}
HEALTH = SHIPPED.health
BUDGETS = seen.Budgets(HEALTH.slot_s, HEALTH.note_s, SHIPPED.serve.stall_s, HEALTH.backup_s, 7, 5, 120)
MB = 1_000_000
OF_PASSES = ("exits", "entries", "flow", "scores", "broker", "facts", "clock", "strategies", "schedule")
"""The parts whose evidence is all that was recorded of the last session."""


def note(at: datetime = NOW, **changes: Any) -> ServeNote:
    lanes = dict.fromkeys(("exits", "entries", "fetching", "stream"), at)
    return replace(ServeNote(7, ago(1800), lanes, at, "1", ready_at=ago(1790)), **changes)


def starts(job: Job, now: datetime) -> tuple[datetime, ...]:
    """Return the slots of a job from half an hour before NOW up to a time."""
    every = timedelta(seconds=EVERY_S[job])
    first, count = ago(1800), int((now - ago(1800)) / every) + 1
    return tuple(first + number * every for number in range(count))


def cycle(job: Job = Job.EVALUATE_EXITS, *, at: datetime = NOW, why: Reason | None = None, **given: Any) -> CycleRecord:
    ended = Decision(Gate.JOB, Answer.FAIL, why, "12.0") if why else None
    slot = f"open+{30 - int((NOW - at).total_seconds() // 60)}m"
    return replace(CycleRecord(f"{job}.{DAY}.{slot}", job, DAY, slot, at, "paper", job_decision=ended), **given)


def slot(job: str, name: str, age_s: float, lasts_s: float = 60) -> Slot:
    """Return a slot that began so many seconds before NOW."""
    return Slot(job, DAY, name, ago(age_s), ago(age_s - lasts_s))


def claim(job: str, name: str, age_s: float = 0) -> SlotClaim:
    return SlotClaim(job, DAY, name, "cron 9", ago(age_s), won=True)


def past(now: datetime = NOW, **changes: Any) -> SessionEvidence:
    """Return a session in which every job has just finished a pass, and in which no slot was missed."""
    due = {job: (slot(job, "open+1m", 1740),) for job in Job}
    passes = tuple(cycle(job, at=now, equity=Decimal(1)) for job in Job)
    claims = tuple(claim(job, "open+1m") for job in Job)
    usual = SessionEvidence(now, (SESSION,), (), {}, due, claims, passes, ReconcileMark(now, 0, 0), ("flow",), ())
    return replace(usual, **changes)


def made_at(now: datetime) -> dict[str, Any]:
    """Return the evidence about every part, by its name, as of a time at which everything has just been done."""
    return {
        "serve": seen.Serve(True, note(now), 30, "serve 7", True),
        "config": seen.Config(200),
        **dict.fromkeys(OF_PASSES, past(now)),
        "signals": seen.ReplyEvidence(60, now),
        "prices": seen.PriceEvidence(30, now, 2),
        "replay": seen.Replays(30, now, 30, 0),
        "models": ModelsSeen((ModelSeen("policy", "0" * 16, ago(86_400), 45),)),
        "parity": seen.ParityEvidence(20, now.date(), "the last 20 sessions: fills as assumed, no decision differs", 0),
        "books": ReconcileMark(now, 0, 0),
        "orders": seen.OrderEvidence(90, 0, None),
        "ledger": seen.LedgerEvidence(40, 90),
        "journal": seen.LedgerEvidence(40, 90),
        "calendar": seen.CalendarEvidence(40, now.date() + timedelta(days=40)),
        "disk": seen.Disk(9_000 * MB, 90_000 * MB, 200 * MB, 1_000_000),
        "storage": seen.Storage(
            (seen.StoreEvidence("bars", 300 * MB, "rm bars.db"), seen.StoreEvidence("backtests", 0, "rm")), 5_000 * MB
        ),
        "backup": seen.BackupEvidence(3, now.date(), now, now.date(), now),
        "chores": seen.ChoresEvidence(2, True, (seen.ChoreEvidence("audit", ago(60_000), True, "exit 10, 2.0 s"),)),
        "stream": seen.Stream(now),
        "notices": seen.NoticeEvidence(2, (), 0, 0, ""),
        "chat": seen.Chat(True, True, ""),
        "halts": seen.Halts(TradingStateRecord(TradingState.ACTIVE, "init", "armed", ago(3600)), "armed"),
    }


def at(now: datetime, **changes: Any) -> HealthEvidence:
    """Return the evidence as of a time, all of it new except for what is given."""
    due = {job: starts(job, now) for job in Job}
    return HealthEvidence(now, now, BUDGETS, {**made_at(now), **changes}, due)


YESTERDAY = date(2026, 11, 13)
