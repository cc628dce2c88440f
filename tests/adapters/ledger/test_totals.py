"""What all fills add up to is the same with a checkpoint as without one, whatever comes late, is dropped or damaged."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.ledger.by_hand import edit
from tests.adapters.samples import ACCOUNT, NOW, make_fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.totals import LEFT_OUT
from tradebot.errors import DamagedBooksError
from tradebot.model.candidate import Side
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.totals import Totals

MOST_TO_ADD = 2 * LEFT_OUT
MANY = MOST_TO_ADD + 100
SYMBOLS, OWNERS = ("AAPL", "MSFT", "XOM"), ("flow", "other", FOREIGN)


def traded(number: int, seconds: int, *, side: Side = Side.BUY, owner: str = "flow", symbol: str = "AAPL") -> OwnedFill:
    """Return a fill so many seconds after the first one."""
    made = make_fill(f"f{number}", NOW + timedelta(seconds=seconds))
    fill = replace(
        made.fill, symbol=symbol, side=side, quantity=Decimal(1 + number % 7), price=Decimal(100 + number % 13)
    )
    return OwnedFill(owner, fill)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return books with more fills than are added up without a checkpoint."""
    folder = tmp_path_factory.mktemp("grown")
    with closing(SqliteLedger.create(folder, ACCOUNT, NOW)) as books:
        sides = (Side.BUY, Side.BUY, Side.SELL)
        books.apply_fills(
            [
                traded(n, 60 * n, side=sides[n % 3], owner=OWNERS[n % 5 % 3], symbol=SYMBOLS[n % 4 % 3])
                for n in range(MANY)
            ],
            NOW,
        )
    return folder


@pytest.fixture
def books(grown: Path, tmp_path: Path) -> Iterator[SqliteLedger]:
    """Yield a copy of these books with a checkpoint."""
    shutil.copytree(grown, tmp_path, dirs_exist_ok=True)
    with closing(SqliteLedger.open(tmp_path)) as opened:
        opened.keep_totals()
        yield opened


def checkpoint(books: SqliteLedger) -> tuple[int, str] | None:
    """Return how many fills the checkpoint stands for, and until when; None if there is none."""
    found: tuple[int, str] | None = books.file.row("SELECT fills, at FROM checkpoints WHERE account = ?")
    return found


def agree(books: SqliteLedger) -> None:
    """Require what was added up from the checkpoint to be what all fills add up to, in the same order."""
    found, whole = books.totals(), Totals.of(books.fills())
    assert found == whole
    assert list(found.positions) == list(whole.positions)


def test_a_checkpoint_leaves_the_newest_fills_to_its_readers(books: SqliteLedger) -> None:
    assert checkpoint(books) == (MANY - LEFT_OUT, "2026-01-05T19:59:00.000000Z")
    agree(books)


def test_few_fills_need_no_checkpoint(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.apply_fills([traded(n, n) for n in range(MOST_TO_ADD)], NOW)
        books.keep_totals()
        assert checkpoint(books) is None
        agree(books)


def test_a_checkpoint_stays_until_there_is_much_to_add_again(books: SqliteLedger) -> None:
    before = checkpoint(books)
    books.apply_fills([traded(n, 60 * n) for n in range(MANY, MANY + LEFT_OUT)], NOW)
    books.keep_totals()
    assert checkpoint(books) == before
    books.apply_fills([traded(MANY + LEFT_OUT, 60 * (MANY + LEFT_OUT))], NOW)
    books.keep_totals()
    assert before is not None
    assert checkpoint(books) != before
    agree(books)


def test_a_fill_that_comes_late_drops_the_checkpoint_and_the_next_pass_makes_another(books: SqliteLedger) -> None:
    before = checkpoint(books)
    books.apply_fills([traded(MANY, 1, side=Side.SELL)], NOW)
    agree(books)
    books.keep_totals()
    assert before is not None
    assert checkpoint(books) == (before[0] + 1, before[1])
    agree(books)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.integers(0, 90_000), st.sampled_from(Side), st.sampled_from(OWNERS)),
        st.just(("keep",)),
        st.just(("drop",)),
        st.just(("reopen",)),
    ),
    min_size=1,
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 4)
@given(steps=STEPS)
def test_totals_never_depend_on_where_a_checkpoint_was_made_or_lost(
    grown: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    shutil.copytree(grown, folder, dirs_exist_ok=True)
    books = SqliteLedger.open(folder)
    try:
        for number, (what, *words) in enumerate(steps):
            if what == "new":
                seconds, side, owner = words
                books.apply_fills([traded(MANY + number, seconds, side=side, owner=owner)], NOW)  # type: ignore[arg-type]
            elif what == "keep":
                books.keep_totals()
            elif what == "drop":
                with books.file.write():
                    gone = books.file.execute("DELETE FROM checkpoints WHERE account = ?", (ACCOUNT,))
                    books.file.execute("UPDATE book SET rows = rows - ? WHERE account = ?", (gone, ACCOUNT))
            else:
                books.close()
                books = SqliteLedger.open(folder)
            agree(books)
        books.file.check_pages()
    finally:
        books.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE checkpoints SET body = replace(body, '\"spent\"', '\"spend\"')",
        "UPDATE checkpoints SET body = replace(body, '1', '2')",
        "UPDATE checkpoints SET sum = 'ff'",
        "UPDATE checkpoints SET at = '2026-01-05T15:30:00.000000Z'",
        "UPDATE checkpoints SET body = '{}', fills = 3",
    ],
)
def test_a_checkpoint_that_was_changed_is_not_believed_and_the_check_of_all_books_finds_it(
    books: SqliteLedger, damage: str
) -> None:
    assert edit(books.file.path, damage) == 1
    agree(books)
    with pytest.raises(DamagedBooksError, match="checkpoints are not as they were written"):
        books.file.check_pages()


def test_a_lost_fill_still_counts_for_the_checkpoint_and_the_check_of_all_books_misses_it(books: SqliteLedger) -> None:
    edit(books.file.path, "DELETE FROM fills WHERE activity_id = 'f7'")
    assert books.totals().count == MANY
    with pytest.raises(DamagedBooksError, match="its fills are not those that were written"):
        books.file.check_pages()


def test_an_activity_moves_what_was_already_added_up(books: SqliteLedger) -> None:
    split = replace(traded(MANY, 30, owner="flow"), origin=Origin.ACTIVITY, about="s1")
    books.apply_fills([split], NOW)
    agree(books)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE fills SET body = replace(body, 'quantity\":\"', 'quantity\":\"9') WHERE activity_id = 'f499'",
        "UPDATE fill_seals SET fills = fills + 1",
        "UPDATE fill_seals SET sum = ''",
        "DELETE FROM fill_seals",
    ],
)
def test_a_changed_fill_or_seal_is_not_added_up(books: SqliteLedger, damage: str) -> None:
    assert edit(books.file.path, damage) == 1
    with pytest.raises(DamagedBooksError, match="is not as it was written"):
        books.totals()
