"""A session's backup that fails is tried again less and less often, and books that turn out damaged halt the bot."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from commands.backup import backup_after_session
from commands.shared.evidence.machine import backups_of
from tests.kit import ledgers
from tests.kit.core.evidence import at
from tests.kit.ledgers import edit
from tests.kit.rows import DAY, minutes
from tests.kit.values import SHIPPED
from tradebot.adapters.ledger.integrity import IntegrityCache
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.recovery import backups, quarantine
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.app.wiring import App
from tradebot.errors import DamagedBooksError
from tradebot.judging.evidence import BackupEvidence
from tradebot.judging.judgment import HealthState
from tradebot.judging.pass_health import judge_subject
from tradebot.model.event import EventKind
from tradebot.model.trading import Mode
from tradebot.timetable.sessions import failed_backup

CLOSE = minutes(390)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return ledgers.make(tmp_path / "state")


@pytest.fixture
def app(folder: StateFolder) -> Iterator[App]:
    """Yield as much of a bot as its backups need."""
    with closing(SqliteLedger.open(folder.path)) as ledger:
        parts = {
            "folder": folder,
            "ledger": ledger,
            "ledger_view": ledger,
            "events": MemoryEvents(),
            "settings": SHIPPED,
        }
        yield cast("App", SimpleNamespace(**parts, mode=Mode.SANDBOX, facts=SimpleNamespace(prune=lambda *_: None)))


def tries(app: App) -> int:
    return sum(
        event.event_type == EventKind.BACKUP_FAILED.event_type for event in cast("MemoryEvents", app.events).emitted
    )


def block(folder: Path) -> Path:
    (folder / "backups").write_text("in the way")
    return folder / "backups"


def test_failed_backup_doubles_its_wait_after_each_failure(app: App, folder: StateFolder) -> None:
    way, now, waits = block(folder.path), CLOSE, []
    for number in range(1, 8):
        assert backup_after_session(app, now)
        assert (tries(app), backup_after_session(app, now)) == (number, False)
        with closing(SqliteLedger.open(folder.path, read_only=True)) as other:
            failed = failed_backup(other, DAY)
        assert failed is not None
        assert not backup_after_session(app, failed.again_at - timedelta(seconds=1))
        waits.append((failed.again_at - now) / timedelta(minutes=1))
        now = failed.again_at
    assert waits == [10, 20, 40, 80, 160, 240, 240]
    assert backup_after_session(app, now - timedelta(minutes=1), at_once=True), (
        "whoever asks for it by name doesn't wait"
    )
    way.unlink()
    assert backup_after_session(app, now + timedelta(hours=4))
    assert [place.name[-18:] for place in backups.places(folder.path)] == [f"session-{DAY}"]


def test_health_reports_a_failed_backup_until_one_succeeds(app: App, folder: StateFolder) -> None:
    def health(now: datetime) -> tuple[HealthState, str]:
        seen = backups_of(app, app.ledger.sessions(DAY, DAY), now, thorough=False)
        assert isinstance(seen, BackupEvidence)
        found = judge_subject("backup", at(now, backup=seen))
        return found.state, found.found

    way, now = block(folder.path), CLOSE + timedelta(minutes=1)
    backup_after_session(app, now)
    way.unlink()
    state, text = health(now)
    assert state is HealthState.DEGRADED
    assert f"the last try failed at {DAY} 21:31 UTC, the next is at {DAY} 21:41 UTC" in text, text
    backup_after_session(app, now, at_once=True)
    assert health(now)[0] is HealthState.OK


def test_backup_that_finds_damage_halts_despite_a_note_of_soundness(app: App, folder: StateFolder) -> None:
    app.ledger.file.check()
    edit(folder.path / "ledger.db", "UPDATE fills SET body = '{}'")
    # What flips on the disk itself changes neither times nor versions, so the note still says what it said.
    note = IntegrityCache(folder.path)
    note.begin(note.look(), 0)
    note.keep(patient=True)
    with closing(SqliteLedger.open(folder.path, read_only=True)) as books:
        books.file.check()
    with pytest.raises(DamagedBooksError, match="moved to"):
        backup_after_session(app, CLOSE)
    assert not halt_switch.is_armed(folder.path)
    assert len(quarantine.places(folder.path)) == 1
