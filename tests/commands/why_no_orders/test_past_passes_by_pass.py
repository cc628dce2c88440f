"""The screen of one symbol over many passes, at two widths."""

import pytest

from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.why_no_orders.past_passes import show_by_pass as show
from tests.kit.values import DAY, candidate
from tests.views.test_why_no_orders_symbol_span import cycle, failed, seen_in
from tradebot.model.reasons import Reason
from tradebot.views.why_no_orders import symbol_span


@pytest.mark.parametrize("width", [80, 120])
def test_gates_and_the_nearest_miss_fit_the_screen(width: int) -> None:
    show_utc(False)
    passes = [cycle(400, failed(Reason.SCORE_BELOW_MIN, 0.2)), cycle(300, failed(Reason.SCORE_BELOW_MIN, 0.1))]
    screen = Screen(width=width, highlight=False)
    with screen.capture() as text:
        show(screen, symbol_span(candidate("NVDA").symbol, seen_in(*passes), DAY))
    shown = text.get()
    assert all(len(line) <= width for line in shown.splitlines())
    words = " ".join(shown.split())
    assert "None of its 2 candidates became an order; 2 ended at SCORE_BELOW_MIN" in words
    assert "score: 0.2 against 0.25" in words
    assert f"tradebot why-no-orders NVDA --session {DAY} --at " in words
