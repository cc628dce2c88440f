"""Reads that are not true: a list of orders or positions that lacks something, lags, or never reads the same twice.

The exchange tells the lie and keeps the log, and the log alone is the judge: what was asked for, what was accepted,
what was filled. Asked for one order by its id, or for one position by its symbol, the exchange tells the truth unless
a test says otherwise.
"""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import requests

from tests.faults import verdicts
from tests.kit.bot.stage import CONFIGURATION, Stage
from tests.kit.bot.trader import UNTIL_FILLED_S, Said, Trader
from tests.kit.judge import account as judge
from tests.kit.judge import pairs
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.loading import Options, load_for
from tradebot.model.trading import TradingState

NEAR = True
ORDERS, POSITIONS = "GET /v2/orders", "GET /v2/positions"
MISSING, MISSING_AAPL = "missing_rows", {"missing_rows": None, "symbol": "AAPL"}
OF_A_MINUTE_AGO, FROZEN = {"stale_account": "1m"}, "stale_account"
BUSY = ("limit_price", "qty", "status", "updated_at")
STEP_S = 61


@pytest.fixture(autouse=True)
def truth_again(trader: Trader) -> Iterator[None]:
    """End the test's lies, and let fill what it kept from filling for everybody."""
    yield
    trader.calm()
    moves(trader)


def rests(trader: Trader, *symbols: str) -> None:
    """Let nothing of some symbols fill from now on."""
    requests.post(
        f"{trader.stage.url}/exchange/v1/faults",
        data=json.dumps([{"name": f"{trader.bot.name}-0", "when": {"symbol": list(symbols)}, "what": "halt_symbol"}]),
        timeout=10,
    ).raise_for_status()


def moves(trader: Trader) -> None:
    """Let everything fill again."""
    requests.delete(f"{trader.stage.url}/exchange/v1/faults/{trader.bot.name}-0", timeout=10)


def fills_again(trader: Trader) -> None:
    """Let everything fill again, and wait until it has."""
    moves(trader)
    trader.stage.tick(seconds=UNTIL_FILLED_S)


@pytest.fixture
def slow(trader: Trader) -> Trader:
    """Return a bot at an exchange where nothing of AAPL fills."""
    rests(trader, "AAPL")
    return trader


def holding(trader: Trader, *symbols: str) -> None:
    """Let the bot buy, and see what filled."""
    assert trader.buys(*symbols).code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert trader.held().keys() == set(symbols)


def leave(trader: Trader) -> None:
    """Ask for everything to be closed, as `halt --flatten` does."""
    halt_switch.halt(trader.folder, "test", "leave", datetime.now(UTC), TradingState.FLATTEN)


def opened(trader: Trader) -> list[str]:
    """Return the symbols of the entries that the exchange was asked for."""
    names = [name for name in trader.told().posts if verdicts.OPEN in name]
    return [name.split(".")[3] for name in names]


def closed(trader: Trader) -> list[str]:
    """Return the ids of the exits that the exchange was asked for by POST, and of those that took over a pair."""
    resting = {o["order_id"] for o in trader.told().accepted if pairs.PROTECT in o["client_order_id"]}
    resting -= {o["order_id"] for o in trader.told().accepted if "replaces" in o}
    through = [o["client_order_id"] for o in trader.told().accepted if o.get("replaces") in resting]
    return [*dict.fromkeys(event["client_order_id"] for event in asked(trader) if is_exit(event)), *through]


def is_exit(body: dict[str, str]) -> bool:
    return verdicts.CLOSE in body["client_order_id"]


def asked(trader: Trader) -> list[dict[str, str]]:
    """Return the bodies of this account's requests for a new order."""
    events = (event for event in trader.stage.log(trader.bot.number) if event.get("account") == trader.bot.number)
    posts = (e for e in events if e["event"] == "request" and (e["method"], e["path"]) == ("POST", "/v2/orders"))
    return [json.loads(event["body"]) for event in posts]


def is_lawful(trader: Trader) -> None:
    """See that nothing was opened beside what is there, nothing closed twice, and no position turned round."""
    events = [event for event in trader.stage.log(trader.bot.number) if event.get("account") == trader.bot.number]
    found = [*verdicts.doubled(events, trader.told()), *pairs.broken(events), *verdicts.exits_beside(events)]
    assert found == []


