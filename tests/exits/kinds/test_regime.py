"""A market that is bad for one side closes what loses on that side."""

from decimal import Decimal

import pytest

from tests.exits.asked import closes, known
from tradebot.exits.kind import Measure
from tradebot.exits.kinds.regime import Regime
from tradebot.exits.lists import parse
from tradebot.exits.why import Part

D = Decimal
REGIME = Regime(longs=("high_vol_neg_gamma",), shorts=("low_vol_uptrend",), loss_fraction=D("0.005"))


@pytest.mark.parametrize(("quantity", "regime", "price", "said"), [
    (10, "high_vol_neg_gamma", "99.5", True),
    (10, "high_vol_neg_gamma", "99.51", False),
    (10, "low_vol_uptrend", "90", False),
    (-10, "low_vol_uptrend", "100.5", True),
    (-10, "high_vol_neg_gamma", "110", False),
])  # fmt: skip
def test_a_regime_closes_what_loses_on_its_side(quantity: int, regime: str, price: str, said: bool) -> None:
    of = known(quantity, regime=regime)
    assert closes(REGIME, of, price) is said
    assert REGIME.part(of, Measure(True, None, None)) == Part(f"regime_{regime}")


def test_a_regime_that_could_never_act_or_be_named_does_not_load() -> None:
    bad = {"longs": ["mixed"], "shorts": [], "loss_fraction": 0.02}
    with pytest.raises(ValueError, match="the stop closes first, so regime could never act"):
        parse([{"regime": bad}, {"stop_loss": {"fraction": 0.02}}])
    with pytest.raises(ValueError, match=r"regime\.longs\.0: "):
        parse([{"regime": {**bad, "longs": ["Mixed!"]}}])
