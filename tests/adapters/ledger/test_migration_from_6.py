"""A ledger of version 6 becomes one of version 7: its movements of cash stay, each with the time it was booked at."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ledger import version_6
from tests.adapters.ledger.by_hand import edit
from tests.adapters.samples import ACCOUNT, NOW, minutes
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import rebuild, soundness
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.errors import DamagedBooksError
from tradebot.model.activity import Booking, Entry
from tradebot.model.cash import CashMovement
from tradebot.model.origin import Origin
from tradebot.model.trade_note import TradeNote

MOVED = (
    CashMovement(
        minutes(3),
        Decimal("12.5"),
        "DIV",
        Origin.ACTIVITY,
        "20260105::d1",
        "DIV/CDIV AAPL +12.5 USD of 2026-01-05",
    ),
    CashMovement(minutes(4), Decimal("3.25"), "", Origin.PLAN, "plan-0123abcd", "plan-0123abcd accepted by ann/1"),
    CashMovement(
        minutes(5),
        Decimal("-0.02"),
        "FEE",
        Origin.ACTIVITY,
        "20260105::f1",
        "FEE/REG -0.02 USD of 2026-01-05",
    ),
)
LATE = Entry("20260106::f2", "FEE", Decimal("-0.5"), "FEE/TAF", minutes(6))
NOTE = TradeNote(("flow", "AAPL", NOW), ("sweep",), "kept", "ann", minutes(8))


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return version_6.make(tmp_path / "state")


def says(books: SqliteLedger) -> dict[str, Any]:
    """Return what these books say, in the words of `told.json`."""
    booked = {name: [entry.kind, str(entry.amount), entry.words] for name, entry in books.booked().items()}
    return {"cash": str(books.cash_adjustments()), "fills": books.totals().count, "booked": booked}


def test_it_says_what_version_6_said_before_and_after_it_is_brought_up(folder: StateFolder) -> None:
    for read_only in (True, False, True):
        with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=read_only)) as books:
            assert says(books) == version_6.told()
            assert (books.cash_movements(), books.trade_notes()) == (MOVED, {})
            assert {entry.at for entry in books.booked().values()} == {None}
            books.file.check_whole()
    soundness.problem(folder)


def write(folder: StateFolder) -> None:
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        assert books.book(Booking((LATE,)), minutes(7))
        books.note_trade(NOTE)


@pytest.mark.parametrize("lost", ["ledger.db", "journal.jsonl", None])
def test_books_that_are_made_again_know_all_that_both_versions_wrote(folder: StateFolder, lost: str | None) -> None:
    write(folder)
    if lost:
        (folder.path / lost).unlink()
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert [doubt.what for doubt in made.doubts if doubt.what not in ("ledger", "journal")] == []
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        late = CashMovement(minutes(6), LATE.amount, "FEE", Origin.ACTIVITY, LATE.activity_id, LATE.words)
        assert (books.cash_movements(), books.trade_notes()) == ((*MOVED, late), {NOTE.trade: NOTE})
        assert books.booked()[LATE.activity_id] == LATE


def test_a_damaged_one_is_not_brought_up(folder: StateFolder) -> None:
    edit(folder.path / "ledger.db", "UPDATE cash_adjustments SET amount = '25' WHERE sequence = 1")
    with pytest.raises(DamagedBooksError):
        SqliteLedger.open(folder.path, ACCOUNT)
