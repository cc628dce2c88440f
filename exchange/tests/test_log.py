"""The log: lines written together are synced together, before anyone is told, and a replay repairs any cut."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World, loop, open_world
from papervenue.commands.command import Command
from papervenue.events import Event, EventPosition
from papervenue.exchange import open_exchange
from papervenue.log import Log, LogError
from papervenue.market.spec import MarketError
from papervenue.server import Recording

OPEN = Command("POST", "/exchange/v1/tick", body='{"to": "open"}')


def log_of(path: Path, count: int) -> Log:
    path.write_bytes(b"".join(b'{"seq":%d}\n' % number for number in range(1, count + 1)))
    return Log(path)


@pytest.mark.parametrize("after", [0, 1, 255, 256, 257, 511, 512, 999, 1000, 5000])
def test_log_finds_lines_by_number(tmp_path: Path, after: int) -> None:
    log = log_of(tmp_path / "log", 700)
    for number in range(701, 1001):
        log.add(b'{"seq":%d}' % number)
    numbers = [json.loads(line)["seq"] for line in log.lines(after, 3)]
    assert numbers == [number for number in range(after + 1, after + 4) if number <= 1000]
    assert log.count == 1000


@pytest.mark.parametrize(
    ("content", "whole"), [(b"", 0), (b"torn", 0), (b"a\nb\ntorn", 4), (b"a\n", 2), (b"a\n" + b"x" * 200_000, 2)]
)
def test_open_cuts_off_a_torn_last_line(tmp_path: Path, content: bytes, whole: int) -> None:
    (tmp_path / "log").write_bytes(content)
    assert Log(tmp_path / "log").torn_bytes == len(content) - whole
    assert (tmp_path / "log").read_bytes() == content[:whole]


class Syncs:
    """Counts the log's syncs, and calls the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, file: int) -> None:
        self.count += 1
        self._sync(file)


def pass_time() -> None:
    """Let the loop of the worlds do what it has planned."""
    loop().run_until_complete(asyncio.sleep(0.05))


def test_concurrent_commands_share_a_sync_and_reads_need_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tick(to="open")
    pass_time()
    syncs = Syncs(monkeypatch)
    order = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": 1}
    assert [answer.status for answer in world.ask_at_once([("POST", "/v2/orders", order)] * 20)] == [200] * 20
    assert world.exchange.log.path.read_text().count('"order_accepted"') == 20
    pass_time()
    assert 1 <= syncs.count <= 10
    assert not world.exchange.log.unsynced
    done = syncs.count
    world.get("/v2/account")
    assert syncs.count == done, "a read needs no sync"


