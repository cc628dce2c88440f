"""Books made again are what they were, or say what they could not prove.

Books that are joined hold what books that were never lost hold, wherever ledger and journal were cut apart.
"""

import ast
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit import ledgers
from tests.kit.ledgers import BESIDE, MONEY, PERSONS, content, part, verify, without_the_seal
from tests.kit.rows import ACCOUNT, DAY, NOW, PASSED, make_fill, make_intent, make_order, minutes
from tests.kit.values import best_price, there
from tradebot.adapters import failpoint
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.account_history import FillTotals
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import backups, integrity_check, quarantine, rebuild
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import (
    JOURNAL,
    LEDGER,
    REBUILDING,
    StateFolder,
    create,
    open_state,
    prepare,
    read_marker,
)
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import ActivityKind, Booking, Entry, RestatedPosition
from tradebot.model.intent import IntentState
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import EntryTerms, Marks, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import Arming, Baseline, TradingState, TradingStateRecord
from tradebot.model.venue import Settlement

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return ledgers.make(tmp_path / "state")


def flip(path: Path, text: bytes = b"187.25") -> None:
    path.write_bytes(path.read_bytes().replace(text, bytes([text[0] ^ 1]) + text[1:]))


HARM: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "bit-flipped": flip,
    "garbage": lambda path: path.write_bytes(os.urandom(9000)),
}


def test_rebuild_ignores_quarantined_books_without_files(folder: StateFolder) -> None:
    before = content(folder.path)
    backups.make(folder, "by-hand", NOW)
    place = there(quarantine.move(folder.path, "damaged", NOW))
    for name in ("ledger.db", "journal.jsonl"):
        (place / name).unlink()
    rebuild.rebuild(folder, "a test", NOW)
    # An approval never comes back from backups alone.
    after = content(folder.path) | {name: before[name] for name in PERSONS}
    assert {name: after[name] for name in MONEY} == {name: before[name] for name in MONEY}


@pytest.mark.parametrize("harm", HARM)
def test_rebuild_restores_all_money_from_the_journal_alone(folder: StateFolder, harm: str) -> None:
    before = content(folder.path)
    HARM[harm](folder.path / "ledger.db")
    made = rebuild.rebuild(folder, "damaged", NOW)
    after = content(folder.path)
    assert part(after, *MONEY) == part(before, *MONEY)
    assert (made.intents, made.fills, {doubt.what for doubt in made.doubts}) == (5, 2, {"ledger"})
    assert after["state"].state is TradingState.REDUCE_ONLY


