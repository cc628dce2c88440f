"""With too little space left, entries are refused by name, exits go on, and nothing is deleted to make room."""

import json
from pathlib import Path

import pytest

from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot, log


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def posts(bot: Bot) -> list[str]:
    requests = [event for event in log(bot.url) if event["event"] == "request" and event["method"] == "POST"]
    return [json.loads(event["body"])["side"] for event in requests if event["path"] == "/v2/orders"]


def test_a_nearly_full_disk_keeps_entries_back_and_lets_exits_go(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    trader.does("trade-once", "exchange tick 5m", "fetch-flow")
    bought, before = posts(trader), files(trader.folder)
    monkeypatch.setenv("TRADEBOT_STORAGE__MIN_FREE_MB", "1000000")
    shows(trader.says("trade-once"), 3, "DISK_LOW")
    assert posts(trader) == bought
    assert "at least 1,000,000 MB are needed" in trader.says("status").out
    assert trader.says("evaluate-exits").code == 0
    symbol = trader.json("positions")["positions"][0]["symbol"]
    assert trader.says("flatten", symbol, "--confirm", symbol).code == 0
    assert len(posts(trader)) > len(bought)
    assert files(trader.folder) >= before
