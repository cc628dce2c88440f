"""Each fault as a raw client sees it; after each the next request is served, and a replay of the log gives it again."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.exchange.served import Served, served
from tests.exchange.worlds import KEYS
from tradebot.exchange.exchange import open_exchange

FAULTS = "/exchange/v1/faults"


class Reply(NamedTuple):
    """What came over the socket; `status` is 0 where the connection ended without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A client of its own for each request, that waits no longer than it is told."""

    def __init__(self, place: Served, folder: Path) -> None:
        self.place = place
        self.folder = folder

    def arm(self, *rules: dict[str, Any]) -> None:
        named = [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules)]
        answer = self.ask("POST", FAULTS, named)
        assert answer.status == 200, answer.body

    def ask(self, method: str, path: str, body: object = None, patience_s: float = 5.0) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=patience_s)
        with closing(connection):
            try:
                connection.request(method, path, None if body is None else json.dumps(body), KEYS)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                return Reply(0, {}, b"", type(error).__name__)
            headers = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return Reply(answer.status, headers, answer.read())
            except http.client.IncompleteRead as error:
                return Reply(answer.status, headers, error.partial, "IncompleteRead")

    def order(self, name: str, patience_s: float = 5.0, **others: object) -> Reply:
        body = {"symbol": "AAPL", "side": "buy", "qty": "2", "type": "market", "time_in_force": "day"}
        return self.ask("POST", "/v2/orders", {**body, "client_order_id": name, **others}, patience_s)

    def found(self, name: str) -> Any:
        answer = self.ask("GET", f"/v2/orders:by_client_order_id?client_order_id={name}")
        return answer.json if answer.status == 200 else None

    def log(self, *names: str) -> list[dict[str, Any]]:
        events = self.ask("GET", "/exchange/v1/log?limit=10000").json["events"]
        return [event for event in events if not names or event["event"] in names]


@pytest.fixture
def client(new_folder: Callable[[], Path]) -> Iterator[Client]:
    """Yield a client of an exchange half an hour into its first session; afterwards its log must replay."""
    folder = new_folder()
    with served(folder) as place:
        place.tick(to="open")
        place.tick(seconds=1800)
        yield Client(place, folder)
        assert place.get("/exchange/v1/status")["is_open"]
        armed = [(one.rule.name, one.seen, one.fired) for one in place.exchange.faults.book]
        place.exchange.commit()
        lines = place.exchange.log.lines()
    again = open_exchange(folder)
    assert again.log.lines()[: len(lines)] == lines
    assert [(one.rule.name, one.seen, one.fired) for one in again.faults.book] == armed


def submit(what: object, **when: object) -> dict[str, Any]:
    return {"when": {"request": "submit", **when}, "what": what}


@pytest.mark.parametrize(
    ("fault", "end", "accepted"),
    [
        ("reply_lost", "RemoteDisconnected", True),
        ({"reset": "before"}, "ConnectionResetError", False),
        ({"reset": "after"}, "ConnectionResetError", True),
    ],
)
def test_lost_reply_or_reset_ends_the_connection_before_or_after_acceptance(
    client: Client, fault: object, end: str, accepted: bool
) -> None:
    client.arm(submit(fault, nth=1))
    lost = client.order("lost")
    assert (lost.status, lost.end) == (0, end)
    assert (client.found("lost") is not None) == accepted
    assert client.order("next").status == 200
    (fired,) = client.log("fault_fired")
    kind = fault if isinstance(fault, str) else "reset"
    assert (fired["rule"], fired["fault"], fired["client_order_id"]) == ("rule-0", kind, "lost")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("point", ["before", "after"])
def test_an_error_status_comes_before_or_after_acceptance(client: Client, code: int, point: str) -> None:
    client.arm(submit({"status": code, "acceptance": point, "retry_after": "2s"}))
    answer = client.order("asked")
    assert (answer.status, answer.headers["retry-after"]) == (code, "2")
    assert (client.found("asked") is not None) == (point == "after")
    if code in (429, 500):
        assert answer.json["code"] == {429: 42910000, 500: 50010000}[code]
    else:
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.body.startswith(b"<html>")


def test_rule_matches_a_percent_encoded_path(client: Client) -> None:
    client.order("named")
    client.arm(
        {"when": {"request": "order", "client_order_id": "named"}, "what": {"status": 503}},
        {"when": {"request": "GET /v2/assets/AAPL", "symbol": "AAPL"}, "what": {"status": 504}},
    )
    assert client.ask("GET", "/v2/orders%3Aby_client_order_id?client_order_id=named").status == 503
    assert client.ask("GET", "/v2/ass%65ts/%41APL").status == 504
    assert client.ask("GET", "/v2/assets/%2541APL").status == 404


def test_a_redirect_names_another_place(client: Client) -> None:
    client.arm(submit({"redirect": 307, "location": "/elsewhere"}))
    answer = client.order("asked")
    assert (answer.status, answer.headers["location"], answer.body) == (307, "/elsewhere", b"")
    assert client.found("asked") is None


def test_a_page_a_cut_body_and_an_empty_one_come_with_200_and_the_orders_live(client: Client) -> None:
    client.arm(
        submit("html_body", nth=1),
        submit("truncated_json", nth=2),
        submit({"truncated_json": 10, "connection": "closed"}, nth=3),
        submit("empty_body", nth=4),
    )
    page, cut, broken, empty = (client.order(name) for name in ("page", "cut", "broken", "empty"))
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (cut.status, cut.end, cut.body[:6]) == (200, "", b'{"id":')
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        assert cut.json
    assert (broken.status, broken.end, len(broken.body)) == (200, "IncompleteRead", 10)
    assert (empty.status, empty.body) == (200, b"")
    assert all(client.found(name) for name in ("page", "cut", "broken", "empty"))


def test_a_slow_drip_gives_the_right_answer_slowly_while_others_are_served(client: Client) -> None:
    client.arm({"when": {"request": "clock"}, "what": {"slow_drip": 400}})
    whole = len(client.ask("GET", "/v2/account").body)
    assert whole
    with socket.create_connection(("127.0.0.1", client.place.port), timeout=60) as slow:
        head = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
        slow.sendall(f"GET /v2/clock HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        first = slow.recv(65536)
        assert client.ask("GET", "/v2/account").status == 200
        body = first.partition(b"\r\n\r\n")[2]
        parts = 0
        while not body.endswith(b"}"):
            body += slow.recv(65536)
            parts += 1
    assert json.loads(body)["is_open"]
    assert parts >= 2


def test_hanging_request_gets_no_answer_while_others_are_served(client: Client) -> None:
    client.arm(
        submit({"hang": "30s"}, nth=1), submit({"hang": "100ms"}, nth=2), submit({"hang": "50ms", "then": "answer"})
    )
    assert client.order("long", patience_s=0.2).end == "TimeoutError"
    assert client.found("long")["client_order_id"] == "long"
    assert client.order("short").end == "RemoteDisconnected"
    began = time.monotonic()
    assert client.order("late").json["client_order_id"] == "late"
    assert time.monotonic() - began >= 0.05


def test_expired_keys_are_answered_401_like_wrong_ones(client: Client) -> None:
    client.arm({"when": {"request": "any trading", "from": 2}, "what": "expired_keys"})
    assert client.ask("GET", "/v2/account").status == 200
    answer = client.order("asked")
    assert (answer.status, answer.json) == (401, {"message": "unauthorized."})
    assert client.log("order_accepted") == []


@pytest.mark.parametrize(("answer", "seen"), [(504, (504, "")), ("lost", (0, "RemoteDisconnected"))])
def test_a_late_order_is_nowhere_until_its_time_and_then_it_trades(
    client: Client, answer: object, seen: tuple[int, str]
) -> None:
    client.arm(submit({"late_arrival": "90s", "answer": answer}, nth=1))
    given = client.order("late")
    assert (given.status, given.end) == seen
    client.place.tick(seconds=89)
    assert client.found("late") is None
    client.place.tick(seconds=1)
    assert client.found("late")["status"] == "new"
    (accepted,) = client.log("order_accepted")
    (request,) = [event for event in client.log("request") if event["path"] == "/v2/orders"]
    moments = [datetime.fromisoformat(event["at"]) for event in (request, accepted)]
    assert moments[1] - moments[0] == timedelta(seconds=90)
    client.place.tick(seconds=120)
    assert client.found("late")["status"] == "filled"


def test_a_late_order_that_is_refused_is_told_of_in_the_log(client: Client) -> None:
    client.arm(submit({"late_arrival": "1m"}, nth=1))
    client.order("late", symbol="NONE")
    client.place.tick(seconds=300)
    (refused,) = client.log("order_rejected")
    assert refused["status"] == 422


@pytest.mark.parametrize(("which", "status"), [("second", 422), ("first", 200)])
def test_an_order_delivered_twice_is_accepted_once_by_name_and_twice_without(
    client: Client, which: str, status: int
) -> None:
    client.arm(submit({"delivered_twice": None, "answer": which}))
    assert client.order("named").status == status
    assert client.ask("POST", "/v2/orders", {"symbol": "AAPL", "side": "buy", "qty": 1, "type": "market",
                                             "time_in_force": "day"}).status == 200  # fmt: skip
    assert len(client.log("order_accepted")) == 3


def test_an_order_is_accepted_and_then_rejected(client: Client) -> None:
    client.arm(submit("reject_after_acceptance", symbol="AAPL"))
    assert client.order("rejected").json["status"] in ("pending_new", "new", "accepted")
    assert client.found("rejected")["status"] == "rejected"
    assert client.order("other", symbol="SPY").status == 200
    assert client.found("other")["status"] == "new"


def test_partial_then_cancel_fills_half_an_order_and_cancels_the_rest(client: Client) -> None:
    client.arm(submit("partial_then_cancel"))
    client.order("part", qty="10")
    client.place.tick(seconds=120)
    order = client.found("part")
    assert (order["status"], order["filled_qty"]) == ("canceled", "5")
    (position,) = client.ask("GET", "/v2/positions").json
    assert position["qty"] == "5"


def test_an_order_fills_while_its_cancel_is_under_way(client: Client) -> None:
    client.arm({"when": {"request": "cancel", "client_order_id": "low*"}, "what": "fill_during_cancel"})
    price = client.ask("GET", "/v2/stocks/AAPL/quotes/latest").json["quote"]["bp"]
    placed = client.order("low-1", type="limit", limit_price=f"{price * 0.9:.2f}").json
    assert client.ask("DELETE", f"/v2/orders/{placed['id']}").status == 204
    assert client.found("low-1")["status"] == "filled"
    assert [event["client_order_id"] for event in client.log("order_cancel_rejected")] == ["low-1"]


def test_a_symbol_halted_by_time_fills_nothing_until_the_halt_ends(client: Client) -> None:
    client.arm({"when": {"symbol": "AAPL", "after": "open+31m", "until": "open+45m"}, "what": "halt_symbol"})
    client.place.tick(seconds=60)
    for name, symbol in (("halted", "AAPL"), ("free", "SPY")):
        client.order(name, symbol=symbol)
    client.place.tick(seconds=600)
    assert [client.found(name)["status"] for name in ("halted", "free")] == ["new", "filled"]
    client.place.tick(seconds=600)
    assert client.found("halted")["status"] == "filled"


def test_a_symbol_halted_by_an_order_trades_again_when_its_time_is_over_or_the_rule_cleared(client: Client) -> None:
    client.arm(submit({"halt_symbol": "10m"}, nth=1), submit("halt_symbol", nth=2))
    client.order("short")
    client.order("long", symbol="SPY")
    client.place.tick(seconds=300)
    assert [client.found(name)["status"] for name in ("short", "long")] == ["new", "new"]
    client.place.tick(seconds=600)
    assert [client.found(name)["status"] for name in ("short", "long")] == ["filled", "new"]
    assert client.ask("DELETE", f"{FAULTS}/rule-1").json == {"cleared": ["rule-1"]}
    client.place.tick(seconds=120)
    assert client.found("long")["status"] == "filled"


def test_frozen_and_old_quotes_keep_their_true_times(client: Client) -> None:
    path = "/v2/stocks/quotes/latest?symbols=AAPL,SPY"
    before = client.ask("GET", path).json["quotes"]
    client.arm({"when": {"request": "any data", "symbol": "AAPL"}, "what": "stale_quotes"})
    assert client.ask("GET", path).json["quotes"] == before
    client.place.tick(seconds=600)
    after = client.ask("GET", path).json["quotes"]
    assert after["AAPL"] == before["AAPL"]
    assert after["SPY"]["t"] > before["SPY"]["t"]
    assert client.ask("GET", "/v2/stocks/AAPL/quotes/latest").json["quote"] == before["AAPL"]
    assert client.ask("GET", "/v2/stocks/snapshots?symbols=AAPL").json["AAPL"]["latestQuote"] == before["AAPL"]
    client.ask("DELETE", FAULTS)
    client.arm({"when": {"request": "quotes"}, "what": {"stale_quotes": "10m"}})
    assert client.ask("GET", path).json["quotes"] == before


def test_quote_from_before_the_first_one_is_a_404_and_is_left_out_of_lists(client: Client) -> None:
    client.arm({"when": {"request": "any data", "symbol": "AAPL"}, "what": {"stale_quotes": "100h"}})
    one = client.ask("GET", "/v2/stocks/AAPL/quotes/latest")
    assert (one.status, "message" in one.json) == (404, True)
    assert list(client.ask("GET", "/v2/stocks/quotes/latest?symbols=AAPL,SPY").json["quotes"]) == ["SPY"]


def test_crossed_quotes_show_the_bid_above_the_ask_of_the_named_symbol(client: Client) -> None:
    true = client.ask("GET", "/v2/stocks/AAPL/quotes/latest").json["quote"]
    client.arm({"when": {"request": "any data", "symbol": "AAPL"}, "what": {"crossed_quotes": 0.25}})
    quotes = client.ask("GET", "/v2/stocks/quotes/latest?symbols=AAPL,SPY").json["quotes"]
    snapshot = client.ask("GET", "/v2/stocks/AAPL/snapshot").json["latestQuote"]
    for quote in (quotes["AAPL"], snapshot):
        assert quote["ap"] == true["ap"]
        assert quote["bp"] == round(true["ap"] + 0.25, 4)
    assert quotes["SPY"]["bp"] <= quotes["SPY"]["ap"]


def test_wrong_quotes_are_off_by_a_factor_for_one_read_and_the_last_trade_is_not(client: Client) -> None:
    path = "/v2/stocks/AAPL/snapshot"
    true = client.ask("GET", path).json
    client.arm({"when": {"request": "snapshots", "at_most": 1}, "what": {"wrong_quotes": 0.985}})
    lied, again = (client.ask("GET", path).json for _ in range(2))
    prices = [round(true["latestQuote"][field] * 0.985, 4) for field in ("bp", "ap")]
    assert [lied["latestQuote"][field] for field in ("bp", "ap")] == prices
    assert (lied["latestTrade"], again) == (true["latestTrade"], true)


def test_the_clock_and_the_date_header_are_shifted(client: Client) -> None:
    right = client.ask("GET", "/v2/clock")
    client.arm({"when": {"request": "any"}, "what": {"clock_skew": "-3m"}})
    shifted = client.ask("GET", "/v2/clock")
    moments = [datetime.fromisoformat(answer.json["timestamp"]) for answer in (right, shifted)]
    assert moments[0] - moments[1] == timedelta(minutes=3)
    date = parsedate_to_datetime(shifted.headers["date"])
    assert timedelta(minutes=2, seconds=50) < datetime.now(UTC) - date < timedelta(minutes=3, seconds=10)
    assert client.order("shifted").headers["date"] != right.headers["date"]


def test_unknown_word_and_missing_field_are_sent_only_where_the_rule_says(client: Client) -> None:
    client.arm(
        {"when": {"request": "submit"}, "what": {"unknown_enum": "status", "word": "pondered"}},
        {"when": {"request": ["submit", "orders"]}, "what": {"missing_field": "filled_qty"}},
    )
    answer = client.order("odd").json
    assert answer["status"] == "pondered"
    assert "filled_qty" not in answer
    (listed,) = client.ask("GET", "/v2/orders").json
    assert listed["status"] == "new"
    assert "filled_qty" not in listed
    assert client.found("odd")["filled_qty"] == "0"


def test_missing_rows_are_left_out_of_lists_and_still_found_alone(client: Client) -> None:
    for name, symbol in (("one", "AAPL"), ("two", "SPY")):
        client.order(name, symbol=symbol)
    client.arm(
        {"when": {"request": "orders", "nth": 1}, "what": {"missing_rows": None, "client_order_id": "t*"}},
        {"when": {"request": "GET /v2/orders", "from": 2}, "what": "missing_rows"},
        {"when": {"request": "GET /v2/positions"}, "what": {"missing_rows": None, "symbol": "AAPL"}},
    )
    assert [row["client_order_id"] for row in client.ask("GET", "/v2/orders").json] == ["one"]
    assert client.ask("GET", "/v2/orders").json == []
    assert client.found("two")["status"] == "new"
    client.place.tick(seconds=120)
    assert [row["symbol"] for row in client.ask("GET", "/v2/positions").json] == ["SPY"]
    assert client.ask("GET", "/v2/positions/AAPL").json["qty"] == "2"


def test_not_found_fault_hides_an_order_and_a_position_from_single_reads(client: Client) -> None:
    client.order("there")
    client.place.tick(seconds=120)
    client.arm({"when": {"request": "order"}, "what": "not_found"}, {"when": {"symbol": "AAPL"}, "what": "not_found"})
    for path in ("/v2/orders:by_client_order_id?client_order_id=there", "/v2/positions/AAPL"):
        answer = client.ask("GET", path)
        assert (answer.status, answer.json["code"]) == (404, 40410000)
    assert [row["symbol"] for row in client.ask("GET", "/v2/positions").json] == ["AAPL"]


@pytest.mark.parametrize("field", ["limit_price", "qty", "status", "updated_at"])
def test_restless_order_changes_one_field_at_each_read_and_others_do_not(client: Client, field: str) -> None:
    for name in ("hand", "tb1.x"):
        client.order(name, type="limit", limit_price="1")
    client.arm({"when": {"request": "any"}, "what": {"restless_orders": field, "client_order_id": "hand"}})
    lists = [{row["client_order_id"]: row for row in client.ask("GET", "/v2/orders").json} for _ in range(3)]
    for one, other in pairwise(lists):
        assert {name for name in one["hand"] if one["hand"][name] != other["hand"][name]} == {field}
        assert one["tb1.x"] == other["tb1.x"]


def test_a_position_is_shown_on_the_other_side(client: Client) -> None:
    client.order("long")
    client.order("other", symbol="SPY")
    client.place.tick(seconds=120)
    client.arm({"when": {"request": "positions"}, "what": {"opposite_side": None, "symbol": "AAPL"}})
    shown = {row["symbol"]: row for row in client.ask("GET", "/v2/positions").json}
    assert [(shown[name]["qty"], shown[name]["side"]) for name in ("AAPL", "SPY")] == [("-2", "short"), ("2", "long")]
    assert float(shown["AAPL"]["market_value"]) < 0 < float(shown["SPY"]["market_value"])


@pytest.mark.parametrize(("told", "value"), [(None, "0"), (-4900, "-4900"), (0.01, "0.01")])
def test_a_position_is_shown_at_another_value(client: Client, told: float | None, value: str) -> None:
    client.order("held")
    client.order("other", symbol="SPY")
    client.place.tick(seconds=120)
    before = {row["symbol"]: row for row in client.ask("GET", "/v2/positions").json}
    client.arm({"when": {"request": "positions"}, "what": {"position_value": told, "symbol": "AAPL"}})
    shown = {row["symbol"]: row for row in client.ask("GET", "/v2/positions").json}
    assert shown == before | {"AAPL": before["AAPL"] | {"market_value": value}}


def test_a_stale_account_is_shown_as_it_was_and_is_as_it_is(client: Client) -> None:
    client.order("held", qty="10")
    client.place.tick(seconds=120)
    paths = ("/v2/orders?status=all", "/v2/positions", "/v2/account/activities", "/v2/account")
    cash = client.ask("GET", "/v2/account").json["cash"]
    resting = client.order("resting", symbol="SPY", type="limit", limit_price="1").json
    client.order("sold", side="sell", qty="4")
    before = [client.ask("GET", path).json for path in paths]
    client.place.tick(seconds=300)
    assert client.ask("DELETE", f"/v2/orders/{resting['id']}").status == 204
    client.order("new")
    now = [client.ask("GET", path).json for path in paths]
    client.arm({"when": {"request": "any trading"}, "what": {"stale_account": "5m"}})
    orders, (position,), activities, account = (client.ask("GET", path).json for path in paths)
    assert {row["client_order_id"]: row["status"] for row in orders} == {
        "held": "filled", "resting": "new", "sold": "new",
    }  # fmt: skip
    assert orders == before[0]
    assert (position["qty"], activities, account["cash"]) == ("10", before[2], cash)
    assert client.found("new") is None
    assert client.found("sold")["filled_qty"] == "0"
    client.ask("DELETE", FAULTS)
    assert [client.ask("GET", path).json for path in paths] == now


def test_a_frozen_account_stays_at_the_moment_of_its_first_reading(client: Client) -> None:
    client.arm({"when": {"request": "positions"}, "what": "stale_account"})
    assert client.ask("GET", "/v2/positions").json == []
    client.order("unseen")
    client.place.tick(seconds=120)
    assert client.ask("GET", "/v2/positions").json == []
    assert client.ask("GET", "/v2/positions/AAPL").status == 404


def test_control_is_never_touched_and_the_next_request_on_a_kept_connection_is_served(client: Client) -> None:
    client.arm({"when": {"request": "any", "nth": [1, 2]}, "what": {"status": 503}})
    with closing(http.client.HTTPConnection("127.0.0.1", client.place.port, timeout=60)) as connection:
        statuses = []
        for path in ("/exchange/v1/status", "/v2/clock", "/v2/account", "/v2/clock", FAULTS):
            connection.request("GET", path, headers=KEYS)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    assert statuses == [200, 503, 503, 200, 200]


def test_a_client_that_resets_in_the_middle_of_its_body_has_asked_for_nothing(client: Client) -> None:
    client.arm(submit("reply_lost"))
    with socket.create_connection(("127.0.0.1", client.place.port), timeout=60) as half:
        half.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400\r\n\r\n{")
        half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert client.ask("GET", FAULTS).json["faults"][0]["seen"] == 0
    assert client.log("order_accepted") == []
