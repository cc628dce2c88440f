"""Counts over the ledger, and the ledger word for word against its journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.ledgers import edit
from tests.kit.rows import ACCOUNT, NOW, make_fill, make_intent, make_order, minutes
from tradebot.adapters.ledger.ledger import JournalComparison, SqliteLedger
from tradebot.errors import OperatorError
from tradebot.model.intent import IntentState, Operation
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.struct_tools import replace


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    for slot in ("open+5m", "open+10m", "open+15m"):
        ledger.record_intent(make_intent(slot), ())
    ledger.apply_fills([make_fill("a1"), make_fill("a2")], NOW)
    yield ledger
    ledger.close()


def change(folder: Path, statement: str) -> None:
    assert edit(folder / "ledger.db", statement) > 0


def test_intents_are_counted_by_state_and_named(books: SqliteLedger) -> None:
    first, second = make_intent("open+5m").client_order_id, make_intent("open+10m").client_order_id
    books.record_outcome(first, Reply(WriteOutcome.ACCEPTED, make_order()), NOW)
    books.record_outcome(second, Reply(WriteOutcome.REJECTED, code="40310000"), minutes(1))
    assert books.tallies.intent_states() == {IntentState.ACKED: 1, IntentState.REJECTED: 1, IntentState.SENT: 1}
    assert (books.tallies.rejected_since(minutes(1)), books.tallies.rejected_since(minutes(2))) == (1, 0)


def test_an_order_ends_by_a_cancel_that_was_taken_and_not_by_a_change_of_its_price(books: SqliteLedger) -> None:
    books.apply_orders([make_order("v1"), make_order("v2")], NOW)
    for target, operation in (("v1", Operation.CANCEL), ("v2", Operation.REPLACE)):
        asked = replace(make_intent(f"of {target}"), operation=operation, target_venue_id=target)
        books.record_intent(asked, ())
        books.record_outcome(asked.client_order_id, Reply(WriteOutcome.ACCEPTED), NOW)
    assert books.tallies.ending() == {"v1"}


def test_sound_ledger_matches_its_journal(books: SqliteLedger) -> None:
    assert books.tallies.compare_journal() == JournalComparison(records=6, rows=5, missing=0, ahead=0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE fills SET body = replace(body, '187.21', '187.22') WHERE activity_id = 'a1'",
        "UPDATE intents SET intent = replace(intent, '187.25', '187.26') WHERE sequence = 1",
        "UPDATE intents SET verdicts = '[1]' WHERE sequence = 1",
    ],
)
def test_compare_journal_finds_a_changed_number_in_the_ledger(
    tmp_path: Path, books: SqliteLedger, statement: str
) -> None:
    change(tmp_path, statement)
    assert books.tallies.compare_journal() == JournalComparison(records=6, rows=5, missing=1, ahead=1)


def test_journal_record_without_a_commit_is_counted_as_ahead(tmp_path: Path, books: SqliteLedger) -> None:
    change(tmp_path, "DELETE FROM fills WHERE activity_id = 'a2'")
    assert books.tallies.compare_journal() == JournalComparison(records=6, rows=4, missing=0, ahead=1)


def test_journal_cut_short_is_reported_as_damage(tmp_path: Path, books: SqliteLedger) -> None:
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(OperatorError, match="ends before record 6"):
        books.tallies.compare_journal()


def test_comparing_leaves_every_file_as_it_was(tmp_path: Path, books: SqliteLedger) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    books.tallies.compare_journal()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
