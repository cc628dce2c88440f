"""A bot that is gone for a day: what rests at the exchange closes its positions, and the next verb books that."""

import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from commands.shared.bot_records import exit_reasons
from tests.kit.bot.folder import Bot, log, second_session
from tests.kit.fakes.receivers import Receiver
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.model.trade import Trade
from tradebot.views.trades.lots import trades

SIDES = {"AAPL": "buy", "MSFT": "buy", "NVDA": "sell", "AMZN": "sell"}
CLOSE = """exits: {protection: venue, time_exit_s: 604800, stop_loss_fraction: 0.004, profit_target_fraction: 0.006,
  trailing_stop_fraction: 0.005, trailing_arm_fraction: 0.005}
"""
"""A stop and a target that a usual day reaches, and nothing else that closes a position."""
BOT_FLAGS = ("--sessions", "4")
BOT_SETTINGS = CLOSE + "notify: {channels: {phone: {topics: [positions]}}}\n"


def of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


def asked(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the requests about the account; those that let time pass are ours."""
    return [event for event in of(events, "request") if event["path"].startswith("/v2/")]


def stop_rests(event: dict[str, Any]) -> bool:
    return bool(event["event"] == "order_new" and event["type"] == "stop")


def closed(bot: Bot) -> dict[str, tuple[Trade, str | None]]:
    with open_app(Options(str(bot.folder)), os.environ) as app:
        found = [trade for trade in trades(app.ledger_view.fills()) if trade.closed_at]
        why = exit_reasons(app, {order for trade in found for order in trade.exit_orders})
    return {trade.symbol: (trade, why[trade.exit_orders[0]]) for trade in found}


def test_stops_and_targets_act_without_the_bot_on_both_sides(bot: Bot, receiver: Receiver, tmp_path: Path) -> None:
    second_session(bot)
    lines = [json.dumps({"symbol": symbol, "side": side, "score": 0.6}) for symbol, side in SIDES.items()]
    (tmp_path / "lines").write_text("\n".join(lines))
    assert bot.json("trade-once", "--candidates", str(tmp_path / "lines"))["orders"] == 4
    bot.does("exchange tick 1m", "evaluate-exits", "notify send")
    before = log(bot.url)
    assert {event["symbol"] for event in before if stop_rests(event)} == set(SIDES)
    bot.does("exchange tick close", "exchange tick next_open", "exchange tick close")
    meanwhile = log(bot.url)[len(before) :]
    assert asked(meanwhile) == [], "the bot asked for nothing"
    fills = of(meanwhile, "fill")
    assert {event["symbol"]: Decimal(event["position"]) for event in fills} == dict.fromkeys(SIDES, Decimal(0))
    assert {event["type"] for event in fills} == {"stop", "limit"}, "both a stop and a target acted"


def test_one_verb_books_what_the_exchange_did_and_says_why(bot: Bot) -> None:
    ended = {event["symbol"]: event for event in of(log(bot.url), "fill") if Decimal(event["position"]) == 0}
    assert bot.json("reconcile")["findings"] == []
    assert bot.json("positions")["positions"] == []
    found = closed(bot)
    assert set(found) == set(SIDES)
    for symbol, (trade, why) in found.items():
        assert why == ("stop_loss" if ended[symbol]["type"] == "stop" else "profit_target")
        assert trade.side.value == SIDES[symbol]
        assert (trade.realized_before_fees_usd > 0) is (why == "profit_target")
        assert trade.closed_quantity == trade.quantity
    before = len(asked(log(bot.url)))
    bot.does("exchange tick next_open", "evaluate-exits")
    assert len(asked(log(bot.url))) == before, "nothing is placed for positions that are closed"


def test_notice_of_a_closed_position_names_the_order_that_closed_it(bot: Bot, receiver: Receiver) -> None:
    whys = {symbol: str(why).replace("_", " ") for symbol, (_, why) in closed(bot).items()}
    bot.says("notify", "send")
    bot.does("exchange tick 30m", "evaluate-exits", "notify send")
    said = "\n".join(row["text"] for row in bot.json("notify", "last")["notices"])
    # Three of a kind are told one by one; of more, only the last has its reason.
    named = {symbol for symbol, why in whys.items() if re.search(rf"{symbol}: closed with [^:]*: {why} \(own\)", said)}
    assert named == {symbol for symbol in whys if f"{symbol}: closed" in said} != set()
