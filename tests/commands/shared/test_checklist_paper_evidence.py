"""What a bot on paper has shown is counted from its books and events, and a live bot isn't armed for less."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from commands.shared.checklist import PaperEvidence, load_paper_evidence
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.values import CASH, NOW, fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState, TradingStateRecord, as_missed

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY = NOW.date()


def made(folder: Path, mode: str) -> Path:
    state_folder.prepare(folder)
    number = "DU1" if mode == "paper" else "U1"
    with closing(SqliteLedger.create(folder, number, NOW)) as books:
        books.open_books(CASH, NOW)
        books.put_sessions(
            [Session(DAY + timedelta(days=n), NOW + n * 24 * HOUR, NOW + (n * 24 + 23) * HOUR) for n in range(3)]
        )
    state_folder.create(folder, mode, number, "user", NOW, "ibkr")
    (folder / "tradebot.yaml").write_text(f"mode: {mode}\nvenue: ibkr\n")
    halt_switch.arm(folder, "test", NOW)
    return folder


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger.open(made(tmp_path / "paper", "paper"))) as ledger:
        yield ledger


def passes(books: SqliteLedger, first: datetime, last: datetime, by: str = "me/1") -> None:
    """Claim a slot every five minutes."""
    at = first
    while at <= last:
        books.claim_slot("evaluate-exits", DAY + timedelta(days=(at - NOW).days), f"{at:%H:%M}", by, at)
        at += 5 * MINUTE


def seen(books: SqliteLedger) -> PaperEvidence:
    return load_paper_evidence(books.file.folder, books)


def test_hours_between_passes_count_and_gaps_do_not(books: SqliteLedger) -> None:
    assert seen(books) == PaperEvidence(timedelta(), timedelta(), None)
    passes(books, NOW, NOW + HOUR)
    passes(books, NOW + 2 * HOUR, NOW + 5 * HOUR)
    passes(books, NOW + 6 * HOUR, NOW + 9 * HOUR, as_missed("me/1", Reason.SLOT_MISSED))
    assert seen(books) == PaperEvidence(4 * HOUR, 3 * HOUR, None)


@pytest.mark.parametrize("how", ["halt", "event", "a person's halt", "another event"])
def test_a_crash_begins_the_count_anew(how: str, books: SqliteLedger) -> None:
    passes(books, NOW, NOW + 5 * HOUR)
    at = NOW + 2 * HOUR
    if "halt" in how:
        causes = frozenset({Reason.PASS_FAULT if how == "halt" else Reason.BOOKS_OLD})
        books.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "", at, causes))
    else:
        kind = EventKind.JOB_FAULT if how == "event" else EventKind.DEPENDENCY_AWAY
        JsonlEvents(books.file.folder / EVENTS).emit(kind.at(at, {}))
    begins_anew = how in ("halt", "event")
    hours = 3 if begins_anew else 5
    assert seen(books) == PaperEvidence(hours * HOUR, hours * HOUR, at if begins_anew else None)


def test_a_live_bot_is_not_armed_before_its_paper_bot_has_shown_enough(
    books: SqliteLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    live, paper = Bot(made(tmp_path / "live", "live"), capsys), str(books.file.folder)
    refuses(live.says("live", "arm"), 3, "this bot isn't on paper", "--paper FOLDER")
    passes(books, NOW, NOW + 22 * HOUR)
    said = live.says("live", "arm", "--paper", paper)
    assert said.code == 3
    assert "hours on paper: 22.0 of 24 hours, no crash; trades of the rehearsal: 0 trades" in said.err
    passes(books, NOW + 24 * HOUR, NOW + 26 * HOUR)
    books.apply_fills([fill(n, side=(Side.BUY, Side.SELL)[n % 2], strategy="flow") for n in range(20)], NOW)
    said = live.says("live", "arm", "--paper", paper)
    # Whatever else is missing now, it isn't the rehearsal.
    assert (said.code, "hours on paper" in said.err, "rehearsal" in said.err) == (3, False, False), said.err
