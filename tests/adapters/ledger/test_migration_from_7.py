"""A ledger of version 7 becomes one of version 8: its movements of cash stay, and have no sub-types."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.adapters.ledger import version_7
from tests.adapters.ledger.by_hand import edit
from tests.adapters.ledger.test_migration_from_6 import says
from tests.adapters.samples import ACCOUNT, NOW, minutes
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import rebuild, soundness
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.errors import DamagedBooksError
from tradebot.model.activity import Booking, Entry
from tradebot.model.cash import CashMovement
from tradebot.model.origin import Origin
from tradebot.model.trade_note import TradeNote

DIVIDEND, FEE = "20260105::d1", "20260105::f1"
MOVED = (
    CashMovement(
        minutes(2), Decimal("12.5"), "DIV", Origin.ACTIVITY, DIVIDEND, "DIV/CDIV AAPL +12.5 USD of 2026-01-05", "AAPL"
    ),
    CashMovement(minutes(4), Decimal("3.25"), "", Origin.PLAN, "plan-0123abcd", "plan-0123abcd accepted by ann/1"),
    CashMovement(minutes(1), Decimal("-1.5"), "FEE", Origin.ACTIVITY, FEE, "FEE AAPL -1.5 USD of 2026-01-05", "AAPL"),
)
NOTE = TradeNote(("flow", "AAPL", NOW), ("sweep",), "kept", "ann", minutes(6))
LATE = Entry("20260106::f2", "FEE", Decimal("-0.5"), "FEE/COM AAPL", minutes(6), "AAPL", "COM")
LATE_MOVED = CashMovement(minutes(6), LATE.amount, "FEE", Origin.ACTIVITY, LATE.activity_id, LATE.words, "AAPL", "COM")


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return version_7.make(tmp_path / "state")


def test_it_says_what_version_7_said_before_and_after_it_is_brought_up(folder: StateFolder) -> None:
    for read_only in (True, False, True):
        with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=read_only)) as books:
            assert says(books) == version_7.told()
            assert (books.cash_movements(), books.trade_notes()) == (MOVED, {NOTE.trade: NOTE})
            assert {name: (entry.at, entry.sub_kind) for name, entry in books.booked().items()} == {
                DIVIDEND: (minutes(2), ""),
                FEE: (minutes(1), ""),
            }
            books.file.check_whole()
    soundness.problem(folder)


@pytest.mark.parametrize("lost", ["ledger.db", "journal.jsonl", None])
def test_books_that_are_made_again_know_all_that_both_versions_wrote(folder: StateFolder, lost: str | None) -> None:
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        assert books.book(Booking((LATE,)), minutes(7))
    if lost:
        (folder.path / lost).unlink()
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert [doubt.what for doubt in made.doubts if doubt.what not in ("ledger", "journal")] == []
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        assert (books.cash_movements(), books.trade_notes()) == ((*MOVED, LATE_MOVED), {NOTE.trade: NOTE})
        assert books.booked()[LATE.activity_id] == LATE


def test_a_damaged_one_is_not_brought_up(folder: StateFolder) -> None:
    edit(folder.path / "ledger.db", "UPDATE cash_adjustments SET amount = '25' WHERE sequence = 1")
    with pytest.raises(DamagedBooksError):
        SqliteLedger.open(folder.path, ACCOUNT)