@pytest.mark.parametrize("lost", ["ledger.db", "journal.jsonl"])
def test_rebuilt_books_have_a_checkpoint_that_fits(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(FillTotals, "left_out", 0)
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        books.checkpoint_totals()
        # It comes late, so the checkpoint of the old books doesn't stand for it.
        books.apply_fills([make_fill("late", minutes(-1))], NOW)
    (folder.path / lost).unlink()
    rebuild.rebuild(folder, "damaged", NOW)
    monkeypatch.setattr(FillTotals, "_current_checkpoint", without_the_seal)
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        assert books.file.rows("SELECT fills FROM checkpoints WHERE account = ?") == [(3,)]
        assert books.totals() == Totals.of(books.fills())


def test_rebuild_makes_books_that_only_their_owner_can_read(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    move = quarantine.move

    def note_modes(path: Path, *more: Any) -> Any:
        modes.append(stat.S_IMODE((path / REBUILDING).stat().st_mode))
        return move(path, *more)

    monkeypatch.setattr(quarantine, "move", note_modes)
    (folder.path / LEDGER).unlink()
    rebuild.rebuild(folder, "damaged", NOW)
    assert modes == [0o700]


def test_rebuild_books_a_twice_journaled_activity_once(folder: StateFolder) -> None:
    before = content(folder.path)["cash"]
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        paid = Booking((Entry("2026::1", "DIV", Decimal("12.5"), "DIV AAPL", meaning=ActivityKind.DIVIDEND),))
        # Whoever is killed between journal and ledger leaves a record of what the next one books again.
        books.file.note("cash_adjusted", {"amount": "12.5", "why": "activity:2026::1 DIV AAPL"}, minutes(30))
        assert books.book(paid, minutes(31))
    (folder.path / "ledger.db").unlink()
    rebuild.rebuild(folder, "damaged", NOW)
    assert len(content(folder.path)["cash"]) == len(before) + 1
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        assert books.booked(["2026::1"]) == {"2026::1": paid.entries[0]}


def test_rebuild_drops_a_best_price_from_before_a_split(folder: StateFolder) -> None:
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        for strategy in ("flow", "other"):
            books.put_marks({(strategy, "AAPL", NOW): Marks(Decimal(180), None)})
        backups.make(folder, "before the split", minutes(30))
        split = OwnedFill("flow", replace(make_fill("activity:2026::1:0").fill, venue_order_id=""))
        marks = (RestatedPosition("flow", "AAPL", NOW, "AAPL", Decimal(2)),)
        assert books.book(
            Booking((Entry("2026::1", "SPLIT", Decimal(0), "SPLIT AAPL"),), (split,), (), marks), minutes(31)
        )
    (folder.path / "ledger.db").unlink()
    rebuild.rebuild(folder, "damaged", NOW)
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        assert [best_price(books, strategy, "AAPL", NOW) for strategy in ("flow", "other")] == [None, 180]


@pytest.mark.parametrize("lost", ["ledger.db", "journal.jsonl"])
def test_rebuild_restores_the_exit_that_a_position_asked_for(folder: StateFolder, lost: str) -> None:
    intent = replace(make_intent("open+45m", "MSFT"), stop_loss_fraction=Decimal("0.01"))
    order = replace(make_order("v45"), client_order_id=intent.client_order_id, symbol="MSFT")
    fill = replace(make_fill("a45").fill, venue_order_id="v45", symbol="MSFT")
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        books.record_intent(intent, ())
        books.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), minutes(1))
        books.apply_fills([OwnedFill("flow", fill)], minutes(1))
        # A pass saw the fill when the price was 3 % higher.
        price = Decimal(190)
        seen = replace(
            order, filled_quantity=fill.quantity, filled_average_price=price, fill_mid=price * Decimal("1.03")
        )
        books.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, seen), minutes(2))
    (folder.path / lost).unlink()
    rebuild.rebuild(folder, "damaged", NOW)
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        held = ("flow", "MSFT", NOW)
        kept = EntryTerms(None, Decimal("0.01"), instrument=intent.instrument, first_gain=Decimal("0.03"))
        assert books.entry_terms([held]) == {held: kept}


def test_rebuild_takes_an_answer_from_the_ledger_that_the_journal_lost(folder: StateFolder) -> None:
    intent, at = make_intent("open+40m"), make_intent("open+40m").at
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        books.record_intent(intent, (PASSED,))
        before = (folder.path / "journal.jsonl").read_bytes()
        books.record_outcome(intent.client_order_id, Reply(WriteOutcome.REJECTED, None, "40310000", "not enough"), at)
    (folder.path / "journal.jsonl").write_bytes(before)
    rebuild.rebuild(folder, "a loss of power", NOW)
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        found = books.intent(intent.client_order_id)
    assert found is not None
    assert (found.state, found.code) == (IntentState.REJECTED, "40310000")


@pytest.mark.parametrize("harm", HARM)
def test_rebuild_restores_everything_from_an_old_backup_and_the_journal(folder: StateFolder, harm: str) -> None:
    backups.make(folder, "by-hand", NOW)
    books = SqliteLedger.open(folder.path)
    books.record_intent(make_intent("open+90m"), (PASSED,))
    books.close()
    before = content(folder.path)
    HARM[harm](folder.path / "ledger.db")
    rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY, *BESIDE) == part(before, *MONEY, *BESIDE)


@pytest.mark.parametrize("harm", HARM)
def test_rebuild_restores_everything_from_a_ledger_without_its_journal(folder: StateFolder, harm: str) -> None:
    before = content(folder.path)
    HARM[harm](folder.path / "journal.jsonl")
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY, *BESIDE) == part(before, *MONEY, *BESIDE)
    assert made.doubts
    assert made.ledger == folder.path


def test_rebuild_uses_the_last_backup_when_both_files_are_lost(folder: StateFolder) -> None:
    before = content(folder.path)
    backups.make(folder, "by-hand", NOW)
    for name in quarantine.BOOKS:
        (folder.path / name).unlink(missing_ok=True)
    made = rebuild.rebuild(folder, "damaged", NOW)
    told = [name for name in (*MONEY, *BESIDE) if name not in PERSONS]
    assert part(content(folder.path), *told) == part(before, *told)
    # What a backup holds as accepted may have been tightened since.
    assert [content(folder.path)[name] for name in PERSONS] == [None, ()]
    assert [doubt.what for doubt in made.doubts] == ["configuration"]
    assert made.quarantine is None


