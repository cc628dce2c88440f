"""What a line needs before it runs, as the records tell; and one chore at a time on a folder."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands.shared.chores import run_chore, unmet
from commands.shared.missed import lacks_flow
from tests.builders import ACCOUNT, CASH, SESSION, venue_clock
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import lock
from tradebot.app.settings import load
from tradebot.errors import ExitCode, TradebotError
from tradebot.model.chore import Ended
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import ReconcileMark
from tradebot.timetable.lines import Line, Need
from tradebot.timetable.slots import Slot

NEEDS = """
timetable:
  trade-once: {when: every 5m from open+2m until close-15m, needs: [flow]}
  audit: {when: close+10m, needs: [reconciled]}
"""


@pytest.fixture
def app(tmp_path: Path) -> Any:
    (tmp_path / "mine.yaml").write_text(NEEDS)
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, SESSION.open)
    return SimpleNamespace(
        folder=SimpleNamespace(path=tmp_path),
        settings=load(tmp_path / "mine.yaml", {}).settings,
        ledger=ledger,
        recorded=MemoryFacts(),
        events=MemoryEvents(),
        reader=SimpleNamespace(clock=lambda: venue_clock(at(401))),
        second_time=lambda: at(401),
    )


def at(minute: float) -> datetime:
    return SESSION.open + timedelta(minutes=minute)


def slot(app: Any, job: str, name: str) -> Slot:
    line: Line = next(line for line in app.settings.timetable.lines if line.job == job)
    return next(slot for slot in line.slots(SESSION.date, [SESSION], 90) if slot.name == name)


def fetched(app: Any, minute: float, reason: Reason | None = None) -> None:
    failed = Decision(Gate.JOB, Verdict.UNKNOWN, reason) if reason else None
    app.recorded.record(
        CycleRecord(f"fetch {minute}", Job.FETCH_FLOW, SESSION.date, "", at(minute), "paper", job_decision=failed)
    )


def test_entries_that_need_flow_wait_for_the_fetch_of_their_own_slot(app: Any) -> None:
    entry = slot(app, Job.TRADE_ONCE, "open+7m")
    fetched(app, 2.2)
    assert unmet(app, entry) is Need.FLOW
    fetched(app, 7.1, Reason.VENUE_UNREACHABLE)
    assert unmet(app, entry) is Need.FLOW
    fetched(app, 7.5)
    assert unmet(app, entry) is None
    app.recorded = None
    assert unmet(app, entry) is Need.FLOW


def test_entries_by_hand_lack_flow_only_in_a_slot_whose_fetch_did_not_end_well(app: Any) -> None:
    assert not lacks_flow(app, Job.TRADE_ONCE, at(1)), "there is no slot yet"
    assert lacks_flow(app, Job.TRADE_ONCE, at(8))
    assert not lacks_flow(app, Job.SCORE, at(8))
    fetched(app, 7.5)
    assert not lacks_flow(app, Job.TRADE_ONCE, at(8))


def test_line_without_needs_has_none_unmet(app: Any) -> None:
    assert unmet(app, slot(app, Job.SCORE, "open+7m")) is None
    assert unmet(app, slot(app, "backup", "close+5m")) is None


def test_chore_that_needs_reconcile_waits_for_its_session(app: Any) -> None:
    chore = slot(app, "audit", "close+10m")
    assert unmet(app, chore) is Need.RECONCILED
    app.ledger.mark_reconciled(ReconcileMark(at(-600), 0, 0))
    assert unmet(app, chore) is Need.RECONCILED
    app.ledger.mark_reconciled(ReconcileMark(at(1), 0, 0))
    assert unmet(app, chore) is None


def test_second_chore_waits_and_leaves_its_slot_free(app: Any) -> None:
    chore = slot(app, "audit", "close+10m")
    ended = Ended(0, None, 1, "")
    with (
        lock.hold(app.folder.path, "chore backup", wait_s=0, name=lock.CHORE_LOCK),
        pytest.raises(TradebotError) as busy,
    ):
        run_chore(app, "cron", lambda *_: ended, lambda: False, chore)
    assert busy.value.code is ExitCode.ANOTHER_INSTANCE
    assert app.ledger.slot_claims(SESSION.date) == ()
    assert run_chore(app, "cron", lambda *_: ended, lambda: False, chore).said == "tradebot audit: exit 0"
