"""Who is let in: programs of this machine, and no web page but the exchange's own.

Every route that can change something, and every way in that is none: another host, a web page, no key.
Whose request a control request is: the kernel's word decides; where it gives none, the token does.
"""

import ast
import http.client
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World, open_world
from exchange.tests.kit.served import Served, served
from papervenue import process
from papervenue.faces import guard
from papervenue.faces.alpaca import TradingFace
from papervenue.faces.control import ControlFace
from papervenue.faces.flow import FlowFace
from papervenue.faces.guard import KEYLESS, PAGE_DATA, PAGE_HEADER, ControlCredentials, refusal_reason
from papervenue.faces.market_data import DataFace
from papervenue.faults.middleware import FaultFace
from papervenue.flow.derived import DerivedFlow
from papervenue.page.face import PageFace
from papervenue.private_files import TOKEN_FILE, TOKEN_HEADER, issue

OWN = "http://127.0.0.1:8787"
KEY = "the page's key"
PAGE = {PAGE_HEADER.lower(): KEY}


def objection_to(method: str = "GET", path: str = "/v2/orders", kind: str = "http", **headers: str) -> str | None:
    named: list[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": kind, "path": path, "headers": named}
    return refusal_reason(scope | ({} if kind == "websocket" else {"method": method}), ControlCredentials(KEY))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8787", "localhost:1", "LOCALHOST", "[::1]:8787", "[::1]"])
def test_every_name_of_this_machine_is_served(host: str) -> None:
    assert objection_to(host=host) is None
    assert objection_to("POST", host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.1:", "10.0.0.1", "", "::1"),
        *("user@127.0.0.1", "127.0.0.1:99999999", "localhost:8787 ", "127.0.0.1, evil.example", "0x7f.1", "127.1"),
    ],
)
def test_every_other_host_is_refused_whatever_it_asks(host: str) -> None:
    for method, path in (("GET", "/v2/clock"), ("POST", "/v2/orders"), ("GET", "/")):
        assert "Host" in (objection_to(method, path, host=host) or "")
    assert objection_to(kind="websocket", path="/stream", host=host)


def test_one_good_host_beside_a_bad_one_does_not_help() -> None:
    hosts = [(b"host", b"localhost"), (b"host", b"x.example")]
    assert refusal_reason({"type": "http", "method": "GET", "path": "/", "headers": hosts}, ControlCredentials(KEY))


