"""Changes in open interest: signed, and summed up over the last date."""

from datetime import timedelta

import pytest

from tests.builders import DAY
from tradebot.model.instrument import Right
from tradebot.signals.kinds.oi_change import KIND, OiChange, OiFacts, SignedOiChange


@pytest.mark.parametrize(
    ("right", "change", "contracts"), [(Right.CALL, 300, 300), (Right.PUT, -100, 100), (Right.PUT, 200, -200)]
)
def test_calls_opened_and_puts_closed_are_bullish(right: Right, change: int, contracts: int) -> None:
    whole = OiChange("id", "AAPL", DAY, "AAPL261218C00100000", right, change)
    assert KIND.lean(whole) == SignedOiChange(DAY, contracts)


def test_only_the_last_dates_contracts_count() -> None:
    yesterday = SignedOiChange(DAY - timedelta(days=1), 9_999)
    assert KIND.condense([SignedOiChange(DAY, 300), yesterday, SignedOiChange(DAY, -100)]) == OiFacts(200, 400, 2, DAY)
