"""Listed faults 143 to 150: a disk that takes no more, no longer, or forgets."""

import errno
import os
import resource
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from commands.shared.error_boundary import run_command
from commands.shared.evidence.machine import disk_of
from tests.faults.kills import exits
from tests.faults.listed.conftest import AtAPoint, as_another_user
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import run
from tests.kit.bot.trader import Said, Trader
from tests.kit.core.evidence import at
from tests.kit.fakes.machine import mounted
from tests.kit.values import NOW
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.judging.judgment import HealthState
from tradebot.judging.pass_health import judge_subject
from tradebot.model.intent import IntentState
from tradebot.model.reasons import Reason
from tradebot.model.trading import Mode

NEEDS_A_PERSON = 2


def fails(patch: pytest.MonkeyPatch, call: str, path: Path, number: int) -> None:
    """Let a call of the system fail for one file from now on, as a disk makes it fail."""
    whole, place = getattr(os, call), path.stat().st_ino

    def failing(descriptor: int, *others: Any) -> Any:
        if os.fstat(descriptor).st_ino == place:
            raise OSError(number, os.strerror(number))
        return whole(descriptor, *others)

    patch.setattr(os, call, failing)


def is_told(said: Said, words: str) -> None:
    """See that a pass ended in one sentence about the folder, with what to do."""
    assert (said.code, "Traceback" in said.err) == (NEEDS_A_PERSON, False), said.err
    assert f"can't be written: {words}" in said.err
    assert "free up disk space" in said.err


