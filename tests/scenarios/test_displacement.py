"""On the embedded exchange, a better candidate gets room only after the weaker position is really gone."""

import json
from pathlib import Path
from typing import Any

from tests.accepting import accept
from tests.bot import Bot, log

SETTINGS = """
limits: {max_open_positions: 1, max_new_entries: 1, min_score: 0.01, min_coverage: 0.1}
displacement: {enabled: true, min_age_s: 600, gain_band_fraction: 1}
"""


def wants(bot: Bot, symbol: str, score: float) -> Any:
    """Run a pass of entries in which a strategy wants a symbol; return each row's reason by symbol and side."""
    file: Path = bot.folder / f"{symbol}.jsonl"
    file.write_text(json.dumps({"symbol": symbol, "side": "buy", "score": score, "strategy": "mine"}) + "\n")
    rows = bot.json("trade-once", "--candidates", str(file), "--force-slot")["rows"]
    return {(row["symbol"], row["side"]): row["reason"] for row in rows}


def tick(bot: Bot, span: str = "5m") -> None:
    """Let time pass, compare the books, and let a pass of exits place what protects the positions."""
    assert bot.says("exchange", "tick", span).code == 0
    assert bot.says("reconcile").code == 0
    assert bot.says("evaluate-exits", "--force-slot").code == 0


def test_the_weaker_position_is_sold_before_the_better_candidate_is_bought(trader: Bot) -> None:
    (trader.folder / "tradebot.yaml").write_text(SETTINGS)
    accept(trader.folder)
    assert wants(trader, "AAPL", 0.5) == {("AAPL", "buy"): None}
    tick(trader)
    assert wants(trader, "MSFT", 0.9) == {("MSFT", "buy"): "POSITION_TOO_YOUNG"}
    tick(trader, "10m")
    assert wants(trader, "MSFT", 0.9) == {("AAPL", "sell"): None, ("MSFT", "buy"): "DISPLACEMENT_STARTED"}
    tick(trader)
    assert wants(trader, "MSFT", 0.9) == {("MSFT", "buy"): None}
    tick(trader)
    fills = [(one["symbol"], one["side"]) for one in log(trader.url) if one["event"] == "fill"]
    assert list(dict.fromkeys(fills)) == [("AAPL", "buy"), ("AAPL", "sell"), ("MSFT", "buy")]
    events = [json.loads(line) for line in (trader.folder / "system_events.jsonl").read_text().splitlines()]
    missed = [event["symbol"] for event in events if event["event_type"] == "missed_candidate"]
    assert missed == ["MSFT"]
