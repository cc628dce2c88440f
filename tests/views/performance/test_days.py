"""A span of days: both ends belong to it, in New York's time."""

from datetime import UTC, date, datetime

import pytest

from tradebot.views.performance.days import EVER, Days

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        (datetime(2026, 11, 16, 4, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 16, 5, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 18, 4, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 18, 5, 0, tzinfo=UTC), False),
    ],
)
def test_a_day_begins_at_midnight_in_new_york(at: datetime, inside: bool) -> None:
    assert Days(MONDAY, TUESDAY).has(at) is inside
    assert EVER.has(at)


def test_a_span_may_lack_either_end() -> None:
    at = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
    assert (Days(MONDAY).has(at), Days(TUESDAY).has(at), Days(None, MONDAY).has(at)) == (True, False, True)
    assert (Days(None, MONDAY).is_after(TUESDAY), Days(None, MONDAY).is_after(MONDAY)) == (True, False)
