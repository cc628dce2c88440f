"""Whose request a control request is: the kernel's word decides; where it gives none, the token does."""

import http.client
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS
from exchange.tests.kit.served import Served, served
from papervenue import process
from papervenue.faces import guard
from papervenue.private_files import TOKEN_FILE, TOKEN_HEADER, issue

NOBODY = 65_534
POSTED = ("tick", "accounts", "reset", "clock", "stop", "faults", "actions", "journal")
WAYS = (*(("POST", name) for name in POSTED), ("DELETE", "faults"))
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
Row = Callable[[str, str], str]
"""Makes a row of the kernel's table for one connection, of its two ends as they are written there."""


def row(local: str, remote: str, uid: int, inode: int) -> str:
    return f"   7: {local} {remote} 01 00000000:00000000 00:00000000 00000000 {uid:5} 0 {inode} 1 0000 20 4 30 10 -1\n"


TOLD: dict[str, Row | None] = {
    "no table": None,
    "an empty table": lambda local, remote: "",
    "another port's row": lambda local, remote: row("0100007F:0001", remote, os.geteuid(), 5),
    "another address's row": lambda local, remote: row(local.replace("0100007F", "0200007F"), remote, os.geteuid(), 5),
    "another server's row": lambda local, remote: row(local, remote.replace("0100007F", "0A00000A"), os.geteuid(), 5),
    "a row without its process": lambda local, remote: row(local, remote, 0, 0),
}
"""What a kernel says that does not tell whose connection one is; of one whose process has let go it says root's."""


def written(end: tuple[str, int]) -> str:
    return f"{int.from_bytes(socket.inet_aton(end[0]), sys.byteorder):08X}:{end[1]:04X}"


@contextmanager
def connected(server: Served, caller: Row | None, table: Path) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection of which the kernel's table says this."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with closing(connection), pytest.MonkeyPatch.context() as patch:
        connection.connect()
        if caller is not None:
            table.write_text(
                HEAD + caller(written(connection.sock.getsockname()), written(connection.sock.getpeername()))
            )
        patch.setattr(guard, "_CONNECTIONS", (table,))
        yield connection


def send_request(
    connection: http.client.HTTPConnection, method: str, path: str, *shown: str, body: object = None
) -> tuple[int, Any]:
    connection.putrequest(method, path)
    text = json.dumps({} if body is None else body)
    for name, value in (*KEYS.items(), ("Content-Length", str(len(text))), *((TOKEN_HEADER, one) for one in shown)):
        connection.putheader(name, value)
    connection.endheaders(text.encode())
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.fixture
def server(new_folder: Callable[[], Path]) -> Iterator[tuple[Served, str]]:
    """Yield a served exchange and its token."""
    folder = new_folder()
    token = issue(folder)
    with served(folder, token=token) as server:
        yield server, token


@pytest.mark.parametrize("case", TOLD)
def test_where_the_kernel_does_not_tell_the_token_decides(
    case: str, server: tuple[Served, str], tmp_path: Path
) -> None:
    exchange, token = server
    before = exchange.get("/exchange/v1/status")
    wrong = ((), ("",), ("x" * len(token),), (token[:-1],), (token, token), (f"{token}, {token}",), ("\xff",))
    with connected(exchange, TOLD[case], tmp_path / "tcp") as connection:
        for shown in wrong:
            for method, path in WAYS:
                status, answer = send_request(connection, method, f"/exchange/v1/{path}", *shown)
                assert (status, TOKEN_FILE in answer["message"], TOKEN_HEADER in answer["message"]) == (403, True, True)
        assert send_request(connection, "GET", "/exchange/v1/status") == (200, before)
        assert send_request(connection, "GET", "/v2/account")[0] == 200, "an account has its key"
        assert send_request(connection, "POST", "/exchange/v1/tick", token, body={"seconds": 60})[0] == 200


def test_without_a_token_of_its_own_an_exchange_takes_none(new_folder: Callable[[], Path], tmp_path: Path) -> None:
    with served(new_folder()) as exchange, connected(exchange, None, tmp_path / "tcp") as connection:
        assert send_request(connection, "POST", "/exchange/v1/tick")[0] == 403
        assert send_request(connection, "POST", "/exchange/v1/tick", "None")[0] == 403