def test_rebuild_makes_empty_books_when_nothing_is_left(folder: StateFolder) -> None:
    for name in quarantine.BOOKS:
        (folder.path / name).unlink(missing_ok=True)
    assert {doubt.what for doubt in rebuild.rebuild(folder, "damaged", NOW).doubts} == {"ledger", "journal"}
    books = SqliteLedger.open(folder.path, ACCOUNT)
    assert (books.intents(), books.fills(), books.books_opened_at()) == ((), (), None)
    books.close()


@pytest.mark.parametrize("number", [1, 2, 3, 8, 11, 13, 14, 16, 17, 18])
def test_rebuild_loses_no_other_record_to_a_damaged_one(folder: StateFolder, number: int) -> None:
    path = folder.path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    before = content(folder.path)
    lines[number - 1] = lines[number - 1].replace(b'"at":"2', b'"at":"3', 1)
    path.write_bytes(b"".join(lines))
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY, *BESIDE) == part(before, *MONEY, *BESIDE)
    assert any(doubt.where.endswith(f"journal.jsonl:{number}") for doubt in made.doubts)
    integrity_check.problem(folder)


def test_new_books_wait_for_a_person_before_risk_is_added(folder: StateFolder) -> None:
    (folder.path / "ledger.db").unlink()
    made = rebuild.rebuild(folder, "damaged", NOW)
    books = SqliteLedger.open(folder.path)
    with pytest.raises(OperatorError, match=made.name) as caught:
        books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(60)))
    assert caught.value.code is ExitCode.REFUSED
    with pytest.raises(AssertionError):
        books.upkeep.accept_rebuilt("rebuilt-another", "me", minutes(60))
    books.upkeep.accept_rebuilt(made.name, "me", minutes(60))
    books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(61)))
    assert books.trading_state().state is TradingState.ACTIVE
    books.close()


@pytest.mark.parametrize("lost", ["ledger.db", "journal.jsonl"])
def test_rebuild_keeps_flatten_in_force(folder: StateFolder, lost: str) -> None:
    with closing(SqliteLedger.open(folder.path)) as books:
        books.history.record("FLATTEN", "me", "a storm", minutes(50))
    (folder.path / lost).unlink()
    rebuild.rebuild(folder, "damaged", NOW)
    with closing(SqliteLedger.open(folder.path)) as books:
        assert books.trading_state().state is TradingState.FLATTEN


def test_books_can_be_rebuilt_again_and_again(folder: StateFolder) -> None:
    before = content(folder.path)
    for harm in HARM.values():
        harm(folder.path / "ledger.db")
        rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY) == part(before, *MONEY)
    assert len(quarantine.places(folder.path)) == len(HARM)


def test_second_rebuild_keeps_what_was_written_after_the_first(folder: StateFolder) -> None:
    flip(folder.path / "ledger.db")
    rebuild.rebuild(folder, "damaged", NOW)
    books = SqliteLedger.open(folder.path)
    books.record_intent(make_intent("open+90m"), (PASSED,))
    books.close()
    before = content(folder.path)
    flip(folder.path / "ledger.db")
    rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY) == part(before, *MONEY)


POINTS = (
    ("quarantine.move.before", 1),
    ("quarantine.move.before", 2),
    ("rebuild.install.before", 1),
    ("rebuild.install.before", 2),
    ("rebuild.install.after", 2),
    ("ledger_file.commit.before", 1),
)
"""Where a rebuild dies, and at which time that it comes there: with all of the old books in place, with half, none."""


