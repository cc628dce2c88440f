"""The screen of one symbol: it tells only what the strategy's want has."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from commands.why_no_orders.report import show_symbol
from tests.kit.values import NOW
from tradebot.views.why_no_orders import SymbolWhy

SHOWN = [
    (None, None, "momentum: buy, checked at 233.59 USD"),
    (0.9, None, "momentum: score +0.900 (buy), checked at 233.59 USD"),
    (0.9, 0.8, "momentum: score +0.900 (buy), data for 80% of its weight, checked at 233.59 USD"),
]


@pytest.mark.parametrize(("score", "coverage", "line"), SHOWN)
def test_candidate_without_a_score_is_shown_without_one(score: float | None, coverage: float | None, line: str) -> None:
    way = SymbolWhy(
        symbol="AAPL",
        strategy="momentum",
        at=NOW,
        slot="open+22m",
        passes=1,
        side="buy",
        score=score,
        coverage=coverage,
        price=Decimal("233.59"),
        decisions=(),
        reason="OPPOSITE_SIDE",
        sentence="Another strategy holds it.",
        remedy="Set strategies.NAME.x",
        now=None,
    )
    console = Console(file=io.StringIO(), width=160)
    show_symbol(console, way)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert f"Strategy {line}\n" in shown
    assert "Next: Set strategies.momentum.x\n" in shown
