"""Files of a state folder: a link is not followed, a pipe is not waited for, and no name can be taken beforehand."""

import ast
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from papervenue import private_files
from tests.kit.adapters.alpaca import intent
from tests.kit.rows import ACCOUNT, NOW
from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.ledger.journal import Journal
from tradebot.adapters.ledger.journal_reader import read
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.schema import open_database
from tradebot.adapters.state import halt_switch, send_lock, state_locks
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.safe_open import NotRegularFileError, open_plain, read_plain
from tradebot.adapters.state.state_folder import write_durably
from tradebot.errors import TradebotError
from tradebot.model.event import Severity, SystemEvent

ADAPTERS = Path(__file__).resolve().parents[3] / "tradebot" / "adapters"
PLACED: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("elsewhere"),
}
WRITING = os.O_WRONLY | os.O_CREAT | os.O_APPEND
WRITERS = frozenset({"write_text", "write_bytes"})


@pytest.mark.parametrize("kind", PLACED)
@pytest.mark.parametrize("flags", [os.O_RDONLY, WRITING, os.O_RDWR])
def test_open_plain_refuses_what_is_no_regular_file(kind: str, flags: int, tmp_path: Path) -> None:
    PLACED[kind](tmp_path / "file")
    with pytest.raises(NotRegularFileError, match=f"it is {kind}, not a regular file"):
        open_plain(tmp_path / "file", flags)


def test_open_plain_refuses_a_pipe_that_replaces_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "file")
    monkeypatch.setattr("tradebot.adapters.state.safe_open.require_plain", lambda path: None)
    with pytest.raises(NotRegularFileError):
        read_plain(tmp_path / "file")


def event() -> SystemEvent:
    return SystemEvent(NOW, "test", "happened", Severity.INFO, None, {})


def sent(folder: Path) -> None:
    with send_lock.FolderSendLock(folder).hold(intent()):
        pass


def locked(folder: Path) -> None:
    with state_locks.hold(folder, "test", wait_s=0):
        pass


def torn(folder: Path) -> None:
    """Let a journal set pieces aside, as after a power failure."""
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b"pieces")
    ledger = SqliteLedger.open(folder)
    ledger.history.record("REDUCE_ONLY", "test", "a halt", NOW)
    ledger.close()


STEPS: dict[str, Callable[[Path], object]] = {
    "HALT": lambda folder: halt_switch.halt(folder, "test", "why", NOW, "REDUCE_ONLY"),
    "ARMED": lambda folder: halt_switch.arm(folder, "test", NOW),
    "sending": sent,
    "lock": locked,
    "system_events.jsonl": lambda folder: JsonlEvents(folder / "system_events.jsonl").emit(event()),
    "facts.db": lambda folder: FILE.start_over(folder / "facts.db"),
    "journal.torn-1": torn,
    "plan.json": lambda folder: write_durably(folder / "plan.json", "{}"),
    "exchange.port": lambda folder: private_files.write_atomically(folder / "exchange.port", "{}"),
    "exchange.token": lambda folder: private_files.write_own(folder / "exchange.token", b"{}"),
}
"""What is written under a name that everybody knows, and how."""


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
@pytest.mark.parametrize("name", STEPS)
def test_writers_never_follow_a_link_in_place_of_a_file(name: str, there: bool, tmp_path: Path) -> None:
    folder, victim = tmp_path / "bot", tmp_path / "victim"
    folder.mkdir()
    SqliteLedger.create(folder, ACCOUNT, NOW).close()
    if there:
        victim.write_text("precious")
    (folder / name).symlink_to(victim)
    with suppress(TradebotError, OSError):
        STEPS[name](folder)
    assert (victim.read_text() if victim.exists() else None) == ("precious" if there else None)


@pytest.mark.parametrize("write", [write_durably, private_files.write_atomically])
def test_drafts_have_unguessable_names_and_owner_only_modes(
    write: Callable[[Path, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, open_file = list[tuple[str, int, int]](), os.open

    def noted(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            opened.append((Path(path).name, flags, mode[0]))
        return open_file(path, flags, *mode)

    monkeypatch.setattr(os, "open", noted)
    for _ in range(2):
        write(tmp_path / "file", "text")
    assert len({name for name, _, _ in opened}) == 2
    assert not any(str(os.getpid()) in name.split(".") for name, _, _ in opened)
    assert all(flags & os.O_EXCL and flags & os.O_NOFOLLOW and mode == 0o600 for _, flags, mode in opened)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", PLACED)
def test_books_that_are_no_regular_files_are_damage(kind: str, tmp_path: Path) -> None:
    for name, step in (
        ("ledger.db", lambda path: open_database(path, read_only=True)),
        ("journal.jsonl", Journal),
        ("journal-read.jsonl", read),
    ):
        PLACED[kind](tmp_path / name)
        with pytest.raises(TradebotError, match=f"it is {kind}, not a regular file") as refused:
            step(tmp_path / name)
        assert "tradebot recover" in refused.value.hint


def opens(tree: ast.AST) -> Iterator[str]:
    """Yield the calls of a source that create or write a file by its name, other than those that are safe."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        last = getattr(call.func, "attr", "")
        if last != "open" and last not in WRITERS:
            continue
        name, said = ast.unparse(call.func), [ast.unparse(argument) for argument in call.args]
        flags = " ".join(said[1:])
        if (name == "os.open" and ("O_CREAT" in flags or "O_APPEND" in flags) and "O_EXCL" not in flags) or (
            last in WRITERS or (last == "open" and said[:1] and said[0].strip("'\"") in ("w", "a", "wb", "ab", "x"))
        ):
            yield ast.unparse(call)


def test_adapters_and_exchange_write_files_only_by_safe_functions() -> None:
    rooms = (ADAPTERS, ADAPTERS.with_name("venues"), ADAPTERS.parents[1] / "exchange" / "src")
    texts = {str(path): path.read_text() for room in rooms for path in room.rglob("*.py")}
    assert any("papervenue" in name for name in texts)
    opening = {name: text for name, text in texts.items() if "open(" in text or ".write_" in text}
    # Not files, but the kernel's own switches for a namespace.
    del opening[str(ADAPTERS / "plugins" / "linux_isolation.py")]
    found = {name: list(opens(ast.parse(text))) for name, text in opening.items()}
    assert {name: calls for name, calls in found.items() if calls} == {}
    assert list(opens(ast.parse("path.open('w'); path.write_text(x); os.open(path, os.O_WRONLY | os.O_CREAT)")))