FOREIGN = [
    *("https://evil.example", "null", "", "http://127.0.0.1:9999", "https://127.0.0.1:8787", "http://localhost"),
    *("http://127.0.0.1:8787/", "http://127.0.0.1:8787.evil.example"),
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_changes_nothing_and_listens_to_nothing(origin: str) -> None:
    headers = {"host": "127.0.0.1:8787", "origin": origin, **PAGE}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert objection_to(method, **headers)
    assert objection_to("GET", PAGE_DATA, **headers)
    assert objection_to(kind="websocket", path="/stream", **headers)
    assert objection_to("GET", "/v2/clock", **headers) is None


@pytest.mark.parametrize("origin", [OWN, "http://localhost:8787", "HTTP://127.0.0.1:8787".lower()])
def test_the_own_page_may_do_all_of_it(origin: str) -> None:
    headers = {"host": "127.0.0.1:8787", "origin": origin}
    assert objection_to("POST", "/exchange/v1/tick", **headers, **PAGE) is None
    assert objection_to("POST", "/v2/orders", **headers) is None
    assert objection_to("GET", PAGE_DATA, **headers) is None
    assert objection_to(kind="websocket", path="/stream", **headers) is None


def test_a_client_that_is_no_browser_is_served() -> None:
    assert objection_to("POST", host="127.0.0.1:8787") is None
    assert objection_to(kind="websocket", path="/stream", host="127.0.0.1:8787") is None
    assert objection_to("POST") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_is_told_by_sec_fetch_site_alone(site: str) -> None:
    headers = {"host": "127.0.0.1:8787", "sec-fetch-site": site, **PAGE}
    for method in ("POST", "DELETE"):
        assert objection_to(method, "/exchange/v1/faults", **headers) == "a web page from another origin can't do this"
    assert objection_to("GET", PAGE_DATA, **headers)
    # A link to the page may be on any site.
    assert objection_to("GET", "/", **headers) is None


@pytest.mark.parametrize("sign", [{"origin": OWN}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
@pytest.mark.parametrize("key", [{}, {PAGE_HEADER.lower(): ""}, {PAGE_HEADER.lower(): KEY + "x"}])
def test_a_browser_controls_nothing_without_the_page_key(sign: dict[str, str], key: dict[str, str]) -> None:
    headers = {"host": "127.0.0.1:8787", **sign}
    for method, path in (
        ("POST", "/exchange/v1/tick"),
        ("DELETE", "/exchange/v1/faults"),
        ("POST", "/exchange/v1/stop"),
    ):
        assert objection_to(method, path, **headers, **key) == KEYLESS
        assert objection_to(method, path, **headers, **PAGE) is None


def test_two_page_keys_are_none() -> None:
    keys = [(PAGE_HEADER.lower().encode(), KEY.encode())] * 2
    named = [(b"host", b"localhost"), (b"origin", b"http://localhost"), *keys]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/exchange/v1/tick", "headers": named}
    assert refusal_reason(scope, ControlCredentials(KEY)) == KEYLESS


ROOT = Path(__file__).resolve().parents[2]
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
LISTENERS = ("bind", "create_server", "start_server", "HTTPServer", "ThreadingHTTPServer")
ORDER = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
OWN_HOST = "127.0.0.1:8787"
SETTINGS = ("account/configurations", "account/activities")
NO_KEYS: dict[str, dict[str, str]] = {
    "none": {},
    "another": {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandboX"},
    "half": {"APCA-API-KEY-ID": "sandbox"},
    "empty": {"Authorization": "Bearer "},
    "odd": {"Authorization": "Basic \xff"},
}


@pytest.fixture(scope="module")
def world(new_folder: Callable[[], Path]) -> Iterator[World]:
    """Yield an open exchange; being asked to stop is noted, for a test that fails must not end the run."""
    statuses: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: statuses.append(number))
    world = open_world(new_folder(), to="open")
    yield world
    signal.signal(signal.SIGTERM, before)
    assert statuses == []


def paths(world: World) -> list[str]:
    """Return every path that is served, with a word in each place that takes one."""
    exchange, spec = world.exchange, world.exchange.stored.spec
    faces: list[Any] = [
        ControlFace(exchange, "test", lambda: None),
        FaultFace(exchange),
        PageFace(exchange, "key"),
        TradingFace(exchange),
        DataFace(exchange),
        FlowFace(exchange.engine, DerivedFlow(exchange.market, spec.seed, spec.edge)),
    ]
    routes = [route.path for face in faces for route in face.routes()]
    assert len(routes) > 60
    return sorted({re.sub(r"{[^}]+}", "SPY", path) for path in routes})


def state(world: World) -> list[object]:
    """Return what a change would show in."""
    targets = ("account", "orders?status=all", "positions", "watchlists", *SETTINGS)
    own = ("status", "accounts", "faults", "actions", "clock")
    return [world.get(f"/v2/{path}") for path in targets] + [_steady(world.get(f"/exchange/v1/{path}")) for path in own]


def _steady(value: Any) -> Any:
    """Leave out how long the log is, which holds what was asked and refused too."""
    return {name: item for name, item in value.items() if name != "log_lines"} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("what", "headers"),
    [
        ("a web page", {"Host": OWN_HOST, "Origin": "https://evil.example"}),
        ("a page without a name", {"Host": OWN_HOST, "Origin": "null"}),
        ("a page on another port", {"Host": OWN_HOST, "Origin": "http://127.0.0.1:9"}),
        ("a name that was turned here", {"Host": "evil.example:8787", "Origin": "http://evil.example:8787"}),
        ("another host", {"Host": "10.0.0.1"}),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_no_route_changes_anything_for(world: World, what: str, headers: dict[str, str]) -> None:
    before = state(world)
    requests = [(method, path) for path in paths(world) for method in CHANGES]
    let_in = [one for one in requests if world.ask(*one, ORDER, KEYS | headers).status != 403]
    assert let_in == [], what
    assert state(world) == before


@pytest.mark.parametrize("shown", NO_KEYS)
def test_no_route_of_an_account_answers_without_its_key(world: World, shown: str) -> None:
    before = state(world)
    requests = [(method, path) for path in paths(world) if path.startswith("/v2/") for method in ("GET", *CHANGES)]
    answers = {one: world.ask(*one, ORDER, NO_KEYS[shown]).status for one in requests}
    assert {one for one, status in answers.items() if status not in (401, 405)} == set()
    assert sum(status == 401 for status in answers.values()) > 60
    assert state(world) == before


def test_the_key_of_one_account_moves_nothing_of_another(world: World) -> None:
    assert world.ask("POST", "/exchange/v1/accounts", {"name": "alice"}).status == 200
    order = world.order("SPY", "buy", 1, limit_price="1").json["id"]
    before = state(world)
    alice = {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"}
    for method, path in (("GET", order), ("PATCH", order), ("DELETE", order)):
        assert world.ask(method, f"/v2/orders/{path}", {"qty": "5"}, alice).status == 404
    assert world.ask("DELETE", "/v2/orders", None, alice).json == []
    mixed = alice | {"APCA-API-KEY-ID": "sandbox"}
    assert world.ask("DELETE", f"/v2/orders/{order}", None, mixed).status == 401
    assert state(world) == before


def test_no_answer_lets_a_foreign_page_read_it(world: World) -> None:
    foreign = KEYS | {"Host": OWN_HOST, "Origin": "https://evil.example"}
    for path in paths(world):
        for method in ("GET", "OPTIONS"):
            headers = world.ask(method, path, None, foreign).headers
            assert not [name for name in headers if name.startswith("access-control-allow")], (method, path)


@pytest.mark.parametrize("path", ["/v2/assets/", "/v2/orders/", "/v2/positions/", "/exchange/v1/faults/ready/", "/"])
def test_what_an_answer_repeats_is_never_a_page(world: World, path: str) -> None:
    answer = world.ask("GET", f"{path}%3Cscript%3Ealert(1)%3C%2Fscript%3E%1B%5B2J", None, KEYS)
    assert (answer.status >= 400, answer.headers["content-type"]) == (True, "application/json; charset=utf-8")


def test_nothing_listens_beyond_this_machine() -> None:
    """Read the source: five places bind, four of them to a constant that is loopback; no other server does."""
    sources = [
        path for room in ("tradebot", "commands", "jobs", "exchange/src") for path in (ROOT / room).rglob("*.py")
    ]
    likely = [path for path in sources if re.search(rf"\b({'|'.join(LISTENERS)})\(", path.read_text())]
    calls = [node for path in likely for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    listeners = [ast.unparse(call) for call in calls if ast.unparse(call.func).rpartition(".")[2] in LISTENERS]
    # The pages may be asked for elsewhere, with a certificate alone (tests/commands/web/test_web.py).
    bound = ["ThreadingHTTPServer((HOST, 0), Receiver)", *["listener.bind((HOST, port))"] * 2]
    of_pages = "listener.bind((host, port))"
    of_health = "loop.create_server(partial(HealthConnection, config, state, {}), sock=listener, backlog=BACKLOG)"
    assert sorted(listeners) == [*bound, of_pages, "loop.create_server(make_connection, HOST, 0)", of_health]
    for file in (
        "exchange/src/papervenue/server.py",
        "exchange/src/papervenue/socket_listeners.py",
        "commands/serve/web.py",
        "commands/drill/stage.py",
        "commands/mcp/server.py",
    ):
        assert 'HOST = "127.0.0.1"' in (ROOT / file).read_text()


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
