"""A long seeded session through the application: whatever is asked, in whatever state, the answer is documented."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from exchange.tests.kit.app import SYMBOLS, World, open_world
from exchange.tests.kit.openapi import Api, Session, trading_api
from papervenue.faces.unsupported_paths import LEFT_OUT
from tests.suite.tiers import drawn

STEPS = 700
SEEDS = [20250303, *drawn("trading sessions", [], range(60), 4)]
PARAMETER = re.compile(r"\{[^}]+\}")
CASH_FLOWS = ("ALL", "NONE", "CSD,DIV")
KINDS = ("market", "limit", "stop", "stop_limit", "trailing_stop")
ANNOUNCED = "corporate_actions/announcements?ca_types=dividend,split&since=2025-03-01&until=2025-04-01"


JSON = "application/json; charset=utf-8"
CLOCK = {
    "timestamp": "2025-03-03T10:00:00-05:00",
    "is_open": True,
    "next_open": "2025-03-04T09:30:00-05:00",
    "next_close": "2025-03-03T16:00:00-05:00",
}
SPOILED: list[tuple[int, object]] = [
    *((200, CLOCK | {"is_open": wrong}) for wrong in ("true", None)),
    *((200, CLOCK | {"timestamp": wrong}) for wrong in ("2025-03-03 10:00", "2025-03-03T10:00:00", 1)),
    *((200, body) for body in (CLOCK | {"unheard_of": 1}, {"is_open": True})),
    *((status, {"code": 42210000, "message": "no"}) for status in (500, 302)),
    *((422, body) for body in ({"message": "no"}, {"code": "42210000", "message": "no"})),
]


@pytest.mark.parametrize(("status", "body"), SPOILED)
def test_an_answer_that_the_file_does_not_document_is_a_problem(status: int, body: object) -> None:
    api = trading_api()
    assert api.problems("GET", "/v2/clock", 200, JSON, json.dumps(CLOCK).encode()) == []
    assert api.problems("GET", "/v2/clock", status, JSON, json.dumps(body).encode())


class Trading(Session):
    """A client that trades, asks and changes its settings."""

    def __init__(self, world: World, api: Api, seed: int) -> None:
        super().__init__(world, api, seed)
        self.orders: list[dict[str, Any]] = []
        self.lists: list[str] = []

    def step(self) -> None:
        """Do one thing, orders more often than the rest."""
        acts = [self.submit] * 6 + [self.tick] * 2 + [self.replace, self.cancel, self.read_orders] * 2
        acts += [self.close, self.read_account, self.read_market, self.watch, self.configure]
        self.chance.choice(acts)()

    def tick(self) -> None:
        target = self.pick(*[{"seconds": 60}] * 40, *[{"seconds": 300}] * 15, {"seconds": 2400}, {"to": "next_open"})
        assert self.world.ask("POST", "/exchange/v1/tick", target).status == 200

    def price(self, symbol: str) -> float:
        units = self.world.exchange.market.price(symbol, self.world.engine.now_us)
        assert units is not None
        return units / 10_000

    def submit(self) -> None:
        answer = self.ask("POST", "/v2/orders", self.any_order())
        if answer.status == 200:
            self.orders.append(answer.json)

    def any_order(self) -> dict[str, Any]:
        """Make up an order: two in three are meant to be accepted, the third is whatever comes of it."""
        symbol, side = self.pick("AAPL", "AAPL", "SPY", "ZAAC"), self.pick("buy", "buy", "sell")
        if self.chance.random() < 0.67:
            return self.sound_order(symbol, side)
        kind = self.pick(*KINDS)
        body = {"symbol": symbol, "side": side, "type": kind, **self.prices(kind, symbol, side)}
        body["time_in_force"] = self.pick("day", "day", "gtc", "ioc", "fok", "opg", "cls")
        body |= self.pick(
            {"qty": self.pick(1, "2", 7, 0.5, "0.123456789")}, {"qty": 3}, {"notional": self.pick(25, "9")}
        )
        return body | self.extras(symbol, side)

    def sound_order(self, symbol: str, side: str) -> dict[str, Any]:
        kind = self.pick(*KINDS, "limit", "market")
        body = {"symbol": symbol, "side": side, "type": kind, "qty": self.pick("2", 3, 1), "time_in_force": "day"}
        if kind in ("market", "limit") and self.chance.random() < 0.5:
            body |= self.complex(symbol, side)
        return body | self.prices(kind, symbol, side)

    def prices(self, kind: str, symbol: str, side: str) -> dict[str, Any]:
        last, away = self.price(symbol), 1 if side == "buy" else -1
        stop = round(last * (1 + away * self.chance.uniform(-0.001, 0.006)), 2)
        limit = {"limit_price": round(last * self.chance.uniform(0.995, 1.005), 2)}
        fields: dict[str, dict[str, Any]] = {
            "market": {},
            "limit": limit,
            "stop": {"stop_price": str(stop)},
            "stop_limit": {"stop_price": stop, **limit},
            "trailing_stop": self.pick({"trail_price": "0.5"}, {"trail_percent": 1.5}),
        }
        return fields[kind]

    def complex(self, symbol: str, side: str) -> dict[str, Any]:
        """Return the fields of an order with legs that protect it."""
        up, down = round(self.price(symbol) * 1.012, 2), round(self.price(symbol) * 0.988, 2)
        gain, loss = (up, down) if side == "buy" else (down, up)
        take, stop = {"take_profit": {"limit_price": gain}}, {"stop_loss": {"stop_price": str(loss)}}
        exits = {"take_profit": {"limit_price": str(loss)}, "stop_loss": {"stop_price": gain, "limit_price": gain}}
        fields: dict[str, Any] = self.pick(
            {"order_class": "bracket", **take, **stop},
            {"order_class": "oto", **stop},
            {"order_class": "oco", "type": "limit", **exits},
        )
        return fields | {"time_in_force": self.pick("day", "gtc")}

    def extras(self, symbol: str, side: str) -> dict[str, Any]:
        own_id = {"client_order_id": f"id-{self.chance.randrange(80)}"}
        fields: dict[str, Any] = self.pick({"extended_hours": True}, own_id, self.complex(symbol, side), {})
        return fields

    def any_id(self) -> str:
        known = self.chance.choice(self.orders[-6:])["id"] if self.orders else "61e69015-8549-4bfd-b9c3-01e75843f47d"
        return str(self.pick(known, known, known, "00000000-0000-4000-8000-000000000000", "x"))

    def replace(self) -> None:
        symbol = self.pick(*SYMBOLS)
        change = self.pick(
            {"qty": 4},
            {"limit_price": round(self.price(symbol), 2)},
            {"stop_price": "1.5", "time_in_force": "gtc"},
            {"trail": "0.75"},
            {"client_order_id": f"id-{self.chance.randrange(80)}", "qty": "5"},
            {},
        )
        answer = self.ask("PATCH", f"/v2/orders/{self.any_id()}", change)
        if answer.status == 200:
            self.orders.append(answer.json)

    def cancel(self) -> None:
        self.ask("DELETE", self.pick(*[f"/v2/orders/{self.any_id()}"] * 14, "/v2/orders"))

    def close(self) -> None:
        symbol = self.pick(*SYMBOLS)
        part = self.pick("", "?qty=1", "?percentage=50", "?percentage=100&qty=1", "?qty=0", "?percentage=101")
        one = f"/v2/positions/{symbol}{part}"
        self.ask("DELETE", self.pick(*[one] * 10, "/v2/positions?cancel_orders=True", "/v2/positions"))

    def read_orders(self) -> None:
        nested, status = self.pick("", "&nested=true", "&nested=0"), self.pick("open", "closed", "all")
        limits = self.pick("", "&limit=3", "&symbols=AAPL,SPY", "&symbols=AAPL&symbols=SPY", "&side=buy")
        bound = self.pick("", f"&after_order_id={self.any_id()}", "&asset_class=us_equity,crypto", "&direction=asc")
        self.ask("GET", f"/v2/orders?status={status}{nested}{limits}{bound}")
        self.ask("GET", f"/v2/orders/{self.any_id()}?nested={self.pick('True', 'false')}")
        self.ask("GET", f"/v2/orders:by_client_order_id?client_order_id=id-{self.chance.randrange(80)}")

    def read_account(self) -> None:
        self.ask("GET", "/v2/account")
        self.ask("GET", "/v2/positions")
        self.ask("GET", f"/v2/positions/{self.pick(*SYMBOLS)}")
        page = self.ask("GET", "/v2/account/activities?page_size=5").json
        if page:
            self.ask("GET", f"/v2/account/activities?page_size=5&page_token={quote(page[-1]['id'])}")
        self.ask("GET", f"/v2/account/activities/{self.pick('FILL', 'DIV', 'MISC', 'TRANS', 'NONE')}")
        now = self.world.get("/exchange/v1/status")["now"]
        self.ask("GET", f"/v2beta1/events/activities?since=2025-03-01&until={now}")
        period = self.pick(
            "", "&period=1D", "&period=5D", "&period=1D&timeframe=15Min&intraday_reporting=extended_hours"
        )
        flows = f"&cashflow_types={self.pick(*CASH_FLOWS)}"
        self.ask("GET", f"/v2/account/portfolio/history?pnl_reset={self.pick('per_day', 'no_reset')}{period}{flows}")

    def read_market(self) -> None:
        asset = f"assets/{self.pick(*SYMBOLS, 'BRK.B', 'BTC%2FUSD')}"
        for target in ("clock", "calendar?start=2025-03-03&end=2025-03-10", "assets?status=active", asset, ANNOUNCED):
            shown = self.ask("GET", f"/v2/{target}").json
        for announcement in shown:
            self.ask("GET", f"/v2/corporate_actions/announcements/{announcement['id']}")
        self.ask("GET", f"/v3/clock?markets={self.pick('NYSE', 'NASDAQ,XNYS', 'XLON')}")
        self.ask("GET", f"/v3/calendar/{self.pick('NYSE', 'XNAS', 'LSE')}?timezone={self.pick('UTC', '')}")

    def watch(self) -> None:
        name = f"list {self.chance.randrange(4)}"
        created = self.ask(
            "POST", "/v2/watchlists", {"name": name, "symbols": self.pick(["SPY"], [], ["AAPL", "NONE"])}
        )
        if created.status == 200:
            self.lists.append(created.json["id"])
        one = f"/v2/watchlists/{self.pick(*self.lists, self.any_id())}"
        named = f"/v2/watchlists:by_name?name={quote(name)}"
        self.ask("GET", "/v2/watchlists")
        for target in (one, named):
            self.ask("POST", target, {"symbol": self.pick(*SYMBOLS)})
            self.ask("PUT", target, {"name": name, "symbols": [self.pick(*SYMBOLS)]})
            self.ask("GET", target)
        self.ask("DELETE", f"{one}/{self.pick(*SYMBOLS)}")
        self.ask("DELETE", self.pick(one, named))

    def configure(self) -> None:
        self.ask("PATCH", "/v2/account/configurations", {"no_shorting": self.pick(True, "yes")})
        margin = {
            "max_margin_multiplier": self.pick("2", "4", "3"),
            "no_shorting": False,
            "trade_confirm_email": "none",
        }
        self.ask("PATCH", "/v2/account/configurations", margin)
        self.ask("GET", "/v2/account/configurations")


def prepared(world: World) -> World:
    """Bring in what a client does not send itself: corporate actions, an option about to expire, deposits."""
    world.tick(to="open")
    world.tick(seconds=600)
    for path, body in (
        ("actions", {"type": "cash_dividend", "symbol": "AAPL", "rate": "0.25", "payable_date": "2025-03-04"}),
        ("actions", {"type": "forward_split", "symbol": "SPY", "new_rate": 2, "old_rate": 1}),
        ("journal", {"amount": 5000}),
        ("journal", {"symbol": "AAPL250303C00200000", "qty": 1}),
        ("journal", {"symbol": "AAPL", "qty": 10}),
    ):
        assert world.ask("POST", f"/exchange/v1/{path}", body).status == 200
    return world


@pytest.fixture(scope="module")
def sessions(new_folder: Callable[[], Path]) -> list[Trading]:
    """Return sessions that were played to their end, every answer of them held against the file."""
    played = [Trading(prepared(open_world(new_folder())), trading_api(), seed) for seed in SEEDS]
    for session in played:
        for _ in range(STEPS):
            session.step()
    return played


@pytest.mark.sampled
def test_every_request_that_is_not_left_out_was_answered_well(sessions: list[Trading]) -> None:
    seen = {(method, path) for session in sessions for method, path, status in session.seen if status < 300}
    asked_for = {(one.method.upper(), PARAMETER.sub("{}", one.path)) for one in trading_api().operations()}
    left_out = {(method, PARAMETER.sub("{}", row.path)) for row in LEFT_OUT for method in row.methods}
    assert {(method, PARAMETER.sub("{}", path)) for method, path in seen} == asked_for - left_out


def test_the_session_was_a_rich_one(sessions: list[Trading]) -> None:
    world = sessions[0].world
    orders = world.get("/v2/orders?status=all&limit=500")
    assert {"filled", "canceled", "expired", "replaced"} <= {order["status"] for order in orders}
    assert {order["type"] for order in orders} == set(KINDS)
    assert {order["order_class"] for order in orders} == {"", "bracket", "oco", "oto"}
    others = world.get("/v2/account/activities?category=non_trade_activity")
    assert {activity["activity_type"] for activity in others} == {"JNLC", "JNLS", "DIV", "SPLIT", "OPEXC", "OPTRD"}