@pytest.mark.parametrize(("point", "times"), POINTS)
def test_next_rebuild_finishes_a_killed_one(
    folder: StateFolder, point: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, left = content(folder.path), [times]

    def dies(reached: str) -> None:
        left[0] -= reached == point
        if left[0] == 0:
            raise KeyboardInterrupt

    flip(folder.path / "ledger.db")
    monkeypatch.setattr(failpoint, "hook", dies)
    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild(folder, "damaged", NOW)
    monkeypatch.setattr(failpoint, "hook", None)
    state = read_marker(folder.path)
    rebuild.rebuild(state, "damaged", NOW)
    assert part(content(folder.path), *MONEY) == part(before, *MONEY)
    integrity_check.problem(state)


def test_rebuild_on_a_full_disk_leaves_the_damaged_books_in_place(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(reached: str) -> None:
        if reached == "journal.sync.before":
            raise OSError(errno.ENOSPC, "No space left on device")

    flip(folder.path / "ledger.db")
    before = (folder.path / "ledger.db").read_bytes()
    monkeypatch.setattr(failpoint, "hook", full)
    with pytest.raises(OperatorError, match="can't be written"):
        rebuild.rebuild(folder, "damaged", NOW)
    assert (folder.path / "ledger.db").read_bytes() == before
    assert quarantine.places(folder.path) == []


@pytest.mark.parametrize("settlement", Settlement)
def test_rebuild_from_the_journal_knows_how_the_account_settles(tmp_path: Path, settlement: Settlement) -> None:
    prepare(tmp_path)
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.open_books(Decimal(5), NOW, settlement)
        standing = books.account_state()
    made = create(tmp_path, "sandbox", ACCOUNT, "user", NOW)
    (opening,) = [line for line in (tmp_path / "journal.jsonl").read_text().splitlines() if '"opening"' in line]
    assert ("settlement" in opening) == (settlement is Settlement.MARGINED)
    (tmp_path / "ledger.db").unlink()
    rebuild.rebuild(made, "lost", NOW)
    with closing(SqliteLedger.open(tmp_path, read_only=True)) as books:
        assert books.account_state() == standing


def test_rebuild_ignores_the_ledger_of_another_bot(folder: StateFolder, tmp_path: Path) -> None:
    before = content(folder.path)
    books = SqliteLedger.create(tmp_path, ACCOUNT, minutes(90))
    books.open_books(Decimal(5), minutes(90))
    for number in range(30):
        books.record_intent(make_intent(f"open+{number}h"), (PASSED,))
    books.close()
    shutil.copy(tmp_path / "ledger.db", folder.path / "ledger.db")
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY) == part(before, *MONEY)
    assert "journal" in " ".join(doubt.why for doubt in made.doubts)


def test_rebuild_ignores_the_journal_of_another_account(folder: StateFolder) -> None:
    path = folder.path / "journal.jsonl"
    path.unlink()
    journal.Journal.create(path, {"account": "SBX000000043"}, NOW).close()
    before = content(folder.path)
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(folder.path), *MONEY) == part(before, *MONEY)
    assert any("no record of this account" in doubt.why for doubt in made.doubts)


NOTES = ("self._file.note", "books.note", "self.tables.books.note")


def test_every_journaled_kind_is_replayed_or_left_out_by_name() -> None:
    written = {"created"}
    for path in (ROOT / "tradebot" / "adapters" / "ledger").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in NOTES:
                kind = node.args[0]
                assert isinstance(kind, ast.Constant), f"{path.name}:{node.lineno} names no kind"
                written.add(str(kind.value))
    assert written == {*rebuild.PLAYED} | rebuild.BY_TEXT | rebuild.NOT_PLAYED


def test_rebuild_doubts_a_record_of_an_unknown_kind(folder: StateFolder) -> None:
    path = folder.path / "journal.jsonl"
    chain = journal.Journal.open(path, verify(path))
    chain.append("teleported", {}, minutes(30))
    chain.sync()
    chain.close()
    (folder.path / "ledger.db").unlink()
    assert any("teleported" in doubt.why for doubt in rebuild.rebuild(folder, "damaged", NOW).doubts)


OWED = ("account", "opening", "verdicts", "fills", "cash", "notes", "acknowledged", "approved", "intents")
"""What comes back whatever was lost of either."""
REPLIES = (WriteOutcome.ACCEPTED, WriteOutcome.REJECTED, WriteOutcome.UNKNOWN)


class Step(NamedTuple):
    """One thing that is written, and whether its commit fails once its record is in the journal.

    Only that of a promise may: what the venue told is true, committed or not, and may well come back.
    """

    what: str
    which: int
    fails: bool


STEPS = ("promise", "settle", "abandon", "retry", "fill", "split", "cash", "known", "halt", "approve", "slot", "best")
drawn_steps = st.lists(
    st.builds(Step, st.sampled_from(STEPS), st.integers(0, 5), st.integers(0, 9).map(lambda n: n == 0)),
    min_size=2,
    max_size=14,
)


