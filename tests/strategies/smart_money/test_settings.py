"""Settings of the strategy that can't be meant are refused before a bot starts."""

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from tradebot.strategies.smart_money.settings import SmartMoneySettings


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"bias": {"depth": 200}}, "bias.min_depth 250 is above bias.depth 200"),
        ({"structure": {"depth": 100}}, "structure.min_depth 250 is above structure.depth 100"),
        ({"bias": {"length": 251}}, "bias.length 251 needs as many bars, and min_depth 250 is enough"),
        ({"fib": {"bars": 300}}, "fib.bars 300 needs as many bars, and min_depth 250 is enough"),
        ({"fib": {"zone": [0.8, 0.6]}}, "fib.zone must be a lower and a higher level, not 0.8 and 0.6"),
        ({"stop_outs": {"multiple": 3}}, "stop_outs.multiple is above stop_outs.max_multiple"),
        ({"structure": {"timeframe": "2Hour"}}, "4Hour"),
        ({"structure": {"smoothing": "sma"}}, "wilder"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(section: Mapping[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SmartMoneySettings.model_validate(section)
    assert problem in str(refused.value)
