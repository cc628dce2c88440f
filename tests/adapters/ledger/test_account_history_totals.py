"""What all fills add up to is the same with a checkpoint as without one, whatever comes late, is dropped or damaged."""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.ledgers import edit, opened
from tests.kit.rows import ACCOUNT, DAY, NOW, PASSED, make_fill, make_intent
from tests.kit.values import VENUE_DAY
from tradebot.adapters.ledger.account_history import CHECKPOINT, FORM, FillTotals
from tradebot.adapters.ledger.account_history import _read as read
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.text.canonical import json_text
from tradebot.errors import DamagedBooksError
from tradebot.model.account import Booking, Entry
from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE
from tradebot.model.order import Fee
from tradebot.model.position import FOREIGN, Marks, Origin, OwnedFill, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.reconciliation.catch_up import reassign
from tradebot.reconciliation.read_books import read_books

LEFT_OUT = 40
"""So few that these books are small."""
MOST_TO_ADD = 2 * LEFT_OUT
MANY = MOST_TO_ADD + 100
OPENING = Decimal(1_000_000)
MULTIPLIERS = {"AAPL": ONE, "MSFT": Decimal(50), "XOM": Decimal("0.001")}
FEES = (None, Fee(Decimal("1.25")), Fee(None), Fee(Decimal("-0.5")), Fee(Decimal(3), "BTC"))
SYMBOLS, OWNERS = ("AAPL", "MSFT", "XOM"), ("flow", "other", FOREIGN)


def traded(number: int, seconds: int, *, side: Side = Side.BUY, owner: str = "flow", symbol: str = "AAPL") -> OwnedFill:
    """Return a fill so many seconds after the first one."""
    made = make_fill(f"f{number}", NOW + timedelta(seconds=seconds))
    fill = replace(
        made.fill,
        symbol=symbol,
        side=side,
        quantity=Decimal(1 + number % 7),
        price=Decimal(100 + number % 13),
        multiplier=MULTIPLIERS[symbol],
        fee=FEES[number % len(FEES)],
    )
    return OwnedFill(owner, fill)