class Diary:
    """Books that are written step by step, and what lay on the disk after each."""

    def __init__(self, place: Path, steps: list[Step]) -> None:
        self.folder = ledgers.make(place / "state")
        self.kept = place / "kept"
        self._steps = steps

    def write(self) -> None:
        """Write it all, keeping both files after each step."""
        with closing(SqliteLedger.open(self.folder.path, ACCOUNT)) as books:
            books.put_marks({("flow", "MSFT", NOW): Marks(Decimal(400), None)})
            books.armings.append(Arming(1, DAY, DAY, minutes(20), "me", minutes(14)))
            self._keep(0)
            for number, step in enumerate(self._steps, 1):
                with suppress(OperatorError, AssertionError, KeyError):
                    self._do(books, step, number)
                failpoint.hook = None
                self._keep(number)

    def between(self, ledger: int, journal: int) -> StateFolder:
        """Let the folder hold its ledger as it was after one step, and its journal as after another."""
        shutil.copyfile(self.kept / f"{ledger}.{LEDGER}", self.folder.path / LEDGER)
        shutil.copyfile(self.kept / f"{journal}.{JOURNAL}", self.folder.path / JOURNAL)
        return self.folder

    def _keep(self, number: int) -> None:
        self.kept.mkdir(exist_ok=True)
        for file in (LEDGER, JOURNAL):
            shutil.copyfile(self.folder.path / file, self.kept / f"{number}.{file}")

    def _do(self, books: SqliteLedger, step: Step, number: int) -> None:
        at = minutes(20 + number)
        failpoint.hook = _fails if step.fails and step.what == "promise" else None
        open_ones = [record.intent.client_order_id for record in books.intents(unresolved=True)]
        name = open_ones[step.which % len(open_ones)] if open_ones else "none"
        if step.what == "promise":
            books.record_intent(make_intent(f"open+{30 + step.which}m"), (PASSED,))
        elif step.what == "settle":
            order = make_order(f"v{number}", OrderStatus.FILLED, at)
            books.record_outcome(name, Reply(REPLIES[step.which % 3], order if step.which % 3 == 0 else None), at)
        elif step.what in ("abandon", "retry"):
            books.abandon(name, "gone", at) if step.what == "abandon" else books.retry(name, at)
        elif step.what == "fill":
            books.apply_fills([make_fill(f"f{step.which}", at)], at)
        elif step.what == "split":
            fill = replace(make_fill(f"adjustment:{step.which}", at).fill, venue_order_id="", symbol="MSFT")
            books.apply_fills([OwnedFill("flow", fill)], at)
        elif step.what == "cash":
            books.adjust_cash(Decimal(step.which) / 7, f"fee {number}", at, origin=Origin.PLAN)
        elif step.what == "known":
            books.acknowledge("TSLA", Decimal(step.which), "by hand", at, origin=Origin.ADOPTION, about="TSLA")
        elif step.what == "halt":
            books.history.record("ACTIVE" if step.which % 2 else "REDUCE_ONLY", "me", f"storm {number}", at)
        elif step.what == "approve":
            books.baselines.approve(Baseline({"limits": {"max_new_entries": str(step.which)}}, "me", at))
        elif step.what == "slot":
            books.claim_slot("score", DAY, f"open+{step.which}m", "cron/1", at)
        else:
            books.put_marks({("flow", "AAPL", NOW): Marks(Decimal(190 + step.which), None)})


def _fails(point: str) -> None:
    if point == "ledger_file.commit.before":
        raise OSError(28, "No space left on device")


def owed(path: Path) -> dict[str, Any]:
    """Return what a rebuild owes; in which order promises stand makes no difference."""
    found = part(content(path), *OWED)
    intents = {record.intent.client_order_id: record for record in found.pop("intents")}
    return found | {"verdicts": dict(found["verdicts"])} | {"intents": intents}


