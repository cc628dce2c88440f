"""Verbs that cron starts write why nobody ran the slots between them, unless `serve` does."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.shared.missed import account_for_missed, entry_grace_s
from tests.builders import ACCOUNT, CASH, SESSION
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import lock
from tradebot.app.settings import load
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import Mode


@pytest.fixture
def app(tmp_path: Path) -> Any:
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, SESSION.open)
    return SimpleNamespace(
        mode=Mode.PAPER,
        mode_name="paper",
        folder=SimpleNamespace(path=tmp_path),
        settings=load(None, {}).settings,
        ledger=ledger,
        facts=MemoryFacts(),
    )


def at(minute: float) -> datetime:
    return SESSION.open + timedelta(minutes=minute)


def missed(app: Any, job: str) -> list[tuple[str, Reason]]:
    claims = cast("MemoryLedger", app.ledger).slot_claims(SESSION.date)
    return [(claim.slot, claim.missed) for claim in claims if claim.job == job and claim.missed]


def test_missed_slots_have_a_row_with_their_reason(app: Any) -> None:
    app.ledger.claim_slot(Job.FETCH_FLOW, SESSION.date, "open+2m", "cron", at(2))
    for _ in range(2):
        account_for_missed(app, "cron", at(14))
        assert missed(app, Job.FETCH_FLOW) == [("open+7m", Reason.NOT_RUNNING)]
        assert missed(app, Job.TRADE_ONCE) == [("open+2m", Reason.NOT_RUNNING), ("open+7m", Reason.NOT_RUNNING)]
        assert missed(app, Job.RECONCILE) == []
    assert [cycle.slot for cycle in app.facts.cycles(job=Job.TRADE_ONCE)] == ["open+2m", "open+7m"]


def test_serve_accounts_for_itself_and_in_the_sandbox_nobody_can_be_late(app: Any) -> None:
    with lock.hold(app.folder.path, "serve", wait_s=0, name=lock.SERVE_LOCK):
        account_for_missed(app, "cron", at(14))
    app.mode = Mode.SANDBOX
    account_for_missed(app, "cron", at(14))
    assert missed(app, Job.TRADE_ONCE) == []
    assert entry_grace_s(app) is None


def test_entries_by_cron_have_the_same_grace_as_serve(app: Any) -> None:
    assert entry_grace_s(app) == app.settings.serve.grace_s
