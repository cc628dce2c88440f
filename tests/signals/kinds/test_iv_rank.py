"""IV ranks: only the last date's counts."""

from datetime import timedelta
from decimal import Decimal

from tests.builders import DAY
from tradebot.signals.kinds.iv_rank import KIND, IvRank


def test_only_the_last_dates_rank_counts() -> None:
    old, new = (IvRank("d", "AAPL", day, Decimal(10), Decimal("0.2")) for day in (DAY - timedelta(days=1), DAY))
    assert KIND.condense([KIND.lean(new), KIND.lean(old)]) == new
