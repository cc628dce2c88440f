"""A coin whose trading the venue suspends while the bot holds it: what the bot says of it, and what comes after."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from papervenue import process
from tests.kit.bot.folder import typed


def test_position_in_a_suspended_coin_keeps_its_last_price_with_its_age(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "bot"

    def says(*words: str) -> Any:
        return typed(capsys, *words, "--state-dir", str(folder))

    def position() -> Any:
        return json.loads(says("positions", "--json").out)["data"]["positions"][0]

    try:
        says("demo", "--venue", "kraken_futures", "--symbols", "3", "--minutes", "12", "--json")
        before = position()
        symbol, faults = before["symbol"], f"{process.ensure_running(folder / 'exchange').url}/exchange/v1/faults"
        rule = {"name": "suspended", "when": {"symbol": [symbol]}, "what": "halt_symbol"}
        assert requests.post(faults, data=json.dumps([rule]), timeout=60).status_code == 200
        for _ in range(3):
            says("exchange", "tick", "5m")
            said = says("evaluate-exits")
        assert "TRADING_SUSPENDED" in said.out
        during = position()
        assert (during["price"], during["price_at"]) == (before["price"], before["price_at"])
        assert (during["suspended"], before.get("suspended", False)) == (True, False)
        shown = " ".join(says("positions").out.split())
        assert f"{symbol}: the broker has suspended its trading, so no stop acts and nothing can close it." in shown
        assert "15m old" in shown
        assert "No price" not in shown
        requests.delete(faults, timeout=60)
        says("exchange", "tick", "5m")
        says("evaluate-exits")
        after = position()
        assert (after.get("suspended", False), after["price_at"] > before["price_at"]) == (False, True)
    finally:
        process.stop(folder / "exchange")
