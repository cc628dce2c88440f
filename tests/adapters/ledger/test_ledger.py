"""What only a ledger on disk can show: durability, damage, two processes, the journal, and what was accepted."""

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from decimal import Decimal
from operator import methodcaller
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings

from tests.kit.bot import forked
from tests.kit.ledgers import edit, verify
from tests.kit.rows import ACCOUNT, DAY, FAILED, NOW, PASSED, make_fill, make_intent, make_order, minutes
from tests.kit.values import INTENTS, OWNED_FILLS, listing, there
from tradebot.adapters.ledger import integrity, journal
from tradebot.adapters.ledger.file_table import TableFile
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER_VERSION
from tradebot.errors import DamagedBooksError, OperatorError, TemporaryError
from tradebot.model.instrument import ListingRecord
from tradebot.model.intent import Intent, IntentState
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.position import Marks, Origin, OwnedFill
from tradebot.model.promotion import MeanInterval, Promotion, Rung
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Arming, Baseline, SlotClaim, TradingState, TradingStateRecord

ROOT = Path(__file__).parents[3]
PREFACE = (
    "import os, signal, sys; from pathlib import Path\n"
    "from tests.kit.rows import *; from tradebot.adapters.ledger.ledger import SqliteLedger\n"
    "from tradebot.adapters.ledger import journal; from tradebot.adapters.state import halt_switch\n"
    "from tradebot.model.order import *\n"
    "folder = Path(sys.argv[1]); books = SqliteLedger.open(folder)\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    SqliteLedger.create(tmp_path, ACCOUNT, NOW).close()
    halt_switch.arm(tmp_path, "init", NOW)
    return tmp_path


@pytest.fixture
def books(folder: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger.open(folder)
    yield opened
    opened.close()


def start(code: str, folder: Path) -> "subprocess.Popen[str]":
    return forked.python(PREFACE + code, folder)


def kinds(folder: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_promise_is_read_by_a_later_process(folder: Path) -> None:
    process = start("books.record_intent(make_intent(), (PASSED,)); os.kill(os.getpid(), signal.SIGKILL)", folder)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    books = SqliteLedger.open(folder)
    (record,) = books.intents(unresolved=True)
    assert (record.intent, record.state) == (make_intent(), IntentState.SENT)
    assert not books.record_intent(make_intent(), (PASSED,))
    books.close()


def test_promise_is_in_the_journal_before_it_is_in_the_ledger(folder: Path) -> None:
    # The process dies between the two: the journal holds the promise, the ledger can make it again.
    code = (
        "class Dies(journal.Journal):\n"
        "    def sync(self):\n        super().sync(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "journal.Journal = Dies; books.record_intent(make_intent(), ())"
    )
    process = start(code, folder)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert kinds(folder) == ["created", "promised"]
    quick = SqliteLedger.open(folder, read_only=True)
    assert quick.intents() == ()
    quick.close()
    books = SqliteLedger.open(folder)
    assert books.record_intent(make_intent(), ())
    books.close()
    assert verify(folder / "journal.jsonl").sequence == 3


def test_promise_is_synced_in_the_journal_before_the_ledger_commits(
    folder: Path, books: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a power failure would leave of the journal is what it held when it was last synced.
    path, survives, shown = folder / "journal.jsonl", [], []
    kernel_fsync = os.fsync

    def watched(descriptor: int) -> None:
        kernel_fsync(descriptor)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            survives.append(path.read_bytes())
            quick = SqliteLedger.open(folder, read_only=True)
            shown.append(len(quick.intents()))
            quick.close()

    monkeypatch.setattr(os, "fsync", watched)
    books.record_intent(make_intent(), (PASSED,))
    assert survives == [path.read_bytes()]
    assert shown == [0]


@pytest.mark.parametrize("make", [SqliteLedger.open, lambda folder: SqliteLedger.create(folder / "new", ACCOUNT, NOW)])
def test_every_commit_is_synced_in_full(folder: Path, make: Callable[[Path], SqliteLedger]) -> None:
    (folder / "new").mkdir()
    books = make(folder)
    asked = ("synchronous", "journal_mode", "foreign_keys")
    assert [books.file.database.execute(f"PRAGMA {name}").fetchone()[0] for name in asked] == [2, "truncate", 1]
    books.close()


def test_two_processes_never_win_the_same_slot(folder: Path) -> None:
    code = (
        "name = str(os.getpid())\n"
        "print(sum(books.claim_slot('score', DAY, f'slot{n}', name, NOW).won for n in range(25)))"
    )
    assert sum([int(process.communicate()[0]) for process in [start(code, folder) for _ in range(2)]]) == 25


@settings(max_examples=15)
@given(INTENTS, OWNED_FILLS)
def test_ledger_returns_any_intent_and_fill_unchanged(intent: Intent, owned: OwnedFill) -> None:
    with tempfile.TemporaryDirectory() as name:
        books = SqliteLedger.create(Path(name), ACCOUNT, NOW)
        assert books.record_intent(intent, (PASSED, FAILED))
        assert books.apply_fills((owned,), NOW) == 1
        assert there(books.intent(intent.client_order_id)).intent == intent
        assert books.fills() == (owned,)
        books.close()


def test_money_records_are_journaled_in_order(folder: Path, books: SqliteLedger) -> None:
    books.open_books(Decimal(100_000), NOW)
    books.record_intent(make_intent(), (PASSED,))
    books.record_intent(make_intent(), (PASSED,))
    books.record_outcome(make_intent().client_order_id, Reply(WriteOutcome.UNKNOWN), NOW)
    books.abandon(make_intent().client_order_id, "not there", NOW)
    books.apply_fills((make_fill(), make_fill()), NOW)
    books.adjust_cash(Decimal(-1), "fee", NOW, origin=Origin.PLAN)
    books.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "storm", NOW))
    books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", NOW))
    expected = "created opening promised settled abandoned fill cash_adjusted trading_state trading_state"
    assert kinds(folder) == expected.split()
    assert verify(folder / "journal.jsonl").sequence == 9


def test_promise_stores_the_verdicts_beside_the_intent(folder: Path, books: SqliteLedger) -> None:
    books.record_intent(make_intent(), (PASSED, FAILED))
    with sqlite3.connect(folder / "ledger.db") as database:
        ((text,),) = database.execute("SELECT verdicts FROM intents").fetchall()
    database.close()
    assert [verdict["gate"] for verdict in json.loads(text)] == ["score", "buying_power"]


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def pragma(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        edit(path, statement)

    return change


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncate,
    "cut to one page": lambda path: os.truncate(path, 4096),
    "garbage header": lambda path: path.write_bytes(b"garbage!" * 8 + path.read_bytes()[64:]),
    "text": lambda path: path.write_text("these are not the books"),
    "other application": pragma("PRAGMA application_id = 7"),
    "newer version": pragma(f"PRAGMA user_version = {LEDGER_VERSION + 1}"),
    "version before, with the tables of this one": pragma(f"PRAGMA user_version = {LEDGER_VERSION - 1}"),
    "older version": pragma("PRAGMA user_version = 0"),
    "lost table": pragma("DROP TABLE fills"),
    "changed table": pragma("ALTER TABLE fills ADD COLUMN extra"),
    "no owner": pragma("DELETE FROM book"),
}


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_open_refuses_a_damaged_ledger_and_leaves_it_unchanged(folder: Path, damage: str, read_only: bool) -> None:
    path = folder / "ledger.db"
    DAMAGE[damage](path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(OperatorError) as caught:
        SqliteLedger.open(folder, read_only=read_only)
    assert caught.value.hint
    assert (path.read_bytes() if path.exists() else None) == before


def test_books_of_another_account_are_not_opened(folder: Path) -> None:
    SqliteLedger.open(folder, ACCOUNT).close()
    with pytest.raises(OperatorError, match="0042, not to"):
        SqliteLedger.open(folder, "SBX000000043")


def test_intents_refuse_a_row_changed_by_hand(folder: Path, books: SqliteLedger) -> None:
    books.record_intent(make_intent(), ())
    pragma("UPDATE intents SET intent = replace(intent, '187.25', 'lots')")(folder / "ledger.db")
    with pytest.raises(OperatorError, match=r"Intent\.limit_price"):
        books.intents()


def test_listings_that_another_process_wrote_are_seen_at_once(folder: Path, books: SqliteLedger) -> None:
    assert books.listings(["AAPL"]) == {}
    for lot in (1, 2):
        known = ListingRecord(listing(lot=Decimal(lot)))
        with closing(SqliteLedger.open(folder)) as other:
            other.put_listings([known])
        assert [books.listings(["AAPL"]) for _ in range(2)] == 2 * [{"AAPL": known}]
    taken_back = ListingRecord(listing(lot=Decimal(3)))
    with suppress(ZeroDivisionError), books.file.write():
        books.tables.listings.put(taken_back)
        assert books.listings(["AAPL"]) == {"AAPL": taken_back}
        raise ZeroDivisionError
    assert books.listings(["AAPL"]) == {"AAPL": known}


def test_last_claim_is_the_latest_of_the_latest_session(books: SqliteLedger) -> None:
    assert books.last_claim("audit") is None
    for job, days, slot, at in [
        ("audit", 0, "a", 5),
        ("audit", -1, "b", 9),
        ("audit", 0, "c", 7),
        ("audits", 1, "d", 9),
    ]:
        books.claim_slot(job, DAY + timedelta(days=days), slot, "serve 7", minutes(at))
    assert books.last_claim("audit") == SlotClaim("audit", DAY, "c", "serve 7", minutes(7), won=False)


def test_books_let_go_of_the_pages_that_were_read_too(books: SqliteLedger) -> None:
    told = list[str]()
    books.file.database.set_trace_callback(told.append)
    books.forget()
    assert told == ["PRAGMA shrink_memory"]


def test_quick_reads_change_nothing_and_cannot_write(folder: Path, books: SqliteLedger) -> None:
    books.record_intent(make_intent(), ())
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    quick = SqliteLedger.open(folder, read_only=True)
    assert len(quick.intents()) == 1
    assert quick.trading_state().state is TradingState.ACTIVE
    with pytest.raises(OperatorError):
        quick.put_marks({("flow", "AAPL", NOW): Marks(Decimal(1), None)})
    quick.close()
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_first_reader_rolls_back_a_commit_that_was_killed(folder: Path) -> None:
    # The process dies with the change half in the file and the rollback journal hot beside it.
    code = (
        "books.record_intent(make_intent('kept'), ())\n"
        "db = books.file.database; db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE')\n"
        "db.executemany('INSERT INTO slots (account, job, session, slot, holder, at) VALUES (?,?,?,?,?,?)',"
        " [(ACCOUNT, 'x' * 900, 'd', str(n), 'h', 'a') for n in range(200)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    start(code, folder).communicate()
    assert (folder / "ledger.db-journal").stat().st_size > 0
    quick = SqliteLedger.open(folder, read_only=True)
    assert [record.intent for record in quick.intents()] == [make_intent("kept")]
    quick.close()
    assert not (folder / "ledger.db-journal").exists()


def test_promise_fails_on_a_full_disk_and_the_books_stay_sound(folder: Path) -> None:
    code = (
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "books.record_intent(make_intent('s0'), ())\n"
        "size = (folder / 'journal.jsonl').stat().st_size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]),) * 2)\n"
        "for n in range(1, 100): books.record_intent(make_intent(f's{n}'), (PASSED,) * 20)"
    )
    for spare in ("0", "100", "30000"):
        done = forked.ran(PREFACE + code, folder, spare)
        assert "CannotWriteError: The state folder" in done.stderr
        books = SqliteLedger.open(folder)
        assert make_intent("s0") in [record.intent for record in books.intents()]
        assert books.record_intent(make_intent(f"after {spare}"), ())
        books.close()
        verify(folder / "journal.jsonl")
        assert not list(folder.glob("journal.torn-*"))


def test_write_fails_for_now_while_a_reader_holds_the_ledger(folder: Path, books: SqliteLedger) -> None:
    books.file.database.execute("PRAGMA busy_timeout = 10")
    reader = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM intents").fetchall()
    with pytest.raises(TemporaryError):
        books.record_intent(make_intent(), ())
    reader.close()
    assert books.record_intent(make_intent(), ())


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes().replace(b"promised", b"promisec")),
        lambda path: path.write_bytes(path.read_bytes().splitlines(keepends=True)[0]),
    ],
    ids=["missing", "empty", "changed", "behind the ledger"],
)
def test_promise_is_refused_when_the_journal_is_missing(folder: Path, harm: Callable[[Path], object]) -> None:
    books = SqliteLedger.open(folder)
    books.record_intent(make_intent("before"), ())
    books.close()
    harm(folder / "journal.jsonl")
    books = SqliteLedger.open(folder)
    with pytest.raises(OperatorError) as caught:
        books.record_intent(make_intent(), ())
    assert "RUNBOOK" in caught.value.hint
    assert [record.intent for record in books.intents()] == [make_intent("before")]
    books.close()


def test_trading_state_is_the_more_restrictive_of_files_and_rows(folder: Path, books: SqliteLedger) -> None:
    books.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "me", "storm", minutes(1)))
    assert halt_switch.lift(folder, halt_switch.halt_stat(folder))
    halt_switch.arm(folder, "someone", minutes(2))
    assert books.trading_state().state is TradingState.FLATTEN
    books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(3)))
    assert books.trading_state().why == "calm"
    halt_switch.halt(folder, "quick", "typed halt", minutes(4), "REDUCE_ONLY")
    assert (books.trading_state().state, books.trading_state().why) == (TradingState.REDUCE_ONLY, "typed halt")
    assert halt_switch.lift(folder, halt_switch.halt_stat(folder))
    halt_switch.arm(folder, "someone", minutes(5))
    (folder / "ARMED").unlink()
    assert (books.trading_state().state, books.armed()) == (TradingState.REDUCE_ONLY, False)


