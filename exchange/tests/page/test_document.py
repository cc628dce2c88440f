"""The document behind the web page: it shows what the API has, and stays small.

The tape on the page: fills as the log has them, and market moves as the data API has them.

Orders on the page: the life of each is what the log tells of it.
"""

from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World
from exchange.tests.kit.random_commands import Commands
from papervenue.engine import account_lists
from papervenue.engine.order_lifecycle import reject
from papervenue.page import document
from papervenue.page.document import MOST_FILLS, MOST_MOVES, MOST_ORDERS, exact_moment, format_rule
from papervenue.page.recent import MOST_LINES

DATA = "/exchange/v1/page"


@pytest.fixture
def opened(world: World) -> World:
    world.tick(to="open")
    world.tick(seconds=600)
    return world


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
    assert [(position["symbol"], position["qty"]) for position in shown["positions"]] == [("SPY", "-3")]
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
    reject(opened.engine, opened.engine.main.order(opened.order("SPY", "buy", 2, limit_price="1").json["id"]))
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
    assert page["open_orders"][0]["id"] == opened.get("/v2/orders?status=all&limit=1")[0]["id"]
    opened.ask("DELETE", "/v2/orders")
    page = opened.get(DATA)
    assert (len(page["ended_orders"]), page["ended_total"], page["open_orders"]) == (MOST_ORDERS, MOST_ORDERS + 20, [])


def test_armed_faults_are_shown_in_words(opened: World) -> None:
    rule = b"- name: slow\n  when: {request: submit, nth: 2}\n  what: {status: 503}\n"
    assert opened.ask("POST", "/exchange/v1/faults", rule).status == 200
    page = opened.get(DATA)
    assert page["faults"][0] == {
        "name": "slow",
        "what": "status 503",
        "when": "request submit, nth 2",
        "seen": 0,
        "fired": 0,
        "spent": False,
    }


def test_page_shows_one_chosen_account_and_everybody_for_an_unknown_name(opened: World) -> None:
    opened.ask("POST", "/exchange/v1/accounts", {"name": "alice"})
    alice = KEYS | {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"}
    opened.order("AAPL", "buy", 1, headers=alice)
    opened.order("AAPL", "buy", 2)
    opened.order("NONE", "buy", 1)
    opened.order("SPY", "buy", 1, limit_price="1")
    opened.tick(seconds=120)
    page = opened.get(f"{DATA}?account=alice")
    assert (page["chosen"], page["account_names"]) == ("alice", ["main", "alice"])
    assert all("secret" not in account and "key" not in account for account in opened.get(DATA)["accounts"])
    assert [account["name"] for account in page["accounts"]] == ["alice"]
    assert ([row["symbol"] for row in page["ended_orders"]], page["open_orders"]) == (["AAPL"], [])
    assert [(row["account"], row["qty"]) for row in page["tape"] if row["kind"] == "fill"] == [("alice", "1")]
    unknown = opened.get(f"{DATA}?account=%3Cb%3E")
    assert (unknown["chosen"], len(unknown["accounts"]), len(unknown["open_orders"])) == ("", 2, 1)


@pytest.mark.parametrize(
    ("us", "shown"), [(0, "09:30:00"), (250_000, "09:30:00.25"), (1, "09:30:00.000001"), (1_000_000, "09:30:01")]
)
def test_a_moment_is_exact_only_if_it_is_no_whole_second(world: World, us: int, shown: str) -> None:
    world.tick(to="open")
    assert exact_moment(world.engine, world.engine.now_us + us) == shown


def test_a_rule_is_written_without_braces() -> None:
    assert format_rule({"request": ["submit", "cancel"], "at_most": 5}) == "request submit or cancel, at most 5"


def test_fills_are_those_of_the_log_newest_first(trading: World) -> None:
    order = trading.order("SPY", "sell", 3).json["id"]
    trading.order("AAPL", "buy", 2)
    trading.tick(seconds=120)
    fills = [row for row in trading.get(DATA)["tape"] if row["kind"] == "fill"]
    logged = [(line["symbol"], line["fill_qty"], line["price"]) for line in reversed(trading.logged("fill"))]
    assert [(row["symbol"], row["qty"], row["price"]) for row in fills] == logged
    (sold,) = [row for row in fills if row["symbol"] == "SPY"]
    assert (sold["order"], sold["side"], sold["account"], sold["event"]) == (order, "sell", "main", "fill")


def test_each_minute_shows_the_largest_move_of_the_shown_symbols(trading: World) -> None:
    page = trading.get(DATA)
    moves = [row for row in page["tape"] if row["kind"] == "move"]
    assert len(moves) == len({row["at"] for row in moves}) > 5
    assert [row["at"] for row in moves] == sorted((row["at"] for row in moves), reverse=True)
    symbols = ",".join(row["symbol"] for row in page["book"])
    bars = trading.get(f"/v2/stocks/bars?symbols={symbols}&timeframe=1Min&start=2025-03-03&limit=1000")["bars"]
    closes = {symbol: {bar["t"]: bar["c"] for bar in rows} for symbol, rows in bars.items()}
    assert (moves[0]["at"], page["clock"]["time"]) == ("09:40:00", "09:40:00")
    for move in moves:
        # Moves are shown at the end of their minute, in New York's time; bars are stamped at its start, in UTC.
        minute = 14 * 60 + int(move["at"][3:5]) - 1
        before, at = (f"2025-03-03T{one // 60:02}:{one % 60:02}:00Z" for one in (minute - 1, minute))
        changes = {
            symbol: rows[at] / rows[before] - 1 for symbol, rows in closes.items() if {before, at} <= rows.keys()
        }
        largest = max(changes, key=lambda symbol: abs(changes[symbol]))
        assert move["symbol"] == largest
        assert abs(float(move["change"]) - changes[largest]) < 1e-6
        assert Decimal(move["price"]) == Decimal(str(closes[largest][at]))


def test_tape_is_empty_before_the_first_session_and_bounded_later(world: World) -> None:
    assert world.get(DATA)["tape"] == []
    world.tick(to="open")
    for _ in range(MOST_FILLS + 5):
        world.order("SPY", "buy", 1)
    world.tick(seconds=3600)
    kinds = [row["kind"] for row in world.get(DATA)["tape"]]
    assert (kinds.count("fill"), kinds.count("move")) == (MOST_FILLS, MOST_MOVES)


def test_what_the_venue_announces_is_on_the_tape_of_everybody(trading: World) -> None:
    split = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1}
    assert trading.ask("POST", "/exchange/v1/actions", split).status == 200
    trading.tick(to="next_open")
    (news,) = [row for row in trading.get(DATA)["tape"] if row["kind"] == "news"]
    assert (news["event"], news["account"]) == ("corporate_action", "")
    assert "AAPL" in news["about"]


