"""Risk reversals: the last session's skew, against those before it of the same expiry."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.builders import DAY, NOW
from tests.signals.source_rows import read
from tradebot.signals.kinds.risk_reversal import KIND, SessionSkew, SkewFacts

ROW = {"date": DAY.isoformat(), "delta": 25, "risk_reversal": "0.014", "ticker": "AAPL"}
DECEMBER, JANUARY = date(2026, 12, 18), date(2027, 1, 15)


def skew(days: int, value: float, expiry: date = DECEMBER) -> SessionSkew:
    return SessionSkew(expiry, DAY - timedelta(days=days), value)


def test_the_monthly_expiry_about_a_month_away_is_asked_for() -> None:
    asked = KIND.request("AAPL", DAY)
    assert asked.path == "/api/stock/AAPL/historical-risk-reversal-skew"
    assert asked.params == {"expiry": "2026-12-18", "delta": "25", "timeframe": "2M"}
    assert KIND.request("AAPL", date(2026, 12, 2)).params["expiry"] == "2027-01-15"


def test_a_row_belongs_to_the_expiry_that_was_asked_for_on_the_day_of_the_reply() -> None:
    assert KIND.lean(KIND.parse(ROW, "AAPL", NOW)) == skew(0, 0.014)
    late = KIND.parse(ROW, "AAPL", datetime(2026, 12, 2, 15, tzinfo=UTC))
    assert (late.expiry, late.id) == (JANUARY, "2027-01-15/2026-11-16")


@pytest.mark.parametrize(("delta", "rejected"), [(25, 0), ("0.25", 0), (10, 1), (-25, 1)])
def test_a_row_of_another_delta_is_refused(delta: object, rejected: int) -> None:
    assert len(read("risk_reversal", [{**ROW, "delta": delta}]).rejected) == rejected


def test_the_last_skew_is_compared_with_earlier_ones_of_its_own_expiry() -> None:
    skews = [
        skew(1, 0.02),
        skew(0, 0.09, JANUARY),
        skew(1, 0.01, JANUARY),
        skew(2, 0.03, JANUARY),
        skew(3, 0.05, JANUARY),
    ]
    found = KIND.condense(skews)
    assert found._replace(spread=None) == SkewFacts(0.09, 0.03, None, 3, DAY)
    assert found.spread == pytest.approx(0.04 / 3)
    assert KIND.condense([skew(1, 0.02)]) == SkewFacts(0.02, None, None, 0, DAY - timedelta(days=1))
