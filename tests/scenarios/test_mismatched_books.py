"""Ledger and journal of one another: writing to books that do not hold never makes books of them that hold."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import ledgers
from tests.kit.rows import NOW, PASSED, make_fill, make_intent, minutes
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.state_history import HaltHistory
from tradebot.adapters.recovery import integrity_check
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, StateFolder
from tradebot.errors import DamagedBooksError
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.position import Origin


class Moment(NamedTuple):
    """Ledger and journal as they stood together once."""

    ledger: bytes
    journal: bytes


def steps(books: SqliteLedger, of: str) -> tuple[Callable[[], object], ...]:
    name = make_intent("open+90m").client_order_id
    return (
        lambda: None,
        lambda: books.record_intent(make_intent("open+90m"), (PASSED,)),
        lambda: books.record_outcome(name, Reply(WriteOutcome.UNKNOWN), minutes(20)),
        lambda: books.apply_fills([make_fill(f"{of}-1"), make_fill(f"{of}-2")], minutes(21)),
        lambda: books.adjust_cash(Decimal(len(of)), of, minutes(22), origin=Origin.PLAN),
        lambda: books.history.record("REDUCE_ONLY", of, "a storm", minutes(23)),
    )


@cache
def moments(of: str) -> tuple[Moment, ...]:
    """Return the history of one bot; two bots share its beginning, because both were copied from one folder."""
    with state() as folder, closing(SqliteLedger.open(folder.path)) as books:
        found = []
        for write in steps(books, of):
            write()
            found.append(Moment((folder.path / LEDGER).read_bytes(), (folder.path / JOURNAL).read_bytes()))
        return tuple(found)


@contextmanager
def state() -> Iterator[StateFolder]:
    with tempfile.TemporaryDirectory() as place:
        yield ledgers.make(Path(place) / "state")


def holds(folder: StateFolder) -> bool:
    try:
        integrity_check.problem(folder)
    except DamagedBooksError:
        return False
    return True


def halt(path: Path) -> None:
    """Write the row that `tradebot halt` writes, as it does: without a look at the books as a whole."""
    with closing(LedgerFile.open(path)) as books:
        HaltHistory(books).record("REDUCE_ONLY", "me", "odd fills", NOW)


MOMENT = st.tuples(st.sampled_from(["us", "others"]), st.integers(0, 5))


@settings(max_examples=40)
@given(MOMENT, MOMENT, st.integers(0, 6), st.booleans())
def test_a_halt_never_makes_books_hold(
    ledger: tuple[str, int], journal: tuple[str, int], lines: int, torn: bool
) -> None:
    with state() as folder:
        path, text = folder.path / JOURNAL, moments(journal[0])[journal[1]].journal
        kept = text.splitlines(keepends=True)[: text.count(b"\n") - lines]
        (folder.path / LEDGER).write_bytes(moments(ledger[0])[ledger[1]].ledger)
        path.write_bytes(b"".join(kept) + b'{"schema":2,"seq"' * torn)
        before, held = path.read_bytes(), holds(folder)
        if held:
            halt(folder.path)
        else:
            with pytest.raises(DamagedBooksError):
                halt(folder.path)
            assert path.read_bytes() == before
        assert holds(folder) is held


def test_the_moments_hold_by_themselves_and_hardly_with_each_other() -> None:
    pairs = [(one, other) for of in ("us", "others") for one in moments("us") for other in moments(of)]
    with state() as folder:
        found = []
        for one, other in pairs:
            (folder.path / LEDGER).write_bytes(one.ledger)
            (folder.path / JOURNAL).write_bytes(other.journal)
            found.append(holds(folder))
    assert sum(found) < len(found) / 3
    assert all(held for held, (one, other) in zip(found, pairs, strict=True) if one == other)


@settings(max_examples=25)
@given(st.integers(0, 12), st.integers(0, 40), st.booleans())
def test_an_open_ledger_promises_nothing_once_its_journal_lost_a_seal(lines: int, torn: int, written: bool) -> None:
    with state() as folder, closing(SqliteLedger.open(folder.path)) as books:
        path = folder.path / JOURNAL
        if written:
            books.record_intent(make_intent("open+90m"), (PASSED,))
        books.record_outcome(make_intent("open+5m").client_order_id, Reply(WriteOutcome.UNKNOWN), minutes(20))
        whole = path.read_bytes()
        kept = b"".join(whole.splitlines(keepends=True)[: whole.count(b"\n") - lines])
        os.truncate(path, max(len(kept) - torn, 0))
        before, held = path.read_bytes(), holds(folder)
        # The last record is the answer of a venue that is asked again: it alone may be lost, and the books hold.
        assert held is (lines == 0 or (lines == 1 and torn == 0))
        for slot in ("open+95m", "open+100m"):
            if held:
                assert books.record_intent(make_intent(slot), (PASSED,))
            else:
                with pytest.raises(DamagedBooksError):
                    books.record_intent(make_intent(slot), (PASSED,))
                assert path.read_bytes() == before
        assert holds(folder) is held
        path.write_bytes(path.read_bytes() if held else whole)
        assert books.record_intent(make_intent("open+105m"), (PASSED,)), "whole again, it takes records again"
        assert holds(folder)
