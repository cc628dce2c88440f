"""The web page: it loads nothing from elsewhere, and its document shows what the API has."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.worlds import KEYS, World, open_world
from tradebot.exchange.engine.life import reject
from tradebot.exchange.page.orders import MOST_ORDERS
from tradebot.exchange.page.recent import MOST_LINES, about, duration
from tradebot.exchange.times import HOUR, MINUTE, SECOND

DATA = "/exchange/v1/page"


@pytest.fixture
def opened(world: World) -> World:
    world.tick(to="open")
    world.tick(seconds=600)
    return world


def test_page_policy_allows_only_its_own_script_and_style(world: World) -> None:
    answer = world.ask("GET", "/", headers={})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        inline = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", answer.body.decode(), re.DOTALL)
        digest = hashlib.sha256(inline[0].encode()).digest()
        assert (len(inline), policy[directive]) == (1, f"'sha256-{base64.b64encode(digest).decode()}'")


def test_page_loads_nothing_from_elsewhere_and_never_writes_markup(world: World) -> None:
    text = world.ask("GET", "/").body.decode()
    addresses = set(re.findall(r"https?://[^\s'\"%]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function| on\w+=", text)
    assert not re.search(r"\sstyle=|<(?:script|link|img|iframe)[^>]+src=", text)


def test_a_new_exchange_shows_its_first_prices_and_empty_lists(world: World) -> None:
    page = world.get(DATA)
    assert page["clock"] == {
        "time": "09:00:00",
        "date": "Mon 3 Mar 2025",
        "phase": "pre",
        "pace": "step",
        "opens": "09:30",
        "closes": "16:00",
        "until": "opens in 30 min",
        "done": 0,
    }
    assert [row["symbol"] for row in page["book"]] == ["AAPL", "SPY", "ZAAC"]
    assert [(row["line"], row["last"] is None) for row in page["book"][:2]] == [([], False), ([], False)]
    assert (page["open_orders"], page["ended_orders"], page["faults"], page["accounts"][0]["positions"]) == ([],) * 4
    assert page["accounts"][0]["equity"] == "100000"


def test_an_order_its_position_and_its_log_lines_are_shown_as_the_api_has_them(opened: World) -> None:
    order = opened.order("SPY", "sell", "3").json
    opened.order("AAPL", "buy", 1, limit_price="1.5")
    opened.tick(seconds=120)
    page, account = opened.get(DATA), opened.get("/v2/account")
    (resting,), (filled,) = page["open_orders"], page["ended_orders"]
    assert (resting["symbol"], resting["limit"], resting["status"]) == ("AAPL", "1.5", "new")
    assert (filled["id"], filled["side"], filled["filled"], filled["status"]) == (order["id"], "sell", "3", "filled")
    shown = page["accounts"][0]
    position = opened.get("/v2/positions/SPY")
    assert (shown["name"], shown["number"], shown["open_orders"]) == ("main", account["account_number"], 1)
    assert float(shown["equity"]) == pytest.approx(float(account["equity"]), abs=0.01)
    assert float(shown["buying_power"]) == pytest.approx(float(account["buying_power"]), abs=0.01)
    assert [(held["symbol"], held["qty"]) for held in shown["positions"]] == [("SPY", "-3")]
    assert float(shown["positions"][0]["gain"]) == pytest.approx(float(position["unrealized_pl"]), abs=0.01)
    assert shown["positions"][0]["last"] == position["current_price"]
    assert [(line["event"], line["about"].partition(" at ")[0]) for line in page["log"][:3]] == [
        ("fill", "sell 3 SPY"),
        ("order_new", "buy 1 AAPL limit 1.5"),
        ("order_accepted", "buy 1 AAPL limit 1.5"),
    ]


def test_page_log_keeps_orders_when_only_time_passes(opened: World) -> None:
    opened.order("SPY", "buy", 1, limit_price="1")
    before = opened.get(DATA)["log"]
    for _ in range(MOST_LINES):
        opened.tick(seconds=60)
    opened.ask("POST", "/exchange/v1/clock", {"pace": "60x"})
    opened.ask("POST", "/exchange/v1/clock", {"pace": "step"})
    page = opened.get(DATA)
    assert [line["event"] for line in page["log"][:2]] == ["pace_set", "pace_set"]
    assert [{**line, "at": ""} for line in page["log"][2:]] == [{**line, "at": ""} for line in before]


def test_refused_and_rejected_orders_are_shown_with_their_reasons(opened: World) -> None:
    opened.order("NONE", "buy", 3, limit_price="12.5")
    opened.ask("POST", "/v2/orders", b"{]")
    opened.ask("POST", "/v2/orders", {"symbol": "SPY", "qty": {"a": 1}, "side": ["buy"]})
    opened.tick(seconds=1)
    rejected = opened.order("SPY", "buy", 2, limit_price="1").json
    reject(opened.engine, opened.engine.main.order(rejected["id"]))
    page = opened.get(DATA)
    rows = [(row["status"], row["symbol"], row["qty"], row["limit"]) for row in page["ended_orders"]]
    assert rows == [
        ("rejected", "SPY", "2", "1"),
        ("refused", "SPY", None, None),
        ("refused", "", None, None),
        ("refused", "NONE", "3", "12.5"),
    ]
    reasons = [row["reason"] for row in page["ended_orders"]]
    assert (reasons[0], reasons[3]) == ("after it was accepted", 'asset "NONE" not found')
    assert all(reasons)
    assert page["open_orders"] == []


def test_page_matches_reasons_to_refused_orders_of_several_clients(opened: World) -> None:
    opened.ask("POST", "/exchange/v1/accounts", {"name": "alice"})
    alice = KEYS | {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"}
    opened.order("NONE", "buy", 1, headers=alice)
    opened.order("SPY", "buy", 1)
    opened.order("NADA", "buy", 2)
    shown = [(row["account"], row["symbol"], row["reason"]) for row in opened.get(DATA)["ended_orders"]]
    assert shown == [("main", "NADA", 'asset "NADA" not found'), ("alice", "NONE", 'asset "NONE" not found')]


def test_page_styles_never_wrap_numbers(world: World) -> None:
    text = world.ask("GET", "/").body.decode()
    # With `anywhere` a column may become narrower than a number in it.
    assert "overflow-wrap: anywhere" not in text
    for rule in (".num", ".figures dd", ".pill", ".lines time"):
        assert re.search(rf"^{re.escape(rule)} {{[^}}]*white-space: nowrap", text, re.MULTILINE), rule
    assert '.toFixed(2) + "\\u00a0%"' in text


def test_the_book_shows_the_quote_of_the_data_api_and_a_line_that_ends_with_the_last_price(opened: World) -> None:
    opened.order("AAPL", "buy", 1, limit_price="1.5")
    row = opened.get(DATA)["book"][0]
    quote = opened.get("/v2/stocks/AAPL/quotes/latest")["quote"]
    assert (float(row["bid"]), float(row["ask"])) == (quote["bp"], quote["ap"])
    assert row["line"][-1][1] == float(row["last"])
    assert [x for x, _ in row["line"]] == sorted(x for x, _ in row["line"])
    assert 0 < row["line"][0][0] <= row["line"][-1][0] <= 1


@pytest.mark.parametrize(
    ("moves", "phase", "until"),
    [
        (["open"], "open", "closes in 6 h 30 min"),
        (["close"], "post", "opens in 17 h 30 min"),
        (["close", "2025-03-04T01:30:30Z"], "closed", "opens in 13 h"),
        (["close", "next_open", "close"], "finished", "the last session is over"),
    ],
)
def test_page_clock_names_the_part_of_the_day(world: World, moves: list[str], phase: str, until: str) -> None:
    for moment in moves:
        world.tick(to=moment)
    clock = world.get(DATA)["clock"]
    assert (clock["phase"], clock["until"]) == (phase, until)


def test_page_document_stays_small_with_many_orders(opened: World) -> None:
    for number in range(MOST_ORDERS + 20):
        opened.order("SPY", "buy", 1, limit_price="1", client_order_id=f"order {number}")
    page = opened.get(DATA)
    assert (len(page["open_orders"]), page["open_total"]) == (MOST_ORDERS, MOST_ORDERS + 20)
    assert len(page["log"]) == MOST_LINES
    assert page["log_total"] > MOST_ORDERS
    newest = opened.get("/v2/orders?status=all&limit=1")[0]
    assert page["open_orders"][0]["id"] == newest["id"]
    opened.ask("DELETE", "/v2/orders")
    page = opened.get(DATA)
    assert (len(page["ended_orders"]), page["ended_total"], page["open_orders"]) == (MOST_ORDERS, MOST_ORDERS + 20, [])


def test_armed_faults_are_shown_in_words(opened: World) -> None:
    rule = b"- name: slow\n  when: {request: submit, nth: 2}\n  what: {status: 503}\n"
    assert opened.ask("POST", "/exchange/v1/faults", rule).status == 200
    page = opened.get(DATA)
    assert page["faults_total"] == 1
    assert page["faults"][0] == {
        "name": "slow",
        "what": "status 503",
        "when": "request submit, nth 2",
        "fired": 0,
        "spent": False,
    }


def test_no_secret_is_in_the_document(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder())
    world.ask("POST", "/exchange/v1/accounts", {"name": "alice"})
    page = world.get(DATA)
    assert [account["name"] for account in page["accounts"]] == ["main", "alice"]
    assert all("secret" not in account and "key" not in account for account in page["accounts"])


def test_page_of_another_origin_can_neither_read_nor_move_time(opened: World) -> None:
    foreign = KEYS | {"Origin": "https://evil.example", "Host": "127.0.0.1:8787"}
    before = opened.engine.now_us
    for method, path in (("GET", DATA), ("POST", "/exchange/v1/tick")):
        answer = opened.ask(method, path, {"seconds": 60}, foreign)
        assert (answer.status, answer.json["code"]) == (403, 40310000)
    assert opened.engine.now_us == before
    rebound = opened.ask("GET", "/", headers={"Host": "evil.example"})
    assert rebound.status == 403


LINES: list[tuple[dict[str, Any], str]] = [
    ({"event": "request", "method": "DELETE", "path": "/v2/positions", "query": "cancel_orders=true", "body": ""},
     "DELETE /v2/positions?cancel_orders=true"),
    ({"event": "request_refused", "status": 403, "message": "no"}, "no"),
    ({"event": "ticked", "from": "2025-03-03T14:30:00Z", "to": "2025-03-04T15:31:05Z"}, "1 d 1 h 1 min 5 s"),
    ({"event": "order_accepted", "symbol": "SPY", "side": "buy", "type": "limit", "qty": "2", "limit_price": "3"},
     "buy 2 SPY limit 3"),
    ({"event": "order_new", "symbol": "SPY", "side": "buy", "type": "market", "qty": None, "notional": "9.5"},
     "buy $9.5 SPY"),
    ({"event": "fill", "symbol": "SPY", "side": "sell", "type": "market", "fill_qty": "1", "price": "350.5"},
     "sell 1 SPY at 350.5"),
    ({"event": "pace_set", "pace": "60x", "note": True}, "pace 60x"),
    ({"event": "anything"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "said"), LINES)
def test_page_summarizes_a_log_line(line: dict[str, Any], said: str) -> None:
    assert about({"seq": 1, "at": "2025-03-03T14:30:00Z", **line}) == said


def test_page_shortens_a_long_log_line() -> None:
    assert len(about({"event": "request", "method": "GET", "path": "/" + "x" * 5000})) == 160


@pytest.mark.parametrize(("us", "said"), [(0, "0 s"), (59 * SECOND, "59 s"), (MINUTE, "1 min"), (49 * HOUR, "2 d 1 h")])
def test_duration_leaves_out_units_that_are_zero(us: int, said: str) -> None:
    assert duration(us) == said
