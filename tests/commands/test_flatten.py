"""`tradebot flatten` and `cancel`: typed, through the same road, and judged by the exchange's own log."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from commands.flatten.run import orders_named
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot, at_once, log, order_by_hand, passes_in, second_session
from tests.kit.values import there
from tests.model import test_lifecycle as life
from tradebot.model.candidate import Purpose, Side
from tradebot.model.order import OrderClass, OrderType
from tradebot.model.struct_tools import replace


@pytest.fixture
def traded(bot: Bot) -> Bot:
    """Return the module's bot, at first with a position that it opened, one that it adopted, and a foreign share."""
    if not bot.json("fills")["known"]:
        second_session(bot)
        assert bot.json("trade-once")["orders"] > 0
        order_by_hand(bot.url, "MSFT", "3", "by-hand-1")
        order_by_hand(bot.url, "NVDA", "1", "by-hand-2")
        bot.says("exchange", "tick", "2m")
        bot.does("adopt MSFT --manage --confirm MSFT", "adopt NVDA")
    return bot


def own(bot: Bot) -> dict[str, str]:
    """Return what the bot holds of its own."""
    rows = bot.json("positions")["positions"]
    return {row["symbol"]: row["quantity"] for row in rows if row["strategy"] != "foreign"}


def held_there(bot: Bot) -> dict[str, Decimal]:
    rows = requests.get(f"{bot.url}/v2/positions", headers=KEYS, timeout=60).json()
    return {row["symbol"]: Decimal(row["qty"]) for row in rows}


def test_flatten_sends_nothing_without_confirmation(traded: Bot) -> None:
    symbol, quantity = next(iter(own(traded).items()))
    before = len(log(traded.url))
    said = traded.says("flatten", symbol)
    assert (said.code, said.err) == (
        2,
        f"error: Closing {quantity} {symbol} needs confirmation, and there is no terminal to ask in\n"
        f"  next: tradebot flatten {symbol} --confirm {symbol}\n",
    )
    assert traded.says("flatten", symbol, "--confirm", "yes").code == 3
    assert len(log(traded.url)) == before


@pytest.mark.parametrize("wrong", ["", "AMZN --all", "ZZZZ --confirm ZZZZ"])
def test_flatten_refuses_a_symbol_that_is_not_the_bots(traded: Bot, wrong: str) -> None:
    refuses(traded.says("flatten", *wrong.split()), 2, "next: ")


def test_flatten_dry_run_shows_the_order_and_takes_no_slot(traded: Bot) -> None:
    symbol, quantity = next(iter(own(traded).items()))
    before = len(log(traded.url))
    said = traded.says("flatten", symbol, "--dry-run", "--json")
    (row,) = said.data["rows"]
    assert (said.code, row["symbol"], row["reason"]) == (0, symbol, "DRY_RUN")
    assert Decimal(row["quantity"]) == abs(Decimal(quantity))
    assert len(log(traded.url)) == before


def test_flatten_closes_one_symbol_and_leaves_the_slot_free(traded: Bot) -> None:
    symbol, *others = own(traded)
    said = traded.says("flatten", symbol.lower(), "--confirm", symbol, "--json")
    (row,) = said.data["rows"]
    assert (said.code, row["symbol"], row["reason"]) == (0, symbol, None)
    assert traded.json("evaluate-exits")["not_run"] is None
    traded.does("exchange tick 1m", "reconcile")
    assert list(own(traded)) == others


def test_pass_that_leaves_open_what_a_halt_closes_is_a_finding(traded: Bot, tmp_path: Path) -> None:
    held, rules = own(traded), tmp_path / "faults.yaml"
    rules.write_text("- {name: old, when: {request: positions}, what: {stale_account: 20m}}\n")
    assert traded.says("exchange", "faults", "add", str(rules)).code == 0
    assert traded.says("halt", "--flatten", "--confirm", "FLATTEN").code == 5
    traded.says("exchange", "tick", "1m")
    said = traded.says("evaluate-exits", "--force-slot", "--json")
    assert (said.code, {row["reason"] for row in said.data["rows"]}) == (10, {"POSITION_UNPROVEN"})
    unlike = [f"{name}: the books have {quantity}, the broker's positions 0" for name, quantity in sorted(held.items())]
    assert all(any(line.startswith(one) for line in said.data["notes"]) for one in unlike)
    status = traded.json("status")
    assert status["notes"] == said.data["notes"]
    exits = next(row for row in status["health"] if row["subject"] == "exits")
    assert exits["state"] == "DEGRADED"
    assert all(one in exits["found"] for one in unlike)
    said = traded.says("flatten", "--all", "--confirm", "ALL")
    assert said.code == 5
    assert said.out.count("close it there if it still exists. Then tradebot reconcile") == len(held)
    assert "flatten" not in said.out.partition("Not closed")[2], "what refused once is no next step"
    assert traded.says("exchange", "faults", "clear").code == 0
    traded.says("reconcile")
    assert traded.says("unhalt", "--reason", "seen", "--confirm", "5442").code == 0
    assert own(traded) == held


