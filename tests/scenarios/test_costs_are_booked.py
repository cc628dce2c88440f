"""A bot on an exchange with commissions and interest books what it pays and earns, finds nothing, and shows it."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from papervenue import process
from tests.kit.bot.folder import EASY, KEYS, UNIVERSE, Bot, second_session
from tests.kit.bot.state import accept
from tradebot.__main__ import main

COSTS = "commission_bps: 10, commission_min_usd: 1, cash_rate: funds, cash_spread: -0.01, margin_rate: 0.08"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot whose market has costs, from the configuration that it was made with."""
    place = tmp_path_factory.mktemp("cli")
    rates, path = place / "rates.csv", place / "state"
    rates.write_text("date,effr\n2026-11-13,4.60\n2026-11-17,5.00\n")
    config = place / "tradebot.yaml"
    fill = "fill: {model: close, slippage_bps: 5}"
    config.write_text(f"{EASY}sandbox: {{{fill}, costs: {{{COSTS}, rates_path: {rates}}}}}\n")
    options = ("--state-dir", str(path), "--config", str(config), "--symbols", UNIVERSE, "--sessions", "3")
    assert main(["init", *options]) == 0
    try:
        accept(path)
        yield path
    finally:
        process.stop(path / "exchange")


def test_interest_of_the_first_night_is_booked_as_interest(bot: Bot) -> None:
    second_session(bot)
    # 100,000 at 4.6 less 1 percent for a night: 10.00
    total = bot.json("pnl")["pnl"]["total"]
    assert (total["interest_usd"], total["fees_usd"]) == ("10", "0")
    assert bot.json("reconcile")["findings"] == []


def test_the_commission_of_a_fill_is_booked_as_a_fee_and_nothing_differs(bot: Bot) -> None:
    assert bot.json("trade-once")["orders"] == 1
    rows = requests.get(f"{bot.url}/v2/account/activities", headers=KEYS, timeout=60).json()
    (trade,) = [row for row in rows if row["activity_type"] == "FILL"]
    value = Decimal(trade["qty"]) * Decimal(trade["price"])
    received = -value if trade["side"] == "buy" else value
    (fee,) = [Decimal(row["net_amount"]) for row in rows if row["activity_type"] == "FEE"]
    assert value > 1000
    assert fee == -(value / 1000).quantize(Decimal("0.01"))
    assert [finding for finding in bot.json("reconcile")["findings"] if finding["kind"] != "missing_stop"] == []
    total = bot.json("pnl")["pnl"]["total"]
    assert (Decimal(total["fees_usd"]), total["interest_usd"]) == (fee, "10")
    assert [row["open_fees_usd"] for row in bot.json("trades")["trades"]] == [total["fees_usd"]]
    bot.does("exchange tick close", "exchange tick next_open")
    assert bot.says("reconcile").code in (0, 3)
    cash = requests.get(f"{bot.url}/v2/account", headers=KEYS, timeout=60).json()["cash"]
    ours = bot.json("pnl")["pnl"]["total"]
    assert Decimal(ours["interest_usd"]) > 20
    assert Decimal(cash) == 100_000 + received + Decimal(ours["fees_usd"]) + Decimal(ours["interest_usd"])
    costs = bot.json("report")["accounts"][0]["further"]["costs"]["rows"]
    assert {row["name"]: row["usd"] for row in costs if row["name"] != "slippage"} == {"commission": -float(fee)}
