"""What is read of grown books costs memory by the record and not by the byte, and is read once."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit.rows import ACCOUNT, DAY, NOW, PASSED, make_fill, make_intent
from tradebot.adapters.ledger import journal_reader
from tradebot.adapters.ledger import rows as ledger_bodies
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.file_table import FileTable
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.rows import StoredFill
from tradebot.adapters.ledger.tables import FILLS, INTENTS, ORDERS, TableKind
from tradebot.errors import DamagedBooksError
from tradebot.model.struct_tools import replace

FEW, MANY = 150, 600
VERDICTS = (PASSED,) * 34
"""As many as an entry carries: its record is some four thousand bytes long."""


def books(folder: Path, count: int) -> Path:
    """Make books of so many intents, one a session, each with its fill."""
    folder.mkdir()
    SqliteLedger.create(folder, ACCOUNT, NOW).close()
    with closing(SqliteLedger.open(folder, ACCOUNT)) as ledger, ledger.file.in_one_write():
        for number in range(count):
            ledger.record_intent(make_intent(f"open+{number}m", session=DAY + timedelta(days=number)), VERDICTS)
            ledger.apply_fills([make_fill(f"a{number}")], NOW)
    return folder


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("grown")
    return books(root / "few", FEW), books(root / "many", MANY)


def peak(read: Callable[[], object]) -> int:
    """Return the most memory that reading takes, bytes."""
    read()
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def compared(folder: Path) -> None:
    with closing(SqliteLedger.open(folder, read_only=True)) as ledger:
        assert ledger.tallies.compare_journal().missing == 0


def checked(folder: Path) -> None:
    with closing(SqliteLedger.open(folder, read_only=True)) as ledger:
        ledger.file.check()


READERS: dict[str, Callable[[Path], object]] = {
    "verified": lambda folder: journal_reader.read(folder / "journal.jsonl"),
    "played": lambda folder: sum(1 for _ in journal_reader.read(folder / "journal.jsonl").records()),
    "compared": compared,
    "checked": checked,
}


@pytest.mark.parametrize("name", READERS)
def test_reading_books_keeps_a_few_bytes_of_each_record(sizes: tuple[Path, Path], name: str) -> None:
    few, many = (peak(lambda folder=folder: READERS[name](folder)) for folder in sizes)  # type: ignore[misc]
    assert (many - few) / (MANY - FEW) < 1_000
    assert (sizes[1] / "journal.jsonl").stat().st_size / MANY > 4_000


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the rows that are parsed from here on."""
    found, decoded = list[str](), ledger_bodies.decode_as

    def counted(kind: type[Any], text: str) -> object:
        found.append(text)
        return decoded(kind, text)

    monkeypatch.setattr(ledger_bodies, "decode_as", counted)
    ledger_bodies._decode_cached.cache_clear()
    yield found
    ledger_bodies._decode_cached.cache_clear()


def test_fills_are_parsed_once_and_later_ones_alone(tmp_path: Path, parsed: list[str]) -> None:
    with closing(SqliteLedger.open(books(tmp_path / "state", 5))) as ledger:
        assert [len(ledger.fills()) for _ in range(3)] == [5, 5, 5]
        ledger.apply_fills([make_fill("later")], NOW)
        assert [json.loads(text)["fill"]["activity_id"] for text in parsed] == [f"a{number}" for number in range(5)]
        assert len(ledger.fills()) == 6
    assert len(parsed) == 6


def test_fills_of_a_rolled_back_write_are_not_remembered(tmp_path: Path) -> None:
    with closing(SqliteLedger.open(books(tmp_path / "state", 2))) as ledger:
        with suppress(KeyboardInterrupt), ledger.file.write():
            ledger.apply_fill(StoredFill(make_fill("never"), NOW))
            assert len(ledger.fills()) == 3
            raise KeyboardInterrupt
        ledger.apply_fills([make_fill("another")], NOW)
        assert [owned.fill.activity_id for owned in ledger.fills()] == ["a0", "a1", "another"]


def test_rows_are_found_by_the_index_that_their_kind_names(sizes: tuple[Path, Path]) -> None:
    with closing(SqliteLedger.open(sizes[0], read_only=True)) as ledger:
        kinds: tuple[TableKind[Any], ...] = INTENTS, ORDERS, FILLS
        for kind in kinds:
            for name, index in kind.indexes.items():
                if index.named:
                    query = FileTable(ledger.file, kind).query(name, index.condition or f"{index.column} = ''")
                    plan = ledger.file.database.execute(f"EXPLAIN QUERY PLAN {query}", ("",)).fetchall()
                    assert f"USING INDEX {index.named}" in " ".join(row[3] for row in plan)


def test_whole_books_are_read_through_once_until_another_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = books(tmp_path / "state", 2), list[str]()
    check = LedgerFile.check_pages

    def counted(self: LedgerFile) -> None:
        read.append("pages")
        check(self)

    monkeypatch.setattr(LedgerFile, "check_pages", counted)
    with closing(SqliteLedger.open(folder)) as ledger:
        for _ in range(2):
            ledger.file.check_whole()
        ledger.apply_fills([make_fill("own")], NOW)
        ledger.file.check_whole()
        assert read == ["pages"]
        with closing(SqliteLedger.open(folder)) as another:
            another.apply_fills([replace(make_fill("its"), strategy="")], NOW)
        ledger.file.check_whole()
    assert read == ["pages"] * 2


def test_replaced_file_is_not_mistaken_for_the_checked_books(tmp_path: Path) -> None:
    folder = books(tmp_path / "state", 2)
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.file.check()
        (folder / "ledger.db").rename(folder / "other.db")
        assert not ledger.file.in_place
        with pytest.raises(DamagedBooksError):
            ledger.apply_fills([make_fill("own")], NOW)