def limited(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """Return a way to open databases that have no page left to grow by."""

    def opened(*args: Any, **named: Any) -> sqlite3.Connection:
        database = connect(*args, **named)
        database.execute("PRAGMA max_page_count = 1")
        return database

    return opened


def test_fault_143_no_space_at_the_promise(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order whose promise can't be written isn't sent: exit 2, and the next pass with room sends it once."""
    journal = trader.folder / "journal.jsonl"
    before = journal.read_bytes()
    with monkeypatch.context() as patch:
        fails(patch, "write", journal, errno.ENOSPC)
        is_told(trader.buys("AAPL"), "No space left on device")
    assert (trader.intents(), trader.posts(), journal.read_bytes()) == ([], 0, before)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", limited(sqlite3.connect))
        said = trader.buys(*[f"X{number}" for number in range(200)], again=True)
        assert (said.code, "Traceback" in said.err) == (NEEDS_A_PERSON, False), said.err
        assert "database or disk is full" in said.err
    trader.goes_on(again=True)


def test_fault_144_no_space_at_the_answer(
    trader: Trader, at_a_point: AtAPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is out but its outcome can't be written: exit 2; the next pass finds it by its id and sends none."""
    with monkeypatch.context() as patch:
        journal = trader.folder / "journal.jsonl"
        at_a_point("alpaca.send.before", lambda: fails(patch, "write", journal, errno.ENOSPC))
        is_told(trader.buys("AAPL"), "No space left on device")
    assert [record.state for record in trader.intents()] == [IntentState.SENT]
    assert trader.posts() == 1
    trader.goes_on(again=True)


def test_fault_145_read_only_in_the_middle_of_a_run(
    trader: Trader, at_a_point: AtAPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From then on nothing is promised, so nothing is sent: exit 2; the bot continues once the disk is writable."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def kept(*args: Any, **named: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **named))
        return opened[-1]

    def remount() -> None:
        """Take writing away from every database that is open; some are closed again by now."""
        for database in opened:
            with suppress(sqlite3.ProgrammingError):
                database.execute("PRAGMA query_only = ON").close()

    monkeypatch.setattr(sqlite3, "connect", kept)
    at_a_point("send_lock.sign.before", remount)
    is_told(trader.buys("AAPL"), "ledger.db: attempt to write a readonly database")
    assert (trader.intents(), trader.posts()) == ([], 0)
    trader.goes_on(again=True)


def test_fault_146_io_error_on_fsync(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promise whose sync fails doesn't count: nothing is sent, and the next pass promises it again."""
    with monkeypatch.context() as patch:
        fails(patch, "fsync", trader.folder / "journal.jsonl", errno.EIO)
        is_told(trader.buys("AAPL"), "Input/output error")
    assert (trader.intents(), trader.posts()) == ([], 0)
    trader.goes_on(again=True)


def with_files(verb: Verb, more: int) -> Verb:
    """Return a verb behind its boundary that may open so many more files than it has."""

    def of(app: App) -> int:
        taken = {int(name) for name in os.listdir("/dev/fd")}
        limit = next(islice((number for number in count() if number not in taken), more, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return run_command(lambda: verb(app), [])

    return of


def test_fault_147_no_more_open_files(trader: Trader) -> None:
    """Wherever it happens, the pass ends with a message and a documented code; no order is sent twice or unpromised."""
    verb, codes = trader.entries("AAPL", again=True), list[int]()
    for more in range(0, 24, 2):
        codes.append(run(trader.bot, with_files(verb, more), None).code)
        assert trader.posts() <= 1
        trader.is_whole()
    assert (codes[0] != 0, codes[-1]) == (True, 0), codes
    assert set(codes) <= {0, NEEDS_A_PERSON, 5}, codes
    trader.goes_on(again=True)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "tmpfs", "fuse.other", "overlay"])
def test_fault_148_state_on_a_network_or_in_memory(kind: str, mode: Mode, tmp_path: Path) -> None:
    """Paper and live send nothing from a network drive (STATE_ON_NETWORK, exit 3); doctor names it and what to do."""
    place, own = tmp_path / "a state", mode is Mode.SANDBOX
    state_folder.create(place, mode, "PA1", "user", datetime.now(UTC))
    (place / "tradebot.yaml").write_text(f"mode: {mode}\n")
    with mounted(place, kind), open_app(Options(str(place)), {}, state_folder.read_marker) as app:
        closed, seen = [reason for reason, _ in app.permission.closed], disk_of(place, 0, sandbox=own)
    network, safe = kind in ("nfs4", "cifs", "9p", "fuse.sshfs"), kind == "overlay" or (kind == "tmpfs" and own)
    assert (Reason.STATE_ON_NETWORK in closed) is (network and not own)
    found = judge_subject("disk", at(NOW, disk=seen))
    assert found.state is (
        HealthState.OK if safe else HealthState.FAILED if network and not own else HealthState.DEGRADED
    )
    assert f"on {kind}" in found.found
    assert safe or "--state-dir" in found.next


@pytest.mark.parametrize("harm", ["a folder", "a link to nowhere", "read-only"])
def test_fault_149_events_cannot_be_written(trader: Trader, harm: str, tmp_path: Path) -> None:
    """Events only report, and decide nothing: a pass trades without them."""
    path = trader.folder / "system_events.jsonl"
    path.unlink(missing_ok=True)
    if harm == "a folder":
        path.mkdir()
    elif harm == "a link to nowhere":
        path.symlink_to(tmp_path / "no" / "such" / "folder")
    else:
        path.touch(mode=0o400)
    with as_another_user(trader):
        assert run(trader.bot, trader.entries("AAPL"), None).code == 0
    assert trader.posts() == 1


def test_fault_150_no_inode_for_a_new_file(trader: Trader) -> None:
    """If no file can be created, a pass sends nothing and says so; a halt still works, and stays in force."""
    for name in ("ledger.db-journal", "facts.db-wal", "facts.db-shm"):
        (trader.folder / name).unlink(missing_ok=True)

    def halt(app: App) -> int:
        halt_switch.halt(app.folder.path, "test", "a storm", datetime.now(UTC), "REDUCE_ONLY")
        return 0

    with as_another_user(trader):
        trader.folder.chmod(0o500)
        for verb in (trader.entries("AAPL"), exits(trader.bot)):
            assert run(trader.bot, verb, None).code == NEEDS_A_PERSON
        assert run(trader.bot, halt, None).code == 0
        trader.folder.chmod(0o700)
        assert run(trader.bot, trader.entries("AAPL", again=True), None).code == 3
    assert trader.posts() == 0
