"""Every route that can change something, and every way in that is none: another host, a web page, no key."""

import ast
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World, open_world
from papervenue.faces.control import ControlFace
from papervenue.faces.flow import FlowFace
from papervenue.faces.market_data import DataFace
from papervenue.faces.trading.face import TradingFace
from papervenue.faults.middleware import FaultFace
from papervenue.flow.derived import DerivedFlow
from papervenue.page.face import PageFace

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