@pytest.fixture(scope="module", autouse=True)
def small_books() -> Iterator[None]:
    """Let a checkpoint leave out fewer of the newest fills than it does in real books."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FillTotals, "left_out", LEFT_OUT)
        yield


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
        opened.checkpoint_totals()
        yield opened


def checkpoint(books: SqliteLedger) -> tuple[int, str] | None:
    """Return how many fills the checkpoint stands for, and until when; None if there is none."""
    found: tuple[int, str] | None = books.file.row("SELECT fills, at FROM checkpoints WHERE account = ?")
    return found


def agree(books: SqliteLedger) -> None:
    """Require what was added up from the checkpoint to be what all fills add up to, in the same order."""
    found, whole = books.totals(), Totals.of(books.fills())
    assert (found, list(found.positions)) == (whole, list(whole.positions))


def test_checkpoint_leaves_out_the_newest_fills(books: SqliteLedger) -> None:
    assert checkpoint(books) == (MANY - LEFT_OUT, "2026-01-05T17:19:00.000000Z")
    agree(books)


def test_keep_totals_writes_no_checkpoint_for_few_fills(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.apply_fills([traded(n, n) for n in range(MOST_TO_ADD)], NOW)
        books.checkpoint_totals()
        assert checkpoint(books) is None
        agree(books)


def test_checkpoint_stays_until_many_fills_follow_it(books: SqliteLedger) -> None:
    before = checkpoint(books)
    books.apply_fills([traded(n, 60 * n) for n in range(MANY, MANY + LEFT_OUT)], NOW)
    books.checkpoint_totals()
    assert checkpoint(books) == before
    books.apply_fills([traded(MANY + LEFT_OUT, 60 * (MANY + LEFT_OUT))], NOW)
    books.checkpoint_totals()
    assert before is not None
    assert checkpoint(books) != before
    agree(books)


def test_late_fill_makes_keep_totals_write_a_new_checkpoint(books: SqliteLedger) -> None:
    before = checkpoint(books)
    books.apply_fills([traded(MANY, 1, side=Side.SELL)], NOW)
    agree(books)
    books.checkpoint_totals()
    assert before is not None
    assert checkpoint(books) == (before[0] + 1, before[1])
    agree(books)


SECONDS = st.integers(0, 3 * 60 * MANY)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), SECONDS, st.sampled_from(Side), st.sampled_from(OWNERS)),
        st.tuples(st.just("bust"), SECONDS, st.sampled_from(OWNERS)),
        st.tuples(st.just("correct"), SECONDS, st.sampled_from(OWNERS)),
        st.tuples(st.just("split"), SECONDS, st.sampled_from(OWNERS)),
        st.tuples(st.just("give back"), SECONDS),
        st.tuples(st.just("adopt"), SECONDS),
        st.tuples(st.just("cash"), st.integers(-900, 900)),
        st.tuples(st.just("promise"), st.integers(0, 1)),
        *(st.just((what,)) for what in ("keep", "drop", "reopen")),
    ),
    min_size=1,
    max_size=12,
)


class Kept:
    """Books that get whatever a broker or a person may change, and a list of it, added up without any checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.books = SqliteLedger.open(folder)
        self.books.open_books(OPENING, NOW)
        self._folder = folder
        self._fills = list(self.books.fills())
        self._adjusted = Decimal(0)
        self._promised = defaultdict[date, list[str]](list)
        self._number = 0

    def take(self, what: str, *words: Any) -> None:
        """Take one step."""
        self._number += 1
        getattr(self, what.replace(" ", "_"))(*words)

    def new(self, seconds: int, side: Side, owner: str) -> None:
        """Trade, late or not."""
        self._apply(traded(MANY + self._number, seconds, side=side, owner=owner))

    def bust(self, seconds: int, owner: str) -> None:
        """Take a trade back, as a plan does once the broker has reversed it."""
        self._apply(self._unreported(owner, seconds, Decimal(-3), Origin.PLAN))

    def correct(self, seconds: int, owner: str) -> None:
        """Replace a trade by one at another price."""
        trade = traded(MANY + self._number, seconds, owner=owner)
        self._apply(trade, self._unreported(owner, seconds, -trade.fill.signed_quantity, Origin.PLAN))

    def split(self, seconds: int, owner: str) -> None:
        """Book an activity that moves shares and cash, at the time at which it happened."""
        entry = Entry(f"s{self._number}", "SPLIT", Decimal("1.25"), "SPLIT AAPL")
        fill = self._unreported(owner, seconds, Decimal(5), Origin.ACTIVITY)
        assert self.books.book(Booking((entry,), (fill,)), NOW)
        self._fills.append(fill)
        self._adjusted += entry.amount

    def give_back(self, seconds: int) -> None:
        """Move somebody's fill to us, at the time of the trade."""
        foreign = traded(MANY + self._number, seconds, owner=FOREIGN)
        self._apply(foreign, *reassign("flow", foreign.fill))

    def adopt(self, seconds: int) -> None:
        """Take somebody's shares over, and put back what they had cost."""
        away = self._unreported(FOREIGN, seconds, Decimal(-2), Origin.ADOPTION)
        self._apply(away, self._unreported("adopted", seconds, Decimal(2), Origin.ADOPTION))
        self.cash(200)

    def cash(self, amount: int) -> None:
        """Move cash that no fill explains."""
        self.books.adjust_cash(Decimal(amount), "a plan", NOW, origin=Origin.PLAN)
        self._adjusted += amount

    def promise(self, later: int) -> None:
        """Promise an order of the first or second session."""
        intent = make_intent(f"open+{self._number}m", session=DAY + timedelta(days=later))
        assert self.books.record_intent(intent, (PASSED,))
        self._promised[intent.key.session].append(intent.client_order_id)

    def keep(self) -> None:
        """Make a checkpoint, if one is needed."""
        self.books.checkpoint_totals()

    def drop(self) -> None:
        """Lose the checkpoint."""
        with self.books.file.write():
            self.books.file.execute("DELETE FROM checkpoints", ())

    def reopen(self) -> None:
        """Go on in another process."""
        self.books.close()
        self.books = SqliteLedger.open(self._folder)

    def agrees(self) -> None:
        """Require positions, cash and the orders of each day to be what the list adds up to."""
        agree(self.books)
        found = read_books(self.books, NOW + timedelta(days=1), VENUE_DAY)
        fills = sorted(self._fills, key=lambda owned: owned.fill.at)
        assert found.totals == Totals.of(fills)
        spent = sum((owned.fill.notional for owned in fills), Decimal(0))
        charged = sum((owned.fill.fee.usd for owned in fills if owned.fill.fee), Decimal(0))
        assert found.cash == OPENING - spent - charged + self._adjusted
        for session, names in self._promised.items():
            assert [record.intent.client_order_id for record in found.intents_of_session(session)] == names

    def _apply(self, *fills: OwnedFill) -> None:
        assert self.books.apply_fills(fills, NOW) == len(fills)
        self._fills.extend(fills)

    def _unreported(self, owner: str, seconds: int, change: Decimal, origin: Origin) -> OwnedFill:
        at, name = NOW + timedelta(seconds=seconds), f"{origin}:{self._number}:{owner}"
        return unreported_fill(owner, name, "AAPL", change, Decimal(103), ONE, at, origin, f"about {self._number}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 8)
@given(steps=STEPS)
def test_books_never_depend_on_where_a_checkpoint_was_made_or_lost(
    grown: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    shutil.copytree(grown, folder, dirs_exist_ok=True)
    kept = Kept(folder)
    try:
        for step in (("keep",), *steps):
            kept.take(*step)
            kept.agrees()
        kept.books.file.check_pages()
    finally:
        kept.books.close()
        shutil.rmtree(folder)


def edited(books: SqliteLedger, statement: str) -> None:
    """Run a statement on the checkpoint that leaves its sum as it is, as damage does."""
    (kept,) = books.file.row("SELECT row_sum FROM checkpoints WHERE account = ?")
    with closing(opened(books.file.path)) as database:
        database.create_function("row_sum", -1, lambda *_: kept, deterministic=True)
        assert database.execute(statement).rowcount == 1
        database.commit()


def is_made_again(books: SqliteLedger, before: list[Any]) -> None:
    """Require books whose checkpoint is missing or damaged to be sound, to add up, and to make it again."""
    books.file.check_pages()
    agree(books)
    books.checkpoint_totals()
    assert whole(books) == before
    books.file.check_pages()
    agree(books)


def whole(books: SqliteLedger) -> list[Any]:
    """Return all checkpoints with all that is in them."""
    return books.file.rows(
        "SELECT account, at, fills, sum, CAST(body AS BLOB), schema, row_sum FROM checkpoints WHERE ? <> ''"
    )


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM checkpoints",
        "UPDATE checkpoints SET account = replace(account, '4', '5')",
        "UPDATE checkpoints SET at = '2026-01-05T15:30:00.000000Z'",
        "UPDATE checkpoints SET fills = fills + 1",
        "UPDATE checkpoints SET sum = replace(sum, substr(sum, 1, 1), 'x')",
        "UPDATE checkpoints SET body = replace(body, 'flow', 'flew')",
        "UPDATE checkpoints SET body = replace(body, '1', '2')",
        "UPDATE checkpoints SET body = replace(body, '1', CAST(x'b1' AS TEXT))",
        "UPDATE checkpoints SET body = '{}', fills = 3",
        "UPDATE checkpoints SET schema = schema + 1",
        "UPDATE checkpoints SET row_sum = replace(row_sum, substr(row_sum, 1, 1), 'x')",
        "UPDATE checkpoints SET row_sum = NULL",
    ],
)
def test_missing_or_changed_checkpoint_is_written_again(books: SqliteLedger, damage: str) -> None:
    before = whole(books)
    edited(books, damage)
    assert whole(books) != before
    is_made_again(books, before)
    edited(books, "DELETE FROM checkpoints")
    is_made_again(books, before)


