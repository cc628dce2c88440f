"""A position with a fraction of a share is closed to its end; a broker that takes no fractions keeps only the rest."""

from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.bot import KEYS, Bot, log, order_by_hand


@pytest.fixture
def holder(trader: Bot) -> Bot:
    """Return a bot that has taken over ten and a half shares."""
    order_by_hand(trader.url, "AAPL", "10.5", "by hand")
    assert trader.says("exchange", "tick", "5m").code == 0
    assert trader.says("adopt", "AAPL", "--manage", "--confirm", "AAPL").code == 0
    return trader


def flatten(bot: Bot) -> dict[str, Any]:
    """Let a person close the position, give the order a minute, and return what the pass made of it."""
    pass_of = dict(bot.json("flatten", "AAPL", "--confirm", "AAPL"))
    assert bot.says("exchange", "tick", "1m").code == 0
    assert bot.says("evaluate-exits").code == 0
    return pass_of


def left(bot: Bot) -> list[Decimal]:
    """Return the shares that the broker holds; the bot's books must say the same."""
    rows = requests.get(f"{bot.url}/v2/positions", headers=KEYS, timeout=60).json()
    assert [row["quantity"] for row in bot.json("positions")["positions"]] == [row["qty"] for row in rows]
    return [Decimal(row["qty"]) for row in rows]


def sold(bot: Bot) -> list[str]:
    """Return the quantities of the sales that the exchange accepted."""
    return [row["qty"] for row in log(bot.url) if row["event"] == "order_accepted" and row["side"] == "sell"]


def refused(bot: Bot) -> int:
    return sum(row["event"] == "order_rejected" for row in log(bot.url))


def test_a_fraction_is_closed_with_the_whole_shares(holder: Bot) -> None:
    flatten(holder)
    assert (left(holder), sold(holder), refused(holder)) == ([], ["10.5"], 0)


def test_where_fractions_are_refused_the_whole_shares_are_closed_and_the_rest_is_tried_once_a_session(
    holder: Bot,
) -> None:
    settings = {"fractional_trading": False}
    requests.patch(f"{holder.url}/v2/account/configurations", headers=KEYS, json=settings, timeout=60)
    flatten(holder)
    assert (left(holder), sold(holder), refused(holder)) == ([Decimal("0.5")], ["10"], 1)
    assert flatten(holder)["refused"] == {"FRACTION_REFUSED": 1}
    assert (left(holder), sold(holder), refused(holder)) == ([Decimal("0.5")], ["10"], 1)