def without_rolled_back(found: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
    """Leave promises out that never were committed, and so never sent: new books look them up like any other."""
    extra = found["intents"].keys() - truth["intents"].keys()
    assert all(found["intents"][name].state is IntentState.SENT for name in extra)
    kept = {part: {k: v for k, v in found[part].items() if k not in extra} for part in ("intents", "verdicts")}
    return found | kept


@settings(max_examples=settings().max_examples // 4)
@given(drawn_steps, st.integers(0, 14), st.booleans(), st.integers(0, 40))
@example([Step("fill", 1, False), Step("split", 0, False), Step("promise", 1, True)], 0, False, 0)
def test_joining_two_moments_gives_the_books_of_the_later_one(
    steps: list[Step], cut: int, journal_is_older: bool, damaged: int
) -> None:
    if journal_is_older:
        # What a failed commit left in the journal alone is of no use where that part of the journal is lost.
        steps = [step._replace(fails=False) for step in steps]
    with tempfile.TemporaryDirectory() as place:
        diary = Diary(Path(place), steps)
        diary.write()
        truth, end, cut = owed(diary.folder.path), len(steps), min(cut, len(steps))
        folder = diary.between(end, cut) if journal_is_older else diary.between(cut, end)
        _damage(folder.path / JOURNAL, damaged, keep_from=diary.kept / f"{cut}.{JOURNAL}")
        rebuild.rebuild(folder, "a law", NOW)
        assert without_rolled_back(owed(folder.path), truth) == truth
        with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
            books.file.check()
            assert books.armings.last() is None
            assert books.last_reconcile() is None
            assert books.trading_state().state == "REDUCE_ONLY"
            fresh = _splits(steps) - _splits(steps[:cut])
            assert (best_price(books, "flow", "MSFT", NOW) is None) == (bool(fresh) and not journal_is_older)


def _splits(steps: list[Step]) -> set[int]:
    return {step.which for step in steps if step.what == "split"}


def _damage(journal: Path, number: int, keep_from: Path) -> None:
    """Flip a bit of one record that both moments hold; record 0 is none."""
    lines = journal.read_bytes().splitlines(keepends=True)
    if 1 < number <= min(len(lines), keep_from.read_bytes().count(b"\n")):
        middle = len(lines[number - 1]) // 2
        lines[number - 1] = lines[number - 1][:middle] + b"\x00" + lines[number - 1][middle + 1 :]
        journal.write_bytes(b"".join(lines))


@settings(max_examples=settings().max_examples // 10)
@given(drawn_steps)
def test_replayed_journal_equals_the_joined_ledger(steps: list[Step]) -> None:
    steps = [step._replace(fails=False) for step in steps]
    with tempfile.TemporaryDirectory() as place:
        diary = Diary(Path(place), steps)
        diary.write()
        truth = owed(diary.folder.path)
        (diary.folder.path / LEDGER).unlink()
        rebuild.rebuild(diary.folder, "a law", NOW)
        assert owed(diary.folder.path) == truth


def test_second_rebuild_does_not_restore_an_approval_from_a_backup(tmp_path: Path) -> None:
    folder = ledgers.make(tmp_path / "state")
    copy = backups.make(folder, "by-hand", NOW).path
    rebuild.rebuild(folder, "restored", NOW, only=copy)
    assert content(folder.path)["approved"] is None
    (folder.path / LEDGER).unlink()
    shutil.rmtree(folder.path / "quarantine")
    shutil.rmtree(folder.path / "backups")
    rebuild.rebuild(folder, "damaged", NOW)
    assert content(folder.path)["approved"] is None


def test_books_joined_twice_count_their_rebuilds(tmp_path: Path) -> None:
    folder = ledgers.make(tmp_path / "state")
    for _ in range(3):
        (folder.path / JOURNAL).unlink()
        rebuild.rebuild(folder, "lost", NOW)
    told = [line for line in (folder.path / JOURNAL).read_text().splitlines() if '"kind":"rebuilt"' in line]
    assert [f'"generation":{n}' in line for n, line in enumerate(told, 1)] == [True] * len(told)
    assert len(told) == 1
    assert state_folder.read_marker(folder.path).account_number == ACCOUNT


@pytest.mark.parametrize("kept", [True, False])
def test_rebuild_leaves_the_old_files_unchanged(tmp_path: Path, kept: bool) -> None:
    folder = ledgers.make(tmp_path / "state")
    before = {name: (folder.path / name).read_bytes() for name in (LEDGER, JOURNAL)}
    copy = backups.make(folder, "by-hand", NOW).path if kept else None
    made = rebuild.rebuild(folder, "restored", NOW, only=copy)
    assert made.quarantine is not None
    assert {name: (made.quarantine / name).read_bytes() for name in before} == before
    integrity_check.problem(folder)
    assert open_state(folder.path) == folder
    if copy:
        assert backups.verify_backup(folder, copy.name).path == copy