def test_unreadable_trading_state_counts_as_reduce_only(folder: Path, books: SqliteLedger) -> None:
    books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", NOW))
    pragma("UPDATE trading_states SET state = 'WILD'")(folder / "ledger.db")
    assert books.trading_state().state is TradingState.REDUCE_ONLY


def test_halt_is_ended_only_if_the_whole_journal_is_sound(folder: Path, books: SqliteLedger) -> None:
    books.record_intent(make_intent(), ())
    books.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "storm", NOW))
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"187.25", b"187.26"))
    with pytest.raises(OperatorError, match="broken at record 2"):
        books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", NOW))
    assert books.trading_state().state is TradingState.REDUCE_ONLY


def test_failed_write_leaves_the_ledger_unchanged(folder: Path, books: SqliteLedger) -> None:
    with pytest.raises(TypeError):
        books.apply_fills([make_fill("a1"), None], NOW)  # type: ignore[list-item]
    assert books.fills() == ()
    books.apply_orders((make_order(),), NOW)
    assert books.claim_slot("score", DAY, "s", "me", NOW).won


WHOLE = ("intents", "last_acknowledged", "orders", "fills", "opening_cash", "cash_adjustments", "booked", "totals")
LAST = (
    "last_reconcile",
    "account_state",
    "foreign_and_moved_fills",
    "equity_peak",
    "acknowledged_since",
    "acknowledged",
)
READS: tuple[Callable[[SqliteLedger], object], ...] = (
    *(methodcaller(name) for name in (*WHOLE, *LAST, "halts")),
    *(methodcaller(name, DAY) for name in ("recent_intents", "unsettled_intents", "slot_claims")),
    *(methodcaller(name, ["v1"]) for name in ("order_chains", "filled_quantities", "recorded_intents")),
    methodcaller("intent", "any"),
    methodcaller("recent_orders", NOW),
    methodcaller("sessions", DAY, DAY),
    methodcaller("entry_terms", [("flow", "AAPL", NOW)]),
    lambda books: books.tallies.counts(),
    lambda books: books.file.check(),
)


