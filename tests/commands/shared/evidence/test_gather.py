"""What a bot left behind, judged at other times: it grows old while slots begin, and is never well again by itself."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from commands.shared.evidence.gather import evidence_of
from tests.bot import Bot, made, second_session
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened
from tradebot.judging import table
from tradebot.judging.evidence import Past
from tradebot.judging.judgment import State
from tradebot.judging.table import TABLE
from tradebot.model.bar import Session

RENEWED = {"exits", "entries", "flow", "scores", "signals", "prices", "broker", "books", "facts", "clock", "strategies"}
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
        for verb in ("fetch-flow", "score", "evaluate-exits", "trade-once", "reconcile", "backup"):
            assert bot.says(verb).code == 0
    with opened(Options(str(worked)), {}) as app:
        yield app


def past(app: App) -> Past:
    found = evidence_of(app).past
    assert isinstance(found, Past)
    return found


def judged(app: App, now: datetime) -> dict[str, State]:
    return {each.subject: each.state for each in table.judged(evidence_of(app, now))}


def failed(app: App, now: datetime) -> set[str]:
    return {part for part, state in judged(app, now).items() if state is State.FAILED}


def session_after(app: App) -> Session:
    last = past(app).sessions[-1]
    return app.ledger_view.sessions(last.date + timedelta(days=1), last.date + timedelta(days=9))[0]


def test_parts_renewed_by_passes_fail_while_slots_go_by(app: App) -> None:
    now = past(app).now
    assert failed(app, now + 4 * MINUTE) == set()
    assert failed(app, now + 6.5 * MINUTE) == {"exits", "prices", "broker", "facts", "clock"}
    assert failed(app, now + 40 * MINUTE) == RENEWED


def test_bot_stopped_in_a_session_stays_failed_until_the_next_open(app: App) -> None:
    following = session_after(app)
    nights = [past(app).sessions[-1].close + timedelta(hours=3), following.open - MINUTE, following.open + MINUTE]
    for now in nights:
        assert failed(app, now) >= RENEWED - {"books"}, now
    unknown_or_failed = {State.UNKNOWN, State.FAILED}
    later = judged(app, following.open + timedelta(hours=2))
    assert {later[part] for part in RENEWED - {"books"}} <= unknown_or_failed


def test_backup_fails_some_time_after_a_session_without_one(app: App) -> None:
    close = past(app).sessions[-1].close
    assert judged(app, close + timedelta(hours=1))["backup"] is State.OK
    assert judged(app, close + timedelta(hours=3))["backup"] is State.FAILED


def test_calendar_degrades_before_it_ends(app: App) -> None:
    last = app.ledger_view.sessions(past(app).now.date(), past(app).now.date() + timedelta(days=400))[-1]
    assert judged(app, last.open - timedelta(days=31))["calendar"] is State.OK
    assert judged(app, last.open - timedelta(days=29))["calendar"] is State.DEGRADED
    assert judged(app, last.close + timedelta(days=3))["calendar"] is State.UNKNOWN


def test_parts_that_need_no_pass_stay_ok(app: App) -> None:
    later = judged(app, past(app).now + timedelta(hours=3))
    steady = TABLE.keys() - RENEWED - {"schedule", "chores", "stream"}
    assert {part: state for part, state in later.items() if part in steady and state is not State.OK} == {}


def test_slots_before_the_books_were_opened_are_not_due(app: App) -> None:
    opened_at = app.ledger_view.books_opened_at()
    assert opened_at is not None
    assert all(slot.start >= opened_at for due in past(app).due.values() for slot in due)
    found = evidence_of(app, opened_at).past
    assert isinstance(found, Past)
    assert sum(map(len, found.due.values())) == 0
