"""Requests that make no sense: each is refused with a status, is logged if it is a command, and changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import World, open_world

NOWHERE = "00000000-0000-4000-8000-000000000000"
EVENT = "01JNDW1QG00000000000000000"
ORDER = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}
ODD = {"type": "limit", "qty": "0.5", "limit_price": "1", "time_in_force": "gtc"}
SPLIT = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1}
DIVIDEND = {"type": "cash_dividend", "symbol": "AAPL", "rate": 1}
RENAMED = {"type": "name_change", "symbol": "AAPL"}
BUST = {"do": "bust", "execution": "{fill}"}
CORRECT = {"do": "correct", "execution": "{fill}"}
STOP = {"do": "stop", "order": "low"}
RESTATE = {"do": "restate", "order": "low"}
Row = tuple[str, str, Any, int, str]


def posted(path: str, *rows: tuple[Any, int] | tuple[Any, int, str]) -> list[Row]:
    """Return rows of commands to a path of the control API: body, status, and perhaps a part of the message."""
    return [("POST", f"/exchange/v1/{path}", row[0], row[1], row[2] if len(row) > 2 else "") for row in rows]


def refused_queries(path: str, status: int, message: str, *queries: str) -> list[Row]:
    return [
        ("GET", f"{path}{query}", None, status, message or "invalid " + query.partition("=")[0]) for query in queries
    ]


ROWS: list[Row] = [
    *(
        ("POST", "/v2/orders", {name: value for name, value in (ORDER | change).items() if value}, status, message)
        for change, status, message in (
            ({"qty": "0"}, 422, "qty must be > 0"),
            ({"type": "stop", "stop_price": "1"}, 422, "stop price must be greater than current price"),
            ({"time_in_force": "opg"}, 403, "opg orders must be submitted after 7:00pm and before 9:28am"),
            ({"symbol": "ZAAC", "side": "sell"}, 422, 'asset "ZAAC" cannot be sold short'),
            ({"qty": "", "notional": "0.5"}, 403, "cost basis must be >= minimal amount of order 1"),
            ({"symbol": "NOPE", **ODD}, 422, 'asset "NOPE" not found'),
            (ODD, 422, "fractional orders must be DAY orders"),
            (ODD | {"side": "up"}, 422, "invalid side"),
        )
    ),
    *posted(
        "accounts",
        *(({"name": name}, 422) for name in (None, 7, "", "Alice", "-a", "a" * 33, "a\0b", "ünal", "main", "sandbox")),
        *(({"name": "a", "cash": cash}, 422) for cash in (0, -1, "much", True, [1], 1e300, "1.001")),
        ({}, 422),
        ([], 400),
        ({"name": "a", "key": "b"}, 400),
        (b'{"name": "a", "cash": NaN}', 400),
        (b"[" * 5000, 400),
        (b"", 400),
    ),
    *posted(
        "reset",
        *(({"account": name}, 404) for name in ("nobody", None, 5, {"a": 1}, "")),
        *(({"cash": cash}, 422) for cash in ("x", 0)),
        ({"name": "main"}, 400),
        ([], 400),
        (b"", 400),
        (b'{"account"', 400),
    ),
    *posted(
        "actions",
        ({}, 422),
        ({"type": "spin_off", "symbol": "AAPL"}, 422),
        ({"type": ["forward_split"], "symbol": "AAPL"}, 422),
        *((SPLIT | {"symbol": symbol}, 422) for symbol in ("NONE", 5)),
        *((SPLIT | {"new_rate": rate}, 422) for rate in (1, "0", 2_000, "two")),
        *((SPLIT | {"date": day}, 422) for day in ("2025-03-03", "2030-01-02", 5)),
        (SPLIT | {"spread": 1}, 400),
        *((DIVIDEND | change, 422) for change in ({"rate": None}, {"rate": -1}, {"payable_date": "2025-03-03"})),
        (DIVIDEND | {"payable_date": []}, 422),
        (RENAMED, 422),
        *((RENAMED | {"new_symbol": symbol}, 422) for symbol in ("SPY", "a pear")),
        ({"type": "option_expiry", "symbol": "AAPL250321C00200000"}, 404),
        ({"type": "option_exercise", "symbol": "AAPL", "account": "nobody"}, 404),
    ),
    *posted(
        "journal",
        ({}, 422),
        *(({"symbol": "AAPL", **entry}, 422) for entry in ({}, {"qty": 0}, {"qty": "1e30"}, {"qty": 1, "price": 0})),
        *(
            ({"symbol": symbol, "qty": 1}, 422)
            for symbol in ("NONE", None, "AAPL250228C00200000", "AAPL251399C00200000")
        ),
        ({"symbol": "NONE250321C00200000", "qty": 1}, 422),
        ({"symbol": "AAPL250321C00200000", "qty": "0.5"}, 422),
        *(({"amount": amount}, 422) for amount in ("0.001", None)),
        ({"amount": 5, "account": "nobody"}, 404),
    ),
    *posted(
        "executions",
        ({"do": "bust", "execution": "nothing"}, 404, "execution not found for nothing"),
        (BUST | {"do": "undo"}, 422, "do is one of bust, correct"),
        (BUST | {"price": "3"}, 400, "there is no field 'price' here"),
        (BUST | {"account": "bob"}, 404, "there is no account 'bob'"),
        (CORRECT | {"price": "0"}, 422, "price must be > 0"),
        (CORRECT | {"qty": "-1"}, 422, "qty must be > 0"),
        (CORRECT, 422, "the execution is not changed"),
    ),
    *posted(
        "orders",
        (STOP | {"do": "explode"}, 422, "do is one of suspend, stop, resume, cancel, restate"),
        (STOP | {"do": ["stop"]}, 422, "do is one of"),
        (STOP | {"qty": 3}, 400, "there is no field 'qty' here"),
        (STOP | {"order": "high"}, 404, "order not found for high"),
        (STOP | {"account": "bob"}, 404, "there is no account 'bob'"),
        (RESTATE, 422, "order parameters are not changed"),
        (RESTATE | {"limit_price": "x"}, 422, "limit_price"),
    ),
    *posted(
        "tick",
        *(({"to": to}, 400) for to in ("2025-03-03T13:00:00Z", "2025-03-05T17:00:01Z", "9999-99-99", 5)),
        ({"to": "0001-01-01T00:00:00+23:59"}, 400),
        *(({"seconds": seconds}, 400) for seconds in (-1, 1e300, "soon")),
        ({"seconds": 1, "to": "open"}, 400),
        ({"minutes": 1}, 400),
        ({}, 400),
        ([], 400),
    ),
    *posted(
        "latency",
        *(
            ({"latency": text}, 422, "isn't a latency: use instant, paper, slow")
            for text in ("", "fast", "-1", "2m", "1.5s", "3601s", "²s", "None")
        ),
    ),
    *(
        ("PATCH", "/v2/account/configurations", {"fractional_trading": False, name: value}, 422, "invalid")
        for name, value in (
            ("no_shorting", "true"),
            ("max_margin_multiplier", "3"),
            ("max_options_trading_level", 4),
            ("max_options_trading_level", "1"),
            ("trade_confirm_email", "some"),
            ("suspend_trade", 1),
            ("pdt_check", "no"),
        )
    ),
    *(
        (method, f"/v2/watchlists{target}", body, status, "")
        for method, target, body, status in (
            *(("POST", "", {"name": name}, 422) for name in (None, "", "x" * 65, "taken")),
            *(("POST", "", {"name": "new", "symbols": symbols}, 422) for symbols in (["NONE"], ["SPY", "SPY"], "SPY")),
            ("GET", f"/{NOWHERE}", None, 404),
            ("GET", "/x", None, 422),
            ("DELETE", f"/{NOWHERE}", None, 404),
            ("DELETE", "/{list}/SPY", None, 404),
            ("POST", "/{list}", {"symbol": "AAPL"}, 422),
            ("POST", "/{list}", {}, 422),
            ("PUT", "/{list}", {"name": "second"}, 422),
            ("GET", ":by_name?name=nobody", None, 404),
            ("GET", ":by_name", None, 422),
            ("DELETE", ":by_name?name=nobody", None, 404),
        )
    ),
    *refused_queries(
        "/v2/orders?", 422, "", "nested=perhaps", "side=both", "asset_class=stamps", "limit=0", "direction=up"
    ),
    *refused_queries(
        "/v2/account/activities", 422, "invalid", "/STAMPS", "?activity_types=FILL,STAMPS", "?category=some"
    ),
    *refused_queries(
        "/v2/account/activities?", 422, "invalid", "date=today", "page_size=0", "page_size=101", "page_token=x"
    ),
    ("GET", "/v2/account/activities?activity_types=FILL&category=trade_activity", None, 422, "only one of"),
    *refused_queries(
        "/v2/account/portfolio/history?", 422, "invalid", "period=1Y", "period=0D", "timeframe=2Min", "start=soon"
    ),
    *refused_queries("/v2/account/portfolio/history?", 422, "must be 1D for more than", "timeframe=1Min&period=3M"),
    *refused_queries("/v2/account/portfolio/history?", 422, "must not be after end", "start=2025-03-05&end=2025-03-04"),
    *refused_queries("/v2/account/portfolio/history?", 422, "only two of", "start=2025-03-03&end=2025-03-04&period=1D"),
    *refused_queries("/v2/account/portfolio/history?", 422, "", "pnl_reset=never", "intraday_reporting=always"),
    *refused_queries("/v2/account/portfolio/history?", 422, "", "cashflow_types=STAMPS", "extended_hours=perhaps"),
    *(
        row
        for path in ("/v2/events/trades?", "/v2beta1/events/trades?", "/v2beta1/events/activities?")
        for row in (
            *refused_queries(
                path, 422, "since", "until=2025-03-03", f"until_id={EVENT}", f"since=2025-03-03&since_id={EVENT}"
            ),
            *refused_queries(
                path, 422, "since", f"since=2025-03-03&until_id={EVENT}", f"since_id={EVENT}&until=2025-03-03"
            ),
            *refused_queries(path, 422, "", "since=soon", "since=2025-13-03", "since_id=17", f"since_id=9{EVENT[1:]}"),
            *refused_queries(path, 422, "invalid until", "since=2025-03-03&until=never"),
        )
    ),
    *refused_queries(
        "/v1/corporate-actions?", 400, "", "types=bonus", "ids=a&symbols=AAPL", "limit=1001", "start=today"
    ),
    *refused_queries("/v1/corporate-actions?", 400, "", "page_token=QQ=="),
    *refused_queries(
        "/v2/stocks/",
        400,
        "invalid ",
        *("bars?symbols=AAPL", "trades?symbols=AAPL&start=noon", "trades?symbols=aapl", "quotes?symbols=,"),
        *("quotes?symbols=AAPL&sort=up", "auctions?symbols=AAPL&feed=iex", "quotes/latest?symbols=AAPL&feed=cta"),
        *("AAPL%20/trades", "meta/conditions/trade", "meta/conditions/trade?tape=D", "meta/conditions/news?tape=A"),
        *(f"bars?symbols=AAPL&timeframe={timeframe}" for timeframe in ("60Min", "24Hour", "2Day")),
    ),
    *refused_queries(
        "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&",
        400,
        "invalid ",
        *("limit=10001", "adjustment=half", "asof=yesterday", "feed=delayed_sip", "currency=EUR", "start=2025-02-30"),
        *("start=2025-03-04&end=2025-03-03", "end=9999-12-31T23:59:59%2B99:00"),
    ),
]
SHOWN = (
    *("/v2/orders?status=all", "/v2/positions", "/v2/account", "/v2/account/activities", "/v2/account/configurations"),
    *("/v2/watchlists", "/exchange/v1/accounts", "/exchange/v1/actions", "/exchange/v1/clock"),
)


@pytest.fixture(scope="module")
def prepared(new_folder: Callable[[], Path]) -> tuple[World, dict[str, str]]:
    """Return a world with a fill, an open order and two watchlists, and what stands for their ids in requests."""
    world = open_world(new_folder(), to="open")
    world.order("AAPL", "buy", 2)
    world.tick(seconds=120)
    world.order("AAPL", "buy", 2, limit_price="1.00", client_order_id="low")
    listed = [world.ask("POST", "/v2/watchlists", {"name": name, "symbols": ["AAPL"]}) for name in ("taken", "second")]
    return world, {"{fill}": world.get("/v2/account/activities")[0]["id"], "{list}": listed[0].json["id"]}


@pytest.mark.parametrize(("method", "target", "body", "status", "message"), ROWS)
def test_request_that_makes_no_sense_is_refused_and_changes_nothing(
    prepared: tuple[World, dict[str, str]], method: str, target: str, body: Any, status: int, message: str
) -> None:
    world, ids = prepared
    before, lines = [world.get(path) for path in SHOWN], world.exchange.log.count
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    for name, value in ids.items():
        target, raw = target.replace(name, value), raw.replace(name.encode(), value.encode())
    answer = world.ask(method, target, raw)
    assert (answer.status, set(answer.json) >= {"code", "message"}) == (status, True), answer.body
    assert message in answer.json["message"]
    assert [world.get(path) for path in SHOWN] == before
    logged = [json.loads(line)["event"] for line in world.exchange.log.lines(lines)]
    refused = "order_rejected" if target == "/v2/orders" else "request_refused"
    assert logged == ([] if method == "GET" else ["request", refused])