def alarms(trader: Trader, symbol: str) -> list[str]:
    """Return the types of the events that warn of a symbol."""
    lines = (trader.folder / state_folder.EVENTS).read_text().splitlines()
    events = [json.loads(line) for line in lines]
    loud = [event for event in events if event["severity"].upper() not in ("DEBUG", "INFO")]
    return [event["event_type"] for event in loud if event["symbol"] == symbol or symbol in json.dumps(event)]


def position(trader: Trader, symbol: str = "AAPL") -> Decimal:
    """Return what the exchange's log says is held."""
    return sum((Decimal(f["fill_qty"]) * (1 if f["side"] == "buy" else -1) for f in trader.told().fills
                if f["symbol"] == symbol), Decimal(0))  # fmt: skip


def by_hand(trader: Trader, name: str = "by-hand-1", symbol: str = "XOM") -> None:
    """Let somebody's order rest at the exchange, far from the market."""
    keys = {"APCA-API-KEY-ID": trader.bot.key, "APCA-API-SECRET-KEY": trader.bot.key}
    body = {"symbol": symbol, "qty": "5", "side": "buy", "type": "limit", "limit_price": "1", "time_in_force": "day"}
    url = f"{trader.stage.url}/v2/orders"
    requests.post(url, json={**body, "client_order_id": name}, headers=keys, timeout=10).raise_for_status()


def passes(stage: Stage, trader: Trader, *symbols: str) -> list[int]:
    """Run three passes of entries, a minute apart."""
    ends = []
    for _ in range(3):
        stage.tick(seconds=STEP_S)
        ends.append(trader.buys(*symbols, again=True).code)
    return ends


@pytest.mark.parametrize("lie", [MISSING, MISSING_AAPL, {"stale_account": "1h"}], ids=["empty", "left out", "old"])
@pytest.mark.parametrize("by_id", ["true", "404"])
def test_an_entry_that_the_list_leaves_out_still_counts(slow: Trader, lie: object, by_id: str) -> None:
    assert slow.buys("AAPL").code == 0
    slow.trouble(lie, request=ORDERS)
    if by_id == "404":
        slow.trouble("not_found", request="order")
    passes(slow.stage, slow, "AAPL")
    assert slow.fired() >= 3
    assert opened(slow) == ["AAPL"]
    is_lawful(slow)


def test_an_order_that_the_list_leaves_out_is_a_finding_at_once(slow: Trader) -> None:
    assert slow.buys("AAPL").code == 0
    assert slow.reconciles().code == 0
    slow.trouble(MISSING, request=ORDERS)
    assert slow.reconciles().code == 10
    slow.calm()
    assert slow.reconciles().code == 0


def test_an_order_that_the_list_leaves_out_shuts_its_symbol_and_not_for_good(slow: Trader) -> None:
    assert slow.buys("AAPL").code == 0
    slow.trouble(MISSING_AAPL, request=ORDERS)
    passes(slow.stage, slow, "AAPL")
    slow.calm()
    fills_again(slow)
    assert slow.reconciles().code == 0
    assert slow.buys("MSFT", again=True).code == 0
    assert opened(slow) == ["AAPL", "MSFT"]
    slow.is_whole()


@pytest.mark.parametrize("lie", [MISSING, MISSING_AAPL, {"stale_account": "1h"}], ids=["empty", "left out", "old"])
@pytest.mark.parametrize("by_id", ["true", "404"])
def test_an_exit_that_the_list_leaves_out_is_not_sent_anew(trader: Trader, lie: object, by_id: str) -> None:
    holding(trader, "AAPL")
    rests(trader, "AAPL")
    leave(trader)
    assert trader.exits().code == 0
    assert len(closed(trader)) == 1
    trader.trouble(lie, request=ORDERS)
    if by_id == "404":
        trader.trouble("not_found", request="order")
    for _ in range(3):
        trader.stage.tick(seconds=STEP_S)
        trader.exits()
    assert trader.fired() >= 3
    assert len(closed(trader)) == 1
    trader.calm()
    for _ in range(2):
        fills_again(trader)
        assert trader.exits().code == 0
    assert position(trader) == 0
    is_lawful(trader)
    trader.is_whole()


