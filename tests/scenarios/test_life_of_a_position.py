"""A long and a short from their first order to their end, through everything that may happen to a position on the way.

What the bot knows of them survives partial fills, restarts, a night, a dividend, a split and a new name. Each state
that is seen may follow the one before. The tests run in their order on one bot.
"""

import json
from contextlib import closing
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests

from papervenue import process
from tests.kit.bot.folder import KEYS, Bot, log, second_session
from tests.kit.core.position import Known
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.lifecycle import State, may_follow
from tradebot.model.trade import Trade
from tradebot.views.trades.lots import trades

SIDES = {"AAPL": "buy", "NVDA": "sell"}
BOT_FLAGS = ("--sessions", "6")
BOT_SETTINGS = "exits: {time_exit_s: 604800, stop_loss_fraction: 0.02, profit_target_fraction: 0.5, protection: bot}\n"
seen: dict[str, list[State]] = {}


def note(bot: Bot) -> dict[str, State]:
    """Note the states of both positions as all records in the books give them, and return them."""
    with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
        known = Known().after((*ledger.intents(), *ledger.orders(), *ledger.fills()))
    now = {symbol: known.state("own", symbol) for symbol in SIDES}
    for symbol, state in now.items():
        if seen.get(symbol, [])[-1:] != [state]:
            seen.setdefault(symbol, []).append(state)
    return now


def tick(bot: Bot, *steps: str) -> None:
    for step in steps:
        assert bot.says("exchange", "tick", step).code == 0


def trouble(bot: Bot, name: str, what: object) -> None:
    rule = {"name": name, "when": {"request": "submit", "at_most": 2}, "what": what}
    answer = requests.post(f"{bot.url}/exchange/v1/faults", data=json.dumps([rule]), timeout=60)
    assert answer.status_code == 200, answer.text


def happens(bot: Bot, **action: object) -> None:
    assert requests.post(f"{bot.url}/exchange/v1/actions", json=action, timeout=60).status_code == 200


def compare(bot: Bot) -> None:
    """Compare books and broker; what a rule would close meanwhile is not what these tests are about."""
    findings = bot.says("reconcile", "--json").data["findings"]
    assert [finding["kind"] for finding in findings if finding["kind"] != "missing_stop"] == []


def kept(bot: Bot) -> dict[str, dict[str, Any]]:
    shown = bot.json("positions")
    by_symbol = {row["symbol"]: {**row, "trade": None} for row in shown["positions"] if row["strategy"] == "own"}
    for trade in shown["trades"]:
        by_symbol[trade["symbol"]]["trade"] = trade
    return by_symbol


def marked(row: dict[str, Any]) -> tuple[Decimal, ...]:
    return tuple(Decimal(row[name]) for name in ("quantity", "average_price", "high_water"))


def test_a_promise_becomes_a_position_on_either_side(bot: Bot, tmp_path: Path) -> None:
    second_session(bot)
    lines = [json.dumps({"symbol": symbol, "side": side, "score": 0.6}) for symbol, side in SIDES.items()]
    (tmp_path / "lines").write_text("\n".join(lines))
    trouble(bot, "slow", {"late_acknowledgement": "30s"})
    assert bot.json("trade-once", "--candidates", str(tmp_path / "lines"))["orders"] == 2
    assert set(note(bot).values()) == {State.WORKING}
    tick(bot, "5m")
    assert bot.says("evaluate-exits").code == 0
    assert set(note(bot).values()) == {State.OPEN}
    held = kept(bot)
    assert {row["state"] for row in held.values()} == {"open"}
    assert {row["trade"]["side"] for row in held.values()} == {"buy", "sell"}
    assert {row["protection"]["rule"] for row in held.values()} == {"STOP_LOSS"}


def test_a_partial_exit_leaves_one_trade_that_says_why(bot: Bot) -> None:
    before = kept(bot)
    trouble(bot, "parts", "partial_then_cancel")
    for symbol in SIDES:
        assert bot.says("flatten", symbol, "--confirm", symbol).code == 0
        note(bot)
    tick(bot, "1m")
    compare(bot)
    assert set(note(bot).values()) == {State.OPEN}
    shown = bot.shown("positions")
    for symbol, row in kept(bot).items():
        was, trade = before[symbol], row["trade"]
        assert f"{symbol} {trade['closed_quantity']} of {trade['quantity']} are closed: from " in shown
        assert 0 < abs(Decimal(row["quantity"])) < abs(Decimal(was["quantity"]))
        assert (row["opened_at"], row["average_price"]) == (was["opened_at"], was["average_price"])
        assert (Decimal(trade["quantity"]), trade["reasons"]) == (abs(Decimal(was["quantity"])), ["closed_by_hand"])
        assert (trade["best"], trade["entry_score"]) == (row["high_water"], 0.6 if trade["side"] == "buy" else -0.6)
        assert trade["worst"] is not None
        sides = 1 if trade["side"] == "buy" else -1
        made_usd = (Decimal(trade["exit_price"]) - Decimal(trade["entry_price"])) * Decimal(trade["closed_quantity"])
        assert Decimal(trade["realized_before_fees_usd"]) == made_usd * sides