def lived(world: World, name: str) -> Any:
    """Return what the page shows of an order's life."""
    return world.get(f"{DATA}?order={name}")["life"]


def event_statuses(life: Any) -> list[tuple[str, str]]:
    return [(event["event"], event["status"]) for event in life["events"]]


def test_the_life_of_an_order_has_its_changes_and_fills_with_times_and_prices(trading: World) -> None:
    first = trading.order("SPY", "buy", 2, limit_price="1.00", client_order_id="first").json["id"]
    trading.tick(seconds=60)
    change = {"qty": "3", "limit_price": "900", "client_order_id": "second"}
    second = trading.ask("PATCH", f"/v2/orders/{first}", change).json["id"]
    trading.tick(seconds=120)
    life = lived(trading, second)
    assert life == lived(trading, "second")
    assert {name: life[name] for name in ("id", "client_order_id", "account", "symbol", "side")} == {
        "id": second,
        "client_order_id": "second",
        "account": "main",
        "symbol": "SPY",
        "side": "buy",
    }
    assert event_statuses(life)[:2] == [("accepted", "pending_new"), ("at the market", "new")]
    assert ("changed by a new order", "replaced") in event_statuses(life)
    assert event_statuses(life)[-1] == ("filled", "filled")
    fill, shown = trading.get("/v2/account/activities/FILL")[0], life["events"][-1]
    assert (shown["price"], shown["fill_qty"], shown["filled"]) == (fill["price"], "3", "3")
    assert (life["events"][0]["at"], life["events"][0]["limit"], shown["limit"]) == ("09:40:00", "1", "900")
    old = lived(trading, first)
    assert (old["replaced_by"], event_statuses(old)[-1]) == (second, ("changed by a new order", "replaced"))


def test_the_life_of_an_order_ends_with_its_expiry_or_its_cancel(trading: World) -> None:
    kept, gone = (trading.order("SPY", "buy", 2, limit_price="1.00").json["id"] for _ in range(2))
    trading.ask("DELETE", f"/v2/orders/{gone}")
    trading.tick(to="close")
    assert (event_statuses(lived(trading, gone))[-1], event_statuses(lived(trading, kept))[-1]) == (
        ("canceled", "canceled"),
        ("expired", "expired"),
    )
    assert lived(trading, kept)["events"][-1]["at"] == "16:00:00"


@pytest.mark.parametrize("seed", [3, 5])
def test_every_life_has_the_lines_that_the_log_has(trading: World, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(account_lists, "_BLOCK", 8)
    commands = Commands(trading, seed)
    for _ in range(60):
        commands.step()
    trading.clear_rules()
    accounts = list(trading.engine.accounts.values())
    lines = [line for line in trading.events() if "order_id" in line]
    compared = 0
    for order in (order for account in accounts for order in account.orders.values()):
        life = document.order_events(trading.engine, accounts, order.id)
        assert life is not None
        chain, last = {order.id}, order
        while last.replaces is not None:
            last = next(account for account in accounts if account.number == order.account).order(last.replaces)
            chain.add(last.id)
        expected = {line["seq"]: line for line in lines if line["order_id"] in chain}
        for event in life["events"]:
            line = expected.pop(event["line"])
            assert (event["status"], event["filled"]) == (line["status"], line["filled_qty"])
            assert event["price"] == line.get("price")
            compared += 1
        # The stream is silent about an order that the venue goes on showing as held.
        assert {line["event"] for line in expected.values()} <= {"order_new"}
    assert compared > 60


def test_a_long_life_keeps_its_newest_events(trading: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_EVENTS", 2)
    order = trading.order("SPY", "buy", 2, limit_price="1.00").json["id"]
    trading.ask("DELETE", f"/v2/orders/{order}")
    life = lived(trading, order)
    assert ([event["status"] for event in life["events"]], life["earlier_events"]) == (["new", "canceled"], 1)


def test_an_unknown_order_has_no_life_and_a_shared_name_is_the_chosen_account_s(trading: World) -> None:
    assert lived(trading, "nobody") is None
    assert trading.get(DATA)["life"] is None
    trading.ask("POST", "/exchange/v1/accounts", {"name": "alice"})
    alice = KEYS | {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"}
    trading.order("SPY", "buy", 1, limit_price="1", client_order_id="same")
    trading.order("AAPL", "buy", 1, limit_price="1", client_order_id="same", headers=alice)
    assert lived(trading, "same")["symbol"] == "SPY"
    assert trading.get(f"{DATA}?account=alice&order=same")["life"]["symbol"] == "AAPL"
