"""Small exchanges for tests: in a temporary folder, asked through their application without a socket."""

import asyncio
import atexit
import json
import shutil
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import urllib3

from exchange.tests.kit.wire import Call, Whole, scope_of
from papervenue.exchange import Exchange, open_exchange
from papervenue.flow.captured import CapturedFlow
from papervenue.flow.derived import DerivedFlow
from papervenue.market.spec import MarketSpec
from papervenue.process import create
from papervenue.server import Application, build_application

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
SYMBOLS = ("AAPL", "SPY", "ZAAC")
"""Two liquid names and a made-up one that misses minutes."""
KEYS = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox", "Authorization": "Bearer sandbox"}
FAULTS = "/exchange/v1/faults"
SPEC = MarketSpec(symbols=SYMBOLS, sessions=2, start=date(2025, 3, 3))


_T = TypeVar("_T")
PATIENCE_S = 0.3
"""Seconds after which a client leaves that is still being answered."""


class Answer(NamedTuple):
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class World:
    """An exchange with its application, in this process."""

    def __init__(self, exchange: Exchange, feed: CapturedFlow | DerivedFlow | None = None) -> None:
        spec = exchange.stored.spec
        self.exchange = exchange
        self.engine = exchange.engine
        self._armed = 0
        if feed is None and "flow" in spec.venue.faces:
            feed = DerivedFlow(exchange.market, spec.seed, spec.edge)
        self._application = build_application(exchange, feed, "test")

    def ask(self, method: str, target: str, body: object = None, headers: Mapping[str, str] = KEYS) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return ask(self._application, method, target, raw, headers)

    def send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], **_: object
    ) -> urllib3.BaseHTTPResponse | Whole:
        """Carry a request as the client library would, to be led here by a wire."""
        return together([_called(self._application, method, url, body or b"", headers)])[0].response(method)

    def ask_at_once(self, requests: list[tuple[str, str, object]], headers: Mapping[str, str] = KEYS) -> list[Answer]:
        """Send requests that arrive in one turn of the loop."""
        bodies = [(method, target, json.dumps(body).encode()) for method, target, body in requests]
        return together([send_request(self._application, *request, headers) for request in bodies])

    def get(self, target: str) -> Any:
        answer = self.ask("GET", target)
        assert answer.status == 200, answer
        return answer.json

    def order(self, symbol: str, side: str, qty: object, headers: Mapping[str, str] = KEYS, **others: object) -> Answer:
        kind = {"type": "limit"} if "limit_price" in others else {"type": "market"}
        body = {"symbol": symbol, "side": side, "qty": qty, "time_in_force": "day", **kind, **others}
        return self.ask("POST", "/v2/orders", body, headers)

    def tick(self, **body: object) -> Any:
        answer = self.ask("POST", "/exchange/v1/tick", body)
        assert answer.status == 200, answer
        return answer.json

    def arm(self, what: object, **when: object) -> None:
        """Arm a rule; the rules of a world are called rule-0, rule-1 and so on."""
        rule = {"name": f"rule-{self._armed}", "when": when, "what": what}
        answer = self.ask("POST", FAULTS, [rule])
        assert answer.status == 200, answer
        self._armed += 1

    def clear_rules(self) -> None:
        assert self.ask("DELETE", FAULTS).status == 200

    def order_by_client_id(self, name: str) -> Any:
        """Return the order with a client order id, or None."""
        answer = self.ask("GET", f"/v2/orders:by_client_order_id?client_order_id={name}")
        return answer.json if answer.status == 200 else None

    def logged(self, *names: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["event"] in names]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.exchange.log.lines()]


def folders_of(spec: MarketSpec, temporary: pytest.TempPathFactory) -> Callable[[], Path]:
    """Build a market once, and return what makes folders with a fresh exchange of it."""
    market = temporary.mktemp("market")
    create(market, spec)

    def make() -> Path:
        folder = temporary.mktemp("exchange")
        shutil.copytree(market, folder, dirs_exist_ok=True)
        return folder

    return make


def open_world(folder: Path, to: str = "") -> World:
    """Open the exchange of a folder, and let its time go to a moment."""
    world = World(open_exchange(folder))
    if to:
        world.tick(to=to)
    return world


def ask(app: Application, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one request to an application."""
    return together([send_request(app, method, target, body, headers)])[0]


async def send_request(app: Application, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    return Answer(*(await _called(app, method, target, body, headers)).answer())


async def _called(app: Application, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Call:
    # Whoever is still being answered then is answered without an end.
    call = Call(body, PATIENCE_S)
    await app(scope_of(method, target, headers), call.receive, call.send)
    return call


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return the process's loop for all worlds: answers wait for the log's next write, so an application needs one."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def together(requests: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    async def gathered() -> list[_T]:
        return await asyncio.wait_for(asyncio.gather(*requests), 30)

    return loop().run_until_complete(gathered())