def test_a_restart_a_comparison_and_a_night_change_nothing(bot: Bot) -> None:
    before = kept(bot)
    process.stop(bot.folder / "exchange")
    for _ in range(2):
        compare(bot)
    note(bot)
    tick(bot, "close", "next_open", "30m")
    compare(bot)
    note(bot)
    for symbol, row in kept(bot).items():
        assert marked(row) == marked(before[symbol])
        assert (row["opened_at"], row["trade"]) == (before[symbol]["opened_at"], before[symbol]["trade"])


def test_a_dividend_and_a_split_change_the_shares_and_neither_money_nor_age(bot: Bot) -> None:
    before = kept(bot)
    for symbol in SIDES:
        happens(bot, type="cash_dividend", symbol=symbol, rate="0.25")
        happens(bot, type="forward_split", symbol=symbol, new_rate=2, old_rate=1)
    tick(bot, "close", "next_open", "30m")
    compare(bot)
    note(bot)
    for symbol, row in kept(bot).items():
        (quantity, average, best), trade, was = marked(before[symbol]), row["trade"], before[symbol]["trade"]
        assert marked(row) == (2 * quantity, average / 2, best / 2)
        assert row["opened_at"] == before[symbol]["opened_at"]
        assert row["price"] is None, "the last price on record is of the old shares"
        assert [Decimal(trade[name]) for name in ("quantity", "closed_quantity")] == [
            2 * Decimal(was[name]) for name in ("quantity", "closed_quantity")
        ]
        assert (trade["realized_before_fees_usd"], trade["reasons"]) == (
            was["realized_before_fees_usd"],
            ["closed_by_hand"],
        )
        stop = next(Decimal(stop["price"]) for stop in row["stops"] if stop["rule"] == "STOP_LOSS")
        side = 1 if row["trade"]["side"] == "buy" else -1
        assert stop == average / 2 * (1 - side * Decimal("0.02"))


def test_a_new_name_takes_everything_along(bot: Bot) -> None:
    before = kept(bot)
    happens(bot, type="name_change", symbol="AAPL", new_symbol="PEAR")
    tick(bot, "close", "next_open", "30m")
    compare(bot)
    after = kept(bot)
    assert set(after) == {"PEAR", "NVDA"}
    assert marked(after["PEAR"]) == marked(before["AAPL"])
    assert after["PEAR"]["trade"] == {**before["AAPL"]["trade"], "symbol": "PEAR"}


def closed(bot: Bot) -> list[Trade]:
    with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
        return [trade for trade in trades(ledger.fills()) if trade.closed_at is not None]


def test_at_their_end_the_trades_made_what_the_account_gained(bot: Bot) -> None:
    assert bot.says("flatten", "--all", "--confirm", "ALL").code == 0
    note(bot)
    tick(bot, "1m")
    compare(bot)
    assert note(bot)["NVDA"] is State.CLOSED
    assert kept(bot) == {}
    assert {trade.symbol: trade.closed_quantity - trade.quantity for trade in closed(bot)} == {"PEAR": 0, "NVDA": 0}
    account = requests.get(f"{bot.url}/v2/account", headers=KEYS, timeout=60).json()
    dividends = sum(Decimal(row["net_amount"]) for row in activities(bot) if row["activity_type"] == "DIV")
    made_usd = sum(trade.realized_before_fees_usd for trade in closed(bot))
    assert Decimal(account["cash"]) - 100_000 == round(made_usd + dividends, 2)


def activities(bot: Bot) -> list[dict[str, Any]]:
    return list(requests.get(f"{bot.url}/v2/account/activities", headers=KEYS, timeout=60).json())


def test_after_a_restart_its_cooldown_still_holds(bot: Bot, tmp_path: Path) -> None:
    process.stop(bot.folder / "exchange")
    (tmp_path / "lines").write_text(json.dumps({"symbol": "NVDA", "side": "sell", "score": 0.7}))
    (row,) = bot.json("trade-once", "--dry-run", "--candidates", str(tmp_path / "lines"))["rows"]
    assert row["reason"] == "COOLDOWN"


def test_only_states_that_may_follow_one_another_were_seen(bot: Bot) -> None:
    both = [State.WORKING, State.OPEN, State.CLOSING, State.OPEN]
    assert seen == {"AAPL": [*both, State.CLOSED], "NVDA": [*both, State.CLOSING, State.CLOSED]}
    assert all(may_follow(state, before) for states in seen.values() for before, state in pairwise(states))
    sides = [event["side"] for event in log(bot.url) if event["event"] == "order_accepted"]
    assert sides == ["buy", "sell", "sell", "buy", "buy", "sell"], "the exchange saw a long and a short"
