"""Books that are joined hold what books that were never lost hold, wherever ledger and journal were cut apart."""

import shutil
import tempfile
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit import ledgers
from tests.kit.ledgers import content, part
from tests.kit.rows import ACCOUNT, DAY, NOW, PASSED, make_fill, make_intent, make_order, minutes
from tests.kit.values import best_price
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import backups, rebuild
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, StateFolder
from tradebot.errors import OperatorError
from tradebot.model.intent import IntentState
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Marks, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Arming, Baseline

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
            books.promise(make_intent(f"open+{30 + step.which}m"), (PASSED,))
        elif step.what == "settle":
            order = make_order(f"v{number}", OrderStatus.FILLED, at)
            books.settle(name, Reply(REPLIES[step.which % 3], order if step.which % 3 == 0 else None), at)
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
    if copy:
        assert backups.verify_backup(folder, copy.name).path == copy
