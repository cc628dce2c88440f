"""The server process: found, started, killed and stopped, one for each folder."""

import asyncio
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from exchange.tests.kit.app import KEYS, SPEC, SYMBOLS
from exchange.tests.kit.nursery import starting_with
from papervenue import process, server
from papervenue.commands.command import Command
from papervenue.exchange import open_exchange
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.process import EXIT_HELD, create, ensure_running, running_endpoint, stop

EXCHANGES_ARE_PROCESSES = True
"""They are what is tested."""


ORDER = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": 5}
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def folder(new_folder: Callable[[], Path]) -> Iterator[Path]:
    folder = new_folder()
    yield folder
    stop(folder)


def ask(url: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, headers=KEYS)  # noqa: S310 -- loopback
    with NO_PROXY.open(request, timeout=60) as answer:
        return json.loads(answer.read())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


@pytest.mark.usefixtures("new_interpreters")
def test_folder_has_one_server_however_many_callers_start_one(folder: Path) -> None:
    assert running_endpoint(folder) is None
    with ThreadPoolExecutor() as pool:
        (first,) = set(pool.map(lambda _: ensure_running(folder, idle_exit_s=30), range(4)))
    assert ensure_running(folder) == running_endpoint(folder) == first
    assert first.url.startswith("http://127.0.0.1:")
    assert ask(first.url, "/exchange/v1/status")["symbols"] == list(SYMBOLS)
    command = [sys.executable, "-m", "papervenue", "--state", str(folder)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == EXIT_HELD == 6
    assert str(first.pid) in second.stderr
    assert first.url in second.stderr
    assert running_endpoint(folder) == first


@pytest.mark.usefixtures("new_interpreters")
def test_a_stale_port_file_is_harmless_even_when_something_else_has_its_port(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        url = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        (folder / "exchange.port").write_text(json.dumps({"url": url, "pid": 1, "instance": "x"}))
        assert running_endpoint(folder) is None
        assert ensure_running(folder, idle_exit_s=30).url != url


@pytest.mark.usefixtures("new_interpreters")
def test_server_resumes_where_its_log_ends_after_a_kill(folder: Path) -> None:
    first = ensure_running(folder, idle_exit_s=30)
    ask(first.url, "/exchange/v1/tick", {"to": "open"})
    order = ask(first.url, "/v2/orders", ORDER)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: running_endpoint(folder) is None)
    with (folder / "log.jsonl").open("ab") as log:
        log.write(b'{"seq":99,"at":"2025-03-')
    second = ensure_running(folder, idle_exit_s=30)
    assert second.pid != first.pid
    ask(second.url, "/exchange/v1/tick", {"seconds": 60})
    assert ask(second.url, f"/v2/orders/{order['id']}")["status"] == "filled"
    assert "removed an incomplete last line of 24 bytes" in (folder / "server.log").read_text()


def test_a_server_that_stands_still_is_known_without_being_asked(folder: Path) -> None:
    assert process.server_address(folder) is None
    endpoint = ensure_running(folder, idle_exit_s=30)
    os.kill(endpoint.pid, signal.SIGSTOP)
    assert process.server_address(folder) == endpoint.url
    os.kill(endpoint.pid, signal.SIGCONT)


def test_an_idle_server_exits_by_itself(folder: Path) -> None:
    endpoint = ensure_running(folder, idle_exit_s=0.1)
    with (folder / "exchange.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert running_endpoint(folder) is None
    assert ensure_running(folder, idle_exit_s=30).pid != endpoint.pid


def test_a_start_that_came_while_another_server_was_ending_is_repeated(folder: Path) -> None:
    codes, start = iter([EXIT_HELD]), process._start
    with starting_with(lambda *arguments: next(codes, 0) or start(*arguments)):
        assert ensure_running(folder, idle_exit_s=30, timeout_s=5) == running_endpoint(folder)


def test_a_server_that_is_to_stop_takes_no_new_connection() -> None:
    async def serve() -> None:
        http_server, listener = server.Server(server.configuration(Starlette())), server._listen(0)
        serving = asyncio.create_task(http_server.serve(sockets=[listener]))
        await asyncio.to_thread(wait_until, lambda: http_server.started)
        address = listener.getsockname()
        socket.create_connection(address).close()
        http_server.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        await serving

    asyncio.run(serve())


def test_server_stops_when_its_lock_file_is_removed(folder: Path) -> None:
    ensure_running(folder, idle_exit_s=30)
    with (folder / "exchange.lock").open("a") as lock:
        (folder / "exchange.lock").unlink()
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert running_endpoint(folder) is None


def test_sigint_ends_a_server_with_exit_code_0(folder: Path) -> None:
    command = [sys.executable, "-m", "papervenue", "--state", str(folder)]
    with subprocess.Popen(command) as server:
        wait_until(lambda: running_endpoint(folder) is not None)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=120) == 0


def test_server_stopped_over_http_keeps_its_lock_file_and_leaves_nothing_to_replay(folder: Path) -> None:
    url = ensure_running(folder, idle_exit_s=30).url
    ask(url, "/exchange/v1/tick", {"to": "open"})
    ask(url, "/v2/orders", ORDER)
    stop(folder)
    assert running_endpoint(folder) is None
    log = open_exchange(folder).log
    assert log.known_lines == log.count > 4
    assert (folder / "exchange.lock").exists()
    stop(folder)


def test_creating_again_keeps_an_equal_market_and_refuses_another(folder: Path) -> None:
    before = (folder / "market.json").read_bytes()
    create(folder, SPEC)
    assert (folder / "market.json").read_bytes() == before
    with pytest.raises(MarketError, match="holds an exchange with a different market"):
        create(folder, MarketSpec(symbols=SYMBOLS, sessions=2, start=SPEC.start, seed=8))


def test_a_folder_without_an_exchange_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketError, match="no exchange in") as raised:
        ensure_running(tmp_path)
    assert raised.value.hint == "create one: papervenue serve --folder NEW"
    (tmp_path / "market.json").write_text('{"spec": {')
    with pytest.raises(MarketError, match="is damaged"):
        ensure_running(tmp_path)