def test_flatten_all_closes_only_the_bots_positions(traded: Bot) -> None:
    held = own(traded)
    lists = ["orders", "positions", "activities"]
    late = [{"name": "late", "when": {"request": lists}, "what": {"stale_account": "70s"}}]
    requests.post(f"{traded.url}/exchange/v1/faults", json=late, timeout=60).raise_for_status()
    said = traded.says("flatten", "--all", "--confirm", "ALL")
    assert said.code == 0
    traded.says("exchange", "tick", "61s")
    again = traded.says("flatten", "--all", "--confirm", "ALL")
    assert (again.code, again.out.count("Closed already: ")) == (5, len(held)), "its lists can't confirm it yet"
    assert not {words for words in ("Not closed", "No exit is working") if words in again.out}
    (orders,) = [row["found"] for row in traded.json("health")["judgments"] if row["subject"] == "orders"]
    assert "no stop rests" not in orders, "what is gone needs none"
    assert traded.says("exchange", "faults", "clear").code == 0
    assert said.out.rstrip().endswith(
        "A later entry may open the position again; tradebot halt prevents that. Next: tradebot orders"
    )
    traded.says("exchange", "tick", "1m")
    assert traded.says("reconcile").code == 0
    assert (own(traded), held_there(traded)) == ({}, {"NVDA": Decimal(1)})
    assert traded.shown("flatten", "--all") == "The bot has no positions, so there is nothing to close."


def test_halt_that_closes_all_names_what_an_order_bought_while_no_list_shows_it(traded: Bot, tmp_path: Path) -> None:
    lines, symbol = tmp_path / "lines", "AMZN"
    lines.write_text(json.dumps({"symbol": symbol, "side": "buy", "score": 0.9}))
    assert traded.json("trade-once", "--candidates", str(lines), "--force-slot")["orders"] == 1
    late = [{"name": "late", "when": {"request": ["positions", "activities"]}, "what": "stale_account"}]
    requests.post(f"{traded.url}/exchange/v1/faults", json=late, timeout=60).raise_for_status()
    traded.does("evaluate-exits --force-slot", "exchange tick 2m")
    said = traded.says("halt", "--flatten", "--confirm", "FLATTEN")
    assert traded.says("exchange", "faults", "clear").code == 0
    shares = held_there(traded)[symbol]
    assert (said.code, f"{shares} {symbol} bought by order" in " ".join(said.out.split())) == (5, True)
    traded.does("evaluate-exits --force-slot", "exchange tick 2m", "reconcile")
    assert (own(traded), held_there(traded)) == ({}, {"NVDA": Decimal(1)})
    assert traded.says("unhalt", "--reason", "seen", "--confirm", "5442").code == 0


def test_flatten_in_a_closed_session_says_that_it_did_nothing(traded: Bot) -> None:
    assert traded.says("adopt", "NVDA", "--manage", "--confirm", "NVDA").code == 0
    traded.says("exchange", "tick", "close")
    said = traded.says("flatten", "NVDA", "--confirm", "NVDA", "--json")
    assert (said.code, json.loads(said.out)["data"]["not_run"]["reason"]) == (5, "MARKET_CLOSED")


def test_what_works_on_a_symbol_is_counted_by_what_it_is() -> None:
    pair = life.intent(Purpose.PROTECT, Side.SELL, 10)
    stop = replace(pair, order_type=OrderType.STOP, limit_price=None, order_class=OrderClass.SIMPLE)
    target = replace(pair, stop_price=None, order_class=OrderClass.SIMPLE)
    entry = life.intent(Purpose.OPEN, Side.BUY, 10)
    apart = [(life.order(each), life.record(each)) for each in (target, stop, target)]
    assert orders_named([(replace(order, symbol="MSFT"), record) for order, record in apart]) == [
        "1 stop and 2 targets on MSFT"
    ]
    both = [(life.order(pair, order_class=OrderClass.OCO), life.record(pair)), (life.order(entry), life.record(entry))]
    assert orders_named(both) == ["1 buy order and 1 target on AAPL"]


