"""A halt at Kraken Futures cancels entries alone: what protects a position rests on, whoever or whatever halted.

The earlier bot's kill switch canceled stops and targets too. The exchange's log is the judge.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.kit.bot.folder import Bot, discard, log, typed

SETTINGS = """
limits:
  {max_order_fraction: 0.1, max_basis_fraction: 0.0075, max_stop_loss_usd: 5000, max_open_risk_fraction: 0.06,
   max_minute_move_fraction: 0.05, max_minute_range_fraction: 0.04, max_basis_shock_fraction: 0.015,
   max_shocked_symbols: 3, shock_wait_s: 1800, max_cost_fraction: 0.0025, max_cost_of_stop_fraction: 0.15,
   max_funding_fraction: 0.0015, min_reward_ratio: 2, min_edge_ratio: 6}
halts: {positions: 27, symbol_fraction: 1.2}
costs: {taker_bps: 5, maker_bps: 2, slippage_bps: 2, funding_day_bps: 10, hold_s: 21600}
"""
"""Small orders, and each limit on prices, costs and stops."""
ASKED = {"basis", "shock", "cost", "cost_of_stop", "funding", "reward", "edge", "stop_loss", "open_risk",
         "positions_held", "largest_position"}  # fmt: skip


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot that holds a tenth of its equity in one coin, with a stop and a target at the exchange."""
    state, settings = tmp_path / "state", tmp_path / "settings.yaml"
    settings.write_text(SETTINGS)
    of = ("--venue", "kraken_futures", "--symbols", "3", "--config", str(settings), "--state-dir", str(state))
    said = typed(capsys, "init", *of)
    assert said.code == 0, said.err
    bot = Bot(state, capsys)
    bot.does("exchange tick open", "exchange tick 6m", "reconcile", "trade-once --force-slot")
    bot.does("exchange tick 3m", "evaluate-exits")
    yield bot
    discard(state)


def orders(bot: Bot, event: str) -> list[tuple[str, str]]:
    """Return the side and type of each order that the exchange's log says this of, in their order."""
    return [(one["side"], one["type"]) for one in log(bot.url) if one["event"] == event]


RESTING = [("sell", "stop"), ("sell", "limit")]


def test_a_typed_halt_cancels_the_working_entry_and_leaves_stop_and_target_at_the_venue(bot: Bot) -> None:
    assert bot.says("trade-once", "--force-slot").code == 0
    entry = ("buy", "limit")
    assert orders(bot, "order_accepted") == [entry, *RESTING, entry]
    said = {one["gate"]: one["verdict"] for one in bot.json("why-no-orders", "PF_SOLUSD")["decisions"]}
    assert {gate: said.get(gate) for gate in ASKED} == dict.fromkeys(ASKED, "PASS")
    bot.does("halt --reason lunch", "evaluate-exits")
    assert orders(bot, "order_canceled") == [entry]
    assert orders(bot, "order_accepted") == [entry, *RESTING, entry]


@pytest.mark.campaign
def test_a_halt_for_drawdown_and_a_days_loss_leaves_stop_and_target_and_opens_nothing(bot: Bot) -> None:
    (held,) = bot.json("positions")["positions"]
    # What holding it costs within an hour is forty percent of the equity.
    rate = {"symbol": held["symbol"], "rate": f"{40_000 / float(held['quantity']):.6f}"}
    assert requests.post(f"{bot.url}/exchange/v1/funding", json=rate, timeout=60).status_code == 200
    assert bot.says("exchange", "tick", "60m").code == 0
    before = orders(bot, "order_accepted")
    assert bot.says("evaluate-exits").code == 0
    (why,) = [one["details"]["why"] for one in bot.json("events")["events"] if one["event_type"] == "halted_itself"]
    assert "DRAWDOWN_REACHED" in why
    assert "DAILY_LOSS_HALT" in why
    bot.says("trade-once", "--force-slot")
    assert orders(bot, "order_canceled") == []
    assert orders(bot, "order_accepted") == before
    assert {one["side"] for one in log(bot.url) if one["event"] == "fill"} == {"buy"}
