"""The auction on the embedded exchange: its log says that the open came only after the close had filled."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests
import yaml

from tests.kit.bot.folder import Bot, log
from tests.kit.bot.state import accept
from tests.kit.core.venue import Wanting
from tests.scenarios.test_optional_limits import tick
from tradebot.app.wiring import App
from tradebot.model.candidate import Side
from tradebot.model.view import Open

RULES = {
    "value_per_r": 0.05, "cost": 0.02, "min_advantage": 0.1, "max_positions": 1, "margin_fraction": 0.9,
    "max_per_cluster": 8, "max_opens": 5, "max_closes": 5, "max_trades": 5, "min_age_s": 600, "cooldown_s": 3600,
}  # fmt: skip
LIMITS = {"max_open_positions": 1, "max_new_entries": 1, "min_score": 0.01, "min_coverage": 0.1}
SETTINGS = {"limits": LIMITS, "auction": RULES, "strategies": {"flow": {"auction": True, "limits": dict(LIMITS)}}}


@pytest.fixture
def wants(request: pytest.FixtureRequest, trader: Bot, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a pass of entries in which the strategy wants symbols, each with its score, and why each isn't sent."""
    (trader.folder / "tradebot.yaml").write_text(yaml.safe_dump({**SETTINGS, **getattr(request, "param", {})}))
    accept(trader.folder)

    def asked(**scores: float) -> Any:
        wanting = Wanting(*(Open(symbol, Side.BUY, score) for symbol, score in scores.items()), name="flow")
        monkeypatch.setattr(App, "strategies", (wanting,))
        rows = trader.json("trade-once", "--force-slot")["rows"]
        return {(row["symbol"], row["side"]): row["reason"] for row in rows}

    return asked


@pytest.mark.parametrize("wants", [{"exits": {"protection": "bot"}}], indirect=True)
def test_close_for_a_newcomer_that_ends_half_filled_is_among_the_swaps(trader: Bot, wants: Callable[..., Any]) -> None:
    assert wants(AAPL=0.5) == {("AAPL", "buy"): None}
    tick(trader)
    (held,) = (one for one in trader.json("positions")["positions"])
    tick(trader, "10m")
    rule = {"name": "half", "when": {"request": "submit", "at_most": 1}, "what": "partial_then_cancel"}
    answer = requests.post(f"{trader.url}/exchange/v1/faults", data=json.dumps([rule]), timeout=60)
    assert answer.status_code == 200, answer.text
    assert wants(MSFT=0.9)["AAPL", "sell"] is None
    tick(trader)
    trader.says("evaluate-exits")
    (swap,) = trader.json("trades", "--swaps")["swaps"]
    filled = [one for one in log(trader.url) if one["event"] == "fill" and one["side"] == "sell"]
    sold = sum(Decimal(one["fill_qty"]) for one in filled)
    assert held["quantity"] == swap["quantity"]
    assert (Decimal(swap["quantity"]) - sold, swap["closes"], swap["works"]) == (Decimal(swap["held"]), 1, False)
    assert 0 < sold < Decimal(swap["quantity"])
    requests.delete(f"{trader.url}/exchange/v1/faults", timeout=60)
    wants(MSFT=0.9)
    tick(trader)
    trader.says("evaluate-exits")
    assert trader.json("trades", "--swaps")["swaps"][0]["held"] == swap["held"], "nothing goes on with it"
    said = trader.says("trades", "--swaps").out
    assert (
        f"{swap['held']} of {swap['quantity']} are still open after 1 closing order. The broker ended the last one"
        in said
    )


def test_the_lesser_position_is_sold_before_the_better_one_is_bought(trader: Bot, wants: Callable[..., Any]) -> None:
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
    (told,) = trader.json("trades", "--swaps")["swaps"]
    assert (told["symbol"], told["newcomer"], told["closes"], told["held"]) == ("AAPL", "MSFT", 1, "0")
    assert told["newcomer_id"], "it was opened"
    shown = trader.says("why-no-orders", "NVDA").out
    assert " ".join(line for line in shown.split("\n") if "OUTBID" in line and "FAIL" in line).split() == [
        "displacement", "FAIL", "0.49", "0.88", "AUCTION_OUTBID",
    ]  # fmt: skip
