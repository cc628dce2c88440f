"""The auction on the embedded exchange: its log says that the open came only after the close had filled."""

import json
from typing import Any

import pytest
import yaml

from tests.accepting import accept
from tests.bot import Bot, log
from tests.scenarios.test_optional_limits import tick
from tests.venues import Wanting
from tradebot.app.wiring import App
from tradebot.model.candidate import Side
from tradebot.model.view import Open

RULES = {
    "value_per_r": 0.05, "cost": 0.02, "min_advantage": 0.1, "max_positions": 1, "margin_fraction": 0.9,
    "max_per_cluster": 8, "max_opens": 5, "max_closes": 5, "max_trades": 5, "min_age_s": 600, "cooldown_s": 3600,
}  # fmt: skip
LIMITS = {"max_open_positions": 1, "max_new_entries": 1, "min_score": 0.01, "min_coverage": 0.1}
SETTINGS = {"limits": LIMITS, "auction": RULES, "strategies": {"flow": {"auction": True, "limits": dict(LIMITS)}}}


def test_the_less_valuable_position_is_sold_before_the_better_candidate_is_bought(
    trader: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trader.folder / "tradebot.yaml").write_text(yaml.safe_dump(SETTINGS))
    accept(trader.folder)

    def wants(**scores: float) -> Any:
        wanting = Wanting(*(Open(symbol, Side.BUY, score) for symbol, score in scores.items()), name="flow")
        monkeypatch.setattr(App, "strategies", (wanting,))
        rows = trader.json("trade-once", "--force-slot")["rows"]
        return {(row["symbol"], row["side"]): row["reason"] for row in rows}

    assert wants(AAPL=0.5) == {("AAPL", "buy"): None}
    tick(trader)
    assert wants(MSFT=0.9) == {("MSFT", "buy"): "AUCTION_FULL"}
    tick(trader, "10m")
    swap = wants(MSFT=0.9, NVDA=0.51)
    assert (swap["AAPL", "sell"], swap["MSFT", "buy"]) == (None, "DISPLACEMENT_STARTED")
    tick(trader)
    opened = wants(MSFT=0.9, NVDA=0.51)
    assert opened["MSFT", "buy"] is None
    assert set(opened) == {("MSFT", "buy"), ("NVDA", "buy")}
    tick(trader)
    fills = [(one["symbol"], one["side"]) for one in log(trader.url) if one["event"] == "fill"]
    assert list(dict.fromkeys(fills)) == [("AAPL", "buy"), ("AAPL", "sell"), ("MSFT", "buy")]
    events = [json.loads(line) for line in (trader.folder / "system_events.jsonl").read_text().splitlines()]
    (swapped,) = [event for event in events if event["event_type"] == "swapped"]
    assert (swapped["symbol"], swapped["details"]["for"]) == ("AAPL", "MSFT")
    assert swapped["details"]["value_of_newcomer"] == "0.88 = 0.9 - 0.02"
    shown = trader.says("why-no-orders", "NVDA").out
    assert " ".join(line for line in shown.split("\n") if "OUTBID" in line and "FAIL" in line).split() == [
        "displacement", "FAIL", "0.49", "0.88", "AUCTION_OUTBID",
    ]  # fmt: skip