@pytest.mark.parametrize("read", READS)
def test_interrupted_read_raises_an_operator_error(books: SqliteLedger, read: Callable[[SqliteLedger], object]) -> None:
    books.file.database.set_progress_handler(lambda: 1, 1)
    with pytest.raises(OperatorError):
        read(books)


def test_fills_since_a_time_come_oldest_first(books: SqliteLedger) -> None:
    fills = [make_fill("a1", minutes(5)), make_fill("a2", minutes(1)), make_fill("a3", minutes(5)), make_fill("a4")]
    books.apply_fills(fills, NOW)
    assert [owned.fill.activity_id for owned in books.fills_since(minutes(1))] == ["a2", "a1", "a3"]


def test_in_one_write_commits_all_writes_or_none(tmp_path: Path) -> None:
    ledger = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    with ledger.file.in_one_write():
        ledger.open_books(Decimal(1), NOW)
        ledger.apply_fills([make_fill("a1")], NOW)
        with closing(SqliteLedger.open(tmp_path, ACCOUNT, read_only=True)) as other:
            assert other.fills() == ()

    def fail() -> None:
        with ledger.file.in_one_write():
            ledger.apply_fills([make_fill("a2")], NOW)
            ledger.open_books(Decimal(2), NOW)

    with pytest.raises(AssertionError, match="already"):
        fail()
    ledger.apply_fills([make_fill("a3")], NOW)
    ledger.file.check()
    assert [owned.fill.activity_id for owned in ledger.fills()] == ["a1", "a3"]
    ledger.close()


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        return sorted(database.iterdump())


