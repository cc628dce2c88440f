"""Evidence of a bot of which every part is well, in the middle of a session."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from tests.builders import NOW, SHIPPED, ago
from tradebot.judging import evidence as seen
from tradebot.judging.evidence import Evidence
from tradebot.model.record import Job
from tradebot.model.serving import Serving
from tradebot.model.trading import ReconcileMark, TradingState, TradingStateRecord

EVERY_S = {
    Job.FETCH_FLOW: 300,
    Job.SCORE: 300,
    Job.EVALUATE_EXITS: 60,
    Job.TRADE_ONCE: 300,
    Job.RECONCILE: 900,
}
HEALTH = SHIPPED.health
BUDGETS = seen.Budgets(HEALTH.slot_s, HEALTH.note_s, SHIPPED.serve.stall_s, HEALTH.backup_s, 7, 5)
MB = 1_000_000


def note(at: datetime = NOW, **changes: Any) -> Serving:
    """Return the note of a `serve` whose lanes all looked at `at`."""
    lanes = dict.fromkeys(("exits", "entries", "fetching", "stream"), at)
    return replace(Serving(7, ago(1800), lanes, at, "1", ready_at=ago(1790)), **changes)


def starts(job: Job, now: datetime) -> tuple[datetime, ...]:
    """Return the slots of a job from half an hour before NOW up to a time."""
    every = timedelta(seconds=EVERY_S[job])
    first, count = ago(1800), int((now - ago(1800)) / every) + 1
    return tuple(first + number * every for number in range(count))


def made_at(now: datetime) -> dict[str, Any]:
    """Return the evidence about every part, by its name, as of a time at which everything has just been done."""
    return {
        "serve": seen.Serve(True, note(now), 30, "serve 7", True),
        "config": seen.Config(200),
        "exits": seen.Passes(30, now, 31, 30),
        "entries": seen.Passes(6, now, 7, 6),
        "flow": seen.Passes(6, now, 7, 6),
        "scores": seen.Passes(6, now, 7, 6),
        "signals": seen.Signals(60, now),
        "prices": seen.Prices(30, now, 2),
        "broker": seen.Broker(36, now),
        "books": ReconcileMark(now, 0, 0),
        "orders": seen.Orders(90, 0, None),
        "ledger": seen.Ledger(40, 90),
        "journal": seen.Ledger(40, 90),
        "facts": seen.Facts(50, now),
        "calendar": seen.Calendar(40, now.date() + timedelta(days=40)),
        "clock": seen.Clocks(30, now),
        "disk": seen.Disk(9_000 * MB, 90_000 * MB, 200 * MB, 1_000_000),
        "storage": seen.Storage(
            (seen.Kept("bars", 300 * MB, "rm bars.db"), seen.Kept("backtests", 0, "rm")), 5_000 * MB
        ),
        "strategies": seen.Strategies(("flow",), now),
        "backup": seen.Backups(3, now.date(), now, now.date(), now),
        "schedule": seen.Schedule(70),
        "chores": seen.Chores(2, True, (seen.ChoreRun("audit", ago(60_000), True, "exit 10, 2.0 s"),)),
        "stream": seen.Stream(now),
        "halts": seen.Halts(TradingStateRecord(TradingState.ACTIVE, "init", "armed", ago(3600)), "armed"),
    }


def at(now: datetime, **changes: Any) -> Evidence:
    """Return the evidence as of a time, all of it new except for what is given."""
    due = {job: starts(job, now) for job in Job}
    return Evidence(now, now, BUDGETS, {**made_at(now), **changes}, due)


YESTERDAY = date(2026, 11, 13)