@pytest.mark.parametrize(("uid", "status"), [(0, 200), (os.geteuid(), 200), (NOBODY, 403)])
def test_where_it_tells_its_word_decides_whatever_is_shown(
    uid: int, status: int, server: tuple[Served, str], tmp_path: Path
) -> None:
    exchange, token = server
    with connected(exchange, lambda local, remote: row(local, remote, uid, 5), tmp_path / "tcp") as connection:
        for shown in ((), ("wrong",), (token,)):
            said, answer = send_request(connection, "POST", "/exchange/v1/tick", *shown, body={"seconds": 1})
            assert (said, said == 200 or answer["message"] == guard.FOREIGN) == (status, True)


def test_the_kernel_is_asked_once_for_each_connection(server: tuple[Served, str], tmp_path: Path) -> None:
    exchange, token = server
    table = tmp_path / "tcp"
    with connected(exchange, lambda local, remote: row(local, remote, os.geteuid(), 5), table) as connection:
        assert send_request(connection, "POST", "/exchange/v1/tick", body={"seconds": 1})[0] == 200
        table.write_text(HEAD)
        assert send_request(connection, "POST", "/exchange/v1/tick", body={"seconds": 1})[0] == 200
    with connected(exchange, lambda local, remote: row(local, remote, NOBODY, 5), table) as connection:
        assert send_request(connection, "POST", "/exchange/v1/tick", token, body={"seconds": 1})[0] == 403


@pytest.mark.allow_hosts(["127.0.0.1", "::ffff:127.0.0.1"])
@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="needs /proc/net/tcp6")
def test_a_connection_over_an_ipv6_socket_is_known_too(server: tuple[Served, str]) -> None:
    for tables, status in ((guard._CONNECTIONS, 200), ((Path("/proc/net/tcp"),), 403)):
        connection = http.client.HTTPConnection("127.0.0.1", server[0].port, timeout=60)
        connection.sock = socket.create_connection(("::ffff:127.0.0.1", server[0].port), timeout=60)
        assert connection.sock.family == socket.AF_INET6
        with closing(connection), pytest.MonkeyPatch.context() as patch:
            patch.setattr(guard, "_CONNECTIONS", tables)
            assert send_request(connection, "POST", "/exchange/v1/tick", body={"seconds": 1})[0] == status


def test_a_connection_that_is_gone_before_it_is_looked_at_is_no_request_without_a_socket() -> None:
    scope: dict[str, Any] = {"type": "http", "headers": [], "client": None, "server": ("127.0.0.1", 80)}
    assert guard.control_objection(scope, "x") == guard.UNTOLD
    assert guard.control_objection(scope | {"headers": [(b"x-exchange-token", b"x")]}, "x") is None
    assert guard.control_objection({"type": "http", "headers": []}, "x") is None


def test_the_token_is_drawn_at_each_start_for_its_owner_alone_and_stands_nowhere_else(
    new_folder: Callable[[], Path],
) -> None:
    folder, tokens = new_folder(), []
    (folder / f"{TOKEN_FILE}.1.tmp").touch(0o666)
    for _ in range(2):
        process.ensure_running(folder, idle_exit_s=30)
        file = folder / TOKEN_FILE
        tokens.append(file.read_text())
        assert (file.stat().st_mode & 0o777, len(tokens[-1])) == (0o600, 64)
        assert process.ask(folder, "POST", "/exchange/v1/tick", {"seconds": 60})
        process.stop(folder)
        left = [path for path in folder.rglob("*") if path.is_file() and tokens[-1].encode() in path.read_bytes()]
        assert left == [file]
    assert tokens[0] != tokens[1]


def test_nothing_that_lies_in_the_folder_widens_the_file(tmp_path: Path) -> None:
    (tmp_path / TOKEN_FILE).touch(0o666)
    guessed = tmp_path / f"{TOKEN_FILE}.{os.getpid()}.tmp"
    guessed.touch(0o666)
    before = os.umask(0)
    try:
        token = issue(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / TOKEN_FILE).read_text() == token
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    assert guessed.read_text() == ""
    assert {path.name for path in tmp_path.iterdir()} == {TOKEN_FILE, guessed.name}