def answered(
    world: World, commands: Sequence[Command], send: Callable[[Any], None], fail: Callable[[LogError], None]
) -> None:
    """Answer a request that runs some commands, through the layer that holds answers back."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for command in commands:
            world.exchange.run(command)
        await send({})

    async def sent(message: Any) -> None:
        send(message)

    async def story() -> None:
        await Recording(application, world.exchange, fail)({"type": "http"}, None, sent)  # type: ignore[arg-type]
        await asyncio.sleep(0.05)

    loop().run_until_complete(story())


def test_failed_sync_is_reported_after_the_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[LogError] = []

    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    answered(world, [OPEN], lambda message: None, errors.append)
    assert [str(error).endswith("can't be written: Input/output error") for error in errors] == [True]


def test_failed_write_is_reported_instead_of_an_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class EndedError(Exception):
        pass

    def full(file: int, content: object) -> int:
        raise OSError(28, "No space left on device")

    def fail(error: LogError) -> None:
        assert "No space left on device" in str(error)
        raise EndedError

    sent: list[Any] = []
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EndedError):
        answered(world, [OPEN], sent.append, fail)
    assert sent == []


def test_answers_and_listeners_wait_until_the_lines_are_written(world: World) -> None:
    exchange = world.exchange
    notes, sent = list[str](), list[Any]()

    class Ear:
        def capture(self, event: Event, path: EventPosition) -> str:
            return event.name

        def publish(self, captured: str) -> None:
            assert captured in exchange.log.path.read_text()
            notes.append(captured)

    def send(message: Any) -> None:
        assert "order_accepted" in exchange.log.path.read_text()
        assert "order_accepted" in notes
        sent.append(message)

    def fail(error: LogError) -> None:
        raise error

    exchange.listeners.append(Ear())
    body = '{"symbol":"AAPL","side":"buy","type":"market","time_in_force":"day","qty":1}'
    answered(world, [OPEN, Command("POST", "/v2/orders", body=body, account=exchange.engine.main.number)], send, fail)
    assert sent == [{}]


def busy(folder: Path) -> World:
    world = open_world(folder, to="open")
    world.order("AAPL", "buy", 3)
    world.exchange.note("fault_fired", {"rule": "example"})
    world.order("SPY", "sell", 2)
    world.order("SPY", "sell", "none")
    world.ask("POST", "/exchange/v1/accounts", {"name": "alice", "cash": 5000})
    world.tick(seconds=120)
    world.order("AAPL", "sell", 1, headers=KEYS | {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"})
    return world


def test_replay_completes_a_log_that_a_crash_cut_anywhere(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    busy(folder)
    log = (folder / "log.jsonl").read_bytes()
    lines = log.splitlines(keepends=True)
    for kept in range(1, len(lines) + 1):
        cut = b"".join(lines[:kept]) + b'{"seq":'
        (folder / "log.jsonl").write_bytes(cut)
        open_exchange(folder)
        replayed = (folder / "log.jsonl").read_bytes()
        assert replayed.startswith(cut.removesuffix(b'{"seq":'))
        assert log.startswith(replayed)
        # What is added belongs to the last command that is there.
        last = max(i for i in range(kept) if i == 0 or b'"event":"request"' in lines[i] or b'"note":true' in lines[i])
        following = (i for i in range(last + 1, len(lines)) if b'"request"' in lines[i] or b'"note":true' in lines[i])
        assert len(replayed.splitlines()) == max(kept, next(following, len(lines)))


@pytest.mark.parametrize("birth", [{}, {"format": 1}, {"format": 3}])
def test_a_log_of_another_version_is_refused_by_name(new_folder: Callable[[], Path], birth: dict[str, Any]) -> None:
    folder = new_folder()
    line = json.loads((folder / "log.jsonl").read_text())
    del line["format"]
    (folder / "log.jsonl").write_text(json.dumps(line | birth) + "\n")
    with pytest.raises(MarketError, match=rf"log.jsonl has format {birth.get('format', 1)}") as refused:
        open_exchange(folder)
    assert refused.value.hint.startswith("create another")


def test_log_endpoint_returns_the_newest_lines(world: World) -> None:
    for _ in range(5):
        world.tick(seconds=1)
    newest = world.get("/exchange/v1/log?newest=true&limit=3")
    assert ([event["seq"] for event in newest["events"]], newest["next_after"]) == ([9, 10, 11], 11)
    assert [event["seq"] for event in world.get("/exchange/v1/log?after=10")["events"]] == [11]


def test_log_does_not_count_a_known_prefix_again(tmp_path: Path) -> None:
    whole = log_of(tmp_path / "log", 1000)
    log = Log(tmp_path / "log", log_of(tmp_path / "first", 700).prefix())
    assert log.known_lines == 700
    assert (log.count, log.prefix()) == (1000, whole.prefix())
    assert [json.loads(line)["seq"] for line in log.lines(698, 4)] == [699, 700, 701, 702]


def test_prefix_of_a_written_log_equals_that_of_the_file(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", 300)
    for number in range(301, 600):
        log.add(b'{"seq":%d}' % number)
    log.write()
    assert log.prefix() == Log(tmp_path / "log").prefix()


@pytest.mark.parametrize("change", ["longer", "turned"])
def test_log_ignores_a_prefix_that_the_file_does_not_have(tmp_path: Path, change: str) -> None:
    known = log_of(tmp_path / "first", 700).prefix()
    if change == "longer":
        log_of(tmp_path / "log", 699)
    else:
        content = log_of(tmp_path / "log", 1000).path.read_bytes()
        (tmp_path / "log").write_bytes(content.replace(b'{"seq":500}', b'{"seq":005}'))
    log = Log(tmp_path / "log", known)
    assert log.known_lines == 0
    assert log.prefix() == Log(tmp_path / "log").prefix()
    assert len(log.lines()) == log.count
