"""`tradebot learn policy judge`: a model is judged in sessions that lie far enough after what it was trained on."""

from datetime import date

import pytest

from commands.learn.policy.judge import require_embargo
from tradebot.errors import OperatorError

BEFORE = [date(2026, 11, day) for day in (9, 10, 11, 12, 13)]
DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19)]


@pytest.mark.parametrize(
    ("last", "embargo", "begin"),
    [
        (date(2026, 11, 12), 1, None),
        (date(2026, 11, 13), 1, date(2026, 11, 17)),
        (date(2026, 11, 17), 1, date(2026, 11, 19)),
        (date(2026, 11, 10), 3, None),
        (date(2026, 11, 11), 3, date(2026, 11, 17)),
        # Longer ago than the calendar of the market reaches.
        (date(2025, 1, 2), 20, None),
    ],
)
def test_sessions_of_the_embargo_are_not_judged(last: date, embargo: int, begin: date | None) -> None:
    if begin is None:
        require_embargo("m", last, DAYS, BEFORE, embargo)
        return
    with pytest.raises(OperatorError, match=rf"trained on sessions up to {last}") as refused:
        require_embargo("m", last, DAYS, BEFORE, embargo)
    assert refused.value.hint == f"judge it later: --from {begin}"
