"""What a bot left behind, judged at other times: it grows old while slots begin, and is never well again by itself.

What disk, backups, the stream and claims are evidence of.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from commands.shared.evidence import evidence_of
from commands.shared.evidence.machine import backups_of, disk_of, serve_of, stream_of
from tests.kit.bot.folder import Bot, made, second_session
from tests.kit.core.evidence import note
from tests.kit.values import DAY, NOW, SESSION, SHIPPED, ago, there
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.serve_status import write_serving
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.judging import pass_health
from tradebot.judging.evidence import BackupEvidence, Disk, Serve, SessionEvidence, Stream, UnreadablePart
from tradebot.judging.judgment import HealthState
from tradebot.model.bar import Session
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode, SlotClaim, as_missed

RENEWED = {
    "exits",
    "entries",
    "flow",
    "scores",
    "signals",
    "prices",
    "broker",
    "books",
    "facts",
    "clock",
    "strategies",
    "replay",
}
"""The parts whose evidence passes renew."""


MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot that has just made a pass of everything, half an hour into its second session."""
    with made(tmp_path_factory.mktemp("evidence") / "state") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "500")
        yield folder


@pytest.fixture
def app(worked: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[App]:
    bot = Bot(worked, capsys)
    if not (worked / "backups").exists():
        second_session(bot)
        bot.does("fetch-flow", "score", "evaluate-exits", "trade-once", "reconcile", "backup")
    with open_app(Options(str(worked)), {}) as app:
        yield app


def past(app: App) -> SessionEvidence:
    found = evidence_of(app).past
    assert isinstance(found, SessionEvidence)
    return found


def judged(app: App, now: datetime) -> dict[str, HealthState]:
    return {each.subject: each.state for each in pass_health.judge_passes(evidence_of(app, now))}


def failed(app: App, now: datetime) -> set[str]:
    return {part for part, state in judged(app, now).items() if state is HealthState.FAILED}


def session_after(app: App) -> Session:
    last = past(app).sessions[-1]
    return app.ledger_view.sessions(last.date + timedelta(days=1), last.date + timedelta(days=9))[0]


def test_parts_renewed_by_passes_fail_while_slots_go_by(app: App) -> None:
    now = past(app).now
    assert failed(app, now + 4 * MINUTE) == set()
    assert failed(app, now + 6.5 * MINUTE) == {"exits", "prices", "broker", "facts", "clock", "replay"}
    assert failed(app, now + 40 * MINUTE) == RENEWED


@pytest.mark.parametrize(("behind_s", "unwell"), [(-1, set()), (50, set()), (90, {"books", "clock"})])
def test_records_that_are_dated_after_the_time_of_the_machine_are_no_sign_of_health(
    app: App, monkeypatch: pytest.MonkeyPatch, behind_s: int, unwell: set[str]
) -> None:
    last = past(app).now

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return last - timedelta(seconds=behind_s)

    monkeypatch.setattr("commands.shared.evidence.datetime", SetBack)
    monkeypatch.setattr(App, "mode", Mode.PAPER)
    judgments = pass_health.judge_passes(evidence_of(app))
    failing = {each.subject for each in judgments if each.state is HealthState.FAILED}
    assert failing >= unwell
    assert bool(failing) is bool(unwell)


def test_bot_stopped_in_a_session_stays_failed_until_the_next_open(app: App) -> None:
    following = session_after(app)
    nights = [past(app).sessions[-1].close + timedelta(hours=3), following.open - MINUTE, following.open + MINUTE]
    for now in nights:
        assert failed(app, now) >= RENEWED - {"books"}, now
    unknown_or_failed = {HealthState.UNKNOWN, HealthState.FAILED}
    later = judged(app, following.open + timedelta(hours=2))
    assert {later[part] for part in RENEWED - {"books"}} <= unknown_or_failed


def test_slots_before_the_books_were_opened_are_not_due(app: App) -> None:
    opened_at = there(app.ledger_view.books_opened_at())
    assert all(slot.start >= opened_at for due in past(app).due.values() for slot in due)
    found = evidence_of(app, opened_at).past
    assert isinstance(found, SessionEvidence)
    assert sum(map(len, found.due.values())) == 0


AFTER = SESSION.close


def bot(folder: Path, mode: Mode = Mode.PAPER, *, opened_s: float = 86_400) -> App:
    """Return as much of a bot as backups are looked for with."""
    books = SimpleNamespace(books_opened_at=lambda: ago(opened_s), slot_claims=lambda _: (), last_claim=lambda _: None)
    parts = {"mode": mode, "ledger_view": books, "settings": SHIPPED}
    return cast("App", SimpleNamespace(folder=SimpleNamespace(path=folder), **parts))


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
    assert isinstance(gone, UnreadablePart)
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
    assert isinstance(found, BackupEvidence)
    assert (found.kept, found.newest, found.due) == (len(names), newest, due)


def test_backup_is_not_due_in_a_session_or_before_the_books(tmp_path: Path) -> None:
    folder = backed_up(tmp_path, "20261101T211000Z-by-hand")
    for found in (
        backups_of(bot(folder), [SESSION], NOW, thorough=False),
        backups_of(bot(folder, opened_s=-90_000), [SESSION], AFTER, thorough=False),
    ):
        assert isinstance(found, BackupEvidence)
        assert (found.due, found.due_since) == (None, None)


def test_sandbox_backup_belongs_to_the_session_in_its_name(tmp_path: Path) -> None:
    found = backups_of(
        bot(backed_up(tmp_path, "20301101T211000Z-by-hand"), Mode.SANDBOX), [SESSION], AFTER, thorough=False
    )
    assert isinstance(found, BackupEvidence)
    assert found.due == DAY


def test_stream_state_is_its_last_event_and_its_age_that_of_the_lane(tmp_path: Path) -> None:
    assert stream_of(tmp_path) is None, "no lane has ever looked"
    write_serving(tmp_path, note(ago(60)))
    events = JsonlEvents(tmp_path / EVENTS)
    assert stream_of(tmp_path) == Stream(ago(60))
    events.emit(EventKind.STREAM_LOST.at(ago(50), {}))
    events.emit(EventKind.FETCH_FAILED.at(ago(40), {}))
    assert "lost" in there(stream_of(tmp_path)).lost
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
