"""Each verb reads as many rows of the ledger however many fills it holds: counted where SQLite hands them out."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from benchmarks.support import grown
from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.account_history import FillTotals
from tradebot.adapters.state.state_folder import LEDGER

FEW, MANY = 120, 540
"""Both leave as many positions open."""
A_SESSION, LEFT_OUT = 10, 20
"""So few that the smaller books, too, hold more sessions than a pass looks back at, and a checkpoint."""
A_COUNT = 100
"""After how many instructions of SQLite's machine one is counted."""
SLACK = 0.01
VERBS = (
    *("score", "trade-once --force-slot", "evaluate-exits --force-slot", "reconcile", "status", "summary"),
    *("positions", "why-no-orders", "health", "halt --reason test"),
)
"""Others tell of a whole past (fills, orders, trades), or read the books through (unhalt, audit, doctor, backup)."""


class Effort(NamedTuple):
    """What a verb took of the ledger: the rows fetched, by the names of their columns, and SQLite's instructions."""

    code: int
    rows: Mapping[str, int]
    hundreds: int


class Counts:
    """Counts what connections to a ledger do."""

    def __init__(self) -> None:
        self.rows = Counter[str]()
        self.hundreds = 0
        self._connect = sqlite3.connect

    def connect(self, database: Any, **options: Any) -> sqlite3.Connection:
        """Connect as `sqlite3.connect` does, and count if the database is a ledger."""
        connection: sqlite3.Connection = self._connect(database, **options)
        if LEDGER in str(database):
            connection.row_factory = self._row
            connection.set_progress_handler(self._instructions, A_COUNT)
        return connection

    def _row(self, cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        names = " ".join(column[0] for column in cursor.description)
        # What SQLite says of the file is no row of it.
        self.rows[names] += names != "data_version"
        return row

    def _instructions(self) -> None:
        self.hundreds += 1


@contextmanager
def stand_in(folder: Path, count: int) -> Iterator[None]:
    """Let a venue answer for books of so many fills."""
    with grown.standing_in(folder, count) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def effort(bot: Bot, words: str) -> Effort:
    counts = Counts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", counts.connect)
        said = bot.says(*words.split())
    assert said.code in (0, 3, 10), said.err
    return Effort(said.code, +counts.rows, counts.hundreds)


def efforts(folder: Path, count: int, capture: pytest.CaptureFixture[str]) -> tuple[Effort, dict[str, Effort]]:
    """Return what the first pass of the day took of books of so many fills, and what each verb took after it."""
    grown.make(folder, count)
    with stand_in(folder, count):
        bot = Bot(folder, capture)
        return effort(bot, "reconcile"), {words: effort(bot, words) for words in VERBS}


@pytest.mark.campaign
def test_verbs_read_as_many_rows_of_a_ledger_whose_fills_have_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grown, "A_SESSION", A_SESSION)
    monkeypatch.setattr(FillTotals, "left_out", LEFT_OUT)
    (whole, few), (grown_whole, many) = (efforts(tmp_path / str(count), count, capsys) for count in (FEW, MANY))
    for words in VERBS:
        assert few[words].rows.items() ^ many[words].rows.items() == set(), words
    assert {words: one.code for words, one in few.items()} == {words: one.code for words, one in many.items()}
    assert not [words for words in VERBS if many[words].hundreds > few[words].hundreds * (1 + SLACK) + 1]
    # The first pass of a day reads the books through, so a reader of all fills is noticed.
    assert sum(grown_whole.rows.values()) - sum(whole.rows.values()) > MANY - FEW
    assert grown_whole.hundreds > 2 * whole.hundreds
