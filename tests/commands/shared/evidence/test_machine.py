"""What disk, backups, the stream and claims are evidence of."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from commands.shared.evidence.machine import backups_of, disk_of, serve_of, stream_of
from tests.builders import DAY, NOW, SESSION, ago
from tests.judging.samples import note
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.serving import write_serving
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.wiring import App
from tradebot.judging.evidence import Backups, Disk, Serve, Stream, Unread
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.trading import Mode, SlotClaim, as_missed
from tradebot.model.values import replace

AFTER = SESSION.close


def bot(folder: Path, mode: Mode = Mode.PAPER, *, opened_s: float = 86_400) -> App:
    """Return as much of a bot as backups are looked for with."""
    books = SimpleNamespace(books_opened_at=lambda: ago(opened_s), slot_claims=lambda _: ())
    return cast("App", SimpleNamespace(folder=SimpleNamespace(path=folder), mode=mode, ledger_view=books))


def backed_up(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / "backups" / name).mkdir(parents=True)
    return folder


def test_disk_figures_come_from_the_system(tmp_path: Path) -> None:
    found = disk_of(tmp_path, 200, sandbox=True)
    assert isinstance(found, Disk)
    assert 0 < found.free_bytes <= found.total_bytes
    assert found.needed_bytes == 200_000_000
    gone = disk_of(tmp_path / "none", 200, sandbox=True)
    assert isinstance(gone, Unread)
    assert "No such file" in gone.why


@pytest.mark.parametrize(
    ("names", "newest", "due"),
    [
        ((), None, DAY),
        (("20261116T211000Z-session-2026-11-16",), DAY, None),
        (("20261116T120000Z-by-hand",), None, DAY),
        (("20261116T211000Z-by-hand",), None, None),
        (("20261113T211000Z-session-2026-11-13",), date(2026, 11, 13), DAY),
        (("my-own-folder", "session-of-mine"), None, DAY),
    ],
)
def test_session_is_backed_up_by_name_or_by_any_later_backup(
    tmp_path: Path, names: tuple[str, ...], newest: date | None, due: date | None
) -> None:
    found = backups_of(bot(backed_up(tmp_path, *names)), [SESSION], AFTER, thorough=False)
    assert isinstance(found, Backups)
    assert (found.kept, found.newest, found.due) == (len(names), newest, due)


def test_backup_is_not_due_in_a_session_or_before_the_books(tmp_path: Path) -> None:
    folder = backed_up(tmp_path, "20261101T211000Z-by-hand")
    for found in (
        backups_of(bot(folder), [SESSION], NOW, thorough=False),
        backups_of(bot(folder, opened_s=-90_000), [SESSION], AFTER, thorough=False),
    ):
        assert isinstance(found, Backups)
        assert (found.due, found.due_since) == (None, None)


def test_sandbox_backup_belongs_to_the_session_in_its_name(tmp_path: Path) -> None:
    found = backups_of(
        bot(backed_up(tmp_path, "20301101T211000Z-by-hand"), Mode.SANDBOX), [SESSION], AFTER, thorough=False
    )
    assert isinstance(found, Backups)
    assert found.due == DAY


def test_stream_state_is_its_last_event_and_its_age_that_of_the_lane(tmp_path: Path) -> None:
    assert stream_of(tmp_path) is None, "no lane has ever looked"
    write_serving(tmp_path, note(ago(60)))
    events = JsonlEvents(tmp_path / EVENTS)
    assert stream_of(tmp_path) == Stream(ago(60))
    events.emit(EventKind.STREAM_LOST.at(ago(50), {}))
    events.emit(EventKind.FETCH_FAILED.at(ago(40), {}))
    lost = stream_of(tmp_path)
    assert lost is not None
    assert "lost" in lost.lost
    events.emit(EventKind.STREAM_JOINED.at(ago(30), {}))
    assert stream_of(tmp_path) == Stream(ago(60))
    write_serving(tmp_path, note(lanes={"exits": NOW}))
    assert stream_of(tmp_path) is None


def test_last_claim_says_whether_serve_ran_last(tmp_path: Path) -> None:
    first = SlotClaim("score", DAY, "open+2m", "serve ann/7", ago(60), won=False)
    missed = replace(first, slot="open+7m", at=NOW, by=as_missed("cron ann/9", Reason.NOT_RUNNING))
    chore = replace(first, job="audit ended", at=NOW, by="well, 2.0 s")
    assert serve_of(tmp_path, [first, missed, chore]) == Serve(False, None, 1, "serve ann/7", was_last=True)
    by_cron = replace(first, at=ago(30), by="ann/9")
    assert serve_of(tmp_path, [first, by_cron]) == Serve(False, None, 2, "ann/9", was_last=False)
    assert serve_of(tmp_path, []) == Serve(False, None, 0, "", was_last=False)
