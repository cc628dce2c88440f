"""A position that its owner sold past the bot, before anybody accepts that: every view says what the exchange says."""

from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.kit.bot.folder import KEYS, Bot, order_by_hand


def account(bot: Bot) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{bot.url}/v2/account", headers=KEYS, timeout=60).json()
    return found


def closed_by_hand(bot: Bot, row: dict[str, Any], shares: Decimal) -> None:
    """Cancel what rests for a position, and close some of it, as its owner might from elsewhere."""
    for order in requests.get(f"{bot.url}/v2/orders", headers=KEYS, timeout=60).json():
        if order["symbol"] == row["symbol"]:
            requests.delete(f"{bot.url}/v2/orders/{order['id']}", headers=KEYS, timeout=60)
    order_by_hand(bot.url, row["symbol"], f"{shares}", "by-hand", "buy" if row["quantity"].startswith("-") else "sell")
    bot.says("exchange", "tick", "1m")


@pytest.mark.parametrize("kept", [0, 10])
def test_views_agree_with_the_exchange_about_a_day_on_which_shares_were_sold_by_hand(trader: Bot, kept: int) -> None:
    assert trader.json("trade-once")["orders"] > 0
    for _ in range(3):
        trader.does("exchange tick 1m", "evaluate-exits")
    row = trader.json("positions")["positions"][0]
    closed_by_hand(trader, row, abs(Decimal(row["quantity"])) - kept)
    trader.does("evaluate-exits", "exchange tick 20m", "evaluate-exits")
    assert trader.says("reconcile").code == 10, "the sale waits for a person"
    told = account(trader)
    earned = Decimal(told["equity"]) - Decimal(told["last_equity"])
    status, found = trader.json("status"), trader.json("positions")
    # The books value what is left at bid or ask, the exchange at the last trade.
    cents = Decimal(kept) * Decimal("0.05")
    for what, usd in (
        ("status", status["today"]["total_usd"]),
        ("pnl", trader.json("pnl")["pnl"]["total"]["total_usd"]),
        ("positions", found["unrealized_usd"]),
    ):
        assert abs(Decimal(usd) - earned) <= cents, what
    money = trader.json("summary")["money"]
    assert Decimal(money["after_usd"]) - Decimal(money["before_usd"]) == earned
    ours = next(one for one in found["positions"] if one["symbol"] == row["symbol"])
    assert Decimal(ours["closed_by_others"]) == abs(Decimal(row["quantity"])) - kept
    said = trader.says("positions").out
    assert f"{row['symbol']}: somebody else closed {ours['closed_by_others']} of it at the broker" in said
    assert said.partition(" at ")[0] in trader.says("status").out.partition(", health")[0], "both count alike"
    if not kept:
        assert (ours["state"], ours["protection"]) == ("closed", None)
        assert "According to its books, it has no positions." in trader.says("summary").out
        assert "closed by someone else" in trader.says("status").out
        assert not [
            text for text in ("without a stop", "none at the broker") if text in said + trader.says("status").out
        ]
