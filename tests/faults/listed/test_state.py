"""Listed faults 117 to 132: the files of a bot's folder, damaged, lost, locked or not its own."""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import recover
from commands.unhalt import run as unhalt
from tests.faults.kills import entries, exits, reconciled
from tests.faults.listed.conftest import AtAPoint, as_another_user
from tests.kit.bot.stage import Stage, StageBot, run
from tests.kit.bot.trader import Said, Trader, in_a_session
from tests.kit.judge.account import accounts
from tests.kit.ledgers import edit, opened
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.schema import FORM
from tradebot.adapters.recovery import quarantine
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.state_folder import LEDGER_VERSION
from tradebot.model.intent import IntentState
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord

LEDGER, JOURNAL = "ledger.db", "journal.jsonl"
HALF_WRITTEN = """
    INSERT INTO slots (account, job, session, slot, holder, at)
    WITH numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)
    SELECT account, 'score', '2026-11-17', n, 'half written', '' FROM numbers, book
"""


@pytest.fixture(scope="module")
def holder(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> StageBot:
    """Return a bot that has traded and holds something; a copy of its books from before that lies beside them."""
    in_a_session(stage)
    bot = stage.bot("holder")
    assert run(bot, reconciled(bot), None).code == 0
    for name in (LEDGER, JOURNAL):
        shutil.copy(bot.folder / name, bot.folder.with_name(f"{bot.name}.{name}"))
    assert run(bot, entries({"AAPL": "buy"})(bot), None).code == 0
    stage.tick(seconds=120)
    assert run(bot, reconciled(bot), None).code == 0
    assert accounts(stage.log())[bot.number].fills
    return bot


@pytest.fixture
def keeper(stage: Stage, holder: StageBot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trader:
    """Return that bot with a copy of its folder, to do damage to."""
    in_a_session(stage)
    shutil.copytree(holder.folder, tmp_path / "state")
    return Trader(stage, replace(holder, folder=tmp_path / "state"))


def before(keeper: Trader, name: str) -> Path:
    """Return one of the books as it was before the bot traded."""
    return keeper.stage.folder / f"{keeper.bot.name}.{name}"


def is_refused(trader: Trader, *words: str, code: int = 2) -> None:
    """See that a pass of entries ends in one sentence with its next step, and that nothing is sent."""
    posts = trader.posts()
    said = trader.buys("MSFT", again=True)
    assert (said.code, "Traceback" in said.err) == (code, False), said.err
    assert [word for word in words if word not in said.err] == [], said.err
    assert trader.posts() == posts


def is_quarantined(trader: Trader) -> None:
    """See that damaged books are refused, moved aside whole, and that the bot is halted over them."""
    damaged = (trader.folder / LEDGER).read_bytes()
    is_refused(trader, "was moved to", "tradebot recover")
    (place,) = quarantine.places(trader.folder)
    assert (place / LEDGER).read_bytes() == damaged
    assert not halt_switch.is_armed(trader.folder)
    is_refused(trader, "missing: the books existed, and are lost")


def test_fault_117_ledger_of_0_bytes(keeper: Trader) -> None:
    """An empty file under a marker means lost books, not new ones: exit 2, naming the command that rebuilds them."""
    (keeper.folder / LEDGER).write_bytes(b"")
    is_refused(keeper, "empty: the books existed, and are lost", "tradebot recover")


@pytest.mark.parametrize("kind", ["a folder", "a pipe"])
def test_a_ledger_that_is_no_file_is_damaged_halts_and_is_moved_whole(keeper: Trader, kind: str) -> None:
    (keeper.folder / LEDGER).unlink()
    (os.mkfifo if kind == "a pipe" else os.mkdir)(keeper.folder / LEDGER)
    is_refused(keeper, f"it is {kind}, not a regular file", "was moved to", "tradebot recover")
    (place,) = quarantine.places(keeper.folder)
    assert (place / LEDGER).exists()
    assert not halt_switch.is_armed(keeper.folder)
    assert keeper.does(lambda app: int(recover.run(app, by="test").exit_code), state_folder.read_marker).code in (0, 10)
    assert keeper.held()


def test_a_journal_that_is_a_pipe_halts_and_keeps_no_pass_waiting(keeper: Trader) -> None:
    (keeper.folder / JOURNAL).unlink()
    os.mkfifo(keeper.folder / JOURNAL)
    is_refused(keeper, code=3)
    assert not halt_switch.is_armed(keeper.folder)
    assert "it is a pipe, not a regular file" in halt_switch.read(keeper.folder).why


def test_a_state_that_others_can_write_is_refused_by_every_pass_until_it_is_closed(trader: Trader) -> None:
    trader.folder.chmod(0o770)
    is_refused(trader, "is writable by other users", f"chmod go-w {trader.folder}")
    trader.folder.chmod(0o700)
    trader.goes_on(again=True)


def test_fault_118_ledger_missing_under_its_marker(keeper: Trader) -> None:
    """A pass never starts lost books over; recover rebuilds them from journal and broker, and entries stay blocked."""
    held = keeper.held()
    (keeper.folder / LEDGER).unlink()
    is_refused(keeper, "missing: the books existed, and are lost", "tradebot recover")
    rebuilt = keeper.does(lambda app: int(recover.run(app, by="test").exit_code), state_folder.read_marker)
    assert rebuilt.code in (0, 10), rebuilt.err
    assert keeper.held() == held
    posts = keeper.posts()
    assert keeper.buys("MSFT", again=True).code == 3
    assert keeper.posts() == posts


def test_fault_119_garbage_in_the_header(keeper: Trader) -> None:
    """The whole ledger moves to the quarantine, the bot halts, and nothing is sent."""
    with (keeper.folder / LEDGER).open("r+b") as file:
        file.write(b"garbage!" * 8)
    is_quarantined(keeper)


def test_fault_120_one_byte_flipped_in_a_payload(keeper: Trader) -> None:
    """The sum on each row catches what SQLite's own check doesn't: quarantine and halt."""
    path = keeper.folder / LEDGER
    whole = path.read_bytes()
    place = whole.rindex(b'"symbol":"AAPL"') + 11
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    is_quarantined(keeper)


@pytest.mark.parametrize("version", [min(FORM.steps) - 1, LEDGER_VERSION + 1])
def test_fault_121_older_or_newer_schema(keeper: Trader, version: int) -> None:
    """Books of an unknown version are not read, changed or moved: exit 2, naming both versions."""
    path = keeper.folder / LEDGER
    edit(path, f"PRAGMA user_version = {version}")
    found = path.read_bytes()
    is_refused(keeper, f"its ledger is {version}, this one reads {LEDGER_VERSION}", "Use the version")
    assert path.read_bytes() == found
    assert quarantine.places(keeper.folder) == []


def test_fault_122_rollback_journal_left_by_a_kill(trader: Trader, tmp_path: Path) -> None:
    """The next pass rolls back what the killed writer left half written, and continues as if it had never started."""
    path, kept = trader.folder / LEDGER, tmp_path / LEDGER
    with closing(opened(path)) as writer:
        # More than fits into a page of memory: old pages go into the journal, and new ones into the ledger, at once.
        for statement in ("PRAGMA journal_mode = TRUNCATE", "PRAGMA cache_size = 1", HALF_WRITTEN):
            writer.execute(statement)
        for name in ("", "-journal"):
            shutil.copy(f"{path}{name}", f"{kept}{name}")
    for name in ("", "-journal"):
        shutil.copy(f"{kept}{name}", f"{path}{name}")
    assert Path(f"{path}-journal").stat().st_size
    assert b"half written" in path.read_bytes()
    trader.goes_on()
    assert quarantine.places(trader.folder) == []


def test_fault_123_ledger_replaced_by_an_old_backup(keeper: Trader) -> None:
    """A ledger that lacks something its journal proves committed is an old copy: quarantine and halt."""
    shutil.copy(before(keeper, LEDGER), keeper.folder / LEDGER)
    is_quarantined(keeper)


def test_fault_124_ledger_unlinked_while_open(trader: Trader, at_a_point: AtAPoint) -> None:
    """A promise in a deleted file doesn't count: the pass ends with exit 2 before anything is sent."""
    at_a_point("cache_database.commit.after", (trader.folder / LEDGER).unlink)
    said = trader.buys("AAPL")
    assert (said.code, "removed or replaced while it was open" in said.err) == (2, True), said.err
    assert trader.posts() == 0


@pytest.mark.parametrize("lock", ["BEGIN; SELECT * FROM book", "BEGIN EXCLUSIVE"])
def test_fault_125_ledger_locked_by_somebody_else(trader: Trader, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After waiting, the pass ends with exit 5; nothing is sent or called damaged, and the next one trades."""
    connect = sqlite3.connect
    with closing(connect(trader.folder / LEDGER, isolation_level=None)) as other:
        for statement in lock.split("; "):
            other.execute(statement).fetchall()
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda *args, **named: connect(*args, **(named | {"timeout": 0.01})))
            said = trader.buys("AAPL")
        assert (said.code, "Traceback" in said.err) == (5, False), said.err
        assert trader.posts() == 0
    assert quarantine.places(trader.folder) == []
    assert trader.buys("AAPL").code == 0
    assert trader.posts() == 1


def test_fault_126_rows_edited_by_hand(keeper: Trader) -> None:
    """A row that another program changed has a wrong sum: quarantine and halt."""
    assert edit(keeper.folder / LEDGER, 'UPDATE fills SET body = replace(body, \'"price":"\', \'"price":"1\')')
    is_quarantined(keeper)


def test_fault_127_table_of_halts_emptied(keeper: Trader) -> None:
    """The missing rows are noticed even if the files say ACTIVE: quarantine and halt."""
    now = datetime.now(UTC)
    with closing(SqliteLedger.open(keeper.folder)) as ledger:
        ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "test", "a storm", now))
    assert edit(keeper.folder / LEDGER, "DELETE FROM trading_states")
    (keeper.folder / "HALT").unlink()
    halt_switch.arm(keeper.folder, "somebody", now)
    is_quarantined(keeper)


def test_fault_128_halt_is_a_folder(trader: Trader) -> None:
    """Anything named HALT halts; exits continue, and unhalt removes it."""
    (trader.folder / "HALT").mkdir()
    is_refused(trader, code=3)
    assert trader.exits().code == 0
    tail = trader.bot.number[-4:]
    assert trader.does(lambda app: int(unhalt.run(app, by="test", reason="over", confirmed=tail).exit_code)).code == 0
    assert not (trader.folder / "HALT").exists()
    assert trader.buys("MSFT", again=True).code == 0
    assert trader.posts() == 1


def test_fault_129_armed_belongs_to_another_user(trader: Trader) -> None:
    """An ARMED that we may not read doesn't arm: entries stay blocked, exits continue."""
    with as_another_user(trader):
        (trader.folder / "ARMED").chmod(0)
        if not os.geteuid():
            os.chown(trader.folder / "ARMED", 0, 0)
        assert run(trader.bot, trader.entries("AAPL", again=True), None).code == 3
        assert run(trader.bot, exits(trader.bot), None).code == 0
    assert trader.posts() == 0


def test_fault_130_last_line_of_the_journal_torn(keeper: Trader) -> None:
    """Half a line is not a promise: it is set aside, the books stay intact, and the pass continues."""
    with (keeper.folder / JOURNAL).open("ab") as file:
        file.write(b'{"schema":2,"seq":')
    posts = keeper.posts()
    assert keeper.buys("MSFT", again=True).code == 0
    assert keeper.posts() == posts + 1
    assert (keeper.folder / "journal.torn-1").read_bytes() == b'{"schema":2,"seq":'
    with closing(SqliteLedger.open(keeper.folder, read_only=True)) as ledger:
        ledger.tallies.compare_journal()


def test_fault_131_journal_and_ledger_disagree(keeper: Trader) -> None:
    """A journal that knows less than an intact ledger halts the bot; the ledger stays in place for the exits."""
    shutil.copy(before(keeper, JOURNAL), keeper.folder / JOURNAL)
    is_refused(keeper, code=3)
    assert not halt_switch.is_armed(keeper.folder)
    assert "journal" in halt_switch.read(keeper.folder).why
    assert quarantine.places(keeper.folder) == []
    assert keeper.held()


def test_fault_132_two_sets_of_books_for_one_account(
    trader: Trader, at_a_point: AtAPoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """If both decide on an order it is one order by its id; an order that only the other promised halts this one."""
    other = Trader(trader.stage, trader.stage.twin(trader.bot))
    assert other.reconciles().code == 0
    met = list[Said]()
    at_a_point("alpaca.send.before", lambda: met.append(other.buys("AAPL")))
    assert trader.buys("AAPL").code == 0
    assert [said.code for said in met] == [0]
    assert len(trader.told().accepted) == 1
    assert [one.intents()[0].state for one in (trader, other)] == [IntentState.ACKED] * 2
    trader.stage.tick(seconds=120)
    assert [one.reconciles().code for one in (trader, other)] == [0, 0]
    assert trader.held() == other.held() != {}
    assert other.buys("MSFT", again=True).code == 0
    assert trader.buys("JPM", again=True).code == 3
    assert "SECOND_WRITER" in halt_switch.read(trader.folder).why
    assert [order["symbol"] for order in trader.told().accepted] == ["AAPL", "MSFT"]
    assert trader.told().doubles == []
