"""What the demo's report counts, whatever a strategy says."""

from decimal import Decimal
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from commands.demo.report import _exits, _print_earnings
from tests.desk.test_proposals import Answering, holding_microsoft, world
from tests.kit.core.scene import call, trade_once
from tests.kit.values import SESSION
from tradebot.model.view import Close, Needs
from tradebot.views.trades.pnl import NOT_KNOWN


@pytest.mark.parametrize(("component", "says"), [("flow", True), (NOT_KNOWN, False)])
def test_what_spoke_for_an_entry_is_told_only_if_the_strategy_has_scores(component: str, says: bool) -> None:
    trade = SimpleNamespace(symbol="MESZ6", side="long", reason="stop_loss", net_usd=Decimal(-5), component=component)
    row = SimpleNamespace(name=component, total_usd=Decimal(-5))
    earned: Any = SimpleNamespace(closed=1, won=0, best=trade, worst=None, by_reason=(row,), by_component=(row,))
    console = Console(file=StringIO(), width=100)
    _print_earnings(console, earned)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("entered for" in text) is says
    assert "MESZ6 long, stop_loss" in text


def test_a_strategys_own_words_are_a_reason_like_any_other() -> None:
    scene, _ = holding_microsoft()
    asked = Answering([Close("MSFT", " the month is over\n")], needs=Needs(lots=True))
    trade_once(world(scene, asked), call(slot="open+31m"))
    sale = scene.venue.submitted[-1]
    assert sale.why == "the month is over", "without the white space around it"
    scene.venue.fill(sale.client_order_id, "100.05")
    scene.later(60)
    trade_once(world(scene), call(slot="open+32m"))
    app: Any = SimpleNamespace(ledger=scene.ledger, ledger_view=scene.ledger)
    assert _exits(app, SESSION) == {"the month is over": 1}
