"""Verbs that cron starts write why nobody ran the slots between them, unless `serve` does."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.shared.calendar import account_for_missed, entry_grace_s, lacks_flow, run_chore, unmet_need
from tests.kit.values import ACCOUNT, CASH, SESSION, VENUE_DAY, venue_clock
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state import state_locks
from tradebot.app.settings import load
from tradebot.errors import ExitCode, TradebotError
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.serving import ChoreEnd
from tradebot.model.trading import Mode, ReconcileMark
from tradebot.timetable.entries import EntryNeed, TimetableEntry
from tradebot.timetable.sessions import Slot

NEEDS = """
timetable:
  trade-once: {when: every 5m from open+2m until close-15m, needs: [flow]}
  audit: {when: close+10m, needs: [reconciled]}
"""


def made(folder: Path, own: str = "{}") -> Any:
    """Return a bot with paper money, in memory, with its own settings."""
    (folder / "mine.yaml").write_text(own)
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, SESSION.open)
    return SimpleNamespace(
        timed=True,
        day=VENUE_DAY,
        mode=Mode.PAPER,
        mode_name="paper",
        folder=SimpleNamespace(path=folder),
        settings=load(folder / "mine.yaml", {}).settings,
        ledger=ledger,
        facts=MemoryFacts(),
        existing_facts=MemoryFacts(),
        events=MemoryEvents(),
        reader=SimpleNamespace(clock=lambda: venue_clock(at(401))),
        second_time=lambda: at(401),
    )


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return made(tmp_path)


@pytest.fixture
def needing(tmp_path: Path) -> Any:
    return made(tmp_path, NEEDS)


def at(minute: float) -> datetime:
    return SESSION.open + timedelta(minutes=minute)


def missed(app: Any, job: str) -> list[tuple[str, Reason]]:
    claims = cast("MemoryLedger", app.ledger).slot_claims(SESSION.date)
    return [(claim.slot, claim.missed_reason) for claim in claims if claim.job == job and claim.missed_reason]


def test_cron_verb_records_why_slots_that_are_over_were_missed(app: Any) -> None:
    app.ledger.claim_slot(Job.FETCH_FLOW, SESSION.date, "open+2m", "cron", at(2))
    for _ in range(2):
        account_for_missed(app, "cron", at(14))
        assert missed(app, Job.FETCH_FLOW) == [("open+7m", Reason.NOT_RUNNING)]
        assert missed(app, Job.TRADE_ONCE) == [("open+2m", Reason.NOT_RUNNING), ("open+7m", Reason.NOT_RUNNING)]
        assert missed(app, Job.RECONCILE) == []
    assert [cycle.slot for cycle in app.facts.cycles(job=Job.TRADE_ONCE)] == ["open+2m", "open+7m"]


def test_cron_verb_records_nothing_while_serve_runs_or_in_the_sandbox(app: Any) -> None:
    with state_locks.hold(app.folder.path, "serve", wait_s=0, name=state_locks.SERVE_LOCK):
        account_for_missed(app, "cron", at(14))
    app.mode = Mode.SANDBOX
    account_for_missed(app, "cron", at(14))
    assert missed(app, Job.TRADE_ONCE) == []
    assert entry_grace_s(app) is None


def slot(app: Any, job: str, name: str) -> Slot:
    line: TimetableEntry = next(line for line in app.settings.timetable.lines if line.job == job)
    return next(slot for slot in line.slots(SESSION.date, [SESSION], 90) if slot.name == name)


def fetched(app: Any, minute: float, reason: Reason | None = None) -> None:
    failed = Decision(Gate.JOB, Verdict.UNKNOWN, reason) if reason else None
    app.existing_facts.record(
        CycleRecord(f"fetch {minute}", Job.FETCH_FLOW, SESSION.date, "", at(minute), "paper", job_decision=failed)
    )


def test_entry_that_needs_flow_waits_for_the_fetch_of_its_slot(needing: Any) -> None:
    entry = slot(needing, Job.TRADE_ONCE, "open+7m")
    fetched(needing, 2.2)
    assert unmet_need(needing, entry) is EntryNeed.FLOW
    fetched(needing, 7.1, Reason.VENUE_UNREACHABLE)
    assert unmet_need(needing, entry) is EntryNeed.FLOW
    fetched(needing, 7.5)
    assert unmet_need(needing, entry) is None
    needing.existing_facts = None
    assert unmet_need(needing, entry) is EntryNeed.FLOW


def test_manual_entry_lacks_flow_when_the_fetch_of_its_slot_failed(needing: Any) -> None:
    assert not lacks_flow(needing, Job.TRADE_ONCE, at(1)), "there is no slot yet"
    assert lacks_flow(needing, Job.TRADE_ONCE, at(8))
    assert not lacks_flow(needing, Job.SCORE, at(8))
    fetched(needing, 7.5)
    assert not lacks_flow(needing, Job.TRADE_ONCE, at(8))


def test_chore_that_needs_a_reconcile_waits_for_one_in_its_session(needing: Any) -> None:
    chore = slot(needing, "audit", "close+10m")
    assert unmet_need(needing, chore) is EntryNeed.RECONCILED
    needing.ledger.mark_reconciled(ReconcileMark(at(-600), 0, 0))
    assert unmet_need(needing, chore) is EntryNeed.RECONCILED
    needing.ledger.mark_reconciled(ReconcileMark(at(1), 0, 0))
    assert unmet_need(needing, chore) is None


def test_second_chore_is_refused_and_leaves_its_slot_free_while_one_runs(needing: Any) -> None:
    chore = slot(needing, "audit", "close+10m")
    ended = ChoreEnd(0, None, 1, "")
    with (
        state_locks.hold(needing.folder.path, "chore backup", wait_s=0, name=state_locks.CHORE_LOCK),
        pytest.raises(TradebotError) as busy,
    ):
        run_chore(needing, "cron", lambda *_: ended, lambda: False, chore)
    assert busy.value.code is ExitCode.ANOTHER_INSTANCE
    assert needing.ledger.slot_claims(SESSION.date) == ()
    assert run_chore(needing, "cron", lambda *_: ended, lambda: False, chore).said == "tradebot audit: exit 0"