def test_books_that_begin_with_a_past_are_those_of_each_write_by_itself(tmp_path: Path) -> None:
    def fill(ledger: SqliteLedger) -> None:
        ledger.open_books(Decimal(1), NOW)
        ledger.record_intent(make_intent(), (PASSED,))
        ledger.record_outcome(make_intent().client_order_id, Reply(WriteOutcome.ACCEPTED, make_order()), NOW)
        ledger.apply_fills([make_fill("a1"), make_fill("a2")], NOW)
        ledger.apply_fills([replace(make_fill("a3"), strategy="other")], NOW)

    at_end, one_by_one = tmp_path / "at end", tmp_path / "one by one"
    for folder in (at_end, one_by_one):
        folder.mkdir()
        with closing(SqliteLedger.create(folder, ACCOUNT, NOW)) as ledger:
            with ledger.file.begin_with() if folder is at_end else ledger.file.in_one_write():
                fill(ledger)
            ledger.file.check_pages()
            # What comes later has its sums at once again.
            ledger.apply_fills([make_fill("a4")], NOW)
            ledger.file.check_whole()
    assert dump(at_end) == dump(one_by_one)


def test_only_new_books_begin_with_a_past(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as ledger:
        ledger.apply_fills([make_fill("a1")], NOW)
        with pytest.raises(AssertionError, match="a new ledger"), ledger.file.begin_with():
            pytest.fail("it began")
        ledger.file.check_whole()


@pytest.mark.parametrize(("place", "name"), [(integrity, "_look_at"), (journal, "records")])
def test_check_ignores_what_another_process_writes_meanwhile(
    folder: Path, books: SqliteLedger, monkeypatch: pytest.MonkeyPatch, place: ModuleType, name: str
) -> None:
    books.record_intent(make_intent(), ())
    slots, refused, before = iter(f"open+{minute}m" for minute in range(9)), list[str](), getattr(place, name)

    def meanwhile(*arguments: object) -> object:
        if slot := next(slots, None):
            try:
                other.record_intent(make_intent(slot), ())
            except TemporaryError:
                refused.append(slot)
        return before(*arguments)

    with closing(SqliteLedger(TableFile.open(folder, patience_s=0.0))) as other:
        other.record_intent(make_intent("open"), ())
        monkeypatch.setattr(place, name, meanwhile)
        books.file.check_pages()
        books.file.check_journal()
    assert refused


ARMING = Arming(2, DAY, DAY + timedelta(days=1), NOW + timedelta(days=1, hours=3), "ann/1", NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    books = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    yield books
    books.close()


def test_last_arming_counts_and_the_journal_has_each_of_them(ledger: SqliteLedger, tmp_path: Path) -> None:
    later = replace(ARMING, sessions=1, last=DAY, until=NOW + timedelta(hours=3), at=NOW + timedelta(minutes=1))
    assert ledger.armings.last() is None
    ledger.armings.append(ARMING)
    assert ledger.armings.last() == ARMING
    ledger.armings.append(later)
    assert ledger.armings.last() == later
    assert [record.kind for record in journal.records(tmp_path / JOURNAL)].count("live_armed") == 2
    ledger.file.check_whole()


BASELINE = Baseline({"shadow": False, "universe": ["AAPL"], "limits": {"min_score": 0.2}}, "ann/1", NOW)


def test_last_accepted_configuration_counts_and_the_journal_has_each_of_them(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        assert books.baselines.last() is None
        later = replace(BASELINE, values={"shadow": True}, at=minutes(1))
        for baseline in (BASELINE, later):
            books.baselines.approve(baseline)
            assert books.baselines.last() == baseline
            assert books.file.sealed_head() == books.file.check_journal(), "the journal was synced before the commit"
        kinds = [record.kind for record in journal.records(tmp_path / JOURNAL)]
        assert kinds == ["created", "approved", "approved"]
        books.file.check_whole()
    assert BASELINE.fingerprint != later.fingerprint


def test_newest_configuration_stays_the_last_when_the_clock_was_set_back(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.baselines.approve(BASELINE)
        books.baselines.approve(replace(BASELINE, values={"shadow": True}, at=minutes(-60)))
        found = books.baselines.last()
    assert found is not None
    assert (found.values, found.at) == ({"shadow": True}, NOW)


def test_configuration_too_large_for_a_record_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        with pytest.raises(OperatorError, match="more than the 240000"):
            books.baselines.approve(replace(BASELINE, values={"universe": ["AAPL"] * 40_000}))
        assert books.baselines.last() is None
        books.file.check_whole()


PAPER = Promotion("flow", Rung.PAPER, "abc", "ann/1", NOW, MeanInterval(0.0001, 0.001, 120, 0.005), {"sessions": 120.0})
OVERRIDDEN = Promotion("flow", Rung.LIVE, "abc", "ann/1", minutes(1), sentence="flow trades, and I know it")


def test_each_promotion_is_read_again_as_it_was_and_the_journal_has_it(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        assert books.promotions.every() == ()
        for promotion in (PAPER, OVERRIDDEN):
            books.promotions.append(promotion)
            assert books.file.sealed_head() == books.file.check_journal(), "the journal was synced before the commit"
        assert books.promotions.every() == (PAPER, OVERRIDDEN)
        assert [record.kind for record in journal.records(tmp_path / JOURNAL)] == ["created", "promoted", "promoted"]
        books.file.check_whole()


def test_last_promotion_stays_the_last_when_the_clock_was_set_back(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.promotions.append(OVERRIDDEN)
        books.promotions.append(replace(PAPER, at=minutes(-60)))
        assert books.promotions.every() == (OVERRIDDEN, replace(PAPER, at=minutes(1)))


def test_promotion_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.promotions.append(PAPER)
    edit(tmp_path / "ledger.db", """UPDATE promotions SET body = replace(body, '"paper"', '"heaven"')""")
    with closing(SqliteLedger.open(tmp_path, ACCOUNT)) as books, pytest.raises(DamagedBooksError, match="heaven"):
        books.promotions.every()