@pytest.mark.usefixtures("new_interpreters")
def test_start_refuses_a_log_that_was_edited_with_the_same_message_each_time(folder: Path) -> None:
    ask(ensure_running(folder, idle_exit_s=30).url, "/exchange/v1/tick", {"to": "open"})
    stop(folder)
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace("2025-03-03T14:30:00Z", "2025-03-03T14:31:00Z"))
    messages = []
    for _ in range(2):
        with pytest.raises(MarketError, match="did not start") as raised:
            ensure_running(folder)
        messages.append(raised.value.message)
        assert raised.value.hint.startswith("restore log.jsonl and market.json together")
    assert (messages[0], messages[0].count("log.jsonl line 3 doesn't match its commands")) == (messages[1], 1)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda log: log.write_bytes(b"")], ids=["missing", "empty"])
def test_start_refuses_a_folder_whose_log_is_missing_or_empty(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "log.jsonl")
    with pytest.raises(MarketError, match="is missing or empty: it holds every order"):
        open_exchange(folder)
    assert not (folder / "log.jsonl").exists() or not (folder / "log.jsonl").stat().st_size


def test_create_refuses_to_overwrite_a_log_without_its_market(folder: Path) -> None:
    exchange = open_exchange(folder)
    exchange.run(Command("POST", "/exchange/v1/tick", "", '{"to": "open"}'))
    exchange.commit()
    before = (folder / "log.jsonl").read_bytes()
    (folder / "market.json").unlink()
    with pytest.raises(MarketError, match=r"whose market\.json is missing"):
        create(folder, SPEC)
    assert (folder / "log.jsonl").read_bytes() == before


def test_create_repeats_an_interrupted_creation(folder: Path) -> None:
    (folder / "market.json").unlink()
    create(folder, MarketSpec(symbols=SYMBOLS, sessions=1, start=SPEC.start))
    assert len(open_exchange(folder).log.lines()) == 1


def test_process_module_imports_nothing_heavy() -> None:
    program = "import papervenue.process, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    heavy = {"starlette", "uvicorn", "asyncio", "exchange_calendars", "pandas", "papervenue.engine.engine"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux to limit another process")
def test_server_exits_when_the_log_cannot_be_written_and_the_order_is_gone(folder: Path) -> None:
    first = ensure_running(folder, idle_exit_s=30)
    size = (folder / "log.jsonl").stat().st_size + 40
    resource.prlimit(first.pid, resource.RLIMIT_FSIZE, (size, size))
    with pytest.raises(urllib.error.HTTPError, match="507") as refusal:
        ask(first.url, "/v2/orders", ORDER)
    with refusal.value as answer:
        assert b"log.jsonl can't be written: File too large" in answer.read()
    with (folder / "exchange.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    second = ensure_running(folder, idle_exit_s=30)
    assert ask(second.url, "/v2/orders?status=all") == []
    assert [e["event"] for e in ask(second.url, "/exchange/v1/log?limit=9")["events"]] == ["created"]


def test_server_answers_many_clients_a_half_open_one_and_a_megabyte(folder: Path) -> None:
    url = ensure_running(folder, idle_exit_s=30).url
    host, port = url.removeprefix("http://").split(":")
    half_open = socket.create_connection((host, int(port)), timeout=60)
    half_open.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
    crowd = [socket.create_connection((host, int(port)), timeout=60) for _ in range(200)]
    for client in crowd:
        client.sendall(b"GET /exchange/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert all(client.recv(12) == b"HTTP/1.1 200" for client in crowd)
    half_open.close()
    for client in crowd:
        client.close()
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(url, "/v2/orders", {"symbol": "A" * 1_000_000})
    with refused.value as answer:
        assert answer.code == 400
    assert ask(url, "/v2/orders") == []
    events = ask(url, "/exchange/v1/log?after=0&limit=10")["events"]
    assert [event["event"] for event in events] == ["created", "request", "order_rejected"]


def test_lock_of_an_exchange_that_has_ended_is_free_although_a_fork_has_its_file_open(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with server._hold_lock(tmp_path):
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        with server._hold_lock(tmp_path):
            pass
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)
