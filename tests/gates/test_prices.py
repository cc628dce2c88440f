"""What prices do: the same to the gate of an entry and to the monitor of what is held."""

from decimal import Decimal

import pytest

from tests.builders import LIMITS, ask, quote
from tradebot.gates import prices
from tradebot.gates.decide import decide
from tradebot.model.decision import Gate, Verdict
from tradebot.model.values import replace

BASIS = LIMITS.model_copy(update={"max_basis_fraction": Decimal("0.0075")})


@pytest.mark.parametrize(
    ("mark", "verdict"), [("100.75", Verdict.PASS), ("100.76", Verdict.FAIL), (None, Verdict.UNKNOWN)]
)
def test_the_basis_is_the_same_to_the_gate_and_to_the_monitor(mark: str | None, verdict: Verdict) -> None:
    seen = replace(quote(), mark=None if mark is None else Decimal(mark), index=Decimal(100))
    ((symbol, watched),) = prices.monitors({"AAPL": seen}, BASIS)
    (gated,) = [one for one in decide(ask(quote=seen, limits=BASIS)) if one.gate is Gate.BASIS]
    assert (symbol, watched, watched.verdict) == ("AAPL", gated, verdict)
    assert not list(prices.monitors({"AAPL": seen}, LIMITS))
