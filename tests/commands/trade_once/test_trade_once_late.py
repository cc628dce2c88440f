"""Entries that come too late for their slot are missed, as in `serve`; a person can force them."""

import pytest

from commands.shared import ask_strategies
from commands.trade_once import run as trade_once
from tests.kit.bot.folder import Bot


def test_late_entry_is_refused_and_its_slot_recorded_as_missed(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    trader.does("exchange tick 5m", "fetch-flow", "exchange tick 4m")
    for module in (ask_strategies, trade_once):  # In the sandbox, whose time stands still, nobody is late.
        monkeypatch.setattr(module, "entry_grace_s", lambda app: 90)
    late = trader.says("trade-once")
    assert (late.code, late.err) == (0, "")
    assert late.out.startswith("SLOT_MISSED: Nothing was done in this slot. Missed entries are not made up later (")
    assert "at most 90 s" in late.out
    assert "use --force-slot" in late.out
    assert "SLOT_MISSED" in trader.says("why-no-orders").out
    assert "as missed: SLOT_MISSED" in trader.says("trade-once").out
    assert trader.says("trade-once", "--dry-run").out.startswith("Entries at ")
    assert trader.says("trade-once", "--force-slot").out.startswith("Entries at ")
    assert trader.says("exchange", "tick", "3m").code == 0
    assert trader.says("trade-once").out.startswith("Entries at ")