def working(bot: Bot) -> list[dict[str, str]]:
    """Return the bot's own working orders, and no leg that only the broker made."""
    return [row for row in bot.json("orders")["orders"] if row["client_order_id"].startswith("tb1.")]


def deletes(bot: Bot) -> list[str]:
    """Return the paths of the requests by which orders were to be canceled, by the exchange's log."""
    return [line["path"] for line in log(bot.url) if line["event"] == "request" and line.get("method") == "DELETE"]


def test_cancel_ends_an_entry_once_after_the_symbol_was_typed(trader: Bot) -> None:
    assert trader.json("trade-once")["orders"] == 1
    (entry,) = working(trader)
    name, symbol = entry["client_order_id"], entry["symbol"]
    what = f"Canceling sell 33 {symbol} at {Decimal(there(entry['limit_price'])):,.2f} (entry)"
    for typed in (symbol, name):
        said = trader.says("cancel", typed)
        assert (said.code, said.err) == (
            2,
            f"error: {what} needs confirmation, and there is no terminal to ask in\n"
            f"  next: tradebot cancel {name} --confirm {symbol}\n",
        )
    assert trader.says("cancel", name, "--confirm", "yes").code == 3
    shown = trader.says("cancel", name, "--dry-run", "--json")
    assert (shown.code, [row["reason"] for row in shown.data["rows"]], deletes(trader)) == (0, ["DRY_RUN"], [])
    # Whoever comes second finds the order ended, or that it isn't among the working ones.
    ends = at_once("cancel", name, "--confirm", symbol, "--state-dir", str(trader.folder))
    assert 0 in {one.code for one in ends}
    assert {one.code for one in ends} <= {0, 2}
    assert len(deletes(trader)) == 1
    assert trader.says("cancel", name, "--confirm", symbol).code == 2
    (row,) = [row for row in trader.json("orders", "--all")["orders"] if row["client_order_id"] == name]
    assert (row["status"], len(deletes(trader)), trader.json("positions")["positions"]) == ("canceled", 1, [])
    (kept,) = {name for name in passes_in(trader.folder) if "cancel" in name and "#2" not in name}
    again = trader.json("replay", kept)
    assert (again["passes"], again["equal"], again["decisions"] > 0) == (1, 1, True)


def test_cancel_of_what_protects_a_position_takes_a_word_of_its_own(trader: Bot) -> None:
    assert trader.json("trade-once")["orders"] == 1
    trader.does("exchange tick 2m", "reconcile", "evaluate-exits --force-slot", "reconcile")
    (stop,) = working(trader)
    name, symbol = stop["client_order_id"], stop["symbol"]
    refuses(trader.says("cancel", name), 2, "and its stop (protects the position)", f"{name} --confirm NO-STOP")
    refuses(trader.says("cancel", name, "--confirm", symbol), 3, f"you typed '{symbol}' instead of NO-STOP")
    assert deletes(trader) == []
    said = trader.says("cancel", symbol.lower(), "--confirm", "NO-STOP")
    assert (said.code, len(deletes(trader))) == (0, 1)
    assert "the next exit pass places one again. Next: tradebot positions" in said.out
    (lost,) = [one for one in trader.json("events")["events"] if one["event_type"] == "protection_gap"]
    assert lost["symbol"] == symbol
    trader.does("exchange tick 1m", "evaluate-exits --force-slot")
    assert [row["symbol"] for row in working(trader)] == [symbol]


def test_cancel_says_when_the_order_filled_first(trader: Bot) -> None:
    assert trader.json("trade-once")["orders"] == 1
    (entry,) = working(trader)
    trader.does("exchange tick 2m")
    said = trader.says("cancel", entry["client_order_id"], "--confirm", entry["symbol"])
    assert (said.code, deletes(trader)) == (0, [])
    assert "Nothing to cancel: the broker reports the order as filled, 33 of 33 filled." in said.out


def test_cancel_that_the_broker_refuses_or_that_names_nothing_is_said(trader: Bot, tmp_path: Path) -> None:
    assert trader.json("trade-once")["orders"] == 1
    (entry,) = working(trader)
    for wrong in ("ZZZZ", "tb1.x"):
        refuses(trader.says("cancel", wrong), 2, f"no working order of the bot is called {wrong}", "orders --json")
    rules = tmp_path / "faults.yaml"
    rules.write_text("- {name: no, when: {request: cancel}, what: {refused: null}}\n")
    trader.does(f"exchange faults add {rules}")
    said = trader.says("cancel", entry["client_order_id"], "--confirm", entry["symbol"])
    assert (said.code, "It may still fill. Next: tradebot reconcile" in said.out) == (5, True)
    assert len(deletes(trader)) == 1
