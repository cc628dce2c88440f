"""A row that is not as it was written is found, wherever a bit flips; books that only the bot has written are sound."""

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit import ledgers
from tests.kit.ledgers import activity, checkpoint_totals, edit, opened
from tests.kit.rows import DAY, NOW, make_fill, make_intent, make_order, minutes
from tests.kit.values import listing
from tradebot.adapters.ledger import file as ledger_file
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import backups, rebuild
from tradebot.errors import DamagedBooksError, TradebotError
from tradebot.model.account import EquityPeak
from tradebot.model.bar import Session
from tradebot.model.instrument import ListingRecord
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Marks, Origin
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.model.trading import Arming, Baseline, ReconcileMark

FLIPS = 3 * settings().max_examples
"""How many single bits are flipped, each in whole books: more of them in the long campaign."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return ledgers.make(tmp_path / "state").path / "ledger.db"


def check(path: Path) -> None:
    books = SqliteLedger.open(path.parent, read_only=True)
    try:
        books.file.check_pages()
    finally:
        books.close()


@pytest.mark.sampled
def test_check_finds_one_flipped_bit_or_it_changes_nothing(ledger: Path) -> None:
    whole, before = ledger.read_bytes(), ledgers.content(ledger.parent)
    chance, found = random.Random(7), 0  # noqa: S311 - a seeded campaign
    for _ in range(FLIPS):
        place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        ledger.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            check(ledger)
        except TradebotError:
            found += 1
        else:
            # A bit in the unused part of a page holds nothing of ours.
            assert ledgers.content(ledger.parent) == before, f"byte {place}, bit {bit}"
    ledger.write_bytes(whole)
    assert found > FLIPS / 20, "the campaign hit nothing but unused space"


def test_every_flipped_bit_of_a_written_text_is_found(ledger: Path) -> None:
    whole = ledger.read_bytes()
    missed = []
    for text in (b"187.25", b"a storm", b"-1.5", b"open+15m", b"100000.01", b"TSLA", b"190.1", b"rejected", b"cron/1"):
        for at, letter in enumerate(text):
            # At every place where it stands, because a page keeps what was moved out of it.
            ledger.write_bytes(whole.replace(text, text[:at] + bytes([letter ^ 0x10]) + text[at + 1 :]))
            try:
                check(ledger)
                missed.append((text, at))
            except DamagedBooksError:
                continue
    assert missed == []


def test_text_made_invalid_by_a_flipped_bit_is_reported_as_damage(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes().replace(b"187.25", b"\xb187.25"))
    books = SqliteLedger.open(ledger.parent, read_only=True)
    with pytest.raises(DamagedBooksError):
        books.intents()
    books.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE intents SET state = 'acked' WHERE state = 'rejected'", "1 of 5 rows of intents"),
        ("UPDATE orders SET terminal = 0", "rows of orders"),
        ("UPDATE cash_adjustments SET amount = '1.5'", "rows of cash_adjustments"),
        ("UPDATE book SET opening_cash = '1'", "the row that describes it"),
        ("UPDATE slots SET slot = 'open+6m'", "rows of slots"),
        ("DELETE FROM trading_states", "rows, but"),
        ("DELETE FROM fills WHERE activity_id = 'a2'", "rows, but"),
        (
            "INSERT INTO acknowledged (account, sequence, symbol, quantity, origin, about, why, at)"
            " SELECT account, 9, 'X', '1', 'plan', '', '', '' FROM book",
            "the row that describes it",
        ),
    ],
)
def test_check_finds_a_row_edited_removed_or_added_by_hand(ledger: Path, statement: str, said: str) -> None:
    assert edit(ledger, statement) > 0
    with pytest.raises(DamagedBooksError, match=said):
        check(ledger)


def test_triggers_keep_other_programs_from_editing_rows(ledger: Path) -> None:
    database = sqlite3.connect(ledger)
    with pytest.raises(sqlite3.OperationalError, match="row_sum"):
        database.execute("UPDATE fills SET activity_id = 'a9' WHERE activity_id = 'a1'")
    database.close()
    check(ledger)


def test_check_finds_two_rows_with_swapped_sums(ledger: Path) -> None:
    database = opened(ledger)
    ((first,), (second,)) = database.execute("SELECT row_sum FROM fills ORDER BY sequence").fetchall()
    database.execute("UPDATE fills SET row_sum = ? WHERE sequence = 1", (second,))
    database.execute("UPDATE fills SET row_sum = ? WHERE sequence = 2", (first,))
    database.commit()
    database.close()
    with pytest.raises(DamagedBooksError, match="2 of 2 rows of fills"):
        check(ledger)


def promised(books: SqliteLedger) -> str:
    """Promise a new order, then the same one again; return its id."""
    intent = make_intent(f"drawn-{len(books.intents())}")
    assert [books.record_intent(intent, ()) for _ in range(2)] == [True, False]
    return intent.client_order_id


def compare_calendar(books: SqliteLedger, number: int) -> None:
    """Store a session of a calendar, move another one, and drop one that is stored and one that never was."""
    days = [DAY + timedelta(days=offset) for offset in range(4)]
    stored = [Session(day, NOW, minutes(number % 5 + 1)) for day in days[number % 2 : 3]]
    books.put_sessions(stored, gone=[days[number % 3], days[3]], calendar=("", "grain")[number // 2 % 2])


def list_shares(books: SqliteLedger, number: int) -> None:
    """Store how two shares are listed, one of them again, with another lot or as it was."""
    lots = [Decimal(1), Decimal(number % 3 + 1)]
    known = [ListingRecord(listing("AAPL", lot=lot, read_at=minutes(number))) for lot in lots]
    books.put_listings([known[0].read_again(known[1].listing), ListingRecord(listing("MSFT"))])


def rebuilt(books: SqliteLedger, number: int) -> None:
    books.upkeep.mark_rebuilt(f"rebuilt-{number}", {"generation": 1}, NOW)


def accepted(books: SqliteLedger, number: int) -> None:
    rebuilt(books, number)
    books.upkeep.accept_rebuilt(f"rebuilt-{number}", "me", NOW)


def noted(books: SqliteLedger, number: int) -> None:
    trade = ("flow", "AAPL", minutes(number % 2))
    books.change_note(trade, lambda known: TradeNote(trade, ("late",), f"note {number}", "me", NOW))


ORDER_ENDS = (OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED)
OUTCOMES = (WriteOutcome.ACCEPTED, WriteOutcome.REJECTED, WriteOutcome.UNKNOWN)
WRITES: Mapping[str, Callable[[SqliteLedger, int], object]] = {
    "append": lambda books, n: books.armings.append(Arming(n, DAY, DAY, NOW, "me", NOW)),
    "approve": lambda books, n: books.baselines.approve(Baseline({"shadow": n % 2 == 0}, "me", NOW)),
    "acknowledge": lambda books, n: books.acknowledge("TSLA", Decimal(n % 3), "seen", NOW, origin=Origin.PLAN),
    "record": lambda books, n: books.history.record(("REDUCE_ONLY", "ACTIVE")[n % 2], "me", "a storm", NOW),
    "apply_fills": lambda books, n: books.apply_fills([make_fill(f"drawn-{n % 4}", minutes(n))], NOW),
    "adjust_cash": lambda books, n: books.adjust_cash(Decimal(n), "a fee", NOW, origin=Origin.PLAN),
    "book": lambda books, n: books.book(activity(n % 4, minutes(n)), NOW),
    "put_equity_peak": lambda books, n: books.put_equity_peak(EquityPeak(Decimal(n), Decimal(n))),
    "put_marks": lambda books, n: books.put_marks({("flow", "AAPL", minutes(n % 2)): Marks(Decimal(n + 1), None)}),
    "record_intent_again": lambda books, n: promised(books),
    "record_outcome": lambda books, n: books.record_outcome(
        promised(books), Reply(OUTCOMES[n % 3], make_order(f"v{n % 4}") if n % 3 == 0 else None), NOW
    ),
    "abandon": lambda books, n: books.abandon(promised(books), "gone", NOW),
    "retry": lambda books, n: books.retry(promised(books), NOW),
    "apply_orders": lambda books, n: books.apply_orders(
        [replace(make_order(f"v{n % 4}", ORDER_ENDS[n % 3], minutes(n)), replaced_by=None)], NOW
    ),
    "claim_slot": lambda books, n: books.claim_slot("score", DAY, f"open+{n % 3}m", "me", NOW),
    "miss_slots": lambda books, n: books.miss_slots([("score", DAY, f"open+{n % 4}m"), ("exits", DAY, "x")], "", NOW),
    "put_sessions": compare_calendar,
    "put_listings": list_shares,
    "mark_reconciled": lambda books, n: books.mark_reconciled(ReconcileMark(minutes(n), n, n)),
    "checkpoint_totals": lambda books, n: checkpoint_totals(books),
    "change_note": noted,
    "mark_rebuilt": rebuilt,
    "accept_rebuilt": accepted,
}
"""Every method that writes into the ledger, with a number that varies what it writes."""
ONCE = {"open_books"}
"""What can be written only once, and is in the books that every sequence begins with."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 4)
@given(steps=st.lists(st.tuples(st.sampled_from(sorted(WRITES)), st.integers(0, 11)), min_size=4, max_size=16))
def test_books_pass_their_check_and_a_backup_restores_after_any_sequence_of_writes(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, int]]
) -> None:
    folder = ledgers.make(tmp_path_factory.mktemp("law") / "state")
    with closing(SqliteLedger.open(folder.path)) as books:
        for step, number in steps:
            WRITES[step](books, number)
            books.file.check_pages()
    kept = ledgers.content(folder.path)
    rebuild.rebuild(folder, "restored-over", NOW, only=backups.make(folder, "by-hand", NOW).path)
    check(folder.path / "ledger.db")
    restored = ledgers.content(folder.path)
    same = set(ledgers.MONEY) - {*ledgers.PERSONS} | {*ledgers.BESIDE}
    assert ledgers.part(restored, *same) == ledgers.part(kept, *same)
    shutil.rmtree(folder.path)


def test_drawn_writes_include_every_writing_method_of_the_ledger() -> None:
    """A method that writes is one that opens a transaction; nothing but `delete` and a new checkpoint deletes rows."""
    sources = [path.read_text() for path in Path(ledger_file.__file__).parent.glob("*.py")]
    methods = [part for source in sources for part in re.split(r"\n    def ", source)[1:]]
    opens = re.compile(r"with (self\._file|(self\.tables\.)?books)\.write\(\)")
    assert {part.partition("(")[0] for part in methods if opens.search(part)} == {*WRITES, *ONCE}
    deleting = [source for source in sources if "DELETE FROM" in source or "OR REPLACE" in source]
    assert len(deleting) == 2, "file.py (delete), totals.py (checkpoints)"