@pytest.mark.parametrize("lose", ["DELETE FROM high_water", "DELETE FROM slots WHERE slot = 'open+5m'"])
@pytest.mark.parametrize("also", [True, False])
def test_check_finds_a_lost_row_with_and_without_a_checkpoint(books: SqliteLedger, lose: str, *, also: bool) -> None:
    books.put_marks({("flow", "AAPL", NOW): Marks(Decimal(100), None)})
    books.claim_slot("trade-once", DAY, "open+5m", "", NOW)
    books.file.check_pages()
    if also:
        edited(books, "DELETE FROM checkpoints")
    assert edit(books.file.path, lose) == 1
    with pytest.raises(DamagedBooksError, match="rows, but"):
        books.file.check_pages()
    books.checkpoint_totals()
    with pytest.raises(DamagedBooksError, match="rows, but"):
        books.file.check_pages()


def test_check_finds_a_lost_fill_that_the_checkpoint_counts(books: SqliteLedger) -> None:
    edit(books.file.path, "DELETE FROM fills WHERE activity_id = 'f7'")
    assert books.totals().count == MANY
    with pytest.raises(DamagedBooksError, match="its fills were changed after they were written"):
        books.file.check_pages()


@pytest.mark.parametrize(
    "damage",
    [
        f"UPDATE fills SET body = replace(body, 'quantity\":\"', 'quantity\":\"9') WHERE activity_id = 'f{MANY - 1}'",  # noqa: S608 -- a number
        "UPDATE fill_seals SET fills = fills + 1",
        "UPDATE fill_seals SET sum = ''",
        "DELETE FROM fill_seals",
    ],
)
def test_totals_refuse_a_changed_fill_or_seal(books: SqliteLedger, damage: str) -> None:
    assert edit(books.file.path, damage) == 1
    with pytest.raises(DamagedBooksError, match="was changed after it was written"):
        books.totals()


def test_a_checkpoint_that_an_earlier_version_wrote_is_made_again(books: SqliteLedger) -> None:
    _, _, body = books.file.row(CHECKPOINT) or ("", "", "")
    *before, form = json.loads(body)
    assert (form, read(json_text(before))) == (FORM, None)
    assert read(body) is not None