LIES = {
    "empty": MISSING,
    "left out": MISSING_AAPL,
    "old": {"stale_account": "1h"},
    "other side": {"opposite_side": None, "symbol": "AAPL"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_positions_that_differ_from_our_fills_shut_all_entries_of_that_pass(trader: Trader, lie: object) -> None:
    holding(trader, "AAPL")
    trader.trouble(lie, request=POSITIONS)
    passes(trader.stage, trader, "MSFT", "JPM")
    assert trader.fired() >= 3
    assert opened(trader) == ["AAPL"]
    trader.calm()
    assert trader.reconciles().code == 0
    assert trader.buys("MSFT", again=True).code == 0
    assert opened(trader) == ["AAPL", "MSFT"]


def test_a_quote_that_is_wrong_for_one_read_closes_nothing_then_or_later(trader: Trader) -> None:
    far = trader.folder / "far.yaml"
    far.write_text(re.sub(r"exits: {.*?}", "exits: {protection: bot}", CONFIGURATION, flags=re.DOTALL))
    trader.bot.loaded = load_for(
        state_folder.open_state(trader.folder), Options(str(trader.folder), config=str(far)), {}
    )
    holding(trader, "AAPL")
    assert trader.exits().code == 0
    for factor in (1.04, 0.96, 1.009, 0.985):
        trader.trouble({"wrong_quotes": factor}, request="snapshots", at_most=1)
        assert trader.exits().code == 0
        trader.calm()
        trader.stage.tick(seconds=STEP_S)
        assert trader.exits().code == 0
    assert closed(trader) == []
    trader.trouble({"wrong_quotes": 0.96}, request="snapshots")
    assert trader.exits().code == 0
    assert closed(trader) == [], "the same answer, told twice, is no second witness against a trade of this minute"


@pytest.mark.parametrize("usd", [0, 0.01])
@pytest.mark.parametrize(("held", "wanted"), [("AAPL", "MSFT"), ("MSFT", "JPM")], ids=["sector", "gross"])
def test_a_position_said_to_be_worth_little_makes_no_room_under_a_limit(
    trader: Trader, usd: float, held: str, wanted: str
) -> None:
    narrow = trader.folder / "narrow.yaml"
    fractions = (f"max_{what}_fraction: 0.011" for what in ("order", "symbol", "sector", "gross"))
    narrow.write_text(CONFIGURATION.replace("1000}", ", ".join(("1000", *fractions)) + "}"))
    state = state_folder.open_state(trader.folder)
    trader.bot.loaded = load_for(state, Options(str(trader.folder), config=str(narrow)), {})
    holding(trader, held)
    trader.trouble({"position_value": usd}, request="positions")
    passes(trader.stage, trader, wanted)
    assert trader.fired() >= 3
    assert opened(trader) == [held]


@pytest.mark.parametrize("order", ["filled", "filled, and left out", "said to work", "denied"])
def test_a_position_whose_fill_is_not_told_yet_counts_once_and_is_ours_when_it_is(trader: Trader, order: str) -> None:
    assert trader.buys("AAPL").code == 0
    if order == "said to work":
        trader.trouble("stale_account", request=[ORDERS, "order"])
        assert trader.buys("AAPL", again=True).code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    trader.trouble(MISSING, request="activities")
    if order == "filled, and left out":
        trader.trouble(MISSING, request=POSITIONS)
    if order == "denied":
        trader.trouble({"stale_account": "1h"}, request=[ORDERS, "order"])
    passes(trader.stage, trader, "AAPL")
    assert trader.fired() >= 3
    assert opened(trader) == ["AAPL"]
    trader.calm()
    assert trader.reconciles().code == 0
    assert trader.held() == {"AAPL": position(trader)}
    assert trader.buys("MSFT", again=True).code == 0
    trader.is_whole()


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_exit_sells_what_a_direct_question_proves(trader: Trader, lie: object) -> None:
    holding(trader, "AAPL", "MSFT")
    trader.trouble(lie, request=POSITIONS)
    leave(trader)
    trader.exits()
    assert trader.fired()
    assert {name.split(".")[3] for name in closed(trader)} == {"AAPL", "MSFT"}
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    trader.exits()
    assert [position(trader, symbol) for symbol in ("AAPL", "MSFT")] == [Decimal(0)] * 2
    is_lawful(trader)


DENIED = {"empty and 404": (MISSING, "not_found"), "other side": ({"opposite_side": None},) * 2}


@pytest.mark.parametrize(("listed", "alone"), DENIED.values(), ids=DENIED)
def test_what_the_venue_denies_twice_is_not_sold_and_raises_an_alarm(
    trader: Trader, listed: object, alone: object
) -> None:
    holding(trader, "AAPL")
    trader.trouble(listed, request=POSITIONS)
    trader.trouble(alone, request="GET /v2/positions/*")
    leave(trader)
    trader.exits()
    assert trader.fired() >= 2, "the position is asked for by its symbol"
    assert closed(trader) == []
    assert alarms(trader, "AAPL")
    trader.calm()
    assert trader.exits().code == 0
    assert len(closed(trader)) == 1
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    trader.exits()
    assert position(trader) == 0
    is_lawful(trader)


def test_a_resting_exit_is_left_alone_while_the_venue_denies_its_position(trader: Trader) -> None:
    holding(trader, "AAPL")
    rests(trader, "AAPL")
    leave(trader)
    assert trader.exits().code == 0
    trader.trouble(MISSING, request=POSITIONS)
    trader.trouble("not_found", request="GET /v2/positions/*")
    for _ in range(2):
        trader.stage.tick(seconds=STEP_S)
        trader.exits()
    assert trader.fired()
    assert (len(closed(trader)), trader.told().deletes) == (1, set())
    assert "filled" not in trader.told().status.values() or position(trader) > 0
    trader.calm()
    for _ in range(2):
        fills_again(trader)
        trader.exits()
    assert position(trader) == 0
    is_lawful(trader)


def stays_closed(trader: Trader) -> None:
    """Let three more exit passes read what is wrong, check that none of them trades, and end the fault."""
    for _ in range(3):
        trader.exits()
        trader.stage.tick(seconds=STEP_S)
    assert trader.fired() >= 3
    assert position(trader) == 0
    is_lawful(trader)
    trader.calm()


def test_a_quantity_of_an_earlier_moment_is_never_oversold(trader: Trader) -> None:
    holding(trader, "AAPL")
    leave(trader)
    assert trader.exits().code == 0
    trader.trouble(FROZEN, request=[ORDERS, "positions"])
    trader.exits()
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    stays_closed(trader)
    trader.reconciles()
    trader.is_whole()


@pytest.mark.parametrize(
    "lags", [["positions"], ["positions", "activities"], ["positions", "activities", "order", "orders"]]
)
def test_an_exit_that_has_filled_is_not_sent_again_however_much_lags(trader: Trader, lags: list[str]) -> None:
    holding(trader, "AAPL")
    leave(trader)
    trader.trouble(FROZEN, request=lags)
    assert trader.exits().code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert position(trader) == 0
    stays_closed(trader)
    assert trader.reconciles().code == 0
    assert trader.held() == {}
    trader.is_whole()


@pytest.mark.parametrize("field", BUSY)
def test_a_strangers_order_that_never_reads_the_same_starves_no_exit(trader: Trader, field: str) -> None:
    holding(trader, "AAPL")
    by_hand(trader)
    trader.trouble({"restless_orders": field, "client_order_id": "by-hand*"}, request="orders")
    leave(trader)
    said: Said = trader.exits()
    assert said.code == 0, said.err
    assert trader.fired() >= 2
    assert len(closed(trader)) == 1
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.exits().code == 0
    assert position(trader) == 0


def test_a_strangers_order_that_never_reads_the_same_starves_no_cancel_of_a_halt(slow: Trader) -> None:
    assert slow.buys("AAPL").code == 0
    by_hand(slow)
    slow.trouble({"restless_orders": "updated_at", "client_order_id": "by-hand*"}, request="orders")
    halt_switch.halt(slow.folder, "test", "a person", datetime.now(UTC), TradingState.REDUCE_ONLY)
    said = slow.exits()
    assert said.code == 0, said.err
    assert [order["client_order_id"] for order in slow.told().accepted if not is_over(slow, order)] == ["by-hand-1"]


def is_over(trader: Trader, order: judge.Event) -> bool:
    return trader.told().status[order["order_id"]] in judge.ENDED


def test_what_the_list_left_out_and_has_truly_ended_is_known_as_ended(slow: Trader) -> None:
    assert slow.buys("AAPL").code == 0
    slow.trouble({"stale_account": "1h"}, request=ORDERS)
    slow.trouble(MISSING, request=ORDERS)
    fills_again(slow)
    slow.exits()
    with closing(SqliteLedger.open(slow.folder, read_only=True)) as ledger:
        working = [order.client_order_id for order in ledger.orders(working=True)]
    assert [name for name in working if verdicts.OPEN in name] == []
    assert slow.held().keys() == {"AAPL"}
